package lethe_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"lethe"
)

// The tiny model and its images: 1x8x8 pixels, class c has its bright quarter at place c.
const (
	classes  = 4
	side     = 8
	pixels   = side * side
	tinySpec = `{"arch":"vit","classes":4,"image_size":8,"channels":1,"patch_size":4,"dim":16,` +
		`"depth":2,"heads":2,"head_dim":8,"mlp_dim":32,"seed":1}`
)

// must fails the test on an error and hands the value on.
func must[T any](t testing.TB) func(value T, err error) T {
	t.Helper()
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fails wants an error of a kind; one of the library needs a sentence.
func fails(t testing.TB, kind, err error) {
	t.Helper()
	var failure *lethe.Error
	switch {
	case !errors.Is(err, kind):
		t.Errorf("got %v, want %v", err, kind)
	case errors.As(err, &failure) && failure.Message == "":
		t.Errorf("%v has no sentence", err)
	}
}

// tinyImages are images and labels 0,1,2,3,0,1,...; equal seeds give equal pixels.
func tinyImages(count int, seed uint32) ([]float32, lethe.Shape, []int64) {
	images := make([]float32, count*pixels)
	labels := make([]int64, count)
	state := seed*2654435761 + 1
	for i := range labels {
		labels[i] = int64(i % classes)
		for p := 0; p < pixels; p++ {
			quarter := 0
			if p/side >= side/2 {
				quarter += 2
			}
			if p%side >= side/2 {
				quarter++
			}
			state = state*1664525 + 1013904223
			images[i*pixels+p] = 0.2 * float32(state>>8) / (1 << 24)
			if quarter == i%classes {
				images[i*pixels+p] += 0.8
			}
		}
	}
	return images, lethe.Shape{count, 1, side, side}, labels
}

func newRuntime(t testing.TB) *lethe.Runtime {
	t.Helper()
	r := must[*lethe.Runtime](t)(lethe.NewRuntime(nil))
	t.Cleanup(func() { r.Close() })
	return r
}

func newModel(t testing.TB) (*lethe.Runtime, *lethe.Model) {
	t.Helper()
	r := newRuntime(t)
	m := must[*lethe.Model](t)(lethe.NewModel(r, tinySpec, ""))
	t.Cleanup(func() { m.Close() })
	return r, m
}

func newDataset(t testing.TB, r *lethe.Runtime, count int) *lethe.Dataset {
	t.Helper()
	images, shape, labels := tinyImages(count, 1)
	d := must[*lethe.Dataset](t)(lethe.DatasetFromFloats(r, images, shape, labels, classes, ""))
	t.Cleanup(func() { d.Close() })
	return d
}

// newEngine has one thread: more would wait for each other longer than such small tensors take.
func newEngine(t testing.TB, m *lethe.Model) *lethe.Engine {
	t.Helper()
	e := must[*lethe.Engine](t)(lethe.NewEngine(m, &lethe.EngineOptions{Threads: 1}))
	t.Cleanup(func() { e.Close() })
	return e
}

// trainedModel tells the four classes apart. Its weights are trained once.
func trainedModel(t testing.TB) (*lethe.Runtime, *lethe.Model, *lethe.Dataset) {
	t.Helper()
	r, m := newModel(t)
	data := newDataset(t, r, 128)
	if len(trained) == 0 {
		trained = train(t, m, data)
	}
	ok(t, m.LoadWeightsMemory(trained, nil))
	return r, m, data
}

var trained []byte

func train(t testing.TB, m *lethe.Model, data *lethe.Dataset) []byte {
	t.Helper()
	e := newEngine(t, m)
	config := must[lethe.PretrainConfig](t)(lethe.DefaultPretrainConfig())
	config.Batch, config.Epochs, config.WarmupEpochs, config.LearningRate = 32, 40, 1, 1e-2
	job := must[*lethe.Job](t)(e.EnqueuePretraining(
		lethe.PretrainRequest{RequestID: "base", Config: &config, TrainSet: data}))
	ok(t, job.Wait(context.Background()))
	ok(t, e.Close())
	path := filepath.Join(t.TempDir(), "trained.safetensors")
	ok(t, m.ExportMerged(path, nil))
	return must[[]byte](t)(os.ReadFile(path))
}

// quickConfig makes the trained tiny model forget one class in an instant.
func quickConfig(t testing.TB) *lethe.ForgetConfig {
	t.Helper()
	config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.GSLoRAPP, lethe.HeadLinear))
	config.DataRatio, config.ForgetBatch, config.RetainBatch = 1, 16, 48
	config.MaxSteps, config.LoRAAlpha, config.ProgressInterval = 60, 8, 1
	return &config
}

func forget(t testing.TB, e *lethe.Engine, id string, class int64, data *lethe.Dataset) *lethe.Job {
	t.Helper()
	job := must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{
		RequestID: id, Classes: []int64{class}, Config: quickConfig(t), ForgetSet: data}))
	ok(t, job.Wait(context.Background()))
	return job
}

// endless is a task that goes on until it is cancelled.
func endless(t testing.TB, e *lethe.Engine, id string, data *lethe.Dataset) *lethe.Job {
	t.Helper()
	config := quickConfig(t)
	config.MaxSteps = 100_000_000
	return must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{
		RequestID: id, Classes: []int64{3}, Config: config, ForgetSet: data}))
}
