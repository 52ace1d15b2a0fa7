#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "commands.h"
#include "terminal.h"

namespace cli {
namespace {

/// The model as it is to be looked at: with the adapters of --state, when that is given.
struct Loaded {
  Runtime runtime = make_runtime();
  Model model;
  Engine engine;
  Dataset images;

  explicit Loaded(const Options& o) {
    model = make_model(o, runtime.get());
    if (!o.state.empty()) engine = make_engine(o, model.get(), /*paused=*/true);
    images = make_images(o, runtime.get());
  }
};

Json evaluate(const Loaded& loaded, const Options& o, bool base) {
  lethe_evaluate_options options;
  check(lethe_evaluate_options_init(&options, sizeof options));
  options.threads = o.threads;
  options.base = base;
  Report report;
  check(lethe_model_evaluate(loaded.model.get(), loaded.images.get(), &options, out(report)));
  Buffer json;
  check(lethe_report_json(report.get(), out(json)));
  return json_of(json).at("metrics");
}

int run_evaluate(const Options& o) {
  const Loaded loaded(o);
  const bool adapted = lethe_model_adapter_count(loaded.model.get()) > 0;
  const Json now = evaluate(loaded, o, false);
  const Json before = adapted ? evaluate(loaded, o, true) : Json();
  if (o.json) {
    std::printf("%s\n", Json{{"metrics", now}, {"base", before}}.dump(2).c_str());
    return kDone;
  }
  std::vector<std::vector<std::string>> rows = {{"", "accuracy"}};
  if (adapted) rows[0] = {"", "base", "now"};
  const auto add = [&](const std::string& label, const std::string& name) {
    if (!now.contains(name)) return;
    if (adapted) {
      rows.push_back({label, percent(before.value(name, Json())), percent(now.at(name))});
    } else {
      rows.push_back({label, percent(now.at(name))});
    }
  };
  std::vector<int64_t> classes;
  const std::string prefix = "acc_class.";
  for (const auto& metric : now.items()) {
    if (metric.key().rfind(prefix, 0) == 0) {
      classes.push_back(std::stoll(metric.key().substr(prefix.size())));
    }
  }
  std::sort(classes.begin(), classes.end());
  for (const int64_t c : classes) add("class " + std::to_string(c), prefix + std::to_string(c));
  add("all", "acc");
  add("forgotten last (Acc_f)", "acc_f");
  add("retained (Acc_r)", "acc_r");
  add("forgotten before (Acc_o)", "acc_o");
  print_table(rows);
  return kDone;
}

struct Predict {
  int top = 3;
  int64_t limit = 0;
};

int run_predict(const Options& o, const Predict& asked) {
  const Loaded loaded(o);
  Buffer logits;
  check(
      lethe_model_predict_dataset(loaded.model.get(), loaded.images.get(), o.threads, out(logits)));
  const int64_t samples = lethe_dataset_size(loaded.images.get());
  const auto* scores = static_cast<const float*>(lethe_buffer_data(logits.get()));
  const auto classes =
      static_cast<int64_t>(lethe_buffer_size(logits.get()) / sizeof(float)) / samples;
  const int64_t shown_samples = asked.limit > 0 ? std::min(asked.limit, samples) : samples;
  const auto top = static_cast<size_t>(std::clamp<int64_t>(asked.top, 1, classes));

  Json list = Json::array();
  std::vector<std::vector<std::string>> rows = {{"image", "label", "predicted"}};
  for (int64_t i = 0; i < shown_samples; ++i, scores += classes) {
    std::vector<int64_t> order(static_cast<size_t>(classes));
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + static_cast<int64_t>(top), order.end(),
                      [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
    const double most = scores[order[0]];
    double sum = 0;
    for (int64_t c = 0; c < classes; ++c) sum += std::exp(scores[c] - most);
    int64_t label = 0;
    check(lethe_dataset_sample(loaded.images.get(), i, nullptr, &label));
    Json best = Json::array();
    std::string cell;
    for (size_t k = 0; k < top; ++k) {
      const double probability = 100 * std::exp(scores[order[k]] - most) / sum;
      best.push_back({{"class", order[k]}, {"percent", probability}});
      cell += (k ? ",  " : "") + std::to_string(order[k]) + " (" + percent(probability) + ")";
    }
    list.push_back({{"image", i}, {"label", label}, {"predicted", best}});
    rows.push_back({std::to_string(i), std::to_string(label), cell});
  }
  if (o.json) {
    std::printf("%s\n", list.dump(2).c_str());
  } else {
    print_table(rows);
  }
  return kDone;
}

}  // namespace

void add_evaluate(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand("evaluate", "Accuracy by class, before and after forgetting");
  command->footer(
      "Example:\n"
      "  lethe evaluate --spec vit.json --weights vit.safetensors --adapter request-1.lethe \\\n"
      "                 --images test");
  command->callback([&] { action = [&options] { return run_evaluate(options); }; });
}

void add_predict(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand("predict", "The likeliest classes of each image");
  command->footer(
      "Example:\n"
      "  lethe predict --spec vit.json --weights vit.safetensors --images test --top 3");
  const auto asked = std::make_shared<Predict>();
  command->add_option("--top", asked->top, "How many classes to name")->check(CLI::PositiveNumber);
  command->add_option("--limit", asked->limit, "Only the first so many images");
  command->callback([&options, &action, asked] {
    action = [&options, asked] { return run_predict(options, *asked); };
  });
}

}  // namespace cli
