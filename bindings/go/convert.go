package lethe

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"lethe/internal/native"
)

// text checks text for C and puts its NUL at the end.
func text(name, value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", invalid("%s is not valid UTF-8", name)
	}
	if strings.IndexByte(value, 0) >= 0 {
		return "", invalid("%s has a NUL inside", name)
	}
	return value + "\x00", nil
}

// optionalText is text whose absence, "", is C's NULL.
func optionalText(name, value string) (string, error) {
	if value == "" {
		return "", nil
	}
	return text(name, value)
}

// jsonList is texts as a JSON list for C; none at all is C's NULL.
func jsonList(name string, values []string) (string, error) {
	if len(values) == 0 {
		return "", nil
	}
	for _, value := range values {
		if _, err := text(name, value); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(values)
	return string(list) + "\x00", err
}

// int32Of is a Go number for C.
func int32Of(name string, value int) (int32, error) {
	if value < math.MinInt32 || value > math.MaxInt32 {
		return 0, invalid("%s is %d, which does not fit 32 bits", name, value)
	}
	return int32(value), nil
}

func truth(value bool) int32 {
	if value {
		return 1
	}
	return 0
}

// timeOf is a time in milliseconds since 1970; 0 is none.
func timeOf(milliseconds int64) time.Time {
	if milliseconds == 0 {
		return time.Time{}
	}
	return time.UnixMilli(milliseconds)
}

// bytesOf takes a buffer's content and frees it; 0 has none.
func bytesOf(buffer uintptr) []byte {
	defer native.Buffer_free(buffer)
	data := make([]byte, native.Buffer_size(buffer))
	if len(data) > 0 {
		native.Buffer_copy(buffer, data)
	}
	return data
}

// floatsOf is bytesOf for float32 values.
func floatsOf(buffer uintptr) []float32 {
	defer native.Buffer_free(buffer)
	data := make([]float32, native.Buffer_size(buffer)/4)
	if len(data) > 0 {
		native.Buffer_copy_floats(buffer, data)
	}
	return data
}

// textFrom is the text that a call on an object hands over.
func (h *handle) textFrom(f func(object uintptr, out *uintptr) native.Status) (string, error) {
	var buffer uintptr
	if err := h.call(func(object uintptr) native.Status { return f(object, &buffer) }); err != nil {
		return "", err
	}
	return string(bytesOf(buffer)), nil
}

// libraryText is the text that a call on no object hands over; findings come also with a failure.
func libraryText(f func(out *uintptr) native.Status) (string, error) {
	if err := ready(); err != nil {
		return "", err
	}
	var buffer uintptr
	err := check(f(&buffer))
	return string(bytesOf(buffer)), err
}
