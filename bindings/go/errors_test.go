package lethe_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"lethe"
)

// Each code that a caller can provoke reaches him as itself.
func TestEachCodeReachesTheCaller(t *testing.T) {
	r, m, data := trainedModel(t)
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	adapterOf := func(path string, limits *lethe.Limits) error {
		_, err := lethe.LoadAdapter(r, path, limits)
		return err
	}

	_, err := lethe.NewModel(r, `{"arch":"vit","no_such_field":1}`, "cpu")
	fails(t, lethe.ErrInvalidArgument, err)
	_, err = lethe.NewModel(r, `{"arch":`, "cpu")
	fails(t, lethe.ErrCorrupt, err)
	_, err = lethe.NewModel(r, `{"arch":"resnet"}`, "")
	fails(t, lethe.ErrNotFound, err)
	_, err = lethe.NewModel(r, tinySpec, "cuda:99")
	fails(t, lethe.ErrDevice, err)
	fails(t, lethe.ErrIO, m.ExportMerged(in("missing/x.safetensors"), nil))
	fails(t, lethe.ErrNotFound, m.LoadWeights(in("nowhere.safetensors"), nil))
	_, err = lethe.DefaultForgetConfig(99, lethe.HeadLinear)
	fails(t, lethe.ErrUnsupported, err)
	ok(t, os.WriteFile(in("bad.lethe"), []byte("this is no adapter"), 0o600))
	fails(t, lethe.ErrCorrupt, adapterOf(in("bad.lethe"), nil))

	other := must[*lethe.Model](t)(lethe.NewModel(r, tinySpec, ""))
	defer other.Close()
	e := newEngine(t, m)
	job := forget(t, e, "first", 1, data)
	adapter := must[*lethe.Adapter](t)(job.Adapter())
	ok(t, adapter.Export(in("first.lethe"), nil))
	fails(t, lethe.ErrLimitExceeded, adapterOf(in("first.lethe"), &lethe.Limits{MaxFileBytes: 100}))
	fails(t, lethe.ErrBaseMismatch, other.Attach(adapter))
	fails(t, lethe.ErrExists, m.Attach(adapter))
	_, err = e.Enqueue(lethe.ForgetRequest{
		RequestID: "first", Classes: []int64{2}, Config: quickConfig(t), ForgetSet: data})
	fails(t, lethe.ErrExists, err)
	_, err = lethe.NewEngine(m, nil)
	fails(t, lethe.ErrBusy, err)

	running := endless(t, e, "endless", data)
	fails(t, lethe.ErrState, m.RollbackTo(""))
	_, err = running.Report()
	fails(t, lethe.ErrState, err)
	ok(t, running.Cancel())
	fails(t, lethe.ErrCancelled, running.Wait(context.Background()))
	fails(t, lethe.ErrCancelled, running.Err())

	strict := quickConfig(t)
	strict.MaxSteps, strict.LearningRate, strict.GateMaxAccF = 2, 1e-4, 0
	job = must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{
		RequestID: "strict", Classes: []int64{2}, Config: strict, ForgetSet: data}))
	fails(t, lethe.ErrRejected, job.Wait(context.Background()))
	_, err = job.Adapter()
	fails(t, lethe.ErrNotFound, err)
	must[*lethe.Report](t)(job.Report())

}

// Images so bright that the loss is no number.
func TestNumeric(t *testing.T) {
	r, m := newModel(t)
	images, shape, labels := tinyImages(16, 1)
	for i := range images {
		images[i] = 3e38
	}
	data := must[*lethe.Dataset](t)(lethe.DatasetFromFloats(r, images, shape, labels, classes, ""))
	job := must[*lethe.Job](t)(
		newEngine(t, m).EnqueuePretraining(lethe.PretrainRequest{TrainSet: data}))
	fails(t, lethe.ErrNumeric, job.Wait(context.Background()))
}

// A folder that a newer library wrote: another schema in the journal's header.
func TestVersion(t *testing.T) {
	_, m := newModel(t)
	folder := t.TempDir()
	options := &lethe.EngineOptions{Folder: folder}
	ok(t, must[*lethe.Engine](t)(lethe.NewEngine(m, options)).Close())
	journal := filepath.Join(folder, "journal.db")
	database := must[[]byte](t)(os.ReadFile(journal))
	database[60] = 1 // user_version, the most significant byte
	ok(t, os.WriteFile(journal, database, 0o600))
	_, err := lethe.NewEngine(m, options)
	fails(t, lethe.ErrVersion, err)
}

func TestVersionOfTheLibrary(t *testing.T) {
	if err := lethe.Fits(0x00020000); !errors.Is(err, lethe.ErrVersion) {
		t.Errorf("another major ABI: %v", err)
	}
	if err := lethe.Fits(lethe.BuiltFor - 1); !errors.Is(err, lethe.ErrVersion) {
		t.Errorf("an older minor ABI: %v", err)
	}
	ok(t, lethe.Fits(lethe.BuiltFor))
	ok(t, lethe.Fits(lethe.BuiltFor+1))
}

