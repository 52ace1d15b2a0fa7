#include <algorithm>
#include <ctime>
#include <memory>

#include "commands.h"
#include "figures.h"
#include "terminal.h"

namespace cli {
namespace {

struct Forget {
  std::vector<int64_t> classes;
  std::string request_id, method = "gs-lora++", deadline, out;
  std::vector<std::string> settings;
  int priority = 0;
  double max_seconds = 0;
  int64_t max_steps = 0;
  bool enqueue_only = false;
};

/// Every method: name, number, meaning.
Json methods() {
  Buffer json;
  check(lethe_method_info_json(out(json)));
  return json_of(json).at("methods");
}

/// The number of a method, 0 when no method has that name.
lethe_method method_of(const std::string& name) {
  for (const Json& method : methods()) {
    if (method.at("name") == name) return method.at("number");
  }
  return 0;
}

/// Two columns, as the rest of the help has them.
std::string method_help() {
  std::string text = "Methods, each with its own defaults; *: of detectors, too:\n";
  for (const Json& method : methods()) {
    std::string name = method.at("name");
    name += method.value("detectors", false) ? " *" : "";
    name.resize(std::max<size_t>(name.size() + 1, 17), ' ');
    text += "  " + name + method.at("meaning").get<std::string>() + "\n";
  }
  return text;
}

lethe_forget_config make_config(const Forget& asked, lethe_model* model) {
  lethe_forget_config config;
  check(lethe_forget_config_init(&config, sizeof config, method_of(asked.method), head_of(model)));
  check(lethe_forget_config_from_json(settings_from(asked.settings).dump().c_str(), &config));
  return config;
}

/// Milliseconds since 1970 of "2026-12-01T00:00:00Z".
int64_t parse_time(const std::string& text) {
  std::tm parts{};
  const char* end = strptime(text.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  if (!end || *end) {
    throw Failure(LETHE_E_INVALID_ARGUMENT,
                  "the time \"" + text + "\" is not of the form 2026-12-01T00:00:00Z");
  }
  return static_cast<int64_t>(timegm(&parts)) * 1000;
}

lethe_task_options make_options(const Forget& asked) {
  lethe_task_options options;
  check(lethe_task_options_init(&options, sizeof options));
  options.priority = asked.priority;
  options.max_seconds = asked.max_seconds;
  options.max_steps = asked.max_steps;
  if (!asked.deadline.empty()) options.deadline_ms = parse_time(asked.deadline);
  return options;
}

int run_forget(const Options& o, const Forget& asked) {
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  const Dataset images = make_images(o, runtime.get());
  const Dataset validation = make_validation(o, images, runtime.get());
  const lethe_forget_config config = make_config(asked, model.get());
  const lethe_task_options options = make_options(asked);
  if (asked.enqueue_only) require_state(o);
  const Engine engine = make_engine(o, model.get(), asked.enqueue_only);
  Job job;
  check(lethe_engine_enqueue_with(engine.get(),
                                  asked.request_id.empty() ? nullptr : asked.request_id.c_str(),
                                  asked.classes.data(), asked.classes.size(), &config, images.get(),
                                  nullptr, validation.get(), &options, out(job)));
  if (asked.enqueue_only) {
    const Json outcome = outcome_of(job.get());
    tell_outcome(o, outcome);
    return kDone;
  }
  const int followed = follow(o, engine.get());
  if (followed != kDone && !o.state.empty()) return followed;
  Json outcome = outcome_of(job.get());
  Adapter adapter;
  lethe_job_result(job.get(), out(adapter), nullptr);  // of a job that left none: null
  if (adapter && !asked.out.empty()) {
    check(lethe_adapter_export(adapter.get(), asked.out.c_str(), nullptr));
    outcome["adapter"] = asked.out;
  }
  return tell_outcome(o, outcome);
}

struct Pretrain {
  std::vector<std::string> settings;
  std::string out;
  bool half = false;
};

/// The settings of pre-training by name: lethe.h has no JSON form of them.
lethe_pretrain_config make_pretrain_config(const Pretrain& asked) {
  lethe_pretrain_config config;
  check(lethe_pretrain_config_init(&config, sizeof config));
  const Json settings = settings_from(asked.settings);
  for (const auto& [name, value] : settings.items()) {
    const auto set = [&, key = name, given = value](const char* field, auto& target) {
      if (key != field) return false;
      if (!given.is_number()) {
        throw Failure(LETHE_E_INVALID_ARGUMENT, "the setting " + key + " must be a number");
      }
      given.get_to(target);
      return true;
    };
    const bool known = set("epochs", config.epochs) || set("warmup_epochs", config.warmup_epochs) ||
                       set("batch", config.batch) || set("learning_rate", config.learning_rate) ||
                       set("min_learning_rate", config.min_learning_rate) ||
                       set("weight_decay", config.weight_decay) ||
                       set("label_smoothing", config.label_smoothing) ||
                       set("dropout", config.dropout) || set("flip", config.flip) ||
                       set("shift", config.shift) || set("erase", config.erase) ||
                       set("average_decay", config.average_decay) ||
                       set("max_steps", config.max_steps) || set("seed", config.seed);
    if (!known) {
      throw Failure(LETHE_E_INVALID_ARGUMENT, "there is no setting \"" + name +
                                                  "\" of pre-training; see lethe_pretrain_config");
    }
  }
  return config;
}

int run_pretrain(const Options& o, const Pretrain& asked) {
  const Runtime runtime = make_runtime();
  const Model model = make_model(o, runtime.get());
  const Dataset images = make_images(o, runtime.get());
  const Dataset validation = make_validation(o, images, runtime.get());
  const lethe_pretrain_config config = make_pretrain_config(asked);
  const Engine engine = make_engine(o, model.get(), false);
  Job job;
  check(lethe_engine_enqueue_pretraining(engine.get(), nullptr, &config, images.get(),
                                         validation.get(), out(job)));
  const int followed = follow(o, engine.get());
  if (followed != kDone && !o.state.empty()) return followed;
  Json outcome = outcome_of(job.get());
  if (outcome.at("state") == "succeeded" && !asked.out.empty()) {
    lethe_export_options options;
    check(lethe_export_options_init(&options, sizeof options));
    options.dtype = asked.half ? LETHE_F16 : LETHE_F32;
    check(lethe_model_export_merged(model.get(), asked.out.c_str(), &options));
    outcome["weights"] = asked.out;
  }
  return tell_outcome(o, outcome);
}

}  // namespace

void add_forget(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand("forget", "Make the model forget classes");
  command->footer([] {
    return "The images hold the classes to forget and those to keep. Examples:\n"
           "  lethe forget --spec vit.json --weights vit.safetensors --images photos \\\n"
           "               --forget 3,7 --out request-1.lethe\n"
           "  lethe forget ... --forget 3,7 --request-id customer-81 --state /var/lib/lethe\n"
           "  lethe forget --spec detr.json --weights detr.pth --coco-ids train.json train2017 \\\n"
           "               --validation-coco-ids val.json val2017 --forget 3,7\n" +
           method_help() +
           "Model and image options: lethe --help. Settings: names of lethe_forget_config.";
  });
  const auto asked = std::make_shared<Forget>();
  command->add_option("--forget", asked->classes, "Classes to forget, separated by commas")
      ->delimiter(',')
      ->required();
  command->add_option("--request-id", asked->request_id,
                      "Your name of the request; the same one again is the same request");
  command->add_option("--method", asked->method, "How; the methods are listed below")
      ->capture_default_str()
      ->check([](const std::string& name) {
        return method_of(name) ? "" : "no method is called " + name + "; see lethe forget --help";
      });
  command->add_option("--set", asked->settings, "A setting, such as rank=4; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--priority", asked->priority, "Higher ones run first");
  command->add_option("--deadline", asked->deadline, "UTC, such as 2026-12-01T00:00:00Z");
  command->add_option("--max-seconds", asked->max_seconds, "The task fails when it runs longer");
  command->add_option("--max-steps", asked->max_steps, "The task fails when it needs more");
  command->add_option("--out", asked->out, "Where to write the adapter")->type_name("FILE.lethe");
  command->add_flag("--enqueue-only", asked->enqueue_only,
                    "Only queue it in --state; lethe queue run works it off");
  command->callback([&options, &action, asked] {
    action = [&options, asked] { return run_forget(options, *asked); };
  });
}

void add_pretrain(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand("pretrain", "Train the model's own weights");
  command->footer(
      "Example:\n"
      "  lethe pretrain --spec vit.json --images photos --set epochs=20 --out vit.safetensors");
  const auto asked = std::make_shared<Pretrain>();
  command->add_option("--set", asked->settings, "A setting of lethe_pretrain_config")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--out", asked->out, "Where to write the weights")
      ->type_name("FILE.safetensors");
  command->add_flag("--half", asked->half, "Write them as float16");
  command->callback([&options, &action, asked] {
    action = [&options, asked] { return run_pretrain(options, *asked); };
  });
}

}  // namespace cli
