#include "kernels/deformable_attention.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <optional>

#include "kernels/cuda/deformable_attention.h"
#include "kernels/cuda_plugin.h"
#include "support/error.h"

namespace lethe {
namespace {

using Variables = torch::autograd::variable_list;

/// The operator's inputs, checked and contiguous. With a reference (CUDA only) `places` are offsets
/// and `scores` logits, without one locations and weights.
struct Inputs {
  at::Tensor value, reference, places, scores;
  std::vector<LevelSize> levels;
};

struct Wanted {
  bool value, reference, places, scores;
};

DeformableAttentionShape shape_of(const Inputs& in) {
  return {in.value.size(0),  in.value.size(1),  in.value.size(2), in.value.size(3),
          in.places.size(1), in.places.size(4), in.levels.data(), in.places.size(3)};
}

/// Calls `body` with a zero of the tensor's type.
template <typename Body>
void with_type(const at::Tensor& tensor, const Body& body) {
  if (tensor.scalar_type() == at::kDouble) {
    body(0.0);
  } else {
    body(0.0f);
  }
}

/// Nothing to sample, or nowhere to sample it: the output and all gradients are zeros.
bool trivial(const Inputs& in) { return in.value.numel() == 0 || in.places.numel() == 0; }

Variables zero_gradients(const Inputs& in) {
  Variables zeros;
  for (const at::Tensor& input : {in.value, in.reference, in.places, in.scores}) {
    zeros.push_back(input.defined() ? at::zeros_like(input) : at::Tensor());
  }
  return zeros;
}

at::Tensor empty_output(const Inputs& in) {
  return at::empty({in.value.size(0), in.places.size(1), in.value.size(2) * in.value.size(3)},
                   in.value.options());
}

at::Tensor forward_cpu(const Inputs& in) {
  const DeformableAttentionShape shape = shape_of(in);
  const at::Tensor output = empty_output(in);
  with_type(output, [&]<typename T>(T) {
    const T *value = in.value.const_data_ptr<T>(), *places = in.places.const_data_ptr<T>();
    const T* scores = in.scores.const_data_ptr<T>();
    T* out = output.mutable_data_ptr<T>();
    at::parallel_for(0, shape.forward_tasks(), 1, [&](int64_t begin, int64_t end) {
      deformable_attention_forward(shape, value, places, scores, out, begin, end);
    });
  });
  return output;
}

Variables backward_cpu(const Inputs& in, const at::Tensor& grad_output, const Wanted& wanted) {
  const DeformableAttentionShape shape = shape_of(in);
  const auto like = [](bool is_wanted, const at::Tensor& input) {
    return is_wanted ? at::empty_like(input) : at::Tensor();
  };
  const at::Tensor value = wanted.value ? at::zeros_like(in.value) : at::Tensor();
  const at::Tensor places = like(wanted.places, in.places);
  const at::Tensor scores = like(wanted.scores, in.scores);
  with_type(in.value, [&]<typename T>(T) {
    const auto data = [](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
    };
    const DeformableAttentionGradients<T> gradients{data(value), data(places), data(scores)};
    const T *v = in.value.const_data_ptr<T>(), *p = in.places.const_data_ptr<T>();
    const T *s = in.scores.const_data_ptr<T>(), *g = grad_output.const_data_ptr<T>();
    const int64_t tasks = shape.backward_tasks(wanted.value);
    at::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
      deformable_attention_backward(shape, v, p, s, g, gradients, begin, end);
    });
  });
  return {value, {}, places, scores};
}

/// A function of the loaded CUDA part, of the type it is declared with.
template <typename F>
F* cuda_function(F*, const char* name) {
  void* found = cuda_symbol(name);
  require(found != nullptr, Code::kUnsupported, "deformable attention needs ", name,
          cuda_status().loaded
              ? ", which this CUDA part lacks: install the one of this version of Lethe"
              : ": " + cuda_status().reason);
  return reinterpret_cast<F*>(found);
}
#define LETHE_CUDA_FUNCTION(name) cuda_function(static_cast<decltype(&name)>(nullptr), #name)

