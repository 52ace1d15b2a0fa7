// The commands: each declares its options and what runs when it is chosen.
#pragma once

#include <functional>

#include "options.h"

namespace cli {

/// Exit codes, as `lethe --help` lists them.
enum Exit { kDone = 0, kFailed = 1, kUsage = 2, kRefused = 3, kInterrupted = 4, kBusy = 5 };

/// Runs a chosen command; gives the exit code.
using Action = std::function<int()>;

void add_forget(CLI::App& app, const Options& options, Action& action);
void add_pretrain(CLI::App& app, const Options& options, Action& action);
void add_evaluate(CLI::App& app, const Options& options, Action& action);
void add_predict(CLI::App& app, const Options& options, Action& action);
void add_queue(CLI::App& app, const Options& options, Action& action);
void add_adapter(CLI::App& app, const Options& options, Action& action);
void add_receipt(CLI::App& app, const Options& options, Action& action);

/// Follows an engine until it is idle, with a progress line. Ctrl-C once: an engine on a folder is
/// closed with its tasks kept, another one cancels them.
int follow(const Options& options, lethe_engine* engine);

/// What became of a job, as JSON: request_id, state, error, message, metrics.
Json outcome_of(const lethe_job* job);
/// The same for people, and the exit code that it means.
int tell_outcome(const Options& options, const Json& outcome);

}  // namespace cli
