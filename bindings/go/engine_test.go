package lethe_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"lethe"
)

func TestThousandJobsCancelled(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	ok(t, e.Pause())
	config := quickConfig(t)
	for i := 0; i < 1000; i++ {
		job := must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{RequestID: fmt.Sprint("job-", i),
			Classes: []int64{int64(i % classes)}, Config: config, ForgetSet: data}))
		ok(t, job.Cancel())
		if i%2 == 0 {
			ok(t, job.Close())
		}
	}
	ok(t, e.Resume())
	ok(t, e.WaitIdle(context.Background()))
	jobs := must[[]*lethe.Job](t)(e.Jobs())
	if len(jobs) != 1000 {
		t.Fatalf("%d jobs", len(jobs))
	}
	for i, job := range jobs {
		if status := must[lethe.JobStatusInfo](t)(job.Status()); status.State != lethe.JobCancelled ||
			status.Error != lethe.StatusCancelled || status.JobID != int64(i+1) {
			t.Errorf("job %d: %+v", i, status)
		}
	}
	if n := must[int](t)(m.AdapterCount()); n != 0 {
		t.Errorf("%d adapters", n)
	}
}

func TestPredictWhileForgetting(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	images, shape, _ := tinyImages(8, 1)
	before := must[*lethe.Scores](t)(m.Predict(images, shape, 1))
	stop := make(chan struct{})
	seen := make([]map[[32]byte]bool, 8)
	var group sync.WaitGroup
	for i := range seen {
		seen[i] = map[[32]byte]bool{}
		group.Add(1)
		go func(seen map[[32]byte]bool) {
			defer group.Done()
			for {
				scores, err := m.Predict(images, shape, 1)
				if err != nil {
					t.Error(err)
					return
				}
				seen[sha256.Sum256([]byte(fmt.Sprint(scores.Values())))] = true
				select {
				case <-stop:
					return
				default:
				}
			}
		}(seen[i])
	}
	forget(t, e, "first", 1, data)
	close(stop)
	group.Wait()
	after := must[*lethe.Scores](t)(m.Predict(images, shape, 1))
	if reflect.DeepEqual(before, after) {
		t.Error("the task changed nothing")
	}
	for _, states := range seen { // complete states only
		for state := range states {
			if state != sha256.Sum256([]byte(fmt.Sprint(before.Values()))) &&
				state != sha256.Sum256([]byte(fmt.Sprint(after.Values()))) {
				t.Error("a prediction saw half a change")
			}
		}
	}
	ok(t, m.RollbackTo(""))
	if !reflect.DeepEqual(before, must[*lethe.Scores](t)(m.Predict(images, shape, 1))) {
		t.Error("a roll-back is not exact")
	}
}

// A method that trains the weights themselves: its adapter is a change of them.
func TestBaseline(t *testing.T) {
	r, m, data := trainedModel(t)
	e := newEngine(t, m)
	images, shape, labels := tinyImages(64, 2)
	validation := must[*lethe.Dataset](t)(
		lethe.DatasetFromFloats(r, images, shape, labels, classes, ""))
	t.Cleanup(func() { validation.Close() })
	before := must[*lethe.Scores](t)(m.Predict(images, shape, 1))
	config := must[lethe.ForgetConfig](t)(lethe.DefaultForgetConfig(lethe.L2, lethe.HeadLinear))
	config.DataRatio, config.ForgetBatch, config.RetainBatch, config.MaxSteps = 1, 16, 48, 60
	config.LearningRate, config.GateMaxAccRDrop = 1e-2, -1
	job := must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{RequestID: "first",
		Classes: []int64{1}, Config: &config, ForgetSet: data, ValidationSet: validation}))
	ok(t, job.Wait(context.Background()))

	metrics := must[map[string]float64](t)(must[*lethe.Report](t)(job.Report()).Metrics())
	auc, audited := metrics["mia_loss_auc"]
	if metrics["acc_f"] >= metrics["acc_f_before"] || !audited || auc < 0 || auc > 1 ||
		// All but the head's 4 x 16 weights and 4 biases of 4916 parameters.
		math.Abs(metrics["tunable_ratio"]-100*4848.0/4916) > 1e-9 {
		t.Errorf("metrics %v", metrics)
	}
	if _, has := metrics["groups_total"]; has {
		t.Errorf("groups: %v", metrics)
	}
	adapter := must[*lethe.Adapter](t)(job.Adapter())
	info := struct{ Kind, Method string }{}
	ok(t, json.Unmarshal([]byte(must[string](t)(adapter.InfoJSON())), &info))
	if info.Kind != "delta" || info.Method != lethe.L2.String() {
		t.Errorf("manifest %+v", info)
	}
	after := must[*lethe.Scores](t)(m.Predict(images, shape, 1))
	path := filepath.Join(t.TempDir(), "first.lethe")
	ok(t, adapter.Export(path, nil))

	ok(t, e.Close())
	ok(t, m.RollbackTo(""))
	if !reflect.DeepEqual(before, must[*lethe.Scores](t)(m.Predict(images, shape, 1))) {
		t.Error("a roll-back is not exact")
	}
	ok(t, m.Attach(must[*lethe.Adapter](t)(lethe.LoadAdapter(r, path, nil))))
	if !reflect.DeepEqual(after, must[*lethe.Scores](t)(m.Predict(images, shape, 1))) {
		t.Error("the file says something else")
	}
}

