#include "task.h"

#include "follow.h"
#include "machine.h"
#include "results.h"

namespace experiments {
namespace {

using cli::check;
using cli::out;

constexpr double kCheckpointSeconds = 15;

Json info_of(const cli::Model& model) {
  cli::Buffer json;
  check(lethe_model_info_json(model.get(), out(json)));
  return cli::json_of(json);
}

/// The library's defaults of a method by its name, then the settings.
lethe_forget_config make_config(const Protocol& protocol, const Row& row, size_t step, int64_t seed,
                                const std::string& head) {
  cli::Buffer json;
  check(lethe_method_info_json(out(json)));
  const Json defaults = cli::json_of(json).at("defaults");
  if (!defaults.contains(row.method)) {
    std::string known;
    for (const auto& [name, unused] : defaults.items()) known += (known.empty() ? "" : ", ") + name;
    throw Failure(LETHE_E_UNSUPPORTED,
                  "there is no method \"" + row.method + "\" in this library; it has " + known);
  }
  lethe_forget_config config;
  check(lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR));
  for (const Json& layer :
       {defaults.at(row.method).at(head), settings_of(protocol, row, step, seed)}) {
    check(lethe_forget_config_from_json(layer.dump().c_str(), &config));
  }
  check(lethe_forget_config_validate(&config, nullptr));
  return config;
}

std::string head_of(const cli::Model& model) { return info_of(model).at("spec").at("head"); }

bool has_ended(const lethe_job_status_info& info) {
  return info.state >= LETHE_JOB_SUCCEEDED && info.state <= LETHE_JOB_CANCELLED;
}

const char* end_of(lethe_job_state state) {
  switch (state) {
    case LETHE_JOB_SUCCEEDED:
      return "succeeded";
    case LETHE_JOB_REJECTED:
      return "rejected";
    case LETHE_JOB_CANCELLED:
      return "cancelled";
    default:
      return "failed";
  }
}

lethe_job_status_info status_of(const cli::Job& job) {
  lethe_job_status_info info{};
  info.struct_size = sizeof info;
  check(lethe_job_status(job.get(), &info));
  return info;
}

Json report_of(const cli::Job& job) {
  cli::Report report;
  lethe_job_result(job.get(), nullptr, out(report));  // of a job that left none: null
  if (!report) return {{"metrics", Json::object()}, {"groups", Json::array()}};
  cli::Buffer json;
  check(lethe_report_json(report.get(), out(json)));
  return cli::json_of(json);
}

Json short_groups(const Json& report) {
  Json groups = Json::array();
  for (const Json& group : report.value("groups", Json::array())) {
    groups.push_back({{"name", group.at("name")},
                      {"kept", group.at("kept")},
                      {"relative", group.at("relative")}});
  }
  return groups;
}

/// Parameters of LoRA at `rank` over those of the model, percent: what a method with groups trains.
double lora_ratio(const cli::Model& model, int64_t rank) {
  const Json info = info_of(model);
  double trained = 0;
  for (const Json& group : info.at("groups")) {
    for (const Json& layer : group.at("layers")) {
      const std::string name = layer.get<std::string>() + ".weight";
      for (int32_t i = 0; i < lethe_model_tensor_count(model.get()); ++i) {
        lethe_tensor_info tensor{};
        tensor.struct_size = sizeof tensor;
        check(lethe_model_tensor_info(model.get(), i, &tensor));
        if (name == tensor.name) {
          trained += static_cast<double>(rank * (tensor.shape[0] + tensor.shape[1]));
        }
      }
    }
  }
  return 100 * trained / info.at("parameters").get<double>();
}

double h_mean(double acc_r, double drop) {
  return drop <= 0 || acc_r <= 0 ? 0 : 2 * acc_r * drop / (acc_r + drop);
}

}  // namespace

void check_all_settings(const Protocol& protocol, const cli::Model& base) {
  const std::string head = head_of(base);
  for (const Row& row : protocol.rows) {
    for (size_t i = 0; i < protocol.steps.size(); ++i) {
      try {
        make_config(protocol, row, i, protocol.seeds.front(), head);
      } catch (const Failure& failure) {
        throw Failure(failure.status,
                      row.label + ", " + protocol.steps[i].name + ": " + failure.what());
      }
    }
  }
}

