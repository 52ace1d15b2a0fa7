// Works a scenario off through lethe.h and prints what it saw; the bindings' runners must print the
// same. Usage: scenario SCENARIO WORK_FOLDER (in the root folder of the sources). The format:
// scenario.txt.
#include <lethe/lethe.h>
#include <sodium.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "cli/handles.h"

namespace {

using Json = nlohmann::ordered_json;  // the keys' order counts

using cli::Adapter, cli::Buffer, cli::Dataset, cli::Engine, cli::Job, cli::Model, cli::Report,
    cli::Runtime;
using cli::check, cli::Failure;

/// What `make(&raw)` hands over.
template <typename H, typename Make>
H made(const Make& make) {
  typename H::pointer raw = nullptr;
  check(make(&raw));
  return H(raw);
}

std::string hex(const void* data, size_t size) {
  std::string text(2 * size + 1, '\0');
  sodium_bin2hex(text.data(), text.size(), static_cast<const unsigned char*>(data), size);
  text.pop_back();
  return text;
}

std::string hash_of(const Buffer& buffer) {
  unsigned char digest[crypto_hash_sha256_BYTES];
  crypto_hash_sha256(digest, static_cast<const unsigned char*>(lethe_buffer_data(buffer.get())),
                     lethe_buffer_size(buffer.get()));
  return hex(digest, sizeof digest);
}

std::vector<int64_t> numbers_in(const std::string& list) {
  std::vector<int64_t> numbers;
  std::istringstream text(list);
  for (std::string number; std::getline(text, number, ',');) numbers.push_back(std::stoll(number));
  return numbers;
}

Json metrics_of(const lethe_report* report) {
  Json metrics = Json::object();
  for (int32_t i = 0; i < lethe_report_metric_count(report); ++i) {
    const char* name = lethe_report_metric_name(report, i);
    if (std::string(name) == "seconds" || std::string(name) == "peak_memory_mib") continue;
    double value = 0;
    check(lethe_report_metric(report, name, &value));
    char text[64];
    std::snprintf(text, sizeof text, "%.6f", value);
    metrics[name] = text;
  }
  return metrics;
}

class Runner {
 public:
  explicit Runner(std::string work) : work_(std::move(work)) {
    runtime_ = made<Runtime>([](auto out) { return lethe_runtime_create(nullptr, out); });
  }

  void run(int line, const std::vector<std::string>& words) {
    Json result = {{"line", line}, {"command", words.at(0)}};
    if (words[0] == "fail") {
      try {
        perform({words.begin() + 1, words.end()});
      } catch (const Failure& failure) {
        result["error"] = lethe_status_name(failure.status);
        result["message"] = failure.what();
      }
      if (!result.contains("error")) throw std::runtime_error("the command did not fail");
    } else {
      result.update(perform(words));
    }
    std::cout << result.dump() << std::endl;
  }

