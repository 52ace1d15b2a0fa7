package lethe

import (
	"runtime"

	"lethe/internal/native"
)

// Model is a base model and its stack of adapters.
type Model struct{ handle }

// NewModel creates a model with random weights.
//
// The fields of the JSON spec (those left out take the architecture's default; unknown ones are
// refused):
//
//	arch             "vit" (torchvision's VisionTransformer), "face_vit" (the paper's face model) or
//	                 "face_vits" (the same on overlapping patches)
//	classes          outputs of the head, 1..1000000
//	image_size       side in pixels, a multiple of patch_size
//	channels         input channels; a grey image in a 3-channel model is a transform's choice
//	patch_size, dim, depth, heads, head_dim, mlp_dim
//	patch_stride, patch_padding   of face_vits: windows of patch_size pixels, patch_stride apart, the
//	                 image framed with patch_padding zeros
//	dropout          probability while training, 0..0.9
//	layer_norm_eps   1e-6 for torchvision and timm weights, 1e-12 for Hugging Face, 1e-5 for face_vit
//	head             "linear", "cosface", "arcface"
//	head_scale, head_margin   of the margin heads (64 and 0.35 / 0.5)
//	attention_scale  "head_dim" (1/sqrt(head_dim)) or "dim" (1/sqrt(dim), the face model)
//	adapter_layers   linears of each block that carry LoRA: a list of "fc1", "fc2"
//	seed             of the random initial weights
//
// A detector, arch "deformable_detr" (Zhu et al. 2021), has the fields arch, classes, dropout and
// seed as above, and
//
//	backbone         "resnet18", "resnet34" or "resnet50"; backbone_width is the channels of its first
//	                 stage (64)
//	feature_levels   1..5: the last stage, the last two, strides 8, 16, 32, and one or two coarser ones
//	dim, heads, encoder_layers, decoder_layers, ffn_dim
//	points           sampled by each head on each level
//	queries          objects that it can name in an image
//	shorter_side, longest_side   images are resized so that the shorter side has so many pixels and the
//	                 longer one at most these; shorter_side 0: taken as they are
//	refine_boxes     each decoder layer starts from the boxes of the one before
//	two_stage        queries come from the encoder's best proposals; needs refine_boxes
//	auxiliary_losses training looks at every decoder layer, not only the last
//
// Device is "cpu", "cuda" or "cuda:N"; empty means "cpu". The model lives and computes there.
//
// [ErrCorrupt]: not JSON. [ErrNotFound]: unknown arch. [ErrDevice]: no such device, or the CUDA
// part could not be loaded; the message says why.
func NewModel(r *Runtime, specJSON, device string) (*Model, error) {
	spec, err := text("specJSON", specJSON)
	if err != nil {
		return nil, err
	}
	where, err := optionalText("device", device)
	if err != nil {
		return nil, err
	}
	return modelFrom(r.ref(), func(object uintptr, out *uintptr) native.Status {
		return native.Model_create(object, spec, where, out)
	})
}

// modelFrom is the model that a call on another object hands over.
func modelFrom(h *handle, f func(object uintptr, out *uintptr) native.Status) (*Model, error) {
	var object uintptr
	if err := h.call(func(from uintptr) native.Status { return f(from, &object) }); err != nil {
		return nil, err
	}
	m := new(Model)
	m.own("Model", object, native.Model_free)
	runtime.SetFinalizer(m, func(m *Model) { m.close() })
	return m, nil
}

// Close frees the model. Engines and jobs that work on it go on. It returns nil.
func (m *Model) Close() error {
	m.close()
	return nil
}