TaskRunner::TaskRunner(const Protocol& protocol, const Images& images, const cli::Model& base,
                       const RunOptions& options, const fs::path& folder)
    : protocol_(protocol), images_(images), options_(options), folder_(folder) {
  check(lethe_model_clone(base.get(), out(model_)));
  lethe_engine_options engine_options;
  check(lethe_engine_options_init(&engine_options, sizeof engine_options));
  engine_options.threads = options.threads;
  engine_options.checkpoint_seconds = kCheckpointSeconds;
  const std::string path = folder.string();
  engine_options.folder = path.c_str();
  check(lethe_engine_create(model_.get(), &engine_options, out(engine_)));
}

cli::Job TaskRunner::enqueue(const TaskRequest& request, const std::string& id) {
  const Step& step = protocol_.steps[request.step];
  const lethe_forget_config config =
      make_config(protocol_, request.row, request.step, request.seed, head_of(model_));
  const cli::Dataset forget = keep_classes(images_.train, step.forget);
  const cli::Dataset replay = keep_classes(images_.train, step.replay);
  cli::Job job;
  const lethe_status status =
      lethe_engine_enqueue(engine_.get(), id.c_str(), step.forget.data(), step.forget.size(),
                           &config, forget.get(), replay.get(), images_.test.get(), out(job));
  if (status == LETHE_E_EXISTS) {
    throw Failure(LETHE_E_STATE, folder_.string() + " has " + id +
                                     " with other settings, data or weights; remove that folder to "
                                     "run the row anew, or name another --out");
  }
  check(status);
  return job;
}

void TaskRunner::find_lost_data(const cli::Job& job) {
  if (status_of(job).state != LETHE_JOB_AWAITING_DATA) return;
  for (const cli::Dataset* set : {&images_.train, &images_.test}) {
    const lethe_status status = lethe_engine_bind_dataset(engine_.get(), set->get(), nullptr);
    if (status != LETHE_E_NOT_FOUND) check(status);
  }
}

Json TaskRunner::figures_with_margin(const TaskRequest& request, const std::string& id,
                                     Json metrics) const {
  const Step& step = protocol_.steps[request.step];
  cli::Model then;
  check(lethe_model_clone(model_.get(), out(then)));
  check(lethe_model_rollback_to(then.get(), id.c_str()));
  const Accuracies accuracies(evaluate(then.get(), images_, true, options_.threads),
                              images_.test_count);
  for (const char* name : {"h", "acc_f", "acc_r", "acc_o", "acc_m"}) {
    if (metrics.contains(name)) metrics["plain_" + std::string(name)] = metrics.at(name);
  }
  const auto put = [&](const char* name, const Classes& classes) {
    const Json percent = accuracies.percent(classes);
    if (!percent.is_null()) metrics[name] = percent;
  };
  put("acc_f", step.forget);
  put("acc_r", step.retained);
  put("acc_o", step.past);
  put("acc_m", step.missing);
  metrics["h"] = h_mean(metrics.at("acc_r"),
                        request.base.at("acc_f").get<double>() - metrics.at("acc_f").get<double>());
  return metrics;
}

TaskOutcome TaskRunner::run(const TaskRequest& request) {
  const std::string id = "task-" + std::to_string(request.number);
  reset_peak_memory();
  const cli::Job job = enqueue(request, id);
  find_lost_data(job);
  TaskOutcome outcome;
  outcome.ran_now = !has_ended(status_of(job));
  follow(engine_.get(), job.get(),
         request.row.label + " seed " + std::to_string(request.seed) + "  " +
             protocol_.steps[request.step].name,
         options_.quiet);

  const lethe_job_status_info info = status_of(job);
  const Json report = report_of(job);
  SplitMetrics metrics = split_metrics(report.at("metrics"));
  outcome.run = metrics.run;
  if (outcome.ran_now) {
    outcome.run["peak_memory_mib"] = static_cast<double>(peak_memory_bytes()) / (1 << 20);
  }
  const Json settings = report.value("method_config", Json());
  if (!outcome.ran_now && !request.known.is_null() && request.known.at("settings") == settings) {
    outcome.task = request.known;
    return outcome;
  }
  const bool has_groups = metrics.figures.value("groups_total", 0.0) > 0;
  if (has_groups && !metrics.figures.contains("tunable_ratio")) {
    metrics.figures["tunable_ratio"] = lora_ratio(model_, settings.at("rank"));
  }
  if (protocol_.margin && info.state == LETHE_JOB_SUCCEEDED) {
    metrics.figures = figures_with_margin(request, id, std::move(metrics.figures));
  }
  outcome.task = {{"state", end_of(info.state)},
                  {"message", lethe_job_error(job.get())},
                  {"settings", settings},
                  {"metrics", metrics.figures},
                  {"groups", short_groups(report)}};
  return outcome;
}

}  // namespace experiments