 private:
  Json perform(const std::vector<std::string>& w) {
    const std::string& command = w[0];
    const auto model = [&](const std::string& name) { return models_.at(name).get(); };
    const auto set = [&](const std::string& name) { return sets_.at(name).get(); };
    const auto adapters = [&](const std::string& name) {
      return Json{{"adapters", lethe_model_adapter_count(model(name))}};
    };
    const auto size = [&](const std::string& name) {
      return Json{{"size", lethe_dataset_size(set(name))}};
    };

    if (command == "model") {
      models_[w.at(1)] = made<Model>([&](auto out) {
        return lethe_model_create(runtime_.get(), w.at(2).c_str(), "cpu", out);
      });
      return {{"tensors", lethe_model_tensor_count(model(w[1]))}};
    }
    if (command == "weights") {
      check(lethe_model_load_weights(model(w.at(1)), w.at(2).c_str(), nullptr));
      uint8_t base[32];
      check(lethe_model_fingerprint(model(w[1]), base, nullptr));
      return {{"base", hex(base, sizeof base)}};
    }
    if (command == "idx") {
      sets_[w.at(1)] = made<Dataset>([&](auto out) {
        return lethe_dataset_from_idx(runtime_.get(), w.at(2).c_str(), w.at(3).c_str(),
                                      std::stoll(w.at(4)), w.at(5).c_str(), out);
      });
      return size(w[1]);
    }
    if (command == "split") {
      lethe_dataset *first = nullptr, *second = nullptr;
      check(lethe_dataset_split(set(w.at(1)), std::stod(w.at(2)), std::stoll(w.at(3)), &first,
                                &second));
      sets_[w.at(4)].reset(first);
      sets_[w.at(5)].reset(second);
      return {{"first", lethe_dataset_size(first)}, {"second", lethe_dataset_size(second)}};
    }
    if (command == "first") {
      std::vector<int64_t> indices(std::stoull(w.at(2)));
      for (size_t i = 0; i < indices.size(); ++i) indices[i] = static_cast<int64_t>(i);
      sets_[w.at(3)] = made<Dataset>([&](auto out) {
        return lethe_dataset_select(set(w.at(1)), LETHE_TAKE_INDICES, indices.data(),
                                    indices.size(), 0, 0, out);
      });
      return size(w[3]);
    }
    if (command == "engine") {
      lethe_engine_options options;
      check(lethe_engine_options_init(&options, sizeof options));
      const std::string folder = work_ + "/" + w.at(4);
      options.threads = std::stoi(w.at(3));
      options.folder = w[4] == "-" ? nullptr : folder.c_str();
      engines_[w.at(1)] = made<Engine>(
          [&](auto out) { return lethe_engine_create(model(w.at(2)), &options, out); });
      return {{"jobs", lethe_engine_job_count(engine(w[1]))}};
    }
    if (command == "enqueue") return enqueue(w);
    if (command == "wait") return wait(w);
    if (command == "evaluate") {
      lethe_evaluate_options options;
      check(lethe_evaluate_options_init(&options, sizeof options));
      options.threads = 1;
      const auto report = made<Report>([&](auto out) {
        return lethe_model_evaluate(model(w.at(1)), set(w.at(2)), &options, out);
      });
      return {{"metrics", metrics_of(report.get())}};
    }
    if (command == "scores") return scores(model(w.at(1)), set(w.at(2)));
    if (command == "predict") return infer(lethe_model_predict, model(w.at(1)), set(w.at(2)));
    if (command == "embed") return infer(lethe_model_embed, model(w.at(1)), set(w.at(2)));
    if (command == "export") {
      const Job job = find(w.at(1), w.at(2));
      Adapter adapter;
      Report report;
      result_of(job.get(), adapter, report);
      check(lethe_adapter_export(adapter.get(), in_work(w.at(3)).c_str(), nullptr));
      double kept = 0;
      check(lethe_report_metric(report.get(), "groups_kept", &kept));
      return {{"groups_kept", static_cast<int64_t>(kept)}};
    }
    if (command == "load") {
      const auto adapter = made<Adapter>([&](auto out) {
        return lethe_adapter_load(runtime_.get(), in_work(w.at(2)).c_str(), nullptr, out);
      });
      check(lethe_model_attach(model(w.at(1)), adapter.get()));
      return adapters(w[1]);
    }
    if (command == "enable") {
      check(lethe_model_enable(model(w.at(1)), w.at(2).c_str(), std::stoi(w.at(3)), 0));
      return adapters(w[1]);
    }
    if (command == "rollback") {
      check(lethe_model_rollback_to(model(w.at(1)), w.at(2) == "-" ? nullptr : w[2].c_str()));
      return adapters(w[1]);
    }
    if (command == "merge") {
      models_[w.at(2)] =
          made<Model>([&](auto out) { return lethe_model_merge(model(w.at(1)), out); });
      return adapters(w[2]);
    }
    if (command == "receipts") {
      uint8_t key[32];
      check(lethe_engine_public_key(engine(w.at(1)), key));
      const auto lines =
          made<Buffer>([&](auto out) { return lethe_engine_receipts(engine(w[1]), out); });
      check(lethe_receipts_verify(static_cast<const uint8_t*>(lethe_buffer_data(lines.get())),
                                  lethe_buffer_size(lines.get()), key, nullptr));
      return {{"receipts", lethe_engine_receipt_count(engine(w[1]))}};
    }
    if (command == "close") {
      check(lethe_engine_close(engine(w.at(1)), -1));
      return Json::object();
    }
    throw std::runtime_error("there is no command " + command);
  }

  Json enqueue(const std::vector<std::string>& w) {
    const std::vector<int64_t> classes = numbers_in(w.at(3));
    lethe_forget_config config;
    check(lethe_forget_config_init(&config, sizeof config, LETHE_GS_LORA_PP, LETHE_HEAD_LINEAR));
    check(lethe_forget_config_from_json(w.at(6).c_str(), &config));
    const auto job = made<Job>([&](auto out) {
      return lethe_engine_enqueue(engine(w.at(1)), w.at(2).c_str(), classes.data(), classes.size(),
                                  &config, sets_.at(w.at(4)).get(), nullptr,
                                  sets_.at(w.at(5)).get(), out);
    });
    return {{"job", status_of(job.get()).job_id}};
  }