void check_cuda(int code) {
  require(code == 0, Code::kDevice, "deformable attention failed on the CUDA device: ",
          code == 0 ? "" : LETHE_CUDA_FUNCTION(lethe_cuda_error_text)(code));
}

/// LibTorch's default stream is CUDA's, the null one. Other streams have no portable handle before
/// LibTorch 2.11; nothing in Lethe makes any.
void* current_stream(const at::Device& device) {
  const c10::impl::VirtualGuardImpl guard(device.type());
  require(guard.getStream(device).id() == 0, Code::kUnsupported,
          "deformable attention runs on the default stream of ", device.str(),
          "; leave the stream guard before calling it");
  return nullptr;
}

LetheCudaDeformableAttention describe(const Inputs& in) {
  LetheCudaDeformableAttention call{};
  call.batch = in.value.size(0), call.positions = in.value.size(1);
  call.heads = in.value.size(2), call.channels = in.value.size(3);
  call.queries = in.places.size(1);
  call.level_count = static_cast<int32_t>(in.levels.size());
  call.points = static_cast<int32_t>(in.places.size(4));
  for (size_t l = 0; l < in.levels.size(); ++l) {
    call.height[l] = static_cast<int32_t>(in.levels[l].height);
    call.width[l] = static_cast<int32_t>(in.levels[l].width);
  }
  call.bfloat16 = in.value.scalar_type() == at::kBFloat16;
  call.value = in.value.const_data_ptr();
  if (in.reference.defined()) {
    call.reference_width = static_cast<int32_t>(in.reference.size(3));
    call.reference = in.reference.const_data_ptr<float>();
  }
  call.places = in.places.const_data_ptr<float>();
  call.scores = in.scores.const_data_ptr<float>();
  return call;
}

at::Tensor forward_cuda(const Inputs& in) {
  const c10::DeviceGuard device(in.value.device());
  const LetheCudaDeformableAttention call = describe(in);
  const at::Tensor output = empty_output(in);
  check_cuda(LETHE_CUDA_FUNCTION(lethe_cuda_deformable_attention_forward)(
      &call, output.mutable_data_ptr(), current_stream(in.value.device())));
  return output;
}

Variables backward_cuda(const Inputs& in, const at::Tensor& grad_output, const Wanted& wanted) {
  const c10::DeviceGuard device(in.value.device());
  const LetheCudaDeformableAttention call = describe(in);
  const bool fused = in.reference.defined();
  at::Tensor value, locations, offsets;
  if (wanted.value) value = at::zeros_like(in.value, in.value.options().dtype(at::kFloat));
  if (fused ? wanted.reference : wanted.places) locations = at::empty_like(in.places);
  if (fused && wanted.places) offsets = at::empty_like(in.places);
  const at::Tensor scores = at::empty_like(in.scores);
  const auto data = [](const at::Tensor& tensor) {
    return tensor.defined() ? tensor.mutable_data_ptr<float>() : nullptr;
  };
  const LetheCudaDeformableAttentionGradients gradients{data(value), data(locations), data(offsets),
                                                        data(scores)};
  check_cuda(LETHE_CUDA_FUNCTION(lethe_cuda_deformable_attention_backward)(
      &call, grad_output.const_data_ptr(), &gradients, current_stream(in.value.device())));
  if (value.defined()) value = value.to(in.value.scalar_type());
  at::Tensor reference;
  if (fused && wanted.reference) {
    reference = locations.sum({2, 4});  // every head and point moves with it
    if (in.reference.size(3) == 4) {
      const double scale = 0.5 / static_cast<double>(call.points);
      reference = at::cat({reference, (locations * in.places).sum({2, 4}) * scale}, -1);
    }
  }
  return {value, reference, fused ? offsets : locations, scores};
}

