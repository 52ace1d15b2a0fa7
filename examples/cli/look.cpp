#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>

#include "commands.h"
#include "figures.h"
#include "terminal.h"

namespace cli {
namespace {

/// The model as it is to be looked at: with the adapters of --state, when that is given.
struct Loaded {
  Runtime runtime = make_runtime();
  Model model;
  Engine engine;
  Dataset images;

  /// `limit`: only the first so many images; 0: all.
  explicit Loaded(const Options& o, int64_t limit = 0) {
    model = make_model(o, runtime.get());
    if (!o.state.empty()) engine = make_engine(o, model.get(), /*paused=*/true);
    images = make_images(o, runtime.get());
    if (limit <= 0 || limit >= lethe_dataset_size(images.get())) return;
    const Dataset all = std::move(images);
    std::vector<int64_t> first(static_cast<size_t>(limit));
    std::iota(first.begin(), first.end(), 0);
    check(lethe_dataset_select(all.get(), LETHE_TAKE_INDICES, first.data(), first.size(), 0, 0,
                               out(images)));
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
  const FigureNames names = figures_in(now);
  std::vector<std::vector<std::string>> rows = {{"", names.whole}};
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
  const std::string prefix = names.key + "_class.";
  for (const auto& metric : now.items()) {
    if (metric.key().rfind(prefix, 0) == 0) {
      classes.push_back(std::stoll(metric.key().substr(prefix.size())));
    }
  }
  std::sort(classes.begin(), classes.end());
  for (const int64_t c : classes) add("class " + std::to_string(c), prefix + std::to_string(c));
  add("all", names.key);
  add("forgotten last (" + names.shown + "_f)", names.key + "_f");
  add("retained (" + names.shown + "_r)", names.key + "_r");
  add("forgotten before (" + names.shown + "_o)", names.key + "_o");
  add("all, at IoU 0.50 alone", "ap50");
  print_table(rows);
  return kDone;
}

struct Predict {
  int top = 3;
  int64_t limit = 0;
};

/// For machines and for people.
struct Answer {
  Json list = Json::array();
  std::vector<std::vector<std::string>> rows;
};

Answer predict_classes(const Loaded& loaded, const Options& o, int64_t most) {
  Buffer logits;
  check(
      lethe_model_predict_dataset(loaded.model.get(), loaded.images.get(), o.threads, out(logits)));
  const int64_t samples = lethe_dataset_size(loaded.images.get());
  const auto* scores = static_cast<const float*>(lethe_buffer_data(logits.get()));
  const auto classes =
      static_cast<int64_t>(lethe_buffer_size(logits.get()) / sizeof(float)) / samples;
  const auto top = static_cast<size_t>(std::min(most, classes));

  Answer answer;
  answer.rows = {{"image", "label", "predicted"}};
  for (int64_t i = 0; i < samples; ++i, scores += classes) {
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
    answer.list.push_back({{"image", i}, {"label", label}, {"predicted", best}});
    answer.rows.push_back({std::to_string(i), std::to_string(label), cell});
  }
  return answer;
}

/// A row of lethe_model_detect and lethe_dataset_objects.
struct Found {
  float left, top, right, bottom, score, label;
};

Json object_of(const Found& found) {
  return {{"class", static_cast<int64_t>(found.label)},
          {"score", found.score},
          {"box", {found.left, found.top, found.right, found.bottom}}};
}

std::vector<std::string> cells_of(int64_t image, const Found& found) {
  char score[32], box[128];
  std::snprintf(score, sizeof score, "%.3f", found.score);
  std::snprintf(box, sizeof box, "%.1f %.1f %.1f %.1f", found.left, found.top, found.right,
                found.bottom);
  return {std::to_string(image), std::to_string(static_cast<int64_t>(found.label)), score, box};
}

Json objects_in(const Loaded& loaded, int64_t image) {
  Buffer rows;
  check(lethe_dataset_objects(loaded.images.get(), image, out(rows)));
  const auto* object = static_cast<const Found*>(lethe_buffer_data(rows.get()));
  Json list = Json::array();
  for (size_t i = 0; i < lethe_buffer_size(rows.get()) / sizeof *object; ++i) {
    if (object[i].score == 0) continue;  // a crowd
    list.push_back(object_of(object[i]));
    list.back().erase("score");
  }
  return list;
}

Answer detect(const Loaded& loaded, const Options& o, int32_t most) {
  Buffer rows;
  check(lethe_model_detect_dataset(loaded.model.get(), loaded.images.get(), most, o.threads,
                                   out(rows)));
  const auto* found = static_cast<const Found*>(lethe_buffer_data(rows.get()));
  Answer answer;
  answer.rows = {{"image", "class", "score", "left top right bottom"}};
  for (int64_t i = 0; i < lethe_dataset_size(loaded.images.get()); ++i, found += most) {
    Json best = Json::array();
    for (int32_t k = 0; k < most && found[k].label >= 0; ++k) {
      best.push_back(object_of(found[k]));
      answer.rows.push_back(cells_of(i, found[k]));
    }
    answer.list.push_back({{"image", i}, {"objects", objects_in(loaded, i)}, {"predicted", best}});
  }
  return answer;
}

int run_predict(const Options& o, const Predict& asked) {
  const Loaded loaded(o, asked.limit);
  const Answer answer = head_of(loaded.model.get()) == LETHE_HEAD_DETECTION
                            ? detect(loaded, o, asked.top)
                            : predict_classes(loaded, o, asked.top);
  if (o.json) {
    std::printf("%s\n", answer.list.dump(2).c_str());
  } else {
    print_table(answer.rows);
  }
  return kDone;
}

}  // namespace

void add_evaluate(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand(
      "evaluate", "Accuracy, or a detector's AP, by class, before and after forgetting");
  command->footer(
      "Example:\n"
      "  lethe evaluate --spec vit.json --weights vit.safetensors --adapter request-1.lethe \\\n"
      "                 --images test");
  command->callback([&] { action = [&options] { return run_evaluate(options); }; });
}

void add_predict(CLI::App& app, const Options& options, Action& action) {
  auto* command = app.add_subcommand(
      "predict", "The likeliest classes of each image; what a detector finds in it");
  command->footer(
      "Example:\n"
      "  lethe predict --spec vit.json --weights vit.safetensors --images test --top 3\n"
      "  lethe predict --spec detr.json --weights detr.pth --coco-ids val.json val2017 --top 20");
  const auto asked = std::make_shared<Predict>();
  command->add_option("--top", asked->top, "How many classes or objects to name")
      ->check(CLI::PositiveNumber);
  command->add_option("--limit", asked->limit, "Only the first so many images");
  command->callback([&options, &action, asked] {
    action = [&options, asked] { return run_predict(options, *asked); };
  });
}

}  // namespace cli
