package lethe

import (
	"runtime"

	"lethe/internal/native"
)

// Runtime is the surroundings of models and datasets. Many may coexist.
type Runtime struct{ handle }

// RuntimeOptions chooses the log; the zero value is silence.
type RuntimeOptions struct {
	// LogLevel: lines below it are not formed; 0: LogWarning.
	LogLevel LogLevel
	// Log: receives the log's lines, one call at a time, on a goroutine of its own: no newline, no
	// image content, no home paths. Nil: silence. Of lines that it has no time for the newest 1024
	// are kept; the last ones may come after Close.
	Log func(level LogLevel, component, message string)
}

// NewRuntime creates a runtime; options may be nil. [ErrVersion]: the loaded library does not fit
// this package.
func NewRuntime(options *RuntimeOptions) (*Runtime, error) {
	if err := ready(); err != nil {
		return nil, err
	}
	var level LogLevel
	if options != nil && options.Log != nil {
		if level = options.LogLevel; level == 0 {
			level = LogWarning
		}
	}
	var object, log uintptr
	if err := check(native.Runtime_create(int32(level), &object, &log)); err != nil {
		return nil, err
	}
	if log != 0 {
		go pump(log, options.Log)
	}
	r := new(Runtime)
	r.own("Runtime", object, func(object uintptr) {
		native.Runtime_free(object)
		if log != 0 {
			native.Log_close(log)
		}
	})
	runtime.SetFinalizer(r, func(r *Runtime) { r.close() })
	return r, nil
}

// pump hands the log's lines over until it is closed, and frees it.
func pump(log uintptr, line func(level LogLevel, component, message string)) {
	defer native.Log_free(log)
	for native.Log_wait(log, -1) == int32(StatusOK) {
		line(LogLevel(native.Log_level(log)), native.Log_component(log), native.Log_message(log))
	}
}

// Close ends the log and frees the runtime. Objects made from it go on working. It returns nil.
func (r *Runtime) Close() error {
	r.close()
	return nil
}

// DeviceCount returns the number of CUDA devices. It loads the CUDA part on first use; 0 when that
// or a device is missing.
func (r *Runtime) DeviceCount() (int, error) {
	var count int32
	err := r.call(func(object uintptr) native.Status {
		return native.Runtime_device_count(object, &count)
	})
	return int(count), err
}

func (r *Runtime) ref() *handle {
	if r == nil {
		return &handle{kind: "Runtime, which is nil"}
	}
	return &r.handle
}