func TestTableOfErrors(t *testing.T) {
	table := map[lethe.Status]error{
		-1: lethe.ErrInvalidArgument, -2: lethe.ErrOutOfMemory, -3: lethe.ErrIO, -4: lethe.ErrNotFound,
		-5: lethe.ErrExists, -6: lethe.ErrUnsupported, -7: lethe.ErrCorrupt, -8: lethe.ErrLimitExceeded,
		-9: lethe.ErrBaseMismatch, -10: lethe.ErrState, -11: lethe.ErrCancelled, -12: lethe.ErrBusy,
		-13: lethe.ErrForked, -14: lethe.ErrDevice, -15: lethe.ErrNumeric, -16: lethe.ErrCallback,
		-17: lethe.ErrVersion, -18: lethe.ErrInternal, -19: lethe.ErrRejected,
	}
	for status, kind := range table {
		err := fmt.Errorf("wrapped: %w", &lethe.Error{Status: status, Message: "why"})
		for other, otherKind := range table {
			if errors.Is(err, otherKind) != (status == other) {
				t.Errorf("%v is %v: %v", err, otherKind, status != other)
			}
		}
		if got := kind.Error(); got != "lethe: "+status.String() {
			t.Errorf("%d is called %q", status, got)
		}
	}
	if lethe.StatusBaseMismatch.String() != "BASE_MISMATCH" || lethe.StatusOK.String() != "OK" {
		t.Error("a status has another name than in C")
	}
}

func TestValuesOfANewerLibrary(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"Status(-99)": lethe.Status(-99), "JobState(99)": lethe.JobState(99),
		"EventKind(99)": lethe.EventKind(99), "Method(99)": lethe.Method(99),
		"DType(99)": lethe.DType(99), "LogLevel(99)": lethe.LogLevel(99),
	} {
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if lethe.JobAwaitingData.String() != "awaiting data" || lethe.GSLoRAPP.String() != "gs-lora++" {
		t.Error("a value has the wrong words")
	}
}

// What cannot be right never reaches C.
func TestArgumentsThatCannotBeRight(t *testing.T) {
	r, m := newModel(t)
	data := newDataset(t, r, 8)
	images, shape, labels := tinyImages(8, 1)
	bytes := make([]byte, 8*pixels)
	first := func(_ any, err error) error { return err }
	predict := func(images []float32, shape lethe.Shape) error {
		return first(m.Predict(images, shape, 1))
	}
	_, _, noImage := lethe.ImagePixels(nil, 1)
	for name, err := range map[string]error{
		"nil images":      predict(nil, shape),
		"short images":    predict(images[:9], shape),
		"long images":     predict(append(images, 1), shape),
		"empty shape":     predict([]float32{}, lethe.Shape{}),
		"negative shape":  predict(images, lethe.Shape{-8, -1, 8, 8}),
		"overflow":        predict(images, lethe.Shape{1 << 62, 4, 8, 8}),
		"another model's": predict(images, lethe.Shape{2, 1, 16, 16}),
		"NaN":             predict(nans(images), shape),
		"empty embedding": first(m.Embed([]float32{}, shape, 1)),
		"threads":         first(m.Predict(images, shape, 1<<40)),
		"few labels":      first(lethe.DatasetFromFloats(r, images, shape, labels[:7], classes, "")),
		"no labels":       first(lethe.DatasetFromBytes(r, bytes, shape, nil, classes, "")),
		"no values":       first(data.Select(lethe.KeepClasses, nil, 0, 0)),
		"no weights":      m.LoadWeightsMemory(nil, nil),
		"no adapter":      first(lethe.LoadAdapterMemory(r, []byte{}, nil)),
		"nil adapter":     m.Attach(nil),
		"nil in stack":    m.SetAdapters([]*lethe.Adapter{nil}, nil, 0),
		"scales":          m.SetAdapters(nil, []float64{1}, 0),
		"nil dataset":     first(m.PredictDataset(nil, 1)),
		"nil dataset too": first(m.Evaluate(nil, nil)),
		"nil detections":  first(m.DetectDataset(nil, 1, 1)),
		"short to detect": first(m.Detect(bytes[:7], lethe.Shape{1, 3, 8, 8}, 1, 1)),
		"most":            first(m.Detect(bytes[:192], lethe.Shape{1, 3, 8, 8}, 1<<40, 1)),
		"short with boxes": first(
			lethe.DatasetFromBoxes(r, bytes[:7], lethe.Shape{1, 3, 8, 8}, nil, nil, nil, 1)),
		"boxes": first(lethe.DatasetFromBoxes(r, bytes[:192], lethe.Shape{1, 3, 8, 8},
			make([][4]float32, 2), labels[:1], labels[:1], 1)),
		"NUL in a class": first(lethe.DatasetFromVOC(r, "x", "x", []string{"a\x00"})),
		"nil model":      first(lethe.NewEngine(nil, nil)),
		"seed":           first(lethe.NewEngine(m, &lethe.EngineOptions{SigningSeed: bytes[:31]})),
		"key":            first(lethe.VerifyReceipts("", bytes[:31])),
		"NUL":            m.LoadWeights("a\x00b", nil),
		"not UTF-8":      m.LoadWeights("a\xffb", nil),
		"NUL in spec":    first(lethe.NewModel(r, tinySpec+"\x00", "")),
		"nil image":      noImage,
	} {
		if fails(t, lethe.ErrInvalidArgument, err); !errors.Is(err, lethe.ErrInvalidArgument) {
			t.Errorf("... with %s", name)
		}
	}
	e := newEngine(t, m)
	_, err := e.Enqueue(lethe.ForgetRequest{ForgetSet: data})
	fails(t, lethe.ErrInvalidArgument, err)
	_, err = e.Enqueue(lethe.ForgetRequest{Classes: []int64{1}})
	fails(t, lethe.ErrInvalidArgument, err)
	_, err = e.Enqueue(lethe.ForgetRequest{RequestID: "a\x00", Classes: []int64{1}, ForgetSet: data})
	fails(t, lethe.ErrInvalidArgument, err)
	_, err = e.EnqueuePretraining(lethe.PretrainRequest{})
	fails(t, lethe.ErrInvalidArgument, err)
	_, err = lethe.NewModel(nil, tinySpec, "")
	fails(t, lethe.ErrClosed, err)
}

func nans(images []float32) []float32 {
	images = append([]float32{}, images...)
	images[9] = float32(math.NaN())
	return images
}
