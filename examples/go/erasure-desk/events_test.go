package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// stream is a client of /v1/events.
type stream struct {
	mutex    sync.Mutex
	states   []string // "id state", in order
	progress int
	beats    int
	over     bool          // the service said so
	done     chan struct{} // closed at the connection's end
}

func (s *service) listen() *stream {
	s.t.Helper()
	response, err := http.Get(s.url + "/v1/events")
	if err != nil {
		s.t.Fatal(err)
	}
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		s.t.Fatalf("the stream's type is %q", kind)
	}
	e := &stream{done: make(chan struct{})}
	go func() {
		defer close(e.done)
		defer response.Body.Close()
		lines, kind := bufio.NewScanner(response.Body), ""
		for lines.Scan() {
			e.line(lines.Text(), &kind)
		}
	}()
	return e
}

func (e *stream) line(line string, kind *string) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	switch {
	case strings.HasPrefix(line, ":"):
		e.beats++
	case strings.HasPrefix(line, "event: "):
		*kind = line[len("event: "):]
		e.over = e.over || *kind == "end"
	case strings.HasPrefix(line, "data: ") && *kind == "progress":
		e.progress++
	case strings.HasPrefix(line, "data: ") && *kind == "state":
		var v view
		if json.Unmarshal([]byte(line[len("data: "):]), &v) != nil {
			v.State = "unreadable"
		}
		e.states = append(e.states, v.ID+" "+v.State)
	}
}

// seen tells what came, each of repeated states once: a stream begins with the present ones.
func (e *stream) seen() string {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	text, last := "", ""
	for _, state := range e.states {
		if state != last {
			text += state + ", "
		}
		last = state
	}
	return text
}

// TestEvents has several clients, one of which comes late.
func TestEvents(t *testing.T) {
	s := start(t, t.TempDir(), "-heartbeat", "100ms")
	clients := []*stream{s.listen(), s.listen(), s.listen()}
	s.post("a", `{"classes":[1]}`).is(t, 202)
	s.untilState("a", "succeeded")
	late := s.listen()
	s.post("b", `{"classes":[2]}`).is(t, 202)
	s.untilState("b", "succeeded")
	time.Sleep(300 * time.Millisecond)
	s.stop(syscall.SIGTERM)
	b := "b queued, b running, b committing, b succeeded, "
	for i, client := range append(clients, late) {
		<-client.done
		want := "a queued, a running, a committing, a succeeded, " + b
		if client == late {
			want = "a succeeded, " + b
		}
		if client.seen() != want {
			t.Errorf("client %d saw %s", i, client.seen())
		}
		if client.progress < 4 || client.beats == 0 || !client.over {
			t.Errorf("client %d: %d of progress, %d beats, told of the end: %v", i, client.progress,
				client.beats, client.over)
		}
	}
}

// TestSlowClient loses progress, never a state, and makes nobody wait.
func TestSlowClient(t *testing.T) {
	h := newHub()
	slow, err := h.join()
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	for job := 0; job < 50; job++ {
		id := fmt.Sprint(job)
		h.publish(newMessage("state", id, "running"))
		for step := 0; step <= 1000; step++ {
			h.publish(newMessage("progress", id, step))
		}
		h.publish(newMessage("state", id, "succeeded"))
		want += fmt.Sprintf("event: state\ndata: \"running\"\n\nevent: progress\ndata: 1000\n\n" +
			"event: state\ndata: \"succeeded\"\n\n")
	}
	got := ""
	for _, m := range slow.take() {
		got += string(m.text)
	}
	if got != want {
		t.Errorf("what waits for a slow client is %d bytes, not %d", len(got), len(want))
	}
	h.leave(slow)
	for i := 0; i < mostClients; i++ {
		if _, err := h.join(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.join(); problemOf(err).Status != 503 {
		t.Errorf("one client too many: %v", err)
	}
}
