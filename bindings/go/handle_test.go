package lethe_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"time"

	"lethe"
)

func TestUseAfterClose(t *testing.T) {
	r, m, data := trainedModel(t)
	e := newEngine(t, m)
	job := forget(t, e, "first", 1, data)
	adapter := must[*lethe.Adapter](t)(job.Adapter())
	report := must[*lethe.Report](t)(job.Report())
	for _, object := range []interface{ Close() error }{report, adapter, job, e, data, m, r} {
		ok(t, object.Close())
		ok(t, object.Close())
	}
	ctx := context.Background()
	text := func(_ string, err error) error { return err }
	count := func(_ int, err error) error { return err }
	objects := func(_ []lethe.DetectedObject, err error) error { return err }
	found := func(_ [][]lethe.DetectedObject, err error) error { return err }
	for name, err := range map[string]error{
		"Runtime.DeviceCount": count(r.DeviceCount()),
		"Model.InfoJSON":      text(m.InfoJSON()), "Model.Seal": m.Seal(),
		"Model.AdapterCount": count(m.AdapterCount()), "Model.RollbackTo": m.RollbackTo(""),
		"Model.LoadWeights": m.LoadWeights("x", nil), "Model.Attach": m.Attach(adapter),
		"Dataset.InfoJSON": text(data.InfoJSON()), "Dataset.Objects": objects(data.Objects(0)),
		"Model.DetectDataset": found(m.DetectDataset(data, 1, 1)),
		"Engine.Pause":        e.Pause(), "Engine.WaitIdle": e.WaitIdle(ctx),
		"Engine.Shutdown": e.Shutdown(ctx),
		"Engine.JobCount": count(e.JobCount()), "Engine.Receipts": text(e.Receipts()),
		"Job.Wait": job.Wait(ctx), "Job.Cancel": job.Cancel(), "Job.Err": job.Err(),
		"Adapter.InfoJSON": text(adapter.InfoJSON()), "Adapter.Export": adapter.Export("x", nil),
		"Report.JSON": text(report.JSON()),
	} {
		if !errors.Is(err, lethe.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := lethe.NewModel(r, tinySpec, "")
	fails(t, lethe.ErrClosed, err)
	images, shape, _ := tinyImages(1, 1)
	_, err = m.Predict(images, shape, 1)
	fails(t, lethe.ErrClosed, err)
	_, _, err = data.Sample(0)
	fails(t, lethe.ErrClosed, err)
	_, err = report.Metric("h")
	fails(t, lethe.ErrClosed, err)
	if _, open := <-e.Events(ctx); open {
		t.Error("a closed engine has events")
	}
	if job.RequestID() != "first" || job.ID() != 1 || data.Size() != 128 {
		t.Error("what does not change is forgotten")
	}
	_, err = (&lethe.Model{}).InfoJSON()
	fails(t, lethe.ErrClosed, err)
}

// Many goroutines use and close one object: each call works or gives ErrClosed.
func TestCloseDuringCalls(t *testing.T) {
	_, m := newModel(t)
	images, shape, _ := tinyImages(64, 1)
	for round := 0; round < 20; round++ {
		clone := must[*lethe.Model](t)(m.Clone())
		var group sync.WaitGroup
		for i := 0; i < 8; i++ {
			group.Add(1)
			go func(i int) {
				defer group.Done()
				for {
					if _, err := clone.Predict(images, shape, 1); err != nil {
						if !errors.Is(err, lethe.ErrClosed) {
							t.Error(err)
						}
						return
					}
				}
			}(i)
		}
		time.Sleep(2 * time.Millisecond)
		for i := 0; i < 4; i++ {
			group.Add(1)
			go func() { defer group.Done(); clone.Close() }()
		}
		group.Wait()
	}
}

// A handle that is closed or dropped while its job waits ends the waiting.
func TestCloseEndsWaiting(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	job := endless(t, e, "endless", data)
	waiting := make(chan error)
	go func() { waiting <- job.Wait(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	ok(t, job.Close())
	fails(t, lethe.ErrClosed, <-waiting)

	events := e.Events(context.Background())
	go func() { waiting <- e.WaitIdle(context.Background()) }()
	time.Sleep(20 * time.Millisecond)
	ok(t, e.Close())
	if err := <-waiting; err != nil && !errors.Is(err, lethe.ErrClosed) {
		t.Error(err)
	}
	last := lethe.Event{}
	for event := range events { // all are still given
		last = event
	}
	if last.State != lethe.JobCancelled {
		t.Errorf("the last event is %v", last.State)
	}
}

// Objects that nobody closed are freed, whichever goes first, while others are in use.
func TestDroppedObjects(t *testing.T) {
	before := runtime.NumGoroutine()
	r, m, data := trainedModel(t)
	trial := func() {
		clone := must[*lethe.Model](t)(m.Clone())
		e := must[*lethe.Engine](t)(lethe.NewEngine(clone, &lethe.EngineOptions{Threads: 1}))
		part := must[*lethe.Dataset](t)(data.Select(lethe.DropClasses, nil, 0, 0))
		job := endless(t, e, "endless", part)
		runtime.SetFinalizer(job, nil) // and a job whose engine goes first
		lines := must[*lethe.Runtime](t)(lethe.NewRuntime(&lethe.RuntimeOptions{
			LogLevel: lethe.LogDebug, Log: func(lethe.LogLevel, string, string) {}}))
		must[*lethe.Model](t)(lethe.NewModel(lines, tinySpec, ""))
	}
	for i := 0; i < 25; i++ {
		trial()
		runtime.GC()
	}
	// Reversed: first the runtime, at last the report.
	var objects []any
	for i := 0; i < 50; i++ {
		clone := must[*lethe.Model](t)(m.Clone())
		objects = append(objects, must[*lethe.Runtime](t)(lethe.NewRuntime(nil)), clone,
			must[*lethe.Report](t)(clone.Evaluate(data, &lethe.EvaluateOptions{Threads: 1})))
	}
	for len(objects) > 0 {
		objects = objects[1:]
		if len(objects)%20 == 0 {
			runtime.GC()
		}
	}
	for i := 0; i < 1000 && runtime.NumGoroutine() > before; i++ {
		runtime.GC()
		time.Sleep(20 * time.Millisecond)
	}
	if now := runtime.NumGoroutine(); now > before {
		t.Errorf("%d goroutines more than before", now-before)
	}
	_, err := lethe.NewModel(r, tinySpec, "")
	ok(t, err)
}
