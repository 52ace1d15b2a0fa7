#include "experiment.h"

#include <algorithm>

#include "../cli/figures.h"
#include "follow.h"
#include "machine.h"
#include "results.h"
#include "task.h"

namespace experiments {
namespace {

using cli::check;
using cli::out;

Json build_info() {
  cli::Buffer json;
  check(lethe_build_info_json(out(json)));
  return cli::json_of(json);
}

/// Whoever keeps results apart from a build can tell what made them.
Json describe_run(const Experiment& experiment) {
  return {{"command", experiment.command},
          {"commit", experiment.commit.empty() ? Json() : Json(experiment.commit)},
          {"device", experiment.options.device},
          {"threads", experiment.options.threads},
          {"machine", describe_machine()},
          {"environment", build_info()}};
}

std::string sentence_of(const Row& row, int64_t seed, const Step& step, const Json& task) {
  std::string text = row.label + ", seed " + std::to_string(seed) + ", " + step.name + ": ";
  if (task.at("state") != "succeeded") {
    return text + task.at("state").get<std::string>() + ": " +
           task.at("message").get<std::string>();
  }
  const Json& metrics = task.at("metrics");
  const cli::FigureNames names = cli::figures_in(metrics);
  text += "H " + cli::percent(metrics.value("h", Json()));
  for (const char* what : {"_r", "_f", "_o", "_m"}) {
    const auto found = metrics.find(names.key + what);
    if (found != metrics.end()) text += ", " + names.shown + what + " " + cli::percent(*found);
  }
  return text;
}

class Runner {
 public:
  explicit Runner(const Experiment& experiment)
      : experiment_(experiment), protocol_(experiment.protocol) {}

  bool run() {
    const RunOptions& options = experiment_.options;
    make_folder(options.out / "journal");
    results_ = load_results(protocol_, options.out);
    this_run_ = describe_run(experiment_);
    check(lethe_runtime_create(nullptr, out(runtime_)));
    images_ = read_images(protocol_, runtime_.get());
    base_ = make_base(protocol_, images_, options, runtime_.get());
    check_all_settings(protocol_, base_);
    if (results_.at("base").is_null()) {
      if (!options.quiet) std::fprintf(stderr, "measuring the pre-trained model\n");
      results_["base"] = describe_base(protocol_, base_, images_, options.threads);
      results_.at("run").update(this_run_);
      write_results(results_, options.out);
    }
    for (const int64_t seed : protocol_.seeds) {
      for (const Row& row : protocol_.rows) {
        if (is_wanted(row)) run_row(row, seed);
      }
    }
    write_results(results_, options.out);
    return succeeded_;
  }

 private:
  bool is_wanted(const Row& row) const {
    const auto& only = experiment_.only;
    return only.empty() || std::count(only.begin(), only.end(), row.id) > 0;
  }

  void run_row(const Row& row, int64_t seed) {
    const size_t count = protocol_.steps.size();
    if (!protocol_.independent) return run_steps(row, seed, 0, count, "");
    for (size_t i = 0; i < count; ++i) {
      run_steps(row, seed, i, i + 1, "-" + protocol_.steps[i].name);
    }
  }

  /// Steps that follow each other on one model.
  void run_steps(const Row& row, int64_t seed, size_t begin, size_t end, const std::string& mark) {
    const fs::path folder =
        experiment_.options.out / "journal" / (row.id + "-" + std::to_string(seed) + mark);
    TaskRunner tasks(protocol_, images_, base_, experiment_.options, folder);
    for (size_t i = begin; i < end; ++i) {
      if (Interrupts::came()) throw Interrupted();
      const Json known = task_of(results_, row, seed, i);
      const TaskOutcome outcome = tasks.run({row, seed, i, i - begin + 1, known});
      put_task(results_, protocol_, row, seed, i, outcome.task);
      put_run(task_key(row.id, seed, protocol_.steps[i].name), outcome);
      if (outcome.ran_now) {
        results_.at("run").update(this_run_);
        write_results(results_, experiment_.options.out);
        if (!experiment_.options.quiet) {
          std::printf("%s\n", sentence_of(row, seed, protocol_.steps[i], outcome.task).c_str());
          std::fflush(stdout);
        }
      }
      if (outcome.task.at("state") == "succeeded") continue;
      succeeded_ = false;
      return;
    }
  }

  /// Times, memory and origin of a task. What an earlier run wrote down stays; of a task that only
  /// the journal knows nobody can tell what made it.
  void put_run(const std::string& key, const TaskOutcome& outcome) {
    Json& runs = results_.at("run").at("tasks");
    if (!outcome.ran_now && runs.contains(key)) return;
    runs[key] = outcome.run;
    runs[key]["origin"] = outcome.ran_now ? origin_in(this_run_) : Json();
  }

  const Experiment& experiment_;
  const Protocol& protocol_;
  Json results_, this_run_;
  cli::Runtime runtime_;
  Images images_;
  cli::Model base_;
  bool succeeded_ = true;
};

}  // namespace

bool run_experiment(const Experiment& experiment) { return Runner(experiment).run(); }

}  // namespace experiments
