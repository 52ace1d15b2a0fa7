// Section 8 of lethe.h: adapters and the stack of a model.
#include <cmath>

#include "adapters/peft.h"
#include "engine/import_adapter.h"
#include "guard.h"
#include "handles.h"
#include "options.h"
#include "storage/adapter_file.h"
#include "storage/file.h"
#include "structs.h"
#include "support/threads.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

namespace {

lethe_adapter* adapter_handle(std::shared_ptr<const Adapter> adapter) {
  return make_handle(&lethe_adapter::adapter, std::move(adapter));
}

Stack read_stack(const lethe_adapter* const* adapters, const double* scales, size_t count) {
  require(adapters || count == 0, Code::kInvalidArgument, "adapters is NULL");
  Stack stack;
  for (size_t i = 0; i < count; ++i) {
    const double scale = scales ? scales[i] : 1;
    require(std::isfinite(scale), Code::kInvalidArgument, "scales[", i, "] is ", scale,
            "; it must be finite");
    stack.push_back({checked(adapters[i], "an element of adapters").adapter, scale});
  }
  return stack;
}

bool allows_unverified(int32_t flags) {
  require((flags & ~LETHE_ALLOW_UNVERIFIED) == 0, Code::kUnsupported, "flags is ", flags,
          ", known is LETHE_ALLOW_UNVERIFIED (1)");
  return (flags & LETHE_ALLOW_UNVERIFIED) != 0;
}

}  // namespace

int32_t lethe_model_adapter_count(const lethe_model* model) {
  return query(0, [&] {
    return usable(model) ? static_cast<int32_t>(model->live->snapshot()->stack.size()) : 0;
  });
}

lethe_status lethe_model_adapter_at(const lethe_model* model, int32_t index,
                                    lethe_adapter** out_adapter) {
  return guard([&] {
    clear_required(out_adapter, "out_adapter");
    const auto snapshot = checked(model, "model").live->snapshot();
    require(index >= 0 && index < static_cast<int64_t>(snapshot->stack.size()), Code::kNotFound,
            "there is no adapter ", index, "; the stack has ", snapshot->stack.size());
    *out_adapter = adapter_handle(snapshot->stack[index].adapter);
  });
}

lethe_status lethe_model_adapter_find(const lethe_model* model, const char* request_id,
                                      lethe_adapter** out_adapter) {
  return guard([&] {
    clear_required(out_adapter, "out_adapter");
    const auto snapshot = checked(model, "model").live->snapshot();
    const std::string id = text(request_id, "request_id");
    for (const StackEntry& entry : snapshot->stack) {
      if (entry.adapter->request_id() != id) continue;
      *out_adapter = adapter_handle(entry.adapter);
      return;
    }
    fail(Code::kNotFound, "the stack has no adapter of the request ", in_quotes(id));
  });
}

lethe_status lethe_adapter_info_json(const lethe_adapter* adapter, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(checked(adapter, "adapter").adapter->manifest());
  });
}

lethe_status lethe_adapter_export(const lethe_adapter* adapter, const char* path,
                                  const lethe_export_options* options) {
  return guard([&] {
    const Adapter& source = *checked(adapter, "adapter").adapter;
    const std::string file = text(path, "path");
    write_adapter_file(file, source.to_file(), read_export_options(options).level);
  });
}

lethe_status lethe_adapter_export_memory(const lethe_adapter* adapter,
                                         const lethe_export_options* options,
                                         lethe_buffer** out_bytes) {
  return guard([&] {
    clear_required(out_bytes, "out_bytes");
    const Adapter& source = *checked(adapter, "adapter").adapter;
    *out_bytes =
        make_buffer(serialize_adapter_file(source.to_file(), read_export_options(options).level));
  });
}

lethe_status lethe_adapter_load(lethe_runtime* runtime, const char* path,
                                const lethe_limits* limits, lethe_adapter** out_adapter) {
  return guard([&] {
    clear_required(out_adapter, "out_adapter");
    checked(runtime, "runtime");
    *out_adapter = adapter_handle(
        Adapter::from_file(read_adapter_file(text(path, "path"), read_limits(limits))));
  });
}

