// A round: one folder and six requests, worked off by a child process whose files go wrong, and
// what must hold afterwards.
#pragma once

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/wait.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "crash/file_faults.h"
#include "engine/engine.h"
#include "storage/adapter_file.h"
#include "storage/file.h"

namespace lethe::testing {

namespace fs = std::filesystem;

inline constexpr int64_t kClasses = 8;
inline constexpr int kRequests = 6;

inline std::string request_id(int64_t c) { return str("request-", c); }

/// Noisy 8 x 8 patterns, one a class.
inline Dataset patterns(int64_t per_class, uint64_t seed) {
  at::Generator noise = RandomStream(seed, "crash noise").generator();
  at::Generator pattern = RandomStream(0, "crash patterns").generator();
  const at::Tensor means = at::empty({kClasses, 1, 8, 8}).uniform_(0, 190, pattern);
  const at::Tensor labels = at::arange(per_class * kClasses).remainder(kClasses);
  const at::Tensor images = means.index_select(0, labels) +
                            at::empty({per_class * kClasses, 1, 8, 8}).uniform_(0, 60, noise);
  return Dataset(images.to(at::kByte), labels, kClasses);
}

inline std::shared_ptr<LiveModel> model_with(Weights weights) {
  const Json spec = {{"arch", "vit"}, {"classes", kClasses}, {"image_size", 8},
                     {"channels", 1}, {"patch_size", 4},     {"dim", 16},
                     {"depth", 2},    {"heads", 2},          {"mlp_dim", 32}};
  const auto model = make_classifier(ModelSpec::from_json(spec));
  if (weights.empty()) weights = model->random_weights(RandomStream(1, "crash base"));
  return std::make_shared<LiveModel>(
      std::make_shared<const BaseModel>(model, std::move(weights), at::kCPU));
}

inline EngineOptions options_in(const std::string& folder) {
  EngineOptions options;
  options.threads = 1;
  options.folder = folder;
  options.checkpoint_seconds = 0.01;
  options.now_ms = [] { return int64_t{1'800'000'000'000}; };  // runs are equal to the byte
  return options;
}

inline ForgetRequest request_for(int64_t c, const Dataset& train, const Dataset& validation) {
  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  config.rank = 2;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 8;
  config.max_steps = 25;
  config.dropout = 0.1;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  return {request_id(c), {c}, config, train, {}, validation};
}

/// How a child ended.
struct Attempt {
  bool killed = false;
  int status = 0;       ///< of a child that was not killed: one of the below
  int64_t calls = 0;    ///< that change files, of a child that came through
  std::string message;  ///< of the error that it met
};
inline constexpr int kDone = 0, kError = 3, kDefect = 4;

/// What is wrong after a round; all zero when all is well.
struct Findings {
  int64_t lost = 0, doubled = 0, corrupt = 0, differing = 0;
  bool any() const { return lost + doubled + corrupt + differing > 0; }
};

/// Makes folders for rounds, all on one base model, and compares each with an undisturbed one. The
/// process itself starts no thread, so that its children may.
class Rounds {
 public:
  Rounds() {
    scratch_ = (fs::temp_directory_path() / "lethe-crash-XXXXXX").string();
    if (!::mkdtemp(scratch_.data())) std::abort();
    train_base();
    const std::string calm = new_folder();
    const auto began = std::chrono::steady_clock::now();
    const Attempt whole = attempt(calm);
    duration_ = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - began);
    if (whole.killed || whole.status != kDone) std::abort();
    calls_ = whole.calls;
    undisturbed_ = stack_of(calm);
    inspect(calm);
    std::printf("an undisturbed round: %lld calls that change files, %lld ms\n",
                static_cast<long long>(calls_), static_cast<long long>(duration_.count() / 1000));
    std::fflush(stdout);
  }
  ~Rounds() { remove(scratch_); }
  Rounds(const Rounds&) = delete;
  Rounds& operator=(const Rounds&) = delete;

  int64_t calls() const { return calls_; }
  std::chrono::microseconds duration() const { return duration_; }
  const Findings& findings() const { return findings_; }
  Findings& findings() { return findings_; }

  std::string new_folder() {
    accepted_.clear();
    return str(scratch_, "/round-", ++rounds_);
  }

