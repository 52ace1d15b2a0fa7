package lethe

import (
	"runtime"

	"lethe/internal/native"
)

// Adapter is what a finished forget task leaves: low-rank weights of the groups it needed, or
// the change of the weights themselves. It does not change.
type Adapter struct{ handle }

func newAdapter(object uintptr) *Adapter {
	a := new(Adapter)
	a.own("Adapter", object, native.Adapter_free)
	runtime.SetFinalizer(a, func(a *Adapter) { a.close() })
	return a
}

// adapterFrom is the adapter that a call on another object hands over.
func adapterFrom(h *handle, f func(object uintptr, out *uintptr) native.Status) (*Adapter, error) {
	var object uintptr
	if err := h.call(func(from uintptr) native.Status { return f(from, &object) }); err != nil {
		return nil, err
	}
	return newAdapter(object), nil
}

// LoadAdapter reads an adapter checkpoint; no model is needed. Every byte is checked before
// anything counts. Limits may be nil. [ErrNotFound], [ErrIO], [ErrCorrupt], [ErrLimitExceeded],
// [ErrVersion].
func LoadAdapter(r *Runtime, path string, limits *Limits) (*Adapter, error) {
	file, err := text("path", path)
	if err != nil {
		return nil, err
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return adapterFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Adapter_load(object, file, bounds, out)
	})
}

// LoadAdapterMemory is [LoadAdapter] from bytes in memory.
func LoadAdapterMemory(r *Runtime, data []byte, limits *Limits) (*Adapter, error) {
	if len(data) == 0 {
		return nil, invalid("data is empty")
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return adapterFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Adapter_load_memory(object, data, bounds, out)
	})
}

// VerifyAdapter runs every check of [LoadAdapter] and keeps nothing. Findings are JSON, also when a
// check fails: {"ok", "bytes", "adapter_id", "request_id", "error": null or {"code": a Status's
// name, "message"}}; what could not be read is null. Errors as of LoadAdapter.
func VerifyAdapter(path string, limits *Limits) (findings string, err error) {
	file, err := text("path", path)
	if err != nil {
		return "", err
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return libraryText(func(out *uintptr) native.Status {
		return native.Adapter_verify(file, bounds, out)
	})
}

// Close frees the adapter. Models that carry it keep it. It returns nil.
func (a *Adapter) Close() error {
	a.close()
	return nil
}

// InfoJSON returns the manifest: ids, parents, method and settings, classes forgotten, groups with
// norms and effect, tensors, metrics, data digests, environment.
func (a *Adapter) InfoJSON() (string, error) { return a.textFrom(native.Adapter_info_json) }

// Export writes an adapter checkpoint (zstd over safetensors; `zstd -d` gives a plain
// .safetensors). Atomic, and read back before it counts. Options may be nil. [ErrIO].
func (a *Adapter) Export(path string, options *ExportOptions) error {
	return a.exportTo("path", path, options, native.Adapter_export)
}

// ExportMemory is Export into memory.
func (a *Adapter) ExportMemory(options *ExportOptions) ([]byte, error) {
	how := options.toNative()
	defer native.DeleteExport_options(how)
	var buffer uintptr
	err := a.call(func(adapter uintptr) native.Status {
		return native.Adapter_export_memory(adapter, how, &buffer)
	})
	if err != nil {
		return nil, err
	}
	return bytesOf(buffer), nil
}

// ExportPEFT writes the adapter in the format of Hugging Face's PEFT: adapter_config.json and
// adapter_model.safetensors in folder, which is made when it is missing (its parent is not).
// Modules have the names that options chooses (nil, and NamesOriginal, as an adapter knows of no
// checkpoint: the architecture's own). Each file is replaced atomically. What PEFT has no field for
// (parents, figures, digests) stays behind. [ErrUnsupported]: the architecture has no such names.
// [ErrIO].
func (a *Adapter) ExportPEFT(folder string, options *ExportOptions) error {
	return a.exportTo("folder", folder, options, native.Adapter_export_peft)
}

func (a *Adapter) exportTo(name, path string, options *ExportOptions,
	f func(uintptr, string, native.Export_options) native.Status) error {
	to, err := text(name, path)
	if err != nil {
		return err
	}
	how := options.toNative()
	defer native.DeleteExport_options(how)
	return a.call(func(adapter uintptr) native.Status { return f(adapter, to, how) })
}

func (a *Adapter) ref() *handle {
	if a == nil {
		return nil
	}
	return &a.handle
}
