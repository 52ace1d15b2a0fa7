// Package lethe makes pre-trained vision models forget classes, one request after another.
//
// A [Runtime] makes models and datasets. A [Model] is a base (an architecture and weights that
// never change) and a stack of adapters, one for each finished forget task. An [Engine] queues
// tasks for one model and works them off on its own thread; each task is a [Job] that either
// commits one [Adapter] or leaves the model as it was. Predictions always run on a complete,
// immutable state of the model and never wait for training.
//
// # Conventions
//
// Images are row-major N,C,H,W, accuracies are in percent, and text, paths among it, is UTF-8
// without a NUL inside. JSON results are strings.
//
// Closing. Each object holds memory outside of Go's heap; Close frees it. Closing twice is fine,
// and closing while other goroutines are inside calls waits for none of them: the last one to
// return frees. Later calls give [ErrClosed]. Objects that nobody closed are freed some time after
// they became unreachable. Objects keep alive what they need, so they may be closed in any order.
//
// Errors. The library's failures are *[Error] values: a [Status] and one sentence that names the
// value and the remedy. Ask for a kind with errors.Is(err, [ErrNotFound]). Any call may fail with
// [ErrInvalidArgument], [ErrOutOfMemory] and [ErrInternal]; further kinds are listed with each.
// Arguments that cannot be right (an array too short for its shape, text with a NUL inside) are
// refused with [ErrInvalidArgument] before the library sees them.
//
// Goroutines. Everything may be called from any goroutine at any time. Slices given to a call are
// read during the call only. Waiting takes a context: when it ends, the waiting ends, within 50 ms;
// the work goes on. [Job.Cancel] ends the work.
//
// Options. Nil options are the defaults, and so are zero fields, but for [ForgetConfig] and
// [PretrainConfig], which are made by [DefaultForgetConfig] and [DefaultPretrainConfig]. Thread
// counts of 0 mean all processors; results are equal bit for bit for equal state, thread count and
// build.
//
// # Building a program
//
// The module is in PREFIX/share/lethe/go of an installed library. In a fresh folder with a main.go:
//
//	go mod init app
//	go mod edit -require lethe@v0.0.0 -replace lethe=PREFIX/share/lethe/go
//	go run .
//
// The build asks pkg-config for lethe: when PREFIX is not one of the system's, set PKG_CONFIG_PATH
// to the folder of lethe.pc. Programs find liblethe.so.1 where it was installed, or before that in
// LD_LIBRARY_PATH; when it is missing, the system's loader says so and ends the program with 127.
package lethe
