// Kills an engine again and again (kill -9), at random moments and at each write, and looks whether
// anything is lost, done twice, corrupt or different from what an undisturbed run leaves.
//
// Usage: crash_test KILLS [SEED]. Last line: "N kills, N lost, N doubled, N corrupt, N differing".
//
// A round is one folder and six requests. A child process opens an engine on the folder, queues the
// requests (again: an id that is there is the same job), waits for them and ends; it is killed until
// it comes through. Seven of ten kills hit one write point each, spread over all of an undisturbed
// round: right before the n-th call that changes a file, or in the middle of it when it writes. The
// others hit random moments, several in a round.
#include <ATen/ATen.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <set>
#include <string>

#include "adapters/manifest.h"
#include "data/reference.h"
#include "engine/engine.h"
#include "storage/adapter_file.h"
#include "storage/file.h"

// ------------------------------------------------------------------------------- write points

namespace {

std::atomic<int64_t> write_points{0};
std::atomic<int64_t> die_at{0};  ///< 0: never

/// Counts a call that changes a file; `half` does half of it when it is the one to die in.
template <typename Half>
void write_point(const Half& half) {
  if (++write_points != die_at) return;
  half();
  ::kill(::getpid(), SIGKILL);
}

void nothing() {}

template <typename F>
F* next(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

ssize_t real_write(int fd, const void* data, size_t size) {
  static auto* const real = next<ssize_t(int, const void*, size_t)>("write");
  return real(fd, data, size);
}

}  // namespace

// The program's own definitions come before those of the C library, for SQLite's calls too. They have
// the library's names for the linker only: its headers give some of these names to others.
#define LETHE_INTERPOSE(symbol, result, name, ...) \
  extern "C" result name(__VA_ARGS__) __asm__(symbol); \
  extern "C" result name(__VA_ARGS__)

LETHE_INTERPOSE("write", ssize_t, traced_write, int fd, const void* data, size_t size) {
  write_point([&] { (void)!real_write(fd, data, size / 2); });
  return real_write(fd, data, size);
}

ssize_t traced_write_at(int fd, const void* data, size_t size, int64_t offset) {
  static auto* const real = next<ssize_t(int, const void*, size_t, int64_t)>("pwrite64");
  write_point([&] { (void)!real(fd, data, size / 2, offset); });
  return real(fd, data, size, offset);
}

LETHE_INTERPOSE("pwrite", ssize_t, traced_pwrite, int fd, const void* data, size_t size,
                int64_t offset) {
  return traced_write_at(fd, data, size, offset);
}

LETHE_INTERPOSE("pwrite64", ssize_t, traced_pwrite64, int fd, const void* data, size_t size,
                int64_t offset) {
  return traced_write_at(fd, data, size, offset);
}

#define LETHE_WRITE_POINT(symbol, name, parameters, arguments)  \
  extern "C" int name parameters __asm__(symbol);               \
  extern "C" int name parameters {                              \
    static auto* const real = next<int parameters>(symbol);     \
    write_point(nothing);                                       \
    return real arguments;                                      \
  }
LETHE_WRITE_POINT("fsync", traced_fsync, (int fd), (fd))
LETHE_WRITE_POINT("fdatasync", traced_fdatasync, (int fd), (fd))
LETHE_WRITE_POINT("rename", traced_rename, (const char* from, const char* to), (from, to))
LETHE_WRITE_POINT("unlink", traced_unlink, (const char* path), (path))
LETHE_WRITE_POINT("remove", traced_remove, (const char* path), (path))
LETHE_WRITE_POINT("ftruncate", traced_ftruncate, (int fd, int64_t size), (fd, size))
LETHE_WRITE_POINT("ftruncate64", traced_ftruncate64, (int fd, int64_t size), (fd, size))
LETHE_WRITE_POINT("mkdir", traced_mkdir, (const char* path, mode_t mode), (path, mode))

// -------------------------------------------------------------------------------------- a round

namespace lethe {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kClasses = 8;
constexpr int kRequests = 6;

std::string request_id(int64_t c) { return str("request-", c); }

/// Noisy 8 x 8 patterns, one a class.
Dataset patterns(int64_t per_class, uint64_t seed) {
  at::Generator noise = RandomStream(seed, "crash noise").generator();
  at::Generator pattern = RandomStream(0, "crash patterns").generator();
  const at::Tensor means = at::empty({kClasses, 1, 8, 8}).uniform_(0, 190, pattern);
  const at::Tensor labels = at::arange(per_class * kClasses).remainder(kClasses);
  const at::Tensor images =
      means.index_select(0, labels) +
      at::empty({per_class * kClasses, 1, 8, 8}).uniform_(0, 60, noise);
  return Dataset(images.to(at::kByte), labels, kClasses);
}

std::shared_ptr<LiveModel> model_with(Weights weights) {
  const Json spec = {{"arch", "vit"}, {"classes", kClasses}, {"image_size", 8},
                     {"channels", 1}, {"patch_size", 4},     {"dim", 16},
                     {"depth", 2},    {"heads", 2},          {"mlp_dim", 32}};
  const auto model = make_model(ModelSpec::from_json(spec));
  if (weights.empty()) weights = model->random_weights(RandomStream(1, "crash base"));
  return std::make_shared<LiveModel>(
      std::make_shared<const BaseModel>(model, std::move(weights), at::kCPU));
}

EngineOptions options_in(const std::string& folder) {
  EngineOptions options;
  options.threads = 1;
  options.folder = folder;
  options.checkpoint_seconds = 0.01;
  options.now_ms = [] { return int64_t{1'800'000'000'000}; };  // runs are equal to the byte
  return options;
}

ForgetRequest request_for(int64_t c, const Dataset& train, const Dataset& validation) {
  ForgetConfig config = ForgetConfig::defaults_for(MethodKind::kGsLoraPlusPlus, HeadKind::kLinear);
  config.rank = 2;
  config.data_ratio = 1;
  config.forget_batch = config.retain_batch = 8;
  config.max_steps = 25;
  config.dropout = 0.1;
  config.gate_max_acc_f = config.gate_max_acc_r_drop = -1;
  return {request_id(c), {c}, config, train, {}, validation};
}

/// The child's work. Tells each accepted request to `accepted` as one byte.
int work(const std::string& folder, const Weights& base, int accepted) {
  try {
    const Dataset train = patterns(6, 1), validation = patterns(3, 2);
    Engine engine(model_with(base), options_in(folder));
    for (int64_t c = 0; c < kRequests; ++c) {
      engine.enqueue(request_for(c, train, validation));
      const auto byte = static_cast<char>(c);
      (void)!real_write(accepted, &byte, 1);  // not a write point of the engine
    }
    engine.wait_idle(std::nullopt);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash_test: %s\n", error.what());
    return 1;
  }
}

struct Attempt {
  bool killed = false;
  bool failed = false;
  int64_t points = 0;  ///< write points of a child that came through
};

/// One child; killed after `moment` when that is not negative, or at write point `point`.
Attempt attempt(const std::string& folder, const Weights& base, std::chrono::microseconds moment,
                int64_t point, std::set<int64_t>& accepted) {
  int told[2], counted[2];
  if (::pipe2(told, O_CLOEXEC) != 0 || ::pipe2(counted, O_CLOEXEC) != 0) std::abort();
  const pid_t child = ::fork();
  if (child == 0) {
    write_points = 0;
    die_at = point;
    const int status = work(folder, base, told[1]);
    die_at = 0;
    const int64_t points = write_points;
    (void)!real_write(counted[1], &points, sizeof points);
    ::_exit(status);
  }
  ::close(told[1]);
  ::close(counted[1]);
  if (moment.count() >= 0) {
    ::usleep(static_cast<useconds_t>(moment.count()));
    ::kill(child, SIGKILL);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  char byte = 0;
  while (::read(told[0], &byte, 1) == 1) accepted.insert(byte);
  Attempt result;
  result.killed = WIFSIGNALED(status);
  result.failed = !result.killed && WEXITSTATUS(status) != 0;
  (void)!::read(counted[0], &result.points, sizeof result.points);
  ::close(told[0]);
  ::close(counted[0]);
  return result;
}

struct Findings {
  int64_t kills = 0, lost = 0, doubled = 0, corrupt = 0, differing = 0;
};

/// What a folder holds when all is done: adapter files in the order of the stack.
std::vector<std::string> stack_of(const std::string& folder) {
  std::vector<std::string> adapters;
  for (const Json& adapter : describe_folder(folder).at("adapters")) {
    const std::string id = adapter.at("adapter_id");
    adapters.push_back(read_file(folder + "/adapters/" + id + ".lethe", 1 << 30));
  }
  return adapters;
}

void inspect(const std::string& folder, const std::set<int64_t>& accepted,
             const std::vector<std::string>& undisturbed, Findings& findings) {
  try {
    const Json info = describe_folder(folder);
    std::multiset<std::string> succeeded, receipts;
    for (const Json& job : info.at("jobs")) {
      if (job.at("state") == "succeeded") succeeded.insert(job.at("request_id"));
    }
    for (const int64_t c : accepted) findings.lost += succeeded.count(request_id(c)) == 0;
    const std::string lines = receipts_of_folder(folder);
    findings.corrupt += verify_receipts(lines, std::nullopt).first_break.has_value();
    for (size_t begin = 0; begin < lines.size();) {
      const size_t end = lines.find('\n', begin);
      receipts.insert(Json::parse(lines.substr(begin, end - begin)).at("receipt").at("request_id"));
      begin = end + 1;
    }
    for (int64_t c = 0; c < kRequests; ++c) {
      findings.doubled += succeeded.count(request_id(c)) > 1 || receipts.count(request_id(c)) > 1;
    }
    const std::vector<std::string> adapters = stack_of(folder);
    findings.doubled += adapters.size() > static_cast<size_t>(kRequests);
    findings.differing += adapters != undisturbed;
    for (const std::string& bytes : adapters) {
      Adapter::from_file(parse_adapter_file(bytes, "an adapter"));
    }
    // Nothing half-written, no checkpoint and no copy of data stays behind.
    for (const char* kind : {"checkpoints", "data"}) {
      findings.corrupt += !fs::is_empty(folder + "/" + kind);
    }
    findings.corrupt += std::distance(fs::directory_iterator(folder + "/adapters"), {}) != kRequests;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "crash_test: %s\n", error.what());
    ++findings.corrupt;
  }
}

int run(int64_t kills, uint64_t seed) {
  std::string scratch = (fs::temp_directory_path() / "lethe-crash-XXXXXX").string();
  if (!::mkdtemp(scratch.data())) return 2;
  int64_t rounds = 0;
  const auto new_folder = [&] { return str(scratch, "/round-", ++rounds); };
  RandomStream random(seed, "crash moments");
  Findings findings;
  std::set<int64_t> accepted;

  // The base is trained in a child: a process that has threads must not fork.
  const std::string base_path = scratch + "/base.safetensors";
  if (const pid_t child = ::fork(); child == 0) {
    const auto model = model_with({});
    EngineOptions options = options_in("");
    Engine engine(model, options);
    PretrainConfig config;
    config.max_steps = 200;
    config.batch = 16;
    config.learning_rate = 3e-3;
    engine.enqueue(PretrainRequest{"base", config, patterns(6, 1), {}})->wait(std::nullopt);
    write_safetensors(base_path, model->snapshot()->base->weights());
    ::_exit(0);
  } else {
    ::waitpid(child, nullptr, 0);
  }
  const Weights base = read_safetensors(base_path).tensors;

  const std::string calm = new_folder();
  const auto began = std::chrono::steady_clock::now();
  const Attempt whole = attempt(calm, base, std::chrono::microseconds(-1), 0, accepted);
  const auto duration = std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now() - began);
  if (whole.failed || whole.killed) return 2;
  const std::vector<std::string> undisturbed = stack_of(calm);
  inspect(calm, accepted, undisturbed, findings);
  std::printf("an undisturbed round: %lld write points, %lld ms\n",
              static_cast<long long>(whole.points),
              static_cast<long long>(duration.count() / 1000));
  std::fflush(stdout);