func TestWaitAndCancel(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	job := endless(t, e, "endless", data)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := job.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if err := e.WaitIdle(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("waiting ended after %v", took)
	}
	if status := must[lethe.JobStatusInfo](t)(job.Status()); status.State > lethe.JobRunning {
		t.Errorf("a wait ended the job: %v", status.State)
	}
	ok(t, job.Err())
	ok(t, job.Cancel())
	ok(t, e.WaitIdle(context.Background()))
	fails(t, lethe.ErrCancelled, job.Wait(ctx)) // it has ended: the context does not matter
	ok(t, e.Shutdown(context.Background()))
	_, err := e.Enqueue(lethe.ForgetRequest{Classes: []int64{1}, ForgetSet: data})
	fails(t, lethe.ErrState, err)
}

func TestEvents(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := e.Events(ctx)
	job := forget(t, e, "first", 1, data)
	var states []lethe.JobState
	progress := 0
	for event := range events {
		if event.JobID != job.ID() {
			t.Errorf("event of job %d", event.JobID)
		}
		if event.Kind == lethe.EventProgress {
			progress++
			if event.Progress.TotalSteps != 60 || math.IsNaN(event.Progress.Loss) {
				t.Errorf("progress %+v", event.Progress)
			}
			continue
		}
		if states = append(states, event.State); event.State.Ended() {
			cancel()
		}
	}
	want := []lethe.JobState{
		lethe.JobQueued, lethe.JobRunning, lethe.JobCommitting, lethe.JobSucceeded}
	if !reflect.DeepEqual(states, want) || progress == 0 {
		t.Errorf("states %v, %d of progress", states, progress)
	}
	events = e.Events(context.Background())
	ok(t, e.Shutdown(context.Background()))
	for range events { // ends with the engine
	}
}

func TestStackOfAdapters(t *testing.T) {
	r, m, data := trainedModel(t)
	e := newEngine(t, m)
	forget(t, e, "first", 1, data)
	forget(t, e, "second", 2, data)
	ok(t, e.Close())
	images, shape, _ := tinyImages(8, 1)
	full := must[*lethe.Scores](t)(m.Predict(images, shape, 1))

	fails(t, lethe.ErrBaseMismatch, m.Enable("first", false, 0))
	ok(t, m.Enable("first", false, lethe.AllowUnverified))
	ok(t, m.Enable("first", true, 0))
	fails(t, lethe.ErrNotFound, m.Detach("third", 0))
	ok(t, m.Detach("second", 0))

	folder := t.TempDir()
	stack := must[[]*lethe.Adapter](t)(m.Adapters())
	ok(t, stack[0].ExportPEFT(filepath.Join(folder, "peft"), nil))
	clone := must[*lethe.Model](t)(m.Clone())
	ok(t, clone.RollbackTo(""))
	ok(t, clone.Attach(must[*lethe.Adapter](t)(
		clone.ImportPEFT(filepath.Join(folder, "peft"), "peft", []int64{1}, nil))))

	bytes := must[[]byte](t)(stack[0].ExportMemory(&lethe.ExportOptions{Level: 19}))
	again := must[*lethe.Adapter](t)(lethe.LoadAdapterMemory(r, bytes, nil))
	ok(t, m.SetAdapters([]*lethe.Adapter{again}, nil, 0))
	ok(t, m.SetAdapters([]*lethe.Adapter{again}, []float64{0.5}, lethe.AllowUnverified))
	fails(t, lethe.ErrBaseMismatch, m.SetAdapters([]*lethe.Adapter{again}, []float64{0.5}, 0))
	ok(t, m.SetAdapters(nil, nil, 0))
	if n := must[int](t)(m.AdapterCount()); n != 0 {
		t.Errorf("%d adapters", n)
	}
	ok(t, m.Attach(again))

	path := filepath.Join(folder, "first.lethe")
	ok(t, again.Export(path, nil))
	findings := must[string](t)(lethe.VerifyAdapter(path, nil))
	if !strings.Contains(findings, `"ok":true`) {
		t.Error(findings)
	}
	findings, err := lethe.VerifyAdapter(filepath.Join(folder, "none"), nil)
	fails(t, lethe.ErrNotFound, err)
	if !strings.Contains(findings, "NOT_FOUND") {
		t.Errorf("findings of a missing file: %q", findings)
	}

	merged := must[*lethe.Model](t)(m.Merge())
	if !reflect.DeepEqual(must[*lethe.Scores](t)(merged.Predict(images, shape, 1)),
		must[*lethe.Scores](t)(m.Predict(images, shape, 1))) {
		t.Error("merging changed the scores")
	}
	if reflect.DeepEqual(full, must[*lethe.Scores](t)(m.Predict(images, shape, 1))) {
		t.Error("the second adapter did nothing")
	}
	weights := filepath.Join(folder, "weights.safetensors")
	ok(t, m.ExportMerged(weights, &lethe.ExportOptions{Naming: lethe.NamesTimm}))
	other := must[*lethe.Model](t)(lethe.NewModel(r, tinySpec, ""))
	ok(t, other.LoadWeights(weights, nil))
	ok(t, m.Seal())
	fails(t, lethe.ErrNotFound, m.RollbackTo("first"))
}