class Attention : public torch::autograd::Function<Attention> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& value,
                            const std::optional<at::Tensor>& reference, const at::Tensor& places,
                            const at::Tensor& scores, const std::vector<LevelSize>& levels) {
    const Inputs in{value.contiguous(), reference ? reference->contiguous() : at::Tensor(),
                    places.contiguous(), scores.contiguous(), levels};
    context->save_for_backward({in.value, in.reference, in.places, in.scores});
    std::vector<int64_t> sizes;
    for (const LevelSize& level : levels) sizes.insert(sizes.end(), {level.height, level.width});
    context->saved_data["levels"] = std::move(sizes);
    if (trivial(in)) return empty_output(in).zero_();
    return in.value.is_cuda() ? forward_cuda(in) : forward_cpu(in);
  }

  static Variables backward(torch::autograd::AutogradContext* context, const Variables& gradients) {
    require(!at::GradMode::is_enabled(), Code::kUnsupported,
            "deformable attention has no second derivative: call backward without create_graph");
    const Variables saved = context->get_saved_variables();
    Inputs in{saved[0], saved[1], saved[2], saved[3], {}};
    const std::vector<int64_t> sizes = context->saved_data["levels"].toIntVector();
    for (size_t i = 0; i < sizes.size(); i += 2) in.levels.push_back({sizes[i], sizes[i + 1]});
    const bool fused = in.reference.defined();  // what is missing has no number there
    const Wanted wanted{context->needs_input_grad(0), fused && context->needs_input_grad(1),
                        context->needs_input_grad(fused ? 2 : 1),
                        context->needs_input_grad(fused ? 3 : 2)};
    const at::Tensor gradient = gradients[0].contiguous();
    Variables results = trivial(in)          ? zero_gradients(in)
                        : in.value.is_cuda() ? backward_cuda(in, gradient, wanted)
                                             : backward_cpu(in, gradient, wanted);
    results.emplace_back();  // the levels
    return results;
  }
};

void check_shape(const char* name, const at::Tensor& tensor, at::IntArrayRef expected,
                 const char* meaning) {
  require(tensor.sizes() == expected, Code::kInvalidArgument, "the ", name, " must be ", meaning,
          ", here ", expected, ", not ", tensor.sizes());
}

/// Value, levels, places and scores; `fused` says which the last two are.
void check(const at::Tensor& value, const std::vector<LevelSize>& levels, const at::Tensor& places,
           const at::Tensor& scores, bool fused) {
  require(value.dim() == 4, Code::kInvalidArgument,
          "the values must be [batch, positions, heads, channels], not ", value.sizes());
  constexpr int64_t kMost = int64_t{1} << 30;
  int64_t positions = 0;
  for (const LevelSize& level : levels) {
    require(level.height >= 0 && level.width >= 0 && level.height < kMost && level.width < kMost &&
                level.height * level.width < kMost,
            Code::kInvalidArgument, "a level of ", level.height, " x ", level.width,
            " is negative or has 2^30 pixels or more");
    positions += level.height * level.width;
  }
  require(positions == value.size(1), Code::kInvalidArgument, "the levels have ", positions,
          " pixels together, but there are values for ", value.size(1));
  const auto level_count = static_cast<int64_t>(levels.size());
  const char* name = fused ? "offsets" : "locations";
  require(places.dim() == 6, Code::kInvalidArgument, "the ", name,
          " must be [batch, queries, heads, levels, points, 2], not ", places.sizes());
  const int64_t queries = places.size(1), points = places.size(4);
  const int64_t batch = value.size(0), heads = value.size(2);
  check_shape(name, places, {batch, queries, heads, level_count, points, 2},
              "[batch, queries, heads, levels, points, 2]");
  if (fused) {
    check_shape("logits", scores, {batch, queries, heads, level_count * points},
                "[batch, queries, heads, levels * points]");
  } else {
    check_shape("weights", scores, {batch, queries, heads, level_count, points},
                "[batch, queries, heads, levels, points]");
  }

  require(value.is_cpu() || value.is_cuda(), Code::kUnsupported,
          "deformable attention runs on cpu and cuda, not on ", value.device());
  const at::ScalarType type = value.scalar_type();
  if (value.is_cpu()) {
    require(type == at::kFloat || type == at::kDouble, Code::kInvalidArgument, "the values are ",
            type, "; on a CPU they must be Float or Double");
  } else {
    require(type == at::kFloat || type == at::kBFloat16, Code::kInvalidArgument, "the values are ",
            type, "; on CUDA they must be Float or BFloat16");
    require(levels.size() <= LETHE_CUDA_MAX_LEVELS, Code::kInvalidArgument, "there are ",
            levels.size(), " levels; on CUDA they may be ", +LETHE_CUDA_MAX_LEVELS);
  }
}

