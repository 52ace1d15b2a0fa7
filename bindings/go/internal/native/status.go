package native

import (
	"strings"
	"unsafe"
)

// Status is the answer of a function: a code of lethe.h and, after a failure, its sentence.
type Status struct {
	Code int32
	Text string
}

// statusOf takes a record of lethe_go.i apart, which is C's memory, and frees it.
func statusOf(record string) Status {
	header := (*struct {
		data *byte
		size int
	})(unsafe.Pointer(&record))
	if header.data == nil {
		return Status{}
	}
	status := Status{Code: int32(int8(*header.data))}
	if header.size > 0 {
		status.Text = strings.Clone(record[1:])
		Swig_free(uintptr(unsafe.Pointer(header.data)))
	}
	return status
}
