// Section 3 of lethe.h: models.
#include <ATen/ATen.h>

#include <cstring>

#include "guard.h"
#include "handles.h"
#include "options.h"
#include "storage/file.h"
#include "storage/safetensors.h"
#include "storage/torch_pickle.h"
#include "structs.h"
#include "support/threads.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

lethe_model* make_model_handle(std::shared_ptr<LiveModel> live, std::shared_ptr<Log> log) {
  auto handle = std::make_unique<lethe_model>();
  handle->tensors =
      std::make_shared<const std::vector<TensorSpec>>(live->snapshot()->base->model().tensors());
  handle->live = std::move(live);
  handle->log = std::move(log);
  return handle.release();
}

Weights parse_checkpoint(std::string_view bytes, const std::string& what, const Limits& limits) {
  if (looks_like_torch_pickle(bytes)) return parse_torch_state_dict(bytes, what, limits);
  return parse_safetensors(bytes, what, limits).tensors;
}

void load_weights(lethe_model& model, std::string_view bytes, const std::string& what,
                  const Limits& limits) {
  const ThreadBudget budget(0);
  model.live->load_weights(parse_checkpoint(bytes, what, limits));
}

int64_t element_count(const TensorSpec& tensor) {
  int64_t count = 1;
  for (int64_t size : tensor.shape) count *= size;
  return count;
}

/// The blocks whose linears can carry LoRA.
Json groups_info(const Model& model) {
  Json groups = Json::array();
  int64_t block = -1;
  for (const AdapterSite& site : model.adapter_sites()) {
    if (site.block != block) {
      block = site.block;
      groups.push_back(
          {{"name", lethe::str("block ", block)}, {"layers", Json::array()}, {"parameters", 0}});
    }
    Json& group = groups.back();
    group["layers"].push_back(site.name);
    group["parameters"] = group["parameters"].get<int64_t>() + site.in * site.out;
  }
  return groups;
}

Json stack_info(const Stack& stack) {
  Json list = Json::array();
  for (const StackEntry& entry : stack) {
    list.push_back({{"request_id", entry.adapter->request_id()},
                    {"id", entry.adapter->id()},
                    {"classes", entry.adapter->classes()},
                    {"enabled", entry.scale != 0},
                    {"scale", entry.scale}});
  }
  return list;
}

Json model_info(const Snapshot& snapshot) {
  const BaseModel& base = *snapshot.base;
  int64_t parameters = 0;
  for (const TensorSpec& tensor : base.model().tensors()) parameters += element_count(tensor);
  return {{"spec", base.model().spec_json()},
          {"device", base.device().str()},
          {"parameters", parameters},
          {"groups", groups_info(base.model())},
          {"adapters", stack_info(snapshot.stack)},
          {"classes_forgotten", forgotten_classes(base, snapshot.stack)},
          {"fingerprint",
           {{"base", hex(base.fingerprint())},
            {"state", hex(state_fingerprint(base, snapshot.stack))}}}};
}

}  // namespace

int32_t lethe_arch_count(void) {
  return query(0, [] { return static_cast<int32_t>(architecture_names().size()); });
}

const char* lethe_arch_name(int32_t index) {
  return query(static_cast<const char*>(nullptr), [&]() -> const char* {
    static const std::vector<std::string> names = architecture_names();
    return index >= 0 && index < static_cast<int64_t>(names.size()) ? names[index].c_str()
                                                                    : nullptr;
  });
}

lethe_status lethe_arch_default_spec(const char* arch, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(default_spec(text(arch, "arch")));
  });
}

lethe_status lethe_model_create(lethe_runtime* runtime, const char* spec_json, const char* device,
                                lethe_model** out_model) {
  return guard([&] {
    clear_required(out_model, "out_model");
    const auto log = checked(runtime, "runtime").log;
    const auto model = lethe::make_model(parse_json(text(spec_json, "spec_json"), "model spec"));
    const c10::Device place = parse_device(optional_text(device, "device").value_or("cpu"));
    const ThreadBudget budget(0);
    const auto seed = model->spec_json().at("seed").get<uint64_t>();
    Weights weights = model->random_weights(RandomStream(seed, "weights"));
    auto base = std::make_shared<const BaseModel>(model, std::move(weights), place);
    *out_model = make_model_handle(std::make_shared<LiveModel>(std::move(base)), log);
  });
}

lethe_status lethe_model_load_weights(lethe_model* model, const char* path,
                                      const lethe_limits* limits) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const std::string file = text(path, "path");
    const Limits bounds = read_limits(limits);
    load_weights(target, read_file(file, bounds.file_bytes), base_name(file), bounds);
  });
}

lethe_status lethe_model_load_weights_memory(lethe_model* model, const uint8_t* data, size_t size,
                                             const lethe_limits* limits) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const Limits bounds = read_limits(limits);
    load_weights(target, bytes_in_memory(data, size, bounds), "the checkpoint", bounds);
  });
}

