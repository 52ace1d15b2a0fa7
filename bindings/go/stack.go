package lethe

import "lethe/internal/native"

// AdapterCount returns the number of adapters in the stack, enabled or not.
func (m *Model) AdapterCount() (int, error) {
	count := int32(0)
	err := m.call(func(model uintptr) native.Status {
		count = native.Model_adapter_count(model)
		return native.Status{}
	})
	return int(count), err
}

// Adapter returns an adapter of the stack, oldest first. [ErrNotFound]: outside 0..AdapterCount-1.
func (m *Model) Adapter(index int) (*Adapter, error) {
	at, err := int32Of("index", index)
	if err != nil {
		return nil, err
	}
	return adapterFrom(&m.handle, func(model uintptr, out *uintptr) native.Status {
		return native.Model_adapter_at(model, at, out)
	})
}

// Adapters returns the stack, oldest first.
func (m *Model) Adapters() ([]*Adapter, error) {
	count, err := m.AdapterCount()
	if err != nil {
		return nil, err
	}
	adapters := make([]*Adapter, count)
	for i := range adapters {
		if adapters[i], err = m.Adapter(i); err != nil {
			return nil, err
		}
	}
	return adapters, nil
}

// FindAdapter returns the adapter of a request. [ErrNotFound].
func (m *Model) FindAdapter(requestID string) (*Adapter, error) {
	request, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	return adapterFrom(&m.handle, func(model uintptr, out *uintptr) native.Status {
		return native.Model_adapter_find(model, request, out)
	})
}

// Attach puts an adapter on top of the stack. [ErrBaseMismatch]: made for another base, or on other
// adapters than those now enabled; the message says which. [ErrExists]: already there. [ErrState]:
// an engine has tasks of this model queued or running.
func (m *Model) Attach(adapter *Adapter) error {
	return m.callWith([]*handle{adapter.ref()}, func(model uintptr, adapters []uintptr) native.Status {
		return native.Model_attach(model, adapters[0])
	})
}

// SetAdapters replaces the whole stack at once: adapters, oldest first, each with a scale (nil: all
// 1; 0 keeps it listed but disabled). Without AllowUnverified only stacks are accepted that a task
// was trained on: each adapter's parents are exactly those before it, all with scale 1. Errors as
// of [Model.Attach].
func (m *Model) SetAdapters(adapters []*Adapter, scales []float64, flags StackFlags) error {
	if scales != nil && len(scales) != len(adapters) {
		return invalid("there are %d scales for %d adapters", len(scales), len(adapters))
	}
	handles := make([]*handle, len(adapters))
	for i, adapter := range adapters {
		if handles[i] = adapter.ref(); adapter == nil {
			return invalid("adapter %d is nil", i)
		}
	}
	return m.callWith(handles, func(model uintptr, natives []uintptr) native.Status {
		stack := make([]int64, len(natives))
		for i, object := range natives {
			stack[i] = int64(object)
		}
		return native.Model_set_adapters(model, stack, scales, int32(flags))
	})
}

// RollbackTo goes back to the state after a task (empty: before the first); later adapters leave
// the stack, last in first out. The logits are those of that state bit for bit, because weights are
// always summed anew from the untouched base. [ErrNotFound]: no such adapter in the stack.
// [ErrState] as of [Model.Attach].
func (m *Model) RollbackTo(requestID string) error {
	request, err := optionalText("requestID", requestID)
	if err != nil {
		return err
	}
	return m.call(func(model uintptr) native.Status {
		return native.Model_rollback_to(model, request)
	})
}

// Enable enables or disables the adapter of a request; it stays in its place, and nothing happens
// when it is so already. Enabling gives it scale 1: unless it had another one, the logits after
// disabling and enabling are those of before bit for bit. All or nothing.
//
// A state that no task was trained on needs AllowUnverified, [ErrBaseMismatch] otherwise: one where
// the enabled adapters are not, all with scale 1, each on exactly the parents it was trained on. So
// the topmost enabled adapter can be disabled and enabled again, others not. [ErrNotFound]: no such
// adapter in the stack. [ErrUnsupported]: an unknown flag. [ErrState] as of [Model.Attach].
func (m *Model) Enable(requestID string, enabled bool, flags StackFlags) error {
	request, err := text("requestID", requestID)
	if err != nil {
		return err
	}
	return m.call(func(model uintptr) native.Status {
		return native.Model_enable(model, request, truth(enabled), int32(flags))
	})
}

// Detach takes the adapter of a request out of the stack. It needs AllowUnverified where
// [Model.Enable] would to disable it. Errors as there.
func (m *Model) Detach(requestID string, flags StackFlags) error {
	request, err := text("requestID", requestID)
	if err != nil {
		return err
	}
	return m.call(func(model uintptr) native.Status {
		return native.Model_detach(model, request, int32(flags))
	})
}

// ImportPEFT reads a folder of PEFT's LoRA format as an adapter for the present state of the model:
// its base and the enabled adapters become the adapter's base and parents. RequestID: 1..128 bytes,
// the name it gets. Classes: what it makes the model forget, for evaluation and later tasks;
// nothing in the folder says so, and nobody has measured it: evaluate before you rely on it.
// Modules may have any names of [Naming]. Scaling, rank_pattern, alpha_pattern and use_rslora are
// read as PEFT reads them. Attach the adapter with [Model.Attach]. Limits may be nil.
//
// [ErrNotFound]: the folder or a file in it, or a class that the model does not have. [ErrIO].
// [ErrCorrupt]: contradictory or not finite. [ErrUnsupported]: another PEFT method, DoRA, biases,
// saved modules, a base changed at initialisation. [ErrBaseMismatch]: a module that the model does
// not have or that cannot carry adapters (see adapter_layers at [NewModel]), or a shape that does
// not fit it. [ErrLimitExceeded].
func (m *Model) ImportPEFT(folder, requestID string, classes []int64,
	limits *Limits) (*Adapter, error) {
	from, err := text("folder", folder)
	if err != nil {
		return nil, err
	}
	request, err := text("requestID", requestID)
	if err != nil {
		return nil, err
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return adapterFrom(&m.handle, func(model uintptr, out *uintptr) native.Status {
		return native.Adapter_import_peft(model, from, request, classes, bounds, out)
	})
}