lethe_status lethe_adapter_load_memory(lethe_runtime* runtime, const uint8_t* data, size_t size,
                                       const lethe_limits* limits, lethe_adapter** out_adapter) {
  return guard([&] {
    clear_required(out_adapter, "out_adapter");
    checked(runtime, "runtime");
    const Limits bounds = read_limits(limits);
    *out_adapter = adapter_handle(Adapter::from_file(
        parse_adapter_file(bytes_in_memory(data, size, bounds), "the adapter", bounds)));
  });
}

lethe_status lethe_adapter_verify(const char* path, const lethe_limits* limits,
                                  lethe_buffer** out_findings) {
  return guard([&] {
    clear(out_findings);
    const std::string file = text(path, "path");
    const Limits bounds = read_limits(limits);
    Json findings = {{"ok", false},
                     {"bytes", nullptr},
                     {"adapter_id", nullptr},
                     {"request_id", nullptr},
                     {"error", nullptr}};
    const auto hand_over = [&] {
      if (out_findings) *out_findings = json_buffer(findings);
    };
    try {
      const std::string bytes = read_file(file, bounds.file_bytes);
      findings["bytes"] = bytes.size();
      const auto adapter = Adapter::from_file(parse_adapter_file(bytes, base_name(file), bounds));
      findings["adapter_id"] = adapter->id();
      findings["request_id"] = adapter->request_id();
      findings["ok"] = true;
    } catch (const Error& error) {
      const auto code = static_cast<lethe_status>(error.code());
      findings["error"] = {{"code", lethe_status_name(code)}, {"message", error.what()}};
      hand_over();
      throw;
    }
    hand_over();
  });
}

lethe_status lethe_adapter_export_peft(const lethe_adapter* adapter, const char* folder,
                                       const lethe_export_options* options) {
  return guard([&] {
    const Adapter& source = *checked(adapter, "adapter").adapter;
    const std::string place = text(folder, "folder");
    write_peft(place, source, static_cast<Naming>(read_export_options(options).naming));
  });
}

lethe_status lethe_adapter_import_peft(const lethe_model* model, const char* folder,
                                       const char* request_id, const int64_t* classes,
                                       size_t class_count, const lethe_limits* limits,
                                       lethe_adapter** out_adapter) {
  return guard([&] {
    clear_required(out_adapter, "out_adapter");
    const auto snapshot = checked(model, "model").live->snapshot();
    const std::string place = text(folder, "folder"), id = text(request_id, "request_id");
    require(classes || class_count == 0, Code::kInvalidArgument, "classes is NULL");
    const std::vector<int64_t> forgotten(classes, classes + class_count);
    const ThreadBudget budget(0);
    *out_adapter =
        adapter_handle(import_peft(*snapshot, place, id, forgotten, read_limits(limits)));
  });
}

void lethe_adapter_free(lethe_adapter* adapter) {
  query(0, [&] {
    destroy(adapter);
    return 0;
  });
}

lethe_status lethe_model_attach(lethe_model* model, const lethe_adapter* adapter) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const ThreadBudget budget(0);
    target.live->attach(checked(adapter, "adapter").adapter);
  });
}

lethe_status lethe_model_set_adapters(lethe_model* model, const lethe_adapter* const* adapters,
                                      const double* scales, size_t count, int32_t flags) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const bool allow = allows_unverified(flags);
    Stack stack = read_stack(adapters, scales, count);
    const ThreadBudget budget(0);
    target.live->set_stack(std::move(stack), allow);
  });
}

lethe_status lethe_model_rollback_to(lethe_model* model, const char* request_id) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const auto id = optional_text(request_id, "request_id");
    const ThreadBudget budget(0);
    target.live->rollback_to(id ? &*id : nullptr);
  });
}

lethe_status lethe_model_enable(lethe_model* model, const char* request_id, int32_t enabled,
                                int32_t flags) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const std::string id = text(request_id, "request_id");
    require(enabled == 0 || enabled == 1, Code::kInvalidArgument, "enabled is ", enabled,
            ", allowed is 0 or 1");
    const bool allow = allows_unverified(flags);
    const ThreadBudget budget(0);
    target.live->enable(id, enabled == 1, allow);
  });
}

lethe_status lethe_model_detach(lethe_model* model, const char* request_id, int32_t flags) {
  return guard([&] {
    lethe_model& target = checked(model, "model");
    const std::string id = text(request_id, "request_id");
    const bool allow = allows_unverified(flags);
    const ThreadBudget budget(0);
    target.live->detach(id, allow);
  });
}
