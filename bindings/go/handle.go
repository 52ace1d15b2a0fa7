package lethe

import (
	"fmt"
	"sync"

	"lethe/internal/native"
)

// handle owns one object of the library. A call that is inside holds it: closing meanwhile waits
// for nobody, and whoever leaves last frees.
type handle struct {
	mutex  sync.Mutex
	native uintptr
	inside int
	closed bool
	kind   string
	free   func(uintptr)
}

// own fills the handle of a new object.
func (h *handle) own(kind string, native uintptr, free func(uintptr)) {
	h.kind, h.native, h.free = kind, native, free
}

// enter gives the object for a call, which ends with leave. The leave also keeps the Go object
// reachable, so that its finaliser cannot run during the call.
func (h *handle) enter() (uintptr, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.closed || h.native == 0 {
		return 0, fmt.Errorf("%w: %s", ErrClosed, h.kind)
	}
	h.inside++
	return h.native, nil
}

func (h *handle) leave() {
	h.mutex.Lock()
	h.inside--
	h.freeUnused()
}

// close makes later calls fail and frees now or when the last call leaves.
func (h *handle) close() {
	h.mutex.Lock()
	h.closed = true
	h.freeUnused()
}

// freeUnused unlocks the mutex: freeing may take time.
func (h *handle) freeUnused() {
	native := h.native
	unused := h.closed && h.inside == 0 && native != 0
	if unused {
		h.native = 0
	}
	h.mutex.Unlock()
	if unused {
		h.free(native)
	}
}

// call is one native call on an object.
func (h *handle) call(f func(object uintptr) native.Status) error {
	object, err := h.enter()
	if err != nil {
		return err
	}
	defer h.leave()
	return check(f(object))
}

// callWith is one native call on an object with others; of a nil one it gets 0.
func (h *handle) callWith(others []*handle,
	f func(object uintptr, others []uintptr) native.Status) error {
	object, err := h.enter()
	if err != nil {
		return err
	}
	defer h.leave()
	natives := make([]uintptr, len(others))
	for i, other := range others {
		if other == nil {
			continue
		}
		if natives[i], err = other.enter(); err != nil {
			return err
		}
		defer other.leave()
	}
	return check(f(object, natives))
}
