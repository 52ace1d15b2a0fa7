package main

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var (
	commentLine = regexp.MustCompile(`^# (HELP [a-z_]+ .+\.|TYPE [a-z_]+ (counter|gauge|histogram))$`)
	sampleLine  = regexp.MustCompile(
		`^([a-z_]+(?:\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})?) ([0-9.e+-]+|\+Inf)$`)
)

// TestMetrics reads the exposition as a scraper would.
func TestMetrics(t *testing.T) {
	s := start(t, t.TempDir())
	picture, _ := garment(t, 0)
	for i := 0; i < 3; i++ {
		s.predict(asPNG(t, picture), false)
	}
	s.get("/nowhere").is(t, 404)
	s.ask("BREW", "/", nil).is(t, 405)
	s.post("a", `{"classes":[1]}`).is(t, 202)
	s.untilState("a", "succeeded")
	got := s.get("/metrics").is(t, 200)
	if kind := got.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain; version=0.0.4") {
		t.Errorf("the type is %q", kind)
	}
	samples := map[string]float64{}
	for _, line := range strings.Split(strings.TrimSuffix(string(got.body), "\n"), "\n") {
		if commentLine.MatchString(line) {
			continue
		}
		parts := sampleLine.FindStringSubmatch(line)
		if parts == nil {
			t.Errorf("not the format: %q", line)
			continue
		}
		value, err := strconv.ParseFloat(parts[2], 64)
		if _, twice := samples[parts[1]]; err != nil || twice {
			t.Errorf("%q: %v, or twice", line, err)
		}
		samples[parts[1]] = value
	}
	for name, want := range map[string]float64{
		`erasure_desk_http_requests_total{method="POST",route="/v1/predict",code="200"}`:  3,
		`erasure_desk_http_requests_total{method="GET",route="none",code="404"}`:          1,
		`erasure_desk_http_requests_total{method="other",route="none",code="405"}`:        1,
		`erasure_desk_http_requests_total{method="POST",route="/v1/erasures",code="202"}`: 1,
		`erasure_desk_predict_seconds_count`:                                              3,
		`erasure_desk_predict_seconds_bucket{le="+Inf"}`:                                  3,
		`erasure_desk_erasures{state="succeeded"}`:                                        1,
		`erasure_desk_erasures{state="awaiting_data"}`:                                    0,
		`erasure_desk_queue_length`:                                                       0,
		`erasure_desk_adapters`:                                                           1,
		`erasure_desk_receipts`:                                                           1,
		`erasure_desk_training_step`:                                                      0,
	} {
		if value, found := samples[name]; !found || value != want {
			t.Errorf("%s is %v (there: %v), not %v", name, value, found, want)
		}
	}
	if rss := samples["process_resident_memory_bytes"]; rss < 50e6 || rss > 2e9 {
		t.Errorf("the process has %v bytes", rss)
	}
	if samples["erasure_desk_predict_seconds_sum"] <= 0 {
		t.Error("predictions took no time")
	}
}
