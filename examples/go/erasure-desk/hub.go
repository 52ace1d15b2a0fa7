package main

import (
	"encoding/json"
	"fmt"
	"sync"
)

// message is one event of a stream, formed once for all clients.
type message struct {
	kind string // state, progress
	id   string // of the erasure
	text []byte // as it is sent
}

func newMessage(kind, id string, value any) message {
	data, err := json.Marshal(value)
	if err != nil {
		data = []byte("null")
	}
	return message{kind, id, []byte(fmt.Sprintf("event: %s\ndata: %s\n\n", kind, data))}
}

// hub hands every event to every client.
type hub struct {
	turn    sync.Mutex // held while an event is applied and published, and while a client joins
	mutex   sync.Mutex
	clients map[*client]bool
	done    chan struct{}
	once    sync.Once
}

// client is what one stream has not sent yet.
type client struct {
	mutex   sync.Mutex
	waiting []message
	wake    chan struct{} // holds one: something waits
}

const mostClients = 256

func newHub() *hub { return &hub{clients: map[*client]bool{}, done: make(chan struct{})} }

// close ends all streams, now and later.
func (h *hub) close() { h.once.Do(func() { close(h.done) }) }

func (h *hub) join() (*client, error) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if len(h.clients) >= mostClients {
		return nil, newProblem(503, "BUSY", "%d clients listen already", mostClients)
	}
	c := &client{wake: make(chan struct{}, 1)}
	h.clients[c] = true
	return c, nil
}

func (h *hub) leave(c *client) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	delete(h.clients, c)
}

func (h *hub) count() int {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	return len(h.clients)
}

func (h *hub) publish(m message) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for c := range h.clients {
		c.add(m)
	}
}

// add never waits. Of a slow client's progress only the newest of an erasure is kept; its states
// are all kept, in order.
func (c *client) add(m message) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	last := len(c.waiting) - 1
	if m.kind == "progress" && last >= 0 && c.waiting[last].kind == "progress" &&
		c.waiting[last].id == m.id {
		c.waiting[last] = m
	} else {
		c.waiting = append(c.waiting, m)
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *client) take() []message {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	taken := c.waiting
	c.waiting = nil
	return taken
}
