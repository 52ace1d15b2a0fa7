package main

import (
	"bytes"
	"io"
	"net/http"
	"sort"
	"sync"
	"testing"
	"time"
)

const (
	perSecond   = 200
	loadSeconds = 10
	loadClients = 8
)

// TestLoad sends 200 pictures a second from several clients while a task trains. None may fail.
func TestLoad(t *testing.T) {
	s := start(t, t.TempDir(), "-max-steps", "1000000")
	files := [][]byte{}
	for i := 0; i < 8; i++ {
		picture, _ := garment(t, i)
		files = append(files, asPNG(t, picture))
	}
	s.post("long", `{"classes":[1]}`).is(t, 202)
	before := s.until("long", func(v view) bool { return v.Progress.Step > 0 }).Progress.Step

	// Each picture has its time, whether or not those before it are answered: a service that falls
	// behind cannot hide it.
	due := make(chan time.Time, perSecond*loadSeconds)
	took := make(chan time.Duration, cap(due))
	clients := sync.WaitGroup{}
	for c := 0; c < loadClients; c++ {
		clients.Add(1)
		go func(c int) {
			defer clients.Done()
			client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for at := range due {
				status, err := send(&client, s.url, files[c])
				if err != nil || status != 200 {
					t.Errorf("client %d: %d, %v", c, status, err)
				}
				took <- time.Since(at)
			}
		}(c)
	}
	begin := time.Now()
	for i := 0; i < cap(due); i++ {
		at := begin.Add(time.Duration(i) * time.Second / perSecond)
		time.Sleep(time.Until(at))
		due <- at
	}
	close(due)
	clients.Wait()
	whole := time.Since(begin)
	after := s.erasure("long").Progress.Step

	times := []time.Duration{}
	for len(took) > 0 {
		times = append(times, <-took)
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	t.Logf("%d predictions in %.1f s from %d clients: p50 %v, p99 %v, longest %v; %d steps trained",
		len(times), whole.Seconds(), loadClients, times[len(times)/2].Round(10*time.Microsecond),
		times[len(times)*99/100].Round(10*time.Microsecond),
		times[len(times)-1].Round(10*time.Microsecond), after-before)
	if len(times) != cap(due) || after <= before {
		t.Errorf("%d answers, steps %d to %d", len(times), before, after)
	}
	s.ask("DELETE", "/v1/erasures/long", nil).is(t, 202)
	s.untilState("long", "cancelled")
}

func send(client *http.Client, url string, file []byte) (int, error) {
	response, err := client.Post(url+"/v1/predict", "image/png", bytes.NewReader(file))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}