func TestTensors(t *testing.T) {
	_, m := newModel(t)
	tensors := must[[]lethe.TensorInfo](t)(m.Tensors())
	if len(tensors) != must[int](t)(m.TensorCount()) || len(tensors) == 0 {
		t.Fatalf("%d tensors", len(tensors))
	}
	for _, info := range tensors {
		count := int64(1)
		for _, size := range info.Shape {
			count *= size
		}
		data := must[[]float32](t)(m.ReadTensor(info.Name, false))
		if count != info.Count || int64(len(data)) != count {
			t.Errorf("%+v has %d values", info, len(data))
		}
	}
	_, err := m.ReadTensor("nothing", true)
	fails(t, lethe.ErrNotFound, err)
	_, err = m.TensorInfo(len(tensors))
	fails(t, lethe.ErrNotFound, err)
	base, state, err := m.Fingerprint()
	ok(t, err)
	if base == [32]byte{} || base != state && state == [32]byte{} {
		t.Error("no fingerprint")
	}
}

func TestDatasets(t *testing.T) {
	r, m := newModel(t)
	data := newDataset(t, r, 40)
	first, second, err := data.Split(0.25, 1)
	ok(t, err)
	if first.Size() != 28 && first.Size() != 32 || first.Size()+second.Size() != 40 {
		t.Errorf("parts of %d and %d", first.Size(), second.Size())
	}
	part := must[*lethe.Dataset](t)(data.Select(lethe.KeepClasses, []int64{1, 3}, 2, 7))
	if part.Size() != 4 {
		t.Errorf("part of %d", part.Size())
	}
	_, err = data.Select(lethe.KeepClasses, []int64{77}, 0, 0)
	fails(t, lethe.ErrNotFound, err)
	pixelsOf, label, err := data.Sample(5)
	ok(t, err)
	images, _, _ := tinyImages(40, 1)
	if label != 1 || !reflect.DeepEqual(pixelsOf, images[5*pixels:6*pixels]) {
		t.Error("another sample")
	}
	_, _, err = data.Sample(40)
	fails(t, lethe.ErrNotFound, err)
	all := must[*lethe.Scores](t)(m.PredictDataset(data, 1))
	if all.Rows() != 40 || all.Columns() != classes || len(all.Row(39)) != classes ||
		all.At(3, 2) != all.Values()[3*classes+2] {
		t.Error("scores of another shape")
	}
	embeddings := must[*lethe.Scores](t)(m.Embed(images, lethe.Shape{40, 1, side, side}, 1))
	if embeddings.Columns() != 16 {
		t.Errorf("embeddings of %d", embeddings.Columns())
	}
	_, err = lethe.DatasetFromIDX(r, "nowhere", "nowhere", 10, "")
	fails(t, lethe.ErrNotFound, err)
	_, err = lethe.DatasetFromImageFolder(r, t.TempDir(), "")
	fails(t, lethe.ErrNotFound, err)
}

// An array inside a Go struct beside Go pointers may cross.
func TestArrayInAStruct(t *testing.T) {
	_, m := newModel(t)
	frame := &struct {
		name   *string
		pixels [pixels]float32
	}{name: new(string)}
	images, shape, _ := tinyImages(1, 1)
	copy(frame.pixels[:], images)
	must[*lethe.Scores](t)(m.Predict(frame.pixels[:], shape, 1))
}

