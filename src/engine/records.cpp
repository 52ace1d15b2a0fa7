#include "engine/records.h"

#include "storage/limits.h"
#include "support/code_name.h"

namespace lethe {
namespace {

template <typename Data>
Json keep_optional(const std::optional<Data>& dataset, Archive& archive) {
  return dataset ? archive.keep(*dataset) : Json();
}

AnyDataset open(const Json& reference, const char* name, Archive& archive) {
  try {
    return archive.open(reference);
  } catch (const Error& error) {
    throw DataMissing(error.code(),
                      lethe::str("the ", name, " set cannot be read again: ", error.what()));
  }
}

template <typename Data>
std::optional<Data> open_optional(const Json& request, const char* name, Archive& archive) {
  const Json reference = request.value(name, Json());
  if (reference.is_null()) return std::nullopt;
  AnyDataset dataset = open(reference, name, archive);
  auto* set = std::get_if<Data>(&dataset);
  require(set, Code::kCorrupt, "the journal names a ", name,
          " set of another kind than the others");
  return std::move(*set);
}

template <typename Data>
Request pretrain_request(const TaskRecord& task, const Json& json, Data train, Archive& archive) {
  PretrainConfig config;
  config.update_from_json(json.at("config"));
  return PretrainRequestOn<Data>{.request_id = task.request_id,
                                 .config = config,
                                 .train = std::move(train),
                                 .validation = open_optional<Data>(json, "validation", archive),
                                 .options = task.options};
}

template <typename Data>
Request forget_request(const TaskRecord& task, const Json& json, Data forget, Archive& archive) {
  ForgetConfig config;
  config.update_from_json(json.at("config"));
  return ForgetRequestOn<Data>{.request_id = task.request_id,
                               .classes = json.at("classes").get<std::vector<int64_t>>(),
                               .config = config,
                               .forget = std::move(forget),
                               .retain = open_optional<Data>(json, "retain", archive),
                               .validation = open_optional<Data>(json, "validation", archive),
                               .options = task.options};
}

Json digests_of(const Json& request) {
  Json digests = Json::object();
  for (const char* name : {"forget", "retain", "train", "validation"}) {
    if (request.contains(name) && request[name].is_object()) {
      digests[name] = request[name].value("digest", Json());
    }
  }
  return digests;
}

std::vector<std::string> adapter_ids(const Snapshot& snapshot) {
  std::vector<std::string> ids;
  for (const StackEntry& entry : snapshot.stack) ids.push_back(entry.adapter->id());
  return ids;
}

/// As write_request() wrote it.
Json request_of(const TaskRecord& task) {
  return parse_json(task.request, "the journal's request", own_limits().json);
}

/// A message may name a file in another encoding.
Json as_text(const std::string& message) {
  return Json::parse(Json(message).dump(-1, ' ', false, Json::error_handler_t::replace));
}

Json time_or_null(const std::optional<int64_t>& ms) { return ms ? Json(utc_text(*ms)) : Json(); }

}  // namespace

template <typename Data>
Json write_request(const ForgetRequestOn<Data>& request, Archive& archive) {
  return {{"classes", request.classes},
          {"config", request.config.identity()},
          {"forget", archive.keep(request.forget)},
          {"retain", keep_optional(request.retain, archive)},
          {"validation", keep_optional(request.validation, archive)}};
}

template <typename Data>
Json write_request(const PretrainRequestOn<Data>& request, Archive& archive) {
  return {{"config", request.config.identity()},
          {"train", archive.keep(request.train)},
          {"validation", keep_optional(request.validation, archive)}};
}

template Json write_request(const ForgetRequest&, Archive&);
template Json write_request(const DetectorForgetRequest&, Archive&);
template Json write_request(const PretrainRequest&, Archive&);
template Json write_request(const DetectorPretrainRequest&, Archive&);

Request read_request(const TaskRecord& task, Archive& archive) {
  const Json json = request_of(task);
  if (task.kind == "pretrain") {
    return std::visit(
        [&](auto train) { return pretrain_request(task, json, std::move(train), archive); },
        open(json.at("train"), "training", archive));
  }
  return std::visit(
      [&](auto forget) { return forget_request(task, json, std::move(forget), archive); },
      open(json.at("forget"), "forget", archive));
}

ModelRecord describe_model(const Snapshot& snapshot) {
  ModelRecord model{hex(snapshot.base->fingerprint()), {}, {}};
  for (const StackEntry& entry : snapshot.stack) {
    model.stack.emplace_back(entry.adapter->id(), entry.scale);
  }
  return model;
}

Json describe_end(const TaskRecord& task, const Journal::End& end, const Snapshot& snapshot,
                  const Json& report, int threads) {
  const Json request = request_of(task);
  return {{"format", 1},
          {"kind", task.kind},
          {"request_id", task.request_id},
          {"task_id", task.digest},
          {"classes", request.value("classes", Json::array())},
          {"settings", request.value("config", Json())},
          {"outcome", name_of(end.state)},
          {"code", end.error ? Json(code_name(*end.error)) : Json()},
          {"message", as_text(end.message)},
          {"mode", "reversible"},
          {"base", hex(snapshot.base->fingerprint())},
          {"parents", report.value("parents", Json::array())},
          {"adapter", end.adapter_id ? Json(*end.adapter_id) : Json()},
          {"state", hex(state_fingerprint(*snapshot.base, snapshot.stack))},
          {"data", digests_of(request)},
          {"measured_on", report.value("measured_on", Json())},
          {"figures", report.value("metrics", Json::object())},
          {"environment", describe_environment(threads)},
          {"created", utc_text(task.created_ms)},
          {"started", time_or_null(task.started_ms)},
          {"ended", utc_text(end.ended_ms)}};
}

Json describe_seal(const Snapshot& before, const Snapshot& after, int64_t now_ms) {
  return {{"format", 1},
          {"kind", "seal"},
          {"request_id", kSealId},
          {"outcome", "succeeded"},
          {"mode", "sealed"},
          {"classes", after.base->origin().forgotten},
          {"base_before", hex(before.base->fingerprint())},
          {"adapters", adapter_ids(before)},
          {"base", hex(after.base->fingerprint())},
          {"state", hex(state_fingerprint(*after.base, after.stack))},
          {"environment", describe_environment(0)},
          {"ended", utc_text(now_ms)}};
}

}  // namespace lethe
