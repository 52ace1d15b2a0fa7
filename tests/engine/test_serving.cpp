// Predictions go on while tasks finish and adapters come and go: each sees one whole state, and
// none waits for training. LETHE_SERVING_SECONDS sets how long (default 3).
#include <set>
#include <thread>

#include "engine/small_task.h"
#include "support/threads.h"

namespace lethe::testing {
namespace {

using Clock = std::chrono::steady_clock;

std::string bits(const at::Tensor& tensor) {
  return {static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes()};
}

/// The answers that some state of the model gives, by whoever changes it.
class Answers {
 public:
  void add(const LiveModel& model, const at::Tensor& images) {
    std::string answer = bits(scores(model, images));
    const std::lock_guard lock(mutex_);
    known_.insert(std::move(answer));
  }
  bool contains(const std::string& answer) const {
    const std::lock_guard lock(mutex_);
    return known_.contains(answer);
  }
  size_t count() const { return known_.size(); }

 private:
  mutable std::mutex mutex_;
  std::set<std::string> known_;
};

void every_prediction_sees_one_whole_state(void**) {
  const char* given = std::getenv("LETHE_SERVING_SECONDS");
  const auto until = Clock::now() + std::chrono::seconds(given ? std::atoi(given) : 3);
  const ThreadBudget budget(1);  // answers are equal bit for bit for equal thread counts
  const auto model = trained_model();
  const at::Tensor images = small_images();
  Answers answers;
  answers.add(*model, images);
  std::atomic<bool> over{false};
  std::vector<std::thread> readers;
  std::vector<std::set<std::string>> seen(8);
  std::atomic<int64_t> predictions{0};
  for (auto& mine : seen) {
    readers.emplace_back([&] {
      const ThreadBudget mine_too(1);
      while (!over) {
        mine.insert(bits(scores(*model, images)));
        ++predictions;
      }
    });
  }

  const TemporaryFolder folder;
  EngineOptions options = small_options();
  options.folder = folder / "engine";
  Engine engine(model, options);
  int64_t tasks = 0, changes = 0;
  while (Clock::now() < until) {
    for (const int64_t c : {1, 2}) {
      ForgetRequest request = small_request(lethe::str("task ", ++tasks), {c}, 5);
      request.config.seed = tasks;  // every task leaves another state
      const auto job = engine.enqueue(request);
      expect_state(*job, JobState::kSucceeded);
      answers.add(*model, images);
    }
    const Stack whole = model->snapshot()->stack;
    for (const double scale : {0.0, 1.0, 0.5, 1.0}) {
      Stack stack = whole;
      stack.back().scale = scale;
      model->set_stack(stack, /*allow_unverified=*/true);
      answers.add(*model, images);
      ++changes;
    }
    model->rollback_to(nullptr);
    ++changes;
  }
  over = true;
  for (std::thread& reader : readers) reader.join();

  size_t states = 0;
  for (const auto& mine : seen) {
    for (const std::string& answer : mine) assert_true(answers.contains(answer));
    states = std::max(states, mine.size());
  }
  print_message("%lld predictions by 8 threads, %lld tasks, %lld changes of the stack, %d states\n",
                static_cast<long long>(predictions), static_cast<long long>(tasks),
                static_cast<long long>(changes), static_cast<int>(answers.count()));
  assert_true(tasks >= 2 && states >= 2);
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {cmocka_unit_test(every_prediction_sees_one_whole_state)};
  return cmocka_run_group_tests(tests, nullptr, nullptr);
}