  /// One child that works in `folder`, its `call`-th file call going wrong, killed after `moment`
  /// when that is given.
  Attempt attempt(const std::string& folder, Fault fault = Fault::kNone, int64_t call = 0,
                  std::optional<std::chrono::microseconds> moment = {}) {
    int told[2], ended[2];
    if (::pipe2(told, O_CLOEXEC) != 0 || ::pipe2(ended, O_CLOEXEC) != 0) std::abort();
    const pid_t child = ::fork();
    if (child == 0) {
      fault_plan.calls = 0;
      fault_plan.at = call;
      fault_plan.fault = fault;
      std::string message;
      const int status = work(folder, told[1], message);
      fault_plan.fault = Fault::kNone;
      const int64_t calls = fault_plan.calls;
      (void)!real_write(ended[1], &calls, sizeof calls);
      (void)!real_write(ended[1], message.data(), std::min<size_t>(message.size(), 1000));
      ::_exit(status);
    }
    ::close(told[1]);
    ::close(ended[1]);
    if (moment) {
      ::usleep(static_cast<useconds_t>(moment->count()));
      ::kill(child, SIGKILL);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    for (char byte = 0; ::read(told[0], &byte, 1) == 1;) accepted_.insert(byte);
    Attempt result;
    result.killed = WIFSIGNALED(status);
    result.status = result.killed ? 0 : WEXITSTATUS(status);
    char text[1000];
    if (::read(ended[0], &result.calls, sizeof result.calls) == sizeof result.calls) {
      const ssize_t size = ::read(ended[0], text, sizeof text);
      if (size > 0) result.message.assign(text, static_cast<size_t>(size));
    }
    ::close(told[0]);
    ::close(ended[0]);
    return result;
  }

  /// Works the folder off undisturbed, and looks at what is there.
  void finish(const std::string& folder) {
    const Attempt last = attempt(folder);
    if (last.killed || last.status != kDone) {
      ++findings_.corrupt;
      std::fprintf(stderr, "the folder cannot be worked off: %s\n", last.message.c_str());
    }
    inspect(folder);
    remove(folder);
  }

 private:
  /// The child's work. Tells each accepted request to `accepted` as one byte.
  int work(const std::string& folder, int accepted, std::string& message) const {
    try {
      const Dataset train = patterns(6, 1), validation = patterns(3, 2);
      Engine engine(model_with(base_), options_in(folder));
      for (int64_t c = 0; c < kRequests; ++c) {
        engine.enqueue(request_for(c, train, validation));
        const auto byte = static_cast<char>(c);
        (void)!real_write(accepted, &byte, 1);
      }
      engine.wait_idle(std::nullopt);
      return kDone;
    } catch (const Error& error) {
      message = str(static_cast<int>(error.code()), ": ", error.what());
      return error.code() == Code::kIo ? kError : kDefect;
    } catch (const std::exception& error) {
      message = error.what();
      return kDefect;
    }
  }

  /// In a child: training has threads, and a process that has threads must not fork.
  void train_base() {
    const std::string path = scratch_ + "/base.safetensors";
    if (const pid_t child = ::fork(); child == 0) {
      const auto model = model_with({});
      Engine engine(model, options_in(""));
      PretrainConfig config;
      config.max_steps = 200;
      config.batch = 16;
      config.learning_rate = 3e-3;
      engine.enqueue(PretrainRequest{"base", config, patterns(6, 1), {}})->wait(std::nullopt);
      write_safetensors(path, model->snapshot()->base->weights());
      ::_exit(0);
    } else {
      ::waitpid(child, nullptr, 0);
    }
    base_ = read_safetensors(path).tensors;
  }

  /// The adapter files in the order of the stack.
  static std::vector<std::string> stack_of(const std::string& folder) {
    std::vector<std::string> adapters;
    const Json info = describe_folder(folder);
    for (const Json& adapter : info.at("adapters")) {
      const std::string id = adapter.at("adapter_id");
      adapters.push_back(read_file(folder + "/adapters/" + id + ".lethe", 1 << 30));
    }
    return adapters;
  }

  void inspect(const std::string& folder) {
    try {
      std::multiset<std::string> succeeded, receipts;
      const Json info = describe_folder(folder);
      for (const Json& job : info.at("jobs")) {
        if (job.at("state") == "succeeded") succeeded.insert(job.at("request_id"));
      }
      for (const int64_t c : accepted_) findings_.lost += succeeded.count(request_id(c)) == 0;
      const std::string lines = receipts_of_folder(folder);
      findings_.corrupt += verify_receipts(lines, std::nullopt).first_break.has_value();
      for (size_t begin = 0; begin < lines.size();) {
        const size_t end = lines.find('\n', begin);
        const Json line = Json::parse(lines.substr(begin, end - begin));
        receipts.insert(line.at("receipt").at("request_id"));
        begin = end + 1;
      }
      for (int64_t c = 0; c < kRequests; ++c) {
        const std::string id = request_id(c);
        findings_.doubled += succeeded.count(id) > 1 || receipts.count(id) > 1;
      }
      const std::vector<std::string> adapters = stack_of(folder);
      findings_.doubled += adapters.size() > static_cast<size_t>(kRequests);
      findings_.differing += adapters != undisturbed_;
      for (const std::string& bytes : adapters) {
        Adapter::from_file(parse_adapter_file(bytes, "an adapter"));
      }
      // Nothing half-written, no checkpoint and no copy of data stays behind.
      for (const char* kind : {"/checkpoints", "/data"}) {
        findings_.corrupt += !fs::is_empty(folder + kind);
      }
      const auto files = std::distance(fs::directory_iterator(folder + "/adapters"), {});
      findings_.corrupt += files != kRequests;
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the folder cannot be read: %s\n", error.what());
      ++findings_.corrupt;
    }
  }

  static void remove(const std::string& folder) {
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }

  std::string scratch_;
  Weights base_;
  int64_t rounds_ = 0, calls_ = 0;
  std::chrono::microseconds duration_{};
  std::vector<std::string> undisturbed_;
  std::set<int64_t> accepted_;  ///< of the present round
  Findings findings_;
};

}  // namespace lethe::testing
