package lethe

import (
	"context"
	"runtime"

	"lethe/internal/native"
)

// Job is one task or training run of an engine.
type Job struct {
	handle
	engine    *Engine // a job in use keeps its engine from being finalised
	requestID string
	id        int64
}

func newJob(engine *Engine, object uintptr) *Job {
	j := &Job{engine: engine, requestID: native.Job_request_id(object)}
	j.own("Job", object, native.Job_free)
	runtime.SetFinalizer(j, func(j *Job) { j.close() })
	if status, err := j.Status(); err == nil {
		j.id = status.JobID
	}
	return j
}

// Close frees the job's handle; the job itself goes on. It returns nil.
func (j *Job) Close() error {
	j.close()
	return nil
}

// ID returns the job's number: 1, 2, 3 ... within its engine. It works after Close too.
func (j *Job) ID() int64 { return j.id }

// RequestID returns the host's name for the request, or the one that was made. It works after Close
// too.
func (j *Job) RequestID() string { return j.requestID }

// Status returns where the job stands now.
func (j *Job) Status() (JobStatusInfo, error) {
	info := native.NewJob_status_info()
	defer native.DeleteJob_status_info(info)
	err := j.call(func(job uintptr) native.Status { return native.Job_status(job, info) })
	if err != nil {
		return JobStatusInfo{}, err
	}
	return jobStatusInfoOf(info), nil
}

// Ended tells whether a job in this state will change no more.
func (j JobState) Ended() bool {
	return j == JobSucceeded || j == JobRejected || j == JobFailed || j == JobCancelled
}

// Wait waits until the job has ended, or ctx ends, and returns nil when the job succeeded.
// Otherwise it returns ctx's error, or what [Job.Err] tells: [ErrRejected], [ErrCancelled], or why
// the job failed. [ErrState], too: its engine with a folder was closed. [ErrIO], too: the folder
// cannot be written. Either way the job is kept there and goes on when the folder is opened again.
func (j *Job) Wait(ctx context.Context) error {
	if err := j.wait(ctx, native.Job_wait); err != nil {
		return err
	}
	return j.Err()
}

// Cancel asks the job to stop; it returns at once. It takes effect within one optimiser step and
// leaves no adapter. A job that is nearly done may still succeed; cancelling an ended job does
// nothing.
func (j *Job) Cancel() error { return j.call(native.Job_cancel) }

// Err returns why the job failed, was rejected or cancelled, an *[Error]; nil while it has not
// ended and when it succeeded.
func (j *Job) Err() error {
	status, err := j.Status()
	if err != nil || status.Error == StatusOK {
		return err
	}
	message := ""
	err = j.call(func(job uintptr) native.Status {
		message = native.Job_error(job)
		return native.Status{}
	})
	if err != nil {
		return err
	}
	return &Error{status.Error, message}
}

// Adapter returns the adapter that a succeeded forget task left. [ErrState]: not ended, or it left
// nothing because it failed or was cancelled. [ErrNotFound]: it ended without an adapter, as after
// a rejection or a pre-training.
func (j *Job) Adapter() (*Adapter, error) {
	var object uintptr
	err := j.call(func(job uintptr) native.Status { return native.Job_result(job, &object, nil) })
	if err != nil {
		return nil, err
	}
	if object == 0 {
		return nil, &Error{StatusNotFound, "the job " + j.requestID + " left no adapter"}
	}
	return newAdapter(object), nil
}

// Report returns the figures of an ended job, also after a rejection. [ErrState]: not ended, or it
// left nothing because it failed or was cancelled.
func (j *Job) Report() (*Report, error) {
	var object uintptr
	err := j.call(func(job uintptr) native.Status { return native.Job_result(job, nil, &object) })
	if err != nil {
		return nil, err
	}
	return newReport(object), nil
}
