package lethe

import (
	"context"
	"errors"
	"math"
	"runtime"

	"lethe/internal/native"
)

// Engine is a queue of tasks for one model and the thread that works them off.
type Engine struct{ handle }

// NewEngine creates an engine for a model and starts its thread. A model has at most one engine:
// [ErrBusy] otherwise. Options may be nil.
//
// With a folder nothing accepted is lost, whenever the process dies: a job is on disk before
// [Engine.Enqueue] returns, every state before it is reported, and the model's stack after every
// change, by tasks or by the host. Data sets read from files are kept by path, selection and
// digest; sets from arrays are copied into the folder until no task needs them. To go on after a
// restart, load the same base weights into a model without adapters and create an engine on the
// same folder: the model gets its stack back, and unfinished tasks go on from their last checkpoint
// to the adapter they would have reached undisturbed. A folder serves one engine at a time.
//
// [ErrBusy]: another process, which the message names, or engine has the folder. [ErrBaseMismatch]:
// the folder belongs to another base. [ErrState]: the model carries other adapters than the folder.
// [ErrCorrupt]: the folder's journal or an adapter in it is damaged. [ErrVersion]: a newer library
// wrote the folder. [ErrIO].
func NewEngine(model *Model, options *EngineOptions) (*Engine, error) {
	if options == nil {
		options = &EngineOptions{}
	}
	o := *options
	folder, err := optionalText("Folder", o.Folder)
	if err != nil {
		return nil, err
	}
	if o.SigningSeed != nil && len(o.SigningSeed) != 32 {
		return nil, invalid("SigningSeed has %d bytes, not 32", len(o.SigningSeed))
	}
	if o.CheckpointSeconds == 0 {
		o.CheckpointSeconds = math.NaN() // the default, of engine_create
	}
	if model == nil {
		return nil, invalid("model is nil")
	}
	var object uintptr
	err = model.call(func(model uintptr) native.Status {
		return native.Engine_create(model, o.Threads, o.EventCapacity, folder, o.CheckpointSeconds,
			o.SigningSeed, truth(o.Paused), &object)
	})
	if err != nil {
		return nil, err
	}
	e := new(Engine)
	e.own("Engine", object, native.Engine_free)
	// Freeing waits for the current step, for which other finalisers should not have to wait.
	runtime.SetFinalizer(e, func(e *Engine) { go e.close() })
	return e, nil
}

// Close ends the engine as [Engine.Shutdown] does, waiting for the current step, not for the task,
// and frees it. Jobs stay valid. To finish the queue first, call [Engine.WaitIdle] before.
func (e *Engine) Close() error {
	err := e.call(func(engine uintptr) native.Status { return native.Engine_close(engine, -1) })
	e.close()
	if errors.Is(err, ErrClosed) { // closed already
		return nil
	}
	return err
}

// Shutdown takes no more jobs, cancels those that are queued or running and waits for the engine's
// thread until ctx ends; then call it again. The events that are left can still be taken. With a
// folder no job is cancelled: the running one is saved, all are kept and go on when the folder is
// opened again.
func (e *Engine) Shutdown(ctx context.Context) error {
	return e.wait(ctx, native.Engine_close)
}

// ForgetRequest is what an engine shall make its model forget.
type ForgetRequest struct {
	// RequestID: the host's name for the request, 1..128 bytes; the adapter bears it. Empty: one is
	// made. The same id with the same request returns the same job again; with another, ErrExists.
	RequestID string
	// Classes: what to forget: ids of the model's head, each once.
	Classes []int64
	// Config: nil: the defaults of GSLoRAPP for the model's head.
	Config *ForgetConfig
	// ForgetSet: training samples; of the forgotten classes alone, or, without a RetainSet, of both
	// kinds, to be divided by Classes. Samples of classes that earlier tasks forgot are left out.
	ForgetSet *Dataset
	// RetainSet: training samples of the other classes; may be nil.
	RetainSet *Dataset
	// ValidationSet: held-out samples of all classes, for the quality gate and the report; nil:
	// both use the training samples.
	ValidationSet *Dataset
	// Options: when the task runs, and how long it may; may be nil. They are not part of what a
	// request id stands for: repeated with others, the job keeps those it has.
	Options *TaskOptions
}

