package lethe

import (
	"context"

	"lethe/internal/native"
)

// waitSlice is how long a native wait may take, in milliseconds: a context is asked in between.
const waitSlice = 50

// wait repeats a native wait until it answers or ctx ends. Between the slices the object is not
// held, so that closing it ends the waiting.
func (h *handle) wait(ctx context.Context,
	f func(object uintptr, milliseconds int64) native.Status) error {
	for {
		milliseconds := int64(waitSlice)
		if ctx.Err() != nil {
			milliseconds = 0 // what has happened already counts
		}
		over := false
		err := h.call(func(object uintptr) native.Status {
			answer := f(object, milliseconds)
			over = answer.Code != int32(StatusTimeout)
			return answer
		})
		if over || err != nil {
			return err
		}
		if milliseconds == 0 {
			return ctx.Err()
		}
	}
}

// Events returns the engine's events: every change of a job's state, and figures of running jobs,
// of which a slow reader misses old ones. Each event goes to one channel. The channel is closed
// when the engine is closed and all its events were taken, or when ctx ends, which loses the event
// that nobody took: read it to its end or end ctx. While it is open the engine is not freed.
func (e *Engine) Events(ctx context.Context) <-chan Event {
	events := make(chan Event)
	engine, err := e.enter()
	if err != nil {
		close(events)
		return events
	}
	go func() {
		defer close(events)
		defer e.leave()
		event := native.NewEvent()
		defer native.DeleteEvent(event)
		for ctx.Err() == nil {
			switch Status(native.Engine_next_event(engine, waitSlice, event).Code) {
			case StatusOK:
			case StatusTimeout:
				continue
			default:
				return
			}
			select {
			case events <- eventOf(event):
			case <-ctx.Done():
			}
		}
	}()
	return events
}
