package lethe_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"lethe"
)

func residentBytes(t *testing.T) int64 {
	t.Helper()
	runtime.GC()
	runtime.GC()
	text := must[[]byte](t)(os.ReadFile("/proc/self/statm"))
	var total, resident int64
	if _, err := fmt.Sscan(string(text), &total, &resident); err != nil {
		t.Fatal(err)
	}
	return resident * int64(os.Getpagesize())
}

// Tens of thousands of calls, some of them failing, leave nothing behind.
func TestMemoryIsFlat(t *testing.T) {
	r, m := newModel(t)
	data := newDataset(t, r, 16)
	images, shape, _ := tinyImages(2, 1)
	boxes := newSquares(t, r)
	round := func() {
		must[*lethe.Scores](t)(m.Predict(images, shape, 1))
		must[string](t)(m.InfoJSON())
		part := must[*lethe.Dataset](t)(data.Select(lethe.TakeIndices, []int64{1, 2}, 0, 0))
		_, _, err := part.Sample(0)
		ok(t, err)
		ok(t, part.Close())
		must[[]lethe.DetectedObject](t)(boxes.Objects(0))
		_, _, err = boxes.Image(0)
		ok(t, err)
		ok(t, must[*lethe.Dataset](t)(boxes.DropObjects(0.5, 1)).Close())
		config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.GSLoRA, lethe.HeadLinear))
		ok(t, config.FromJSON(`{"rank":4}`))
		for i := 0; i < 5; i++ {
			_, err := m.FindAdapter("nobody")
			fails(t, lethe.ErrNotFound, err)
		}
	}
	for i := 0; i < 2000; i++ {
		round()
	}
	before := residentBytes(t)
	for i := 0; i < 8000; i++ {
		round()
	}
	grown := residentBytes(t) - before
	t.Logf("memory grew by %d KiB", grown>>10)
	if grown > 12<<20 {
		t.Error("that is too much")
	}
}
