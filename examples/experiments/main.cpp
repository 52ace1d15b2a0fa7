// Runs experiments of the paper's kind from a protocol: see README.md.
#include <CLI/CLI.hpp>
#include <iostream>

#include "experiment.h"
#include "follow.h"
#include "machine.h"
#include "render.h"
#include "results.h"

namespace {

using experiments::fs::path;

/// As `lethe`'s exit codes; 3: a task failed or was rejected, or two results differ.
enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kRefused = 3, kInterrupted = 4, kBusy = 5 };

struct Arguments {
  path protocol, out, data, render;
  std::vector<path> compared;
  std::string device = "cpu", commit;
  std::vector<std::string> only;
  int threads = -1;
  bool quiet = false;
};

std::string command_line(int count, char** arguments) {
  std::string line;
  for (int i = 0; i < count; ++i) line += (i == 0 ? "" : " ") + std::string(arguments[i]);
  return line;
}

/// A folder of results, or the file itself.
experiments::Json results_in(const path& given) {
  return experiments::read_json(experiments::fs::is_directory(given) ? given / "results.json"
                                                                     : given);
}

int run(const Arguments& asked, const std::string& command) {
  experiments::Experiment experiment;
  experiment.protocol = experiments::read_protocol(asked.protocol);
  if (!asked.data.empty()) experiment.protocol.data.root = asked.data;
  for (const std::string& id : asked.only) {
    const auto& rows = experiment.protocol.rows;
    if (std::none_of(rows.begin(), rows.end(), [&](const auto& row) { return row.id == id; })) {
      throw cli::Failure(LETHE_E_NOT_FOUND, "--only: the protocol has no row \"" + id + "\"");
    }
  }
  experiment.options.out = asked.out;
  experiment.options.device = asked.device;
  experiment.options.threads = asked.threads >= 0 ? asked.threads : experiment.protocol.threads;
  experiment.options.quiet = asked.quiet;
  experiment.command = command;
  experiment.commit = asked.commit.empty() ? experiments::git_commit() : asked.commit;
  experiment.only = asked.only;
  const experiments::Interrupts interrupts;
  try {
    const bool succeeded = experiments::run_experiment(experiment);
    if (!asked.quiet) std::printf("%s\n", (asked.out / "results.html").c_str());
    return succeeded ? kDone : kRefused;
  } catch (const experiments::Interrupted&) {
    std::fprintf(stderr, "Stopped; what has run is kept. Go on with:  %s\n", command.c_str());
    return kInterrupted;
  }
}

int compare(const std::vector<path>& compared) {
  const std::string difference =
      experiments::first_difference(results_in(compared.at(0)), results_in(compared.at(1)));
  if (difference.empty()) {
    std::printf("equal but for the runs' times and machines\n");
    return kDone;
  }
  std::printf("they differ at %s\n", difference.c_str());
  return kRefused;
}

int act(const Arguments& asked, const std::string& command) {
  if (!asked.compared.empty()) return compare(asked.compared);
  if (!asked.render.empty()) {
    experiments::write_results(results_in(asked.render), asked.render);
    return kDone;
  }
  if (asked.protocol.empty() || asked.out.empty()) {
    std::fprintf(stderr, "lethe-experiments: name a protocol and --out; see --help\n");
    return kUsage;
  }
  return run(asked, command);
}

}  // namespace

int main(int count, char** arguments) {
  CLI::App app(
      "Runs an experiment: each method of a protocol forgets the same classes of the same "
      "pre-trained\nmodel, task after task, and is measured on the whole test split.",
      "lethe-experiments");
  Arguments asked;
  app.set_version_flag("--version", std::string("lethe-experiments ") + lethe_version_string());
  app.add_option("protocol", asked.protocol, "What to run; README.md lists its keys")
      ->type_name("PROTOCOL.json");
  app.add_option("--out", asked.out,
                 "Folder for results.json, .csv, .md and .html and the journals; the same command "
                 "again goes on where the last one ended")
      ->type_name("DIR");
  app.add_option("--data", asked.data, "Folder of the images, instead of the protocol's root")
      ->type_name("DIR");
  app.add_option("--only", asked.only, "Run this row only (its id); may be repeated")
      ->type_name("ROW")
      ->delimiter(',');
  app.add_option("--threads", asked.threads, "Compute threads; 0: all processors")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--device", asked.device, "cpu, cuda or cuda:N");
  app.add_option("--commit", asked.commit,
                 "Commit of the sources, for the record; without it, what git says of the present "
                 "folder");
  app.add_option("--render", asked.render, "Write the tables and pages of a results.json anew")
      ->type_name("DIR");
  app.add_option("--check", asked.compared, "Compare two results.json but for times and machines")
      ->type_name("A B")
      ->expected(2);
  app.add_flag("--quiet", asked.quiet, "No progress, no figures while it runs");
  app.footer(
      "Exit codes: 0 done; 1 failed; 2 wrong usage; 3 a task failed or was rejected, or --check "
      "found a\ndifference; 4 interrupted; 5 another process has the folder.\n"
      "Example:\n"
      "  lethe-experiments examples/experiments/smoke.json --out out/smoke");
  try {
    app.parse(count, arguments);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kDone : kUsage;
  }
  try {
    return act(asked, command_line(count, arguments));
  } catch (const cli::Failure& failure) {
    std::fprintf(stderr, "lethe-experiments: %s (%s)\n", failure.what(),
                 lethe_status_name(failure.status));
    return failure.status == LETHE_E_BUSY ? kBusy : kFailed;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lethe-experiments: %s (INTERNAL)\n", error.what());
    return kFailed;
  }
}