void lethe_model_free(lethe_model* model) {
  query(0, [&] {
    destroy(model);
    return 0;
  });
}

lethe_status lethe_model_clone(const lethe_model* model, lethe_model** out_model) {
  return guard([&] {
    clear_required(out_model, "out_model");
    const lethe_model& source = checked(model, "model");
    *out_model = make_model_handle(source.live->clone(), source.log);
  });
}

lethe_status lethe_model_info_json(const lethe_model* model, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(model_info(*checked(model, "model").live->snapshot()));
  });
}

lethe_status lethe_model_fingerprint(const lethe_model* model, uint8_t* out_base,
                                     uint8_t* out_state) {
  return guard([&] {
    if (out_base) std::memset(out_base, 0, sizeof(Digest));
    if (out_state) std::memset(out_state, 0, sizeof(Digest));
    const auto snapshot = checked(model, "model").live->snapshot();
    const auto write = [](uint8_t* out, const Digest& digest) {
      if (out) std::memcpy(out, digest.data(), digest.size());
    };
    write(out_base, snapshot->base->fingerprint());
    if (out_state) write(out_state, state_fingerprint(*snapshot->base, snapshot->stack));
  });
}

int32_t lethe_model_tensor_count(const lethe_model* model) {
  return usable(model) ? static_cast<int32_t>(model->tensors->size()) : 0;
}

lethe_status lethe_model_tensor_info(const lethe_model* model, int32_t index,
                                     lethe_tensor_info* out_info) {
  return guard([&] {
    const size_t size = clear_struct(out_info, "out_info");
    const auto& tensors = *checked(model, "model").tensors;
    require(index >= 0 && index < static_cast<int64_t>(tensors.size()), Code::kNotFound,
            "there is no tensor ", index, "; the model has ", tensors.size());
    const TensorSpec& tensor = tensors[index];
    lethe_tensor_info info{};
    info.ndim = static_cast<int32_t>(tensor.shape.size());
    std::copy(tensor.shape.begin(), tensor.shape.end(), info.shape);
    info.name = tensor.name.c_str();
    info.count = element_count(tensor);
    write_fields(out_info, info, size);
  });
}

lethe_status lethe_model_tensor_read(const lethe_model* model, const char* name, int32_t merged,
                                     float* data, size_t count) {
  return guard([&] {
    const auto snapshot = checked(model, "model").live->snapshot();
    require(data, Code::kInvalidArgument, "data is NULL");
    require(merged == 0 || merged == 1, Code::kInvalidArgument, "merged is ", merged,
            ", allowed is 0 (the base) or 1 (with adapters)");
    const Weights& weights = merged ? snapshot->weights : snapshot->base->weights();
    const auto found = weights.find(text(name, "name"));
    require(found != weights.end(), Code::kNotFound, "the model has no tensor ", in_quotes(name));
    const at::Tensor values = found->second.to(at::kCPU, at::kFloat).contiguous();
    require(count == static_cast<size_t>(values.numel()), Code::kInvalidArgument, "count is ",
            count, ", the tensor ", in_quotes(name), " has ", values.numel(), " elements");
    std::memcpy(data, values.data_ptr<float>(), count * sizeof(float));
  });
}

lethe_status lethe_model_export_merged(const lethe_model* model, const char* path,
                                       const lethe_export_options* options) {
  return guard([&] {
    const auto snapshot = checked(model, "model").live->snapshot();
    const std::string file = text(path, "path");
    const lethe_export_options chosen = read_export_options(options);
    const bool half = chosen.dtype == LETHE_F16;
    auto naming = static_cast<Naming>(chosen.naming);
    if (naming == Naming::kOriginal) naming = snapshot->base->origin().naming;
    const ThreadBudget budget(0);
    Weights weights;
    for (const auto& [name, tensor] :
         snapshot->base->model().rename_to(naming, snapshot->weights)) {
      at::Tensor values = tensor.to(at::kCPU);
      if (half) {
        values = values.to(at::kHalf);
        require(values.isfinite().all().item<bool>(), Code::kInvalidArgument, "the tensor \"", name,
                "\" has values beyond float16; export it as float32");
      }
      weights[name] = values.contiguous();
    }
    write_safetensors(file, weights, {{"format", "pt"}});
  });
}

lethe_status lethe_model_seal(lethe_model* model) {
  return guard([&] {
    const ThreadBudget budget(0);
    checked(model, "model").live->seal();
  });
}

lethe_status lethe_model_merge(const lethe_model* model, lethe_model** out_model) {
  return guard([&] {
    clear_required(out_model, "out_model");
    const lethe_model& source = checked(model, "model");
    const ThreadBudget budget(0);
    auto base = merged_base(*source.live->snapshot());
    *out_model = make_model_handle(std::make_shared<LiveModel>(std::move(base)), source.log);
  });
}