  Json wait(const std::vector<std::string>& w) {
    static const std::map<lethe_job_state, const char*> names = {
        {LETHE_JOB_SUCCEEDED, "succeeded"},
        {LETHE_JOB_REJECTED, "rejected"},
        {LETHE_JOB_FAILED, "failed"},
        {LETHE_JOB_CANCELLED, "cancelled"}};
    const Job job = find(w.at(1), w.at(2));
    check(lethe_job_wait(job.get(), -1));
    const lethe_job_status_info info = status_of(job.get());
    Adapter adapter;
    Report report;
    result_of(job.get(), adapter, report);
    return {{"state", names.at(info.state)},
            {"error", lethe_status_name(info.error)},
            {"metrics", metrics_of(report.get())}};
  }

  static Json scores(const lethe_model* model, const lethe_dataset* set) {
    const auto logits =
        made<Buffer>([&](auto out) { return lethe_model_predict_dataset(model, set, 1, out); });
    const auto* data = static_cast<const float*>(lethe_buffer_data(logits.get()));
    const int64_t rows = lethe_dataset_size(set);
    const auto columns =
        static_cast<int64_t>(lethe_buffer_size(logits.get()) / sizeof(float)) / rows;
    Json best = Json::array();
    for (int64_t i = 0; i < std::min<int64_t>(rows, 10); ++i) {
      const float* row = data + i * columns;
      best.push_back(std::max_element(row, row + columns) - row);
    }
    return {{"hash", hash_of(logits)}, {"classes", best}};
  }

  /// `call`: lethe_model_predict or lethe_model_embed, on the set's samples as one array.
  template <typename Call>
  static Json infer(Call* call, const lethe_model* model, const lethe_dataset* set) {
    std::vector<float> pixels;
    for (int64_t i = 0; i < lethe_dataset_size(set); ++i) {
      const auto image =
          made<Buffer>([&](auto out) { return lethe_dataset_sample(set, i, out, nullptr); });
      const auto* data = static_cast<const float*>(lethe_buffer_data(image.get()));
      pixels.insert(pixels.end(), data, data + lethe_buffer_size(image.get()) / sizeof(float));
    }
    const int64_t shape[] = {lethe_dataset_size(set), 1, 28, 28};
    lethe_tensor_view view{};
    view.struct_size = sizeof view;
    view.dtype = LETHE_F32;
    view.data = pixels.data();
    view.size = pixels.size() * sizeof(float);
    view.ndim = 4;
    view.shape = shape;
    const auto result = made<Buffer>([&](auto out) { return call(model, &view, 1, out); });
    return {{"hash", hash_of(result)}};
  }

  lethe_engine* engine(const std::string& name) { return engines_.at(name).get(); }
  Job find(const std::string& name, const std::string& request) {
    return made<Job>(
        [&](auto out) { return lethe_engine_job_find(engine(name), request.c_str(), out); });
  }
  static lethe_job_status_info status_of(const lethe_job* job) {
    lethe_job_status_info info{};
    info.struct_size = sizeof info;
    check(lethe_job_status(job, &info));
    return info;
  }
  static void result_of(const lethe_job* job, Adapter& adapter, Report& report) {
    lethe_adapter* a = nullptr;
    lethe_report* r = nullptr;
    check(lethe_job_result(job, &a, &r));
    adapter.reset(a);
    report.reset(r);
  }
  std::string in_work(const std::string& file) const { return work_ + "/" + file; }

  std::string work_;
  Runtime runtime_;
  std::map<std::string, Model> models_;
  std::map<std::string, Dataset> sets_;
  std::map<std::string, Engine> engines_;
};

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::cerr << "usage: scenario SCENARIO WORK_FOLDER\n";
    return 2;
  }
  int number = 0;
  try {
    Runner runner(arguments[2]);
    std::ifstream file(arguments[1]);
    if (!file) throw std::runtime_error("cannot read it");
    for (std::string line; std::getline(file, line);) {
      ++number;
      std::istringstream text(line);
      std::vector<std::string> words;
      for (std::string word; text >> word;) words.push_back(word);
      if (!words.empty() && words[0][0] != '#') runner.run(number, words);
    }
  } catch (const Failure& failure) {
    std::cerr << arguments[1] << ':' << number << ": " << failure.what() << '\n';
    return 1;
  } catch (const std::exception& error) {
    std::cerr << arguments[1] << ':' << number << ": " << error.what() << '\n';
    return 1;
  }
  return 0;
}