/// What goes with the values: the same device, and their type or, on CUDA, float32.
void check_companion(const char* name, const at::Tensor& tensor, const at::Tensor& value) {
  require(tensor.device() == value.device(), Code::kInvalidArgument, "the ", name, " are on ",
          tensor.device(), ", the values on ", value.device());
  const at::ScalarType type = value.is_cuda() ? at::kFloat : value.scalar_type();
  require(tensor.scalar_type() == type, Code::kInvalidArgument, "the ", name, " are ",
          tensor.scalar_type(), "; with values of ", value.scalar_type(), " they must be ", type);
}

}  // namespace

at::Tensor deformable_attention(const at::Tensor& value, const std::vector<LevelSize>& levels,
                                const at::Tensor& locations, const at::Tensor& weights) {
  check(value, levels, locations, weights, /*fused=*/false);
  check_companion("locations", locations, value);
  check_companion("weights", weights, value);
  return Attention::apply(value, std::nullopt, locations, weights, levels);
}

at::Tensor deformable_attention_from_offsets(const at::Tensor& value,
                                             const std::vector<LevelSize>& levels,
                                             const at::Tensor& reference, const at::Tensor& offsets,
                                             const at::Tensor& logits) {
  check(value, levels, offsets, logits, /*fused=*/true);
  check_companion("offsets", offsets, value);
  check_companion("logits", logits, value);
  const int64_t coordinates = reference.dim() == 4 && reference.size(3) == 4 ? 4 : 2;
  check_shape("reference points", reference,
              {offsets.size(0), offsets.size(1), offsets.size(3), coordinates},
              "[batch, queries, levels, 2 or 4]");
  check_companion("reference points", reference, value);
  if (value.is_cuda())
    return Attention::apply(value, std::optional(reference), offsets, logits, levels);

  const at::Tensor weights = at::softmax(logits, -1).view(offsets.sizes().slice(0, 5));
  const at::Tensor spread = reference.unsqueeze(2).unsqueeze(4);  // [B, Q, 1, L, 1, 2 or 4]
  if (coordinates == 4) {
    const double scale = 0.5 / static_cast<double>(std::max<int64_t>(1, offsets.size(4)));
    return deformable_attention(value, levels,
                                spread.slice(-1, 0, 2) + offsets * (spread.slice(-1, 2, 4) * scale),
                                weights);
  }
  const at::Tensor size = at::empty({offsets.size(3), 1, 2}, value.options());
  with_type(size, [&]<typename T>(T) {
    T* out = size.mutable_data_ptr<T>();
    for (const LevelSize& level : levels) {  // nothing lies in an empty one: any size will do
      *out++ = static_cast<T>(std::max<int64_t>(1, level.width));
      *out++ = static_cast<T>(std::max<int64_t>(1, level.height));
    }
  });
  return deformable_attention(value, levels, spread + offsets / size, weights);
}

}  // namespace lethe
