#include <chrono>
#include <memory>
#include <thread>

#include "commands.h"
#include "figures.h"
#include "terminal.h"

namespace cli {
namespace {

Json journal_of(const Options& o) {
  Buffer json;
  check(lethe_journal_info_json(require_state(o).c_str(), out(json)));
  return json_of(json);
}

bool has_ended(const Json& job) {
  const std::string state = job.at("state");
  return state == "succeeded" || state == "rejected" || state == "failed" || state == "cancelled";
}

std::string progress_of(const Json& job) {
  const int64_t total = job.at("total_steps");
  if (total == 0) return "-";
  return std::to_string(job.at("step").get<int64_t>()) + "/" + std::to_string(total);
}

void print_queue(const Json& journal) {
  FigureNames names;  // all jobs are of one model
  for (const Json& job : journal.at("jobs")) {
    if (!job.at("metrics").empty()) names = figures_in(job.at("metrics"));
  }
  std::vector<std::vector<std::string>> rows = {{"job", "request", "kind", "classes", "state",
                                                 "priority", "saved at", names.shown + "_f",
                                                 "queued (UTC)"}};
  for (const Json& job : journal.at("jobs")) {
    std::string classes;
    for (const Json& c : job.at("classes")) classes += (classes.empty() ? "" : ",") + c.dump();
    const Json metrics = job.at("metrics").is_null() ? Json::object() : job.at("metrics");
    rows.push_back({shown(job, "job_id"), shown(job, "request_id"), shown(job, "kind"),
                    classes.empty() ? "-" : classes, shown(job, "state"), shown(job, "priority"),
                    has_ended(job) ? "-" : progress_of(job),
                    percent(metrics.value(names.key + "_f", Json())), time_of(job.at("created"))});
  }
  print_table(rows);
  const Json& holder = journal.at("holder_pid");
  std::printf("%s on the model, %s; %s\n",
              counted(static_cast<int64_t>(journal.at("adapters").size()), "adapter").c_str(),
              counted(journal.at("receipts").get<int64_t>(), "receipt").c_str(),
              holder.is_null() ? "no process works on it"
                               : ("process " + holder.dump() + " works on it").c_str());
}

int run_list(const Options& o) {
  const Json journal = journal_of(o);
  if (o.json) {
    std::printf("%s\n", journal.dump(2).c_str());
  } else {
    print_queue(journal);
  }
  return kDone;
}

int run_show(const Options& o, const std::string& request_id) {
  const Json journal = journal_of(o);
  for (const Json& job : journal.at("jobs")) {
    if (job.at("request_id") != request_id) continue;
    if (o.json) {
      std::printf("%s\n", job.dump(2).c_str());
      return kDone;
    }
    std::vector<std::vector<std::string>> rows = {{"field", "value"}};
    for (const char* key : {"request_id", "job_id", "kind", "state", "classes", "priority"}) {
      rows.push_back({key, shown(job, key)});
    }
    for (const char* key : {"created", "started", "ended"}) {
      rows.push_back({key, time_of(job.at(key))});
    }
    rows.push_back({"saved at step", progress_of(job)});
    if (!job.at("message").get<std::string>().empty()) {
      rows.push_back({"message", shown(job, "message")});
    }
    if (job.at("metrics").is_object()) {
      for (const auto& [name, value] : job.at("metrics").items()) {
        rows.push_back({name, value.dump()});
      }
    }
    print_table(rows);
    return kDone;
  }
  throw Failure(LETHE_E_NOT_FOUND,
                "the folder has no request \"" + request_id + "\"; lethe queue list shows them");
}

/// An engine on the folder needs the model that the folder belongs to.
int run_cancel(const Options& o, const std::string& request_id) {
  require_state(o);
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  const Engine engine = make_engine(o, model.get(), /*paused=*/true);
  Job job;
  check(lethe_engine_job_find(engine.get(), request_id.c_str(), out(job)));
  check(lethe_job_cancel(job.get()));
  check(lethe_job_wait(job.get(), 30'000));
  const Json outcome = outcome_of(job.get());
  tell_outcome(o, outcome);
  return outcome.at("state") == "cancelled" ? kDone : kFailed;
}

int run_queue(const Options& o) {
  require_state(o);
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  const Engine engine = make_engine(o, model.get(), /*paused=*/false);
  const int followed = follow(o, engine.get());
  if (followed != kDone) return followed;
  check(lethe_engine_close(engine.get(), -1));
  return run_list(o);
}

int run_watch(const Options& o, double seconds) {
  for (;;) {
    const Json journal = journal_of(o);
    bool busy = false;
    for (const Json& job : journal.at("jobs")) {
      busy = busy || (!has_ended(job) && job.at("state") != "awaiting data");
    }
    if (o.json) {
      std::printf("%s\n", journal.dump().c_str());
    } else {
      if (is_terminal(stdout)) std::printf("\033[H\033[2J");
      print_queue(journal);
    }
    std::fflush(stdout);
    if (!busy) return kDone;
    if (journal.at("holder_pid").is_null()) {
      std::fprintf(stderr, "No process works on the queue; lethe queue run does.\n");
      return kFailed;
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  }
}

}  // namespace

void add_queue(CLI::App& app, const Options& options, Action& action) {
  auto* queue = app.add_subcommand("queue", "The tasks that a folder keeps");
  queue->require_subcommand(1);
  queue->footer(
      "list, show and watch look at a folder while a service works on it; cancel and run need it\n"
      "for themselves, and the model. Examples:\n"
      "  lethe queue list --state /var/lib/lethe\n"
      "  lethe queue run --state /var/lib/lethe --spec vit.json --weights vit.safetensors");
  const auto request = std::make_shared<std::string>();
  const auto seconds = std::make_shared<double>(1);

  queue->add_subcommand("list", "All tasks")->callback([&] {
    action = [&options] { return run_list(options); };
  });
  auto* show = queue->add_subcommand("show", "One task and its figures");
  show->add_option("request", *request, "Its request id")->required();
  show->callback([&options, &action, request] {
    action = [&options, request] { return run_show(options, *request); };
  });
  auto* cancel = queue->add_subcommand("cancel", "Cancel a task that waits");
  cancel->add_option("request", *request, "Its request id")->required();
  cancel->callback([&options, &action, request] {
    action = [&options, request] { return run_cancel(options, *request); };
  });
  auto* watch = queue->add_subcommand("watch", "Show the tasks again and again until all are done");
  watch->add_option("--every", *seconds, "Seconds between looks")->check(CLI::PositiveNumber);
  watch->callback([&options, &action, seconds] {
    action = [&options, seconds] { return run_watch(options, *seconds); };
  });
  queue->add_subcommand("run", "Work the tasks off")->callback([&] {
    action = [&options] { return run_queue(options); };
  });
}

}  // namespace cli