func TestImagePixels(t *testing.T) {
	r, m := newModel(t)
	img := image.NewNRGBA(image.Rect(2, 3, 2+side, 3+side))
	img.Set(3, 3, color.NRGBA{R: 10, G: 200, B: 30, A: 255})
	rgb, shape, err := lethe.ImagePixels(img, 3)
	ok(t, err)
	if shape != (lethe.Shape{1, 3, side, side}) || rgb[1] != 10 || rgb[pixels+1] != 200 ||
		rgb[2*pixels+1] != 30 || rgb[0] != 0 {
		t.Errorf("shape %v, pixels %v", shape, rgb)
	}
	grey, shape, err := lethe.ImagePixels(img, 1)
	ok(t, err)
	data := must[*lethe.Dataset](t)(lethe.DatasetFromBytes(r, grey, shape, []int64{0}, classes, ""))
	must[*lethe.Scores](t)(m.PredictDataset(data, 1))
	_, _, err = lethe.ImagePixels(img, 2)
	fails(t, lethe.ErrInvalidArgument, err)
}

func TestReceipts(t *testing.T) {
	_, m, data := trainedModel(t)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	folder := t.TempDir()
	options := &lethe.EngineOptions{Threads: 1, Folder: folder, SigningSeed: key.Seed(), Paused: true}
	e := must[*lethe.Engine](t)(lethe.NewEngine(m, options))
	ok(t, e.Resume())
	forget(t, e, "first", 1, data)
	public := must[ed25519.PublicKey](t)(e.PublicKey())
	if !public.Equal(key.Public()) {
		t.Error("another key")
	}
	lines := must[string](t)(e.Receipts())
	if must[string](t)(e.Receipt("first"))+"\n" != lines || must[int](t)(e.ReceiptCount()) != 1 {
		t.Error("receipts differ")
	}
	line := struct {
		Receipt   json.RawMessage
		Signature string
	}{}
	ok(t, json.Unmarshal([]byte(lines), &line)) // Go's own library can check it
	signature := must[[]byte](t)(hex.DecodeString(line.Signature))
	if !ed25519.Verify(public, line.Receipt, signature) {
		t.Error("the signature is wrong")
	}
	must[string](t)(lethe.VerifyReceipts(lines, public))
	must[string](t)(lethe.VerifyReceipts(lines, nil))
	findings, err := lethe.VerifyReceipts(strings.Replace(lines, "first", "fjrst", 1), public)
	fails(t, lethe.ErrCorrupt, err)
	if !strings.Contains(findings, `"line":1`) {
		t.Error(findings)
	}
	_, err = e.Receipt("second")
	fails(t, lethe.ErrNotFound, err)
	_, err = e.BindDataset(data)
	fails(t, lethe.ErrNotFound, err)
	ok(t, e.Close())
	if must[string](t)(lethe.JournalReceipts(folder)) != lines ||
		!strings.Contains(must[string](t)(lethe.JournalInfoJSON(folder)), `"first"`) {
		t.Error("the journal differs")
	}
	_, err = lethe.JournalInfoJSON(t.TempDir())
	fails(t, lethe.ErrNotFound, err)
}

func TestReport(t *testing.T) {
	_, m, data := trainedModel(t)
	report := must[*lethe.Report](t)(m.Evaluate(data, &lethe.EvaluateOptions{
		Threads: 1, Batch: 16, ForgetClasses: []int64{1}, PastClasses: []int64{}}))
	metrics := must[map[string]float64](t)(report.Metrics())
	if metrics["samples"] != 128 || metrics["acc"] < 90 || metrics["acc_f"] < 90 {
		t.Errorf("metrics %v", metrics)
	}
	if value := must[float64](t)(report.Metric("acc_class.3")); value != metrics["acc_class.3"] {
		t.Error("another figure")
	}
	_, err := report.Metric("beauty")
	fails(t, lethe.ErrNotFound, err)
	if !json.Valid([]byte(must[string](t)(report.JSON()))) {
		t.Error("not JSON")
	}
}

func TestPriorityAndDeadline(t *testing.T) {
	_, m, data := trainedModel(t)
	e := newEngine(t, m)
	ok(t, e.Pause())
	job := must[*lethe.Job](t)(e.Enqueue(lethe.ForgetRequest{Classes: []int64{1}, ForgetSet: data,
		Config: quickConfig(t), Options: &lethe.TaskOptions{Priority: 7, Deadline: time.Now()}}))
	if job.RequestID() == "" {
		t.Error("no request id was made")
	}
	ok(t, e.Resume())
	fails(t, lethe.ErrLimitExceeded, job.Wait(context.Background()))
}
