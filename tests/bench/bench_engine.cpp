// What a service notices of an engine: how long a request takes to be durable, what training does
// to predictions, how long a change of the stack takes, how fast adapters go out and in.
//
// Usage: bench_engine [SECONDS of each prediction run, default 10]. One figure a line.
#include <cstdio>
#include <numeric>
#include <thread>

#include "engine/small_task.h"
#include "storage/adapter_file.h"
#include "storage/file.h"
#include "support/threads.h"

namespace lethe::testing {
namespace {

using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

struct Latencies {
  std::vector<double> ms;
  template <typename Body>
  void time(const Body& body) {
    const auto start = Clock::now();
    body();
    ms.push_back(ms_since(start));
  }
  double percentile(double p) {
    std::sort(ms.begin(), ms.end());
    return ms.at(static_cast<size_t>(p / 100 * static_cast<double>(ms.size() - 1)));
  }
};

void print(const char* what, Latencies& latencies) {
  std::printf("%-44s p50 %8.3f ms   p99 %8.3f ms   of %d\n", what, latencies.percentile(50),
              latencies.percentile(99), static_cast<int>(latencies.ms.size()));
  std::fflush(stdout);
}

void enqueue_latency() {
  for (const bool durable : {false, true}) {
    const TemporaryFolder folder;
    EngineOptions options = small_options();
    options.paused = true;
    if (durable) options.folder = folder / "engine";
    Engine engine(trained_model(), options);
    Latencies latencies;
    ForgetRequest request = small_request("", {1});
    for (int i = 0; i < 500; ++i) {
      request.request_id = str("request ", i);
      latencies.time([&] { engine.enqueue(request); });
    }
    print(durable ? "enqueue, durable" : "enqueue, in memory", latencies);
  }
}

/// The paper's face model, at its size.
std::shared_ptr<LiveModel> face_model() {
  const Json spec = {{"arch", "face_vit"}, {"classes", 100}, {"image_size", 112},
                     {"patch_size", 8},    {"dim", 512},     {"depth", 6},
                     {"heads", 8},         {"mlp_dim", 2048}};
  const auto model = make_classifier(ModelSpec::from_json(spec));
  return std::make_shared<LiveModel>(std::make_shared<const BaseModel>(
      model, model->random_weights(RandomStream(1, "bench")), at::kCPU));
}

Dataset faces(int64_t count) {
  const at::Tensor images =
      at::empty({count, 3, 112, 112}).uniform_(0, 255, RandomStream(1, "faces").generator());
  return Dataset(images.to(at::kByte), at::arange(count).remainder(100), 100);
}

void prediction_latency(double seconds) {
  const auto model = face_model();
  const Dataset data = faces(400);
  const at::Tensor image = data.batch(0, 1).images;
  const ThreadBudget budget(1);
  const auto predict_for = [&](const char* what) {
    Latencies latencies;
    for (int i = 0; i < 5; ++i) scores(*model, image);
    for (const auto start = Clock::now(); ms_since(start) < 1000 * seconds;) {
      latencies.time([&] { scores(*model, image); });
    }
    print(what, latencies);
    return latencies.percentile(99);
  };
  const double idle = predict_for("predict 1 face on 1 thread, engine idle");
  Engine engine(model, small_options());  // training on 1 thread: a core is left to predictions
  ForgetRequest request = endless_request("train", {1, 2});
  request.config.few_shot = 4;
  request.config.forget_batch = request.config.retain_batch = 8;
  request.forget = data;
  request.validation.reset();
  const auto job = engine.enqueue(request);
  wait_for_step(*job);
  const double training = predict_for("predict 1 face on 1 thread, task training");
  std::printf("%-44s ratio %.2f\n", "p99 while training over p99 idle", training / idle);
  job->cancel();
}

/// An adapter of every block of the face model.
std::shared_ptr<const Adapter> whole_adapter(const BaseModel& base) {
  LoraParameters lora(base.model().adapter_sites(), 8, 1.0 / 8, Grouping::kBlock, at::kCPU);
  lora.values().normal_(0, 1e-3, RandomStream(1, "bench adapter").generator());
  std::vector<AdapterGroup> groups;
  for (const LoraGroup& group : lora.groups()) groups.push_back({group.name, true, {1, 1, 1}});
  AdapterFacts facts;
  facts.request_id = "bench";
  facts.task_id = hex(Digest{});
  facts.lethe_version = "0";
  facts.method = "gs-lora++";
  facts.config = facts.metrics = facts.data_digests = facts.environment = Json();
  facts.classes = {1};
  facts.parent_state = base.fingerprint();
  facts.created_utc = "2026-01-01T00:00:00Z";
  return Adapter::create(base, lora, groups, facts);
}

void stack_and_files() {
  const auto model = face_model();
  const auto adapter = whole_adapter(*model->snapshot()->base);
  Latencies apply, roll_back, write, read;
  const TemporaryFolder folder;
  const std::string path = folder / "bench.lethe";
  for (int i = 0; i < 30; ++i) {
    apply.time([&] { model->attach(adapter); });
    roll_back.time([&] { model->rollback_to(nullptr); });
    write.time([&] { write_adapter_file(path, adapter->to_file()); });
    read.time([&] { Adapter::from_file(read_adapter_file(path)); });
  }
  print("apply an adapter, face model", apply);
  print("roll back, face model", roll_back);
  print("write an adapter file, synced and read back", write);
  print("load an adapter file, all checks", read);
  const double mib = 245'760 * 4 / 1048576.0;
  std::printf("%-44s write %.0f MB/s   load %.0f MB/s   (%.2f MiB of tensors)\n", "adapter files",
              mib / write.percentile(50) * 1000, mib / read.percentile(50) * 1000, mib);
}

}  // namespace
}  // namespace lethe::testing

int main(int count, char** arguments) {
  using namespace lethe::testing;
  const double seconds = count > 1 ? std::atof(arguments[1]) : 10;
  std::printf("%d processors, LibTorch with %s\n", lethe::available_processors(),
              at::get_cpu_capability().c_str());
  enqueue_latency();
  stack_and_files();
  prediction_latency(seconds);
  return 0;
}
