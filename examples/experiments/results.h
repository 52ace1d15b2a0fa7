// results.json: what an experiment found. Everything but the member "run" (times, memory, and the
// machine, library, commit and command, of each task and of the last run) is the same whenever the
// same protocol runs on the same kind of machine.
#pragma once

#include <string>

#include "protocol.h"

namespace experiments {

/// The document before anything has run:
///   {"schema", "name", "title", "protocol", "order", "steps": [{"name", "forget", "missing",
///   ...}],
///    "base": null, "rows": [], "run": {"tasks": {}}}
Json new_results(const Protocol& protocol);

/// Splits a report's metrics: what depends on the clock or the machine (a name with "seconds" or
/// "memory" in it) goes to the second object.
struct SplitMetrics {
  Json figures, run;
};
SplitMetrics split_metrics(const Json& metrics);

/// Where an ended task of a row stands in "rows"; rows stay in the protocol's order, each with its
/// seeds in theirs. Replaces what was there.
///   {"id", "method", "label", "seed", "tasks": [{"state", "message", "settings", "metrics",
///   "groups"}]}
void put_task(Json& results, const Protocol& protocol, const Row& row, int64_t seed, size_t step,
              Json task);

/// What is known of it; null when it has not ended.
Json task_of(const Json& results, const Row& row, int64_t seed, size_t step);

/// "ewc-1337/80-20": the key of a task under "tasks" of "run".
std::string task_key(const std::string& row_id, int64_t seed, const std::string& step);

/// What makes a task: {"command", "commit", "device", "threads", "machine", "version",
/// "libtorch"}, of the member "run", which has the last two in its "environment". What is not there
/// is null.
Json origin_in(const Json& run);

/// The member "origin" of a task under "tasks" of "run": of the run that ended it. Null when nobody
/// knows. A document from before tasks had origins has that of its last run alone, so this is
/// returned, with "shared": true.
Json origin_of(const Json& run, const std::string& key);

/// What an earlier run left in `folder`, or new_results(). Throws STATE when it is of another
/// protocol: only rows and seeds may have been added. Tasks without an origin get what origin_of()
/// says, since the next run overwrites it.
Json load_results(const Protocol& protocol, const fs::path& folder);

/// Writes results.json, results.csv, results.md and results.html, each atomically. Throws IO.
void write_results(const Json& results, const fs::path& folder);

/// "" when the documents are equal but for "run", otherwise the first place where they are not:
/// "/rows/0/tasks/1/metrics/h: 71.2 and 71.3".
std::string first_difference(const Json& a, const Json& b);

/// Replaces a file; a crash leaves the old one or the new one. Throws IO.
void write_file(const fs::path& file, const std::string& content);
/// Makes a folder and its parents. Throws IO.
void make_folder(const fs::path& folder);

}  // namespace experiments
