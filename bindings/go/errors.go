package lethe

import (
	"errors"
	"fmt"

	"lethe/internal/native"
)

// Error is a failure of the library.
type Error struct {
	// Status: the kind of failure.
	Status Status
	// Message: one sentence that names the value and the remedy.
	Message string
}

// Error returns the kind's name and the sentence.
func (e *Error) Error() string {
	if e.Message == "" {
		return "lethe: " + e.Status.String()
	}
	return "lethe: " + e.Status.String() + ": " + e.Message
}

// Is tells whether target is the error of the same kind, such as [ErrNotFound].
func (e *Error) Is(target error) bool {
	kind, ok := target.(*Error)
	return ok && kind.Message == "" && kind.Status == e.Status
}

// ErrClosed is what calls on a closed object give, wrapped.
var ErrClosed = errors.New("lethe: the object is closed")

// String returns the stable name of a code, for example "BASE_MISMATCH".
func (s Status) String() string {
	if name := native.Status_name(int32(s)); name != "UNKNOWN" {
		return name
	}
	return fmt.Sprintf("Status(%d)", int32(s))
}

// check is the error in an answer, if it is one.
func check(answer native.Status) error {
	if answer.Code >= 0 {
		return nil
	}
	return &Error{Status(answer.Code), answer.Text}
}

// invalid is the error of an argument that cannot be right.
func invalid(format string, values ...any) error {
	return &Error{StatusInvalidArgument, fmt.Sprintf(format, values...)}
}