// Enqueue queues a forget task. Sets are shared, not copied, and may be closed at once; their
// pixels are read once, for their digests.
//
// Everything that can be checked is checked here. [ErrNotFound]: a class that the model does not
// have, or that has no sample. [ErrInvalidArgument]: no classes, all classes, a class named twice,
// an empty set, sets whose labels contradict the classes, images of another shape than the model's,
// a setting out of range. [ErrState]: the engine is closed. [ErrExists].
func (e *Engine) Enqueue(request ForgetRequest) (*Job, error) {
	id, err := optionalText("RequestID", request.RequestID)
	if err != nil {
		return nil, err
	}
	if len(request.Classes) == 0 {
		return nil, invalid("Classes is empty")
	}
	config := request.Config.toNative()
	defer native.DeleteForget_config(config)
	options := request.Options.toNative()
	defer native.DeleteTask_options(options)
	sets := []*handle{request.ForgetSet.ref(), request.RetainSet.ref(), request.ValidationSet.ref()}
	var object uintptr
	err = e.callWith(sets, func(engine uintptr, sets []uintptr) native.Status {
		if options == nil {
			return native.Engine_enqueue(engine, id, request.Classes, config, sets[0], sets[1], sets[2],
				&object)
		}
		return native.Engine_enqueue_with(engine, id, request.Classes, config, sets[0], sets[1],
			sets[2], options, &object)
	})
	if err != nil {
		return nil, err
	}
	return newJob(e, object), nil
}

// PretrainRequest is a training of the base weights.
type PretrainRequest struct {
	// RequestID: as of ForgetRequest.
	RequestID string
	// Config: nil: the defaults.
	Config *PretrainConfig
	// TrainSet: samples of all classes.
	TrainSet *Dataset
	// ValidationSet: held-out samples for the report; may be nil.
	ValidationSet *Dataset
}

// EnqueuePretraining queues the training of the base weights, which replace the old ones when it
// succeeds. [ErrState]: the model has adapters, or the engine is closed. Otherwise as
// [Engine.Enqueue].
func (e *Engine) EnqueuePretraining(request PretrainRequest) (*Job, error) {
	id, err := optionalText("RequestID", request.RequestID)
	if err != nil {
		return nil, err
	}
	config := request.Config.toNative()
	defer native.DeletePretrain_config(config)
	sets := []*handle{request.TrainSet.ref(), request.ValidationSet.ref()}
	var object uintptr
	err = e.callWith(sets, func(engine uintptr, sets []uintptr) native.Status {
		return native.Engine_enqueue_pretraining(engine, id, config, sets[0], sets[1], &object)
	})
	if err != nil {
		return nil, err
	}
	return newJob(e, object), nil
}

// Pause stops training after the current step until Resume; queued tasks wait. Cancelling and
// closing work as ever, and predictions never notice. It returns at once.
func (e *Engine) Pause() error { return e.call(native.Engine_pause) }

// Resume goes on after Pause.
func (e *Engine) Resume() error { return e.call(native.Engine_resume) }

// BindDataset gives data back to jobs in JobAwaitingData: every set of theirs whose content digest
// (see [Dataset.InfoJSON]) equals that of data is found in it, and a job that lacks no other is
// queued again. It returns how many were. [ErrNotFound]: no job waits for this content.
func (e *Engine) BindDataset(data *Dataset) (int, error) {
	var jobs int32
	err := e.callWith([]*handle{data.ref()}, func(engine uintptr, sets []uintptr) native.Status {
		return native.Engine_bind_dataset(engine, sets[0], &jobs)
	})
	return int(jobs), err
}

// WaitIdle waits until no job is queued or running, or ctx ends. Jobs awaiting data do not count.
// [ErrIO]: the engine stopped because its folder cannot be written; the message says why. Jobs that
// had not ended are kept there and go on when it is opened again.
func (e *Engine) WaitIdle(ctx context.Context) error {
	return e.wait(ctx, native.Engine_wait_idle)
}

// JobCount returns the number of jobs ever queued in this engine.
func (e *Engine) JobCount() (int, error) {
	count := int32(0)
	err := e.call(func(engine uintptr) native.Status {
		count = native.Engine_job_count(engine)
		return native.Status{}
	})
	return int(count), err
}

// Job returns a job in order of arrival. [ErrNotFound]: outside 0..JobCount-1.
func (e *Engine) Job(index int) (*Job, error) {
	at, err := int32Of("index", index)
	if err != nil {
		return nil, err
	}
	return e.jobFrom(func(engine uintptr, out *uintptr) native.Status {
		return native.Engine_job_at(engine, at, out)
	})
}

// Jobs returns all jobs in order of arrival.
func (e *Engine) Jobs() ([]*Job, error) {
	count, err := e.JobCount()
	if err != nil {
		return nil, err
	}
	jobs := make([]*Job, count)
	for i := range jobs {
		if jobs[i], err = e.Job(i); err != nil {
			return nil, err
		}
	}
	return jobs, nil
}

// FindJob returns the job with this request id. [ErrNotFound].
func (e *Engine) FindJob(requestID string) (*Job, error) {
	request, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	return e.jobFrom(func(engine uintptr, out *uintptr) native.Status {
		return native.Engine_job_find(engine, request, out)
	})
}

func (e *Engine) jobFrom(f func(engine uintptr, out *uintptr) native.Status) (*Job, error) {
	var object uintptr
	if err := e.call(func(engine uintptr) native.Status { return f(engine, &object) }); err != nil {
		return nil, err
	}
	return newJob(e, object), nil
}
