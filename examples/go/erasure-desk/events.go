package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"lethe"
)

// follow applies the engine's events to the erasures and publishes them, until the engine is
// closed.
func (d *desk) follow() {
	defer close(d.followed)
	for event := range d.engine.Events(context.Background()) {
		e := d.erasures.ofJob(event.JobID)
		if e == nil {
			continue
		}
		if event.State.Ended() {
			d.outcome(e) // before anybody waits for the lock
		}
		d.events.turn.Lock()
		d.erasures.mutex.Lock()
		e.apply(event)
		d.erasures.mutex.Unlock()
		d.tell(event, e)
		d.events.turn.Unlock()
	}
}

// apply makes an event the erasure's state.
func (e *erasure) apply(event lethe.Event) {
	e.state, e.progress = event.State, event.Progress
	if event.Kind != lethe.EventState {
		return
	}
	if event.State == lethe.JobRunning && e.started.IsZero() {
		e.started = now()
	}
	if event.State.Ended() {
		e.ended = now()
	}
}

// tell publishes an event and logs a state.
func (d *desk) tell(event lethe.Event, e *erasure) {
	if event.Kind == lethe.EventProgress {
		d.events.publish(newMessage("progress", e.request.ID, struct {
			ID       string       `json:"id"`
			Number   int64        `json:"number"`
			State    string       `json:"state"`
			Progress progressView `json:"progress"`
		}{e.request.ID, event.JobID, stateName(event.State), progressOf(event.Progress)}))
		return
	}
	v := d.view(e)
	d.events.publish(newMessage("state", e.request.ID, v))
	pairs := []any{"id", v.ID, "state", v.State, "step", v.Progress.Step}
	if v.Error != nil {
		pairs = append(pairs, "code", v.Error.Code, "reason", v.Error.Message)
	}
	if v.Figures != nil {
		pairs = append(pairs, "acc_f", float64(v.Figures.AccF.After), "acc_r",
			float64(v.Figures.AccR.After), "h", float64(v.Figures.H))
	}
	d.log.info("erasure", pairs...)
}

type connKey struct{}

// withConn remembers a request's connection: a stream outlives the server's time limits, and has
// its own.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, conn)
}

// getEvents is GET /v1/events. A stream begins with the present state of the erasures that have not
// ended and of the newest that have, so that a client that comes back has missed nothing.
func (d *desk) getEvents(w http.ResponseWriter, r *http.Request, _ string) error {
	conn, ok := r.Context().Value(connKey{}).(net.Conn)
	if !ok {
		return errors.New("the server does not tell the connection")
	}
	c, err := d.join()
	if err != nil {
		return err
	}
	defer d.events.leave(c)
	conn.SetReadDeadline(time.Time{})
	header := w.Header()
	header.Set("Content-Type", "text/event-stream")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no") // proxies shall not hold events back
	header.Set("Connection", "close")     // its time limit would be the next request's
	send := func(text []byte) bool {
		conn.SetWriteDeadline(time.Now().Add(20 * time.Second))
		_, err := w.Write(text)
		w.(http.Flusher).Flush()
		return err == nil && r.Context().Err() == nil
	}
	send([]byte("retry: 2000\n\n"))
	quiet := time.NewTicker(d.options.heartbeat)
	defer quiet.Stop()
	for {
		well := true
		select {
		case <-c.wake:
			for _, m := range c.take() {
				well = well && send(m.text)
			}
		case <-quiet.C:
			well = send([]byte(": still here\n\n"))
		case <-d.events.done:
			send([]byte("event: end\ndata: {}\n\n"))
			return nil
		case <-r.Context().Done():
			return nil
		}
		if !well {
			return nil
		}
	}
}

// join makes a client for which the present states wait.
func (d *desk) join() (*client, error) {
	d.events.turn.Lock()
	defer d.events.turn.Unlock()
	c, err := d.events.join()
	if err != nil {
		return nil, err
	}
	for _, e := range d.recent(100) {
		c.add(newMessage("state", e.request.ID, d.view(e)))
	}
	return c, nil
}

// recent returns the erasures that have not ended and the newest `most` that have, oldest first.
func (d *desk) recent(most int) []*erasure {
	all := d.erasures.list()
	d.erasures.mutex.RLock()
	defer d.erasures.mutex.RUnlock()
	chosen, ended := []*erasure{}, 0
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].state.Ended() {
			if ended++; ended > most {
				continue
			}
		}
		chosen = append(chosen, all[i])
	}
	for i, j := 0, len(chosen)-1; i < j; i, j = i+1, j-1 {
		chosen[i], chosen[j] = chosen[j], chosen[i]
	}
	return chosen
}