  const auto finish = [&](const std::string& folder) {
    const Attempt last = attempt(folder, base, std::chrono::microseconds(-1), 0, accepted);
    findings.corrupt += last.failed || last.killed;
    inspect(folder, accepted, undisturbed, findings);
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  };

  // Write points, evenly spread; all of them when there are kills enough.
  const int64_t at_points = std::min(kills * 7 / 10, whole.points);
  for (int64_t i = 0; i < at_points; ++i) {
    const std::string folder = new_folder();
    const int64_t point = 1 + i * whole.points / at_points;
    accepted.clear();
    const Attempt killed = attempt(folder, base, std::chrono::microseconds(-1), point, accepted);
    findings.kills += killed.killed;
    findings.corrupt += killed.failed;
    finish(folder);
    if (i % 100 == 99) {
      std::printf("%lld kills at write points\n", static_cast<long long>(i + 1));
      std::fflush(stdout);
    }
  }
  // Random moments, until a round comes through; then another.
  for (int64_t told = findings.kills; findings.kills < kills;) {
    const std::string folder = new_folder();
    accepted.clear();
    for (bool through = false; !through && findings.kills < kills;) {
      const auto most = static_cast<uint64_t>(duration.count() / 2);
      const std::chrono::microseconds moment(static_cast<int64_t>(random.below(most)));
      const Attempt killed = attempt(folder, base, moment, 0, accepted);
      findings.kills += killed.killed;
      findings.corrupt += killed.failed;
      through = !killed.killed;
    }
    finish(folder);
    if (findings.kills - told >= 100) {
      told = findings.kills;
      std::printf("%lld kills\n", static_cast<long long>(told));
      std::fflush(stdout);
    }
  }
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
  std::printf("%lld kills, %lld lost, %lld doubled, %lld corrupt, %lld differing\n",
              static_cast<long long>(findings.kills), static_cast<long long>(findings.lost),
              static_cast<long long>(findings.doubled), static_cast<long long>(findings.corrupt),
              static_cast<long long>(findings.differing));
  return findings.lost + findings.doubled + findings.corrupt + findings.differing > 0;
}

}  // namespace
}  // namespace lethe

int main(int count, char** arguments) {
  const int64_t kills = count > 1 ? std::atoll(arguments[1]) : 1000;
  const uint64_t seed = count > 2 ? std::strtoull(arguments[2], nullptr, 10) : 1;
  if (kills < 1) {
    std::fprintf(stderr, "usage: crash_test KILLS [SEED]\n");
    return 2;
  }
  return lethe::run(kills, seed);
}
