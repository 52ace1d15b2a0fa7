#include <csignal>

#include "commands.h"
#include "figures.h"
#include "terminal.h"

namespace cli {
namespace {

volatile std::sig_atomic_t interrupted = 0;

extern "C" void on_interrupt(int) { interrupted = 1; }

/// Ctrl-C is noted once; a second one ends the program as usual.
class Interrupts {
 public:
  Interrupts() {
    struct sigaction action {};
    action.sa_handler = on_interrupt;
    action.sa_flags = SA_RESETHAND;
    sigaction(SIGINT, &action, &before_int_);
    sigaction(SIGTERM, &action, &before_term_);
  }
  ~Interrupts() {
    sigaction(SIGINT, &before_int_, nullptr);
    sigaction(SIGTERM, &before_term_, nullptr);
  }

 private:
  struct sigaction before_int_ {
  }, before_term_{};
};

std::string request_of(lethe_engine* engine, int64_t job_id) {
  Job job;
  if (lethe_engine_job_at(engine, static_cast<int32_t>(job_id) - 1, out(job)) < 0) return "";
  return lethe_job_request_id(job.get());
}

void cancel_all(lethe_engine* engine) {
  for (int32_t i = 0; i < lethe_engine_job_count(engine); ++i) {
    Job job;
    check(lethe_engine_job_at(engine, i, out(job)));
    check(lethe_job_cancel(job.get()));
  }
}

const char* state_name(lethe_job_state state) {
  switch (state) {
    case LETHE_JOB_QUEUED:
      return "queued";
    case LETHE_JOB_AWAITING_DATA:
      return "awaiting data";
    case LETHE_JOB_RUNNING:
      return "running";
    case LETHE_JOB_COMMITTING:
      return "committing";
    case LETHE_JOB_SUCCEEDED:
      return "succeeded";
    case LETHE_JOB_REJECTED:
      return "rejected";
    case LETHE_JOB_FAILED:
      return "failed";
    case LETHE_JOB_CANCELLED:
      return "cancelled";
    default:
      return "unknown";
  }
}

}  // namespace

int follow(const Options& options, lethe_engine* engine) {
  const Interrupts interrupts;
  ProgressLine line(options.quiet || options.json);
  lethe_event event{};
  event.struct_size = sizeof event;
  while (check(lethe_engine_wait_idle(engine, 0)) == LETHE_TIMEOUT) {
    if (interrupted) {
      line.clear();
      if (options.state.empty()) {
        cancel_all(engine);
        check(lethe_engine_wait_idle(engine, -1));
      } else {
        check(lethe_engine_close(engine, -1));
        std::fprintf(stderr,
                     "Stopped; the tasks are kept. Go on with:  lethe queue run --state %s\n",
                     options.state.c_str());
      }
      return kInterrupted;
    }
    if (check(lethe_engine_next_event(engine, 200, &event)) != LETHE_OK) continue;
    if (event.kind == LETHE_EVENT_PROGRESS) {
      line.show(request_of(engine, event.job_id), event.progress);
    }
  }
  return kDone;
}

Json outcome_of(const lethe_job* job) {
  lethe_job_status_info info{};
  info.struct_size = sizeof info;
  check(lethe_job_status(job, &info));
  Json outcome = {{"request_id", lethe_job_request_id(job)},
                  {"job_id", info.job_id},
                  {"state", state_name(info.state)},
                  {"error", info.error == LETHE_OK ? Json() : Json(lethe_status_name(info.error))},
                  {"message", lethe_job_error(job)},
                  {"metrics", Json()}};
  Report report;
  lethe_job_result(job, nullptr, out(report));  // of a job that left none: null
  if (report) {
    Buffer json;
    check(lethe_report_json(report.get(), out(json)));
    outcome["metrics"] = json_of(json).at("metrics");
  }
  return outcome;
}

int tell_outcome(const Options& options, const Json& outcome) {
  const std::string state = outcome.at("state");
  if (options.json) {
    std::printf("%s\n", outcome.dump(2).c_str());
  } else {
    const Json metrics = outcome.at("metrics").is_null() ? Json::object() : outcome.at("metrics");
    const FigureNames names = figures_in(metrics);
    const auto value = [&](const std::string& name) {
      return percent(metrics.value(name, Json()));
    };
    if (metrics.contains(names.key + "_f")) {
      print_table({{"", "before", "after"},
                   {names.shown + "_f", value(names.key + "_f_before"), value(names.key + "_f")},
                   {names.shown + "_r", value(names.key + "_r_before"), value(names.key + "_r")},
                   {names.shown + "_o", "-", value(names.key + "_o")},
                   {"H", "-", value("h")}});
      if (metrics.contains("groups_total")) {  // of methods with LoRA
        std::printf("groups kept %s of %s, ", shown(metrics, "groups_kept").c_str(),
                    shown(metrics, "groups_total").c_str());
      }
      std::printf("%s steps, %s\n", shown(metrics, "steps").c_str(),
                  duration(metrics.value("seconds", 0.0)).c_str());
    } else if (metrics.contains(names.key)) {
      std::printf("%s %s after %s steps, %s\n", names.whole.c_str(), value(names.key).c_str(),
                  shown(metrics, "steps").c_str(), duration(metrics.value("seconds", 0.0)).c_str());
    }
    std::printf("%s: %s%s%s\n", shown(outcome, "request_id").c_str(), state.c_str(),
                outcome.at("message").get<std::string>().empty() ? "" : ": ",
                outcome.at("message").get<std::string>().c_str());
  }
  if (state == "succeeded") return kDone;
  if (state == "rejected") return kRefused;
  if (state == "failed") return kFailed;
  return kInterrupted;
}

}  // namespace cli