// LoadWeights replaces the base weights by those of a file: safetensors, or a PyTorch state dict
// (.pt, .pth), which is read without running anything in it. Limits may be nil.
//
// Names of torchvision, timm and Hugging Face (vit), of the paper's code (face_vit), and of the
// published code and Hugging Face (deformable_detr) are understood; float16 and bfloat16 become
// float32. LoRA tensors in a checkpoint of the paper's code are left out, because its weights
// already contain them. Every tensor must be there with the right shape, and no other. All or
// nothing: on failure the model is unchanged.
//
// [ErrNotFound], [ErrIO]: the file. [ErrCorrupt]: truncated, contradictory, not finite.
// [ErrInvalidArgument]: a tensor is missing, extra or misshapen; the message names the first.
// [ErrUnsupported]: a pickle that names code. [ErrLimitExceeded]: over the limits. [ErrState]: the
// model has adapters, or an engine works on it.
func (m *Model) LoadWeights(path string, limits *Limits) error {
	file, err := text("path", path)
	if err != nil {
		return err
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return m.call(func(model uintptr) native.Status {
		return native.Model_load_weights(model, file, bounds)
	})
}

// LoadWeightsMemory is LoadWeights from bytes in memory.
func (m *Model) LoadWeightsMemory(data []byte, limits *Limits) error {
	if len(data) == 0 {
		return invalid("data is empty")
	}
	bounds := limits.toNative()
	defer native.DeleteLimits(bounds)
	return m.call(func(model uintptr) native.Status {
		return native.Model_load_weights_memory(model, data, bounds)
	})
}

// Clone returns an independent model with the same base and stack. Weights are shared until one
// changes, so it costs little.
func (m *Model) Clone() (*Model, error) { return modelFrom(&m.handle, native.Model_clone) }

// InfoJSON tells spec, device, parameter count, groups that can carry adapters (name, layers,
// parameters), the stack (task ids, enabled, scale), classes forgotten (by the enabled adapters,
// and in the base: see [Model.Merge]), fingerprints.
func (m *Model) InfoJSON() (string, error) { return m.textFrom(native.Model_info_json) }

// Fingerprint returns the SHA-256 of the base (names, types, shapes, values and the spec), and of
// base plus enabled adapters.
func (m *Model) Fingerprint() (base, state [32]byte, err error) {
	err = m.call(func(model uintptr) native.Status {
		return native.Model_fingerprint(model, base[:], state[:])
	})
	return base, state, err
}

// TensorCount returns the number of base tensors.
func (m *Model) TensorCount() (int, error) {
	count := int32(0)
	err := m.call(func(model uintptr) native.Status {
		count = native.Model_tensor_count(model)
		return native.Status{}
	})
	return int(count), err
}

// TensorInfo returns name and shape of base tensor index, in the order of names. [ErrNotFound]:
// outside 0..TensorCount-1.
func (m *Model) TensorInfo(index int) (TensorInfo, error) {
	at, err := int32Of("index", index)
	if err != nil {
		return TensorInfo{}, err
	}
	info := TensorInfo{}
	shape, dims := make([]int64, 8), int32(0)
	err = m.call(func(model uintptr) native.Status {
		answer := native.Model_tensor_info(model, at, shape, &dims, &info.Count)
		if answer.Code == 0 {
			info.Name = native.Tensor_name(model, at)
		}
		return answer
	})
	if err != nil {
		return TensorInfo{}, err
	}
	info.Shape = shape[:dims:dims]
	return info, nil
}

// Tensors returns all base tensors, in the order of names.
func (m *Model) Tensors() ([]TensorInfo, error) {
	count, err := m.TensorCount()
	tensors := make([]TensorInfo, count)
	for i := 0; i < count && err == nil; i++ {
		tensors[i], err = m.TensorInfo(i)
	}
	if err != nil {
		return nil, err
	}
	return tensors, nil
}

// ReadTensor copies a tensor's values out: of the base, or (merged) with the enabled adapters
// added. [ErrNotFound]: no such name.
func (m *Model) ReadTensor(name string, merged bool) ([]float32, error) {
	tensor, err := text("name", name)
	if err != nil {
		return nil, err
	}
	tensors, err := m.Tensors()
	if err != nil {
		return nil, err
	}
	data := []float32{}
	for _, info := range tensors {
		if info.Name == name {
			data = make([]float32, info.Count)
		}
	}
	err = m.call(func(model uintptr) native.Status {
		return native.Model_tensor_read(model, tensor, truth(merged), data)
	})
	if err != nil {
		return nil, err
	}
	return data, nil
}

// ExportMerged writes base plus enabled adapters as one safetensors file under the names that
// options chooses (nil: defaults), loadable by the project that the names come from. Atomic: a
// crash leaves the old file or the new one. [ErrIO]: folder missing or read-only, disk full.
// [ErrUnsupported]: the architecture has no such names.
func (m *Model) ExportMerged(path string, options *ExportOptions) error {
	file, err := text("path", path)
	if err != nil {
		return err
	}
	how := options.toNative()
	defer native.DeleteExport_options(how)
	return m.call(func(model uintptr) native.Status {
		return native.Model_export_merged(model, file, how)
	})
}

// Merge returns a new model whose base is base plus enabled adapters, with an empty stack: the
// weights that the adapters changed are in it only as changed. This model keeps its state. The
// logits of the two are equal bit for bit. What the adapters forgot counts as forgotten in the new
// model too, until it gets other weights; a file of exported weights does not say it.
func (m *Model) Merge() (*Model, error) { return modelFrom(&m.handle, native.Model_merge) }

// Seal makes the current state the only state: the enabled adapters are folded into the base, base
// and adapters are dropped, and from then on nothing can be rolled back. With an engine on a folder
// this is durable: adapters, old weights and checkpoints are deleted there, the sealed weights are
// kept in it, and a receipt is written. Copies that were made before (files, clones, other
// processes) are not touched, and deleted files may survive on the medium until it overwrites them.
// [ErrState]: an engine has tasks of this model queued or running. [ErrIO].
func (m *Model) Seal() error { return m.call(native.Model_seal) }
