package main

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"lethe"
)

// metrics are what cannot be read from elsewhere at the time of a scrape.
type metrics struct {
	mutex    sync.Mutex
	requests map[[3]string]int64 // method, route, code
	buckets  []int64             // predictions up to each bound of latencyBounds
	seconds  float64
	count    int64
}

var latencyBounds = []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

func newMetrics() *metrics {
	return &metrics{requests: map[[3]string]int64{}, buckets: make([]int64, len(latencyBounds))}
}

func (m *metrics) request(method, route string, status int) {
	switch method {
	case "GET", "HEAD", "POST", "DELETE":
	default:
		method = "other" // clients must not be able to make series
	}
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.requests[[3]string{method, route, strconv.Itoa(status)}]++
}

func (m *metrics) predicted(took time.Duration) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	for i, bound := range latencyBounds {
		if took.Seconds() <= bound {
			m.buckets[i]++
		}
	}
	m.seconds += took.Seconds()
	m.count++
}

// exposition is Prometheus' text format 0.0.4 in the making.
type exposition struct{ strings.Builder }

func (x *exposition) family(name, kind, help string) {
	fmt.Fprintf(x, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (x *exposition) gauge(name, help string, value float64) {
	x.family(name, "gauge", help)
	x.sample(name, "", value)
}

func (x *exposition) sample(name, labels string, value float64) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(x, "%s%s %s\n", name, labels, strconv.FormatFloat(value, 'g', -1, 64))
}

// getMetrics is GET /metrics.
func (d *desk) getMetrics(w http.ResponseWriter, r *http.Request, _ string) error {
	adapters, err := d.model.AdapterCount()
	if err != nil {
		return err
	}
	receipts, err := d.engine.ReceiptCount()
	if err != nil {
		return err
	}
	x := &exposition{}
	d.metrics.write(x)
	counts, running := d.erasures.counts()
	x.family("erasure_desk_erasures", "gauge", "Erasures by state.")
	for state := lethe.JobQueued; state <= lethe.JobCancelled; state++ {
		x.sample("erasure_desk_erasures", fmt.Sprintf("state=%q", stateName(state)),
			float64(counts[state]))
	}
	x.gauge("erasure_desk_queue_length", "Erasures that wait to be run.",
		float64(counts[lethe.JobQueued]+counts[lethe.JobAwaitingData]))
	x.gauge("erasure_desk_training_step", "Finished steps of the running task, 0 without one.",
		float64(running.Step))
	x.gauge("erasure_desk_training_steps_planned", "Planned steps of the running task.",
		float64(running.TotalSteps))
	x.gauge("erasure_desk_adapters", "Adapters on the model.", float64(adapters))
	x.gauge("erasure_desk_receipts", "Receipts in the chain.", float64(receipts))
	x.gauge("erasure_desk_event_clients", "Clients of /v1/events.", float64(d.events.count()))
	x.gauge("process_resident_memory_bytes", "Resident memory.", residentBytes())
	x.gauge("go_goroutines", "Goroutines.", float64(runtime.NumGoroutine()))
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, err = w.Write([]byte(x.String()))
	return err
}

func (m *metrics) write(x *exposition) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	keys := make([][3]string, 0, len(m.requests))
	for key := range m.requests {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(i, j int) bool { return fmt.Sprint(keys[i]) < fmt.Sprint(keys[j]) })
	x.family("erasure_desk_http_requests_total", "counter", "Answered requests.")
	for _, key := range keys {
		x.sample("erasure_desk_http_requests_total",
			fmt.Sprintf("method=%q,route=%q,code=%q", key[0], key[1], key[2]), float64(m.requests[key]))
	}
	const name = "erasure_desk_predict_seconds"
	x.family(name, "histogram", "Time of a prediction, from the whole body to the scores.")
	for i, bound := range latencyBounds {
		x.sample(name+"_bucket", fmt.Sprintf("le=\"%v\"", bound), float64(m.buckets[i]))
	}
	x.sample(name+"_bucket", `le="+Inf"`, float64(m.count))
	x.sample(name+"_sum", "", m.seconds)
	x.sample(name+"_count", "", float64(m.count))
}

// counts returns how many erasures are in each state, and the running one's progress.
func (l *erasures) counts() (counts map[lethe.JobState]int, running lethe.Progress) {
	counts = map[lethe.JobState]int{}
	l.mutex.RLock()
	defer l.mutex.RUnlock()
	for _, e := range l.all {
		counts[e.state]++
		if e.state == lethe.JobRunning || e.state == lethe.JobCommitting {
			running = e.progress
		}
	}
	return counts, running
}

// residentBytes is what Linux says of this process.
func residentBytes() float64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseFloat(fields[1], 64)
	return pages * float64(os.Getpagesize())
}
