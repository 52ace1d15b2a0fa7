// Data sets and their selections, the loader.
#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "data/dataset.h"
#include "data/loader.h"
#include "data/transform.h"
#include "storage/digest.h"
#include "test.h"

namespace {

using namespace lethe;
using lethe::testing::expect_close;
using lethe::testing::expect_error;

using Values = std::vector<int64_t>;

at::Tensor bytes(const Values& values, at::IntArrayRef shape) {
  return at::tensor(values, at::kLong).to(at::kByte).view(shape);
}

/// Sample i: 1x2x2 pixels of value i % 256, class i % classes.
Dataset numbered(int64_t size, int64_t classes, const Transform& transform = {}) {
  const at::Tensor order = at::arange(size, at::kLong);
  return Dataset(order.remainder(256).to(at::kByte).view({size, 1, 1, 1}).expand({size, 1, 2, 2}),
                 order.remainder(classes), classes, transform);
}

Values sources(const Dataset& data) {
  Values values;
  for (int64_t i = 0; i < data.size(); ++i) values.push_back(data.source_index(i));
  return values;
}

void dataset_describes_itself(void**) {
  const Dataset data(at::zeros({3, 1, 2, 5}, at::kByte), at::tensor({2, 0, 2}, at::kLong), 4,
                     Transform::from_json(Json::parse(R"({"mean": [0.5], "pad": 1})")),
                     {"cat", "dog", "eel", "fox"});
  assert_int_equal(data.size(), 3);
  assert_true(data.image_shape() == Values({1, 4, 7}));
  assert_true(data.histogram() == Values({1, 0, 2, 0}));
  assert_true(data.present_classes() == Values({0, 2}));
  const Json info = data.info();
  assert_int_equal(info["size"].get<int>(), 3);
  assert_int_equal(info["class_count"].get<int>(), 4);
  assert_string_equal(info["class_names"][2].get<std::string>().c_str(), "eel");
  assert_true(info["histogram"] == Json({1, 0, 2, 0}));
  assert_true(info["image_shape"] == Json({1, 4, 7}));
  assert_true(info["transform"] == Json::parse(R"({"mean": [0.5], "pad": 1})"));
  assert_string_equal(info["content_digest"].get<std::string>().c_str(),
                      data.content_digest().c_str());
}

void batches_hold_the_right_samples(void**) {
  const Dataset data = numbered(6, 3);
  const Batch picked = data.batch({4, 0, 4});
  assert_true(picked.images.sizes() == at::IntArrayRef({3, 1, 2, 2}));
  assert_true(picked.images.scalar_type() == at::kFloat);
  assert_true(at::equal(picked.labels, at::tensor({1, 0, 1}, at::kLong)));
  expect_close(picked.images[0].max().item<double>(), 4.0 / 255, 1e-7);
  expect_close(picked.images[2].min().item<double>(), 4.0 / 255, 1e-7);

  const Batch run = data.take({5, 3, 1}).batch(1, 3);
  assert_true(at::equal(run.labels, at::tensor({0, 1}, at::kLong)));
  expect_close(run.images[0].max().item<double>(), 3.0 / 255, 1e-7);
  assert_int_equal(data.batch(2, 2).images.size(0), 0);
  assert_int_equal(data.batch(Values{}).labels.size(0), 0);

  expect_error(Code::kInvalidArgument, "position 6", [&] { data.batch({0, 6}); });
  expect_error(Code::kInvalidArgument, "position -1", [&] { data.batch({-1}); });
  expect_error(Code::kInvalidArgument, "[3, 7)", [&] { data.batch(3, 7); });
  expect_error(Code::kInvalidArgument, "[3, 2)", [&] { data.batch(3, 2); });
  expect_error(Code::kInvalidArgument, "position 6", [&] { data.take({6}); });
}

void batches_own_their_memory(void**) {
  const Dataset data(at::ones({2, 1, 1, 1}), at::zeros({2}, at::kLong), 1);
  data.batch(0, 2).images.zero_();
  expect_close(data.batch(0, 2).images.sum().item<double>(), 2, 0);
}

void datasets_made_in_inference_mode_can_be_trained_on(void**) {
  const auto make = [] {
    const c10::InferenceMode guard;
    return numbered(4, 2);
  };
  assert_false(make().batch(0, 4).images.is_inference());
}

void classes_are_kept_and_dropped(void**) {
  const Dataset data = numbered(7, 3);
  assert_true(sources(data.keep_classes({2, 0})) == Values({0, 2, 3, 5, 6}));
  assert_true(sources(data.drop_classes({2, 0})) == Values({1, 4}));
  assert_true(sources(data.drop_classes({})) == sources(data));
  assert_int_equal(data.keep_classes({}).size(), 0);
  assert_int_equal(data.keep_classes({1}).class_count(), 3);  // labels keep their meaning
  assert_true(sources(data.drop_classes({0}).keep_classes({2})) == Values({2, 5}));
  const Dataset nothing = data.drop_classes({0, 1, 2});
  assert_int_equal(nothing.size(), 0);
  assert_true(nothing.present_classes().empty());
  assert_int_equal(nothing.batch(0, 0).images.size(0), 0);
  assert_int_equal(static_cast<int>(nothing.content_digest().size()), 64);
  expect_error(Code::kNotFound, "class 3", [&] { data.keep_classes({0, 3}); });
  expect_error(Code::kNotFound, "class -1", [&] { data.drop_classes({-1}); });
}

void few_shot_draws_per_class(void**) {
  const Dataset data = numbered(303, 3);
  const Dataset few = data.few_shot(4, 7);
  assert_true(few.histogram() == Values({4, 4, 4}));
  const Values chosen = sources(few);
  assert_true(std::is_sorted(chosen.begin(), chosen.end()));
  assert_true(std::adjacent_find(chosen.begin(), chosen.end()) == chosen.end());
  assert_true(chosen == sources(data.few_shot(4, 7)));
  assert_false(chosen == sources(data.few_shot(4, 8)));
  assert_true(sources(data.keep_classes({1}).few_shot(4, 7)) == sources(few.keep_classes({1})));
  assert_true(data.few_shot(1000, 7).histogram() == Values({101, 101, 101}));
  expect_error(Code::kInvalidArgument, "is 0", [&] { data.few_shot(0, 1); });
  expect_error(Code::kInvalidArgument, "is -3", [&] { data.few_shot(-3, 1); });
}

void few_shot_is_uniform(void**) {
  const Dataset data = numbered(10, 1);
  std::vector<int> hits(10, 0);
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    for (const int64_t i : sources(data.few_shot(3, seed))) ++hits[i];
  }
  // Binomial, mean 600, deviation 20.5: five deviations either way.
  for (const int count : hits) assert_in_range(count, 497, 703);
}

void ratio_takes_the_floor(void**) {
  const Dataset data = numbered(100, 4);
  assert_int_equal(data.ratio(0.1, 1).size(), 10);
  assert_int_equal(data.ratio(0.999, 1).size(), 99);
  assert_int_equal(data.ratio(0, 1).size(), 0);
  assert_true(sources(data.ratio(1, 1)) == sources(data));
  assert_true(sources(data.ratio(0.3, 5)) == sources(data.ratio(0.3, 5)));
  assert_false(sources(data.ratio(0.3, 5)) == sources(data.ratio(0.3, 6)));
  for (const double bad : {-0.1, 1.1, std::nan("")}) {
    expect_error(Code::kInvalidArgument, "data ratio", [&] { data.ratio(bad, 1); });
  }
}

void split_is_stratified_and_complete(void**) {
  const Dataset data = numbered(100, 3);  // 34, 33, 33 samples
  const auto [first, second] = data.split(0.25, 3);
  assert_true(second.histogram() == Values({9, 8, 8}));  // 8.5 and 8.25 rounded
  std::set<int64_t> all;
  for (const int64_t i : sources(first)) all.insert(i);
  for (const int64_t i : sources(second)) assert_true(all.insert(i).second);
  assert_int_equal(static_cast<int>(all.size()), 100);
  assert_true(sources(data.split(0.25, 3).second) == sources(second));
  assert_false(sources(data.split(0.25, 4).second) == sources(second));
  assert_true(sources(data.keep_classes({2}).split(0.25, 3).second) ==
              sources(second.keep_classes({2})));
  assert_int_equal(data.split(0, 3).second.size(), 0);
  assert_int_equal(data.split(1, 3).first.size(), 0);
  for (const double bad : {-0.5, 1.5, std::nan("")}) {
    expect_error(Code::kInvalidArgument, "split fraction", [&] { data.split(bad, 1); });
  }
}

void digest_follows_its_definition(void**) {
  const Dataset data(bytes({10, 20, 30}, {3, 1, 1, 1}), at::tensor({0, 1, 1}, at::kLong), 2,
                     Transform::from_json(Json::parse(R"({"std": [0.5]})")));
  const std::vector<int64_t> shape = {1, 1, 1}, labels = {1, 0};
  const std::vector<double> mean = {0}, deviation = {0.5};
  Sha256 hash;
  hash.update("lethe data set 1: 2 u8")
      .update(shape.data(), 24)
      .update(mean.data(), 8)
      .update(deviation.data(), 8)
      .update(labels.data(), 16)
      .update("\x1e\x0a");
  assert_string_equal(data.take({2, 0}).content_digest().c_str(), hex(hash.finish()).c_str());
}

void digest_depends_on_content_alone(void**) {
  const Dataset data = numbered(12, 3);
  const std::string digest = data.content_digest();
  const Dataset odd = data.keep_classes({1});
  const Dataset again(bytes({1, 4, 7, 10}, {4, 1, 1, 1}).expand({4, 1, 2, 2}),
                      at::ones({4}, at::kLong), 5);
  assert_string_equal(odd.content_digest().c_str(), again.content_digest().c_str());
  assert_string_equal(data.drop_classes({}).content_digest().c_str(), digest.c_str());
  // Geometry is in the pixels; one mean for all channels is the same as one a channel.
  const at::Tensor grey = bytes({1, 2}, {2, 1, 1, 1});
  const at::Tensor label = at::zeros({2}, at::kLong);
  const auto with = [](const char* json) { return Transform::from_json(Json::parse(json)); };
  const Dataset converted(grey, label, 1, with(R"({"channels": 3, "mean": [0.5]})"));
  const Dataset ready(grey.expand({2, 3, 1, 1}), label, 1, with(R"({"mean": [0.5, 0.5, 0.5]})"));
  assert_string_equal(converted.content_digest().c_str(), ready.content_digest().c_str());

  std::set<std::string> different = {
      digest,
      data.take({1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}).content_digest(),
      data.take({0, 1}).content_digest(),
      numbered(12, 2).content_digest(),
      numbered(12, 3, with(R"({"mean": [0.5]})")).content_digest(),
      numbered(12, 3, with(R"({"std": [0.5]})")).content_digest(),
      numbered(12, 3, with(R"({"pad": 1})")).content_digest(),
      Dataset(data.batch(0, 12).images, data.batch(0, 12).labels, 3).content_digest(),
  };
  assert_int_equal(static_cast<int>(different.size()), 8);
}

void digest_may_be_asked_by_many_threads(void**) {
  const Dataset data = numbered(5000, 10);
  std::vector<std::string> seen(8);
  std::vector<std::thread> threads;
  for (std::string& text : seen) {
    threads.emplace_back([&data, &text] { text = data.content_digest(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::string& text : seen) {
    assert_string_equal(text.c_str(), numbered(5000, 10).content_digest().c_str());
  }
}

void dataset_refuses_bad_input(void**) {
  const at::Tensor images = at::zeros({3, 1, 2, 2}, at::kByte);
  const at::Tensor labels = at::tensor({0, 1, 1}, at::kLong);
  const auto expect = [](const char* part, const at::Tensor& i, const at::Tensor& l,
                         int64_t classes = 2, const Transform& transform = {},
                         const std::vector<std::string>& names = {}) {
    expect_error(Code::kInvalidArgument, part, [&] { Dataset(i, l, classes, transform, names); });
  };
  expect("undefined", at::Tensor(), labels);
  expect("float64 [3, 1, 2, 2]", images.to(at::kDouble), labels);
  expect("uint8 [3, 2, 2]", images.squeeze(1), labels);
  expect("[0, 1, 2, 2]", images.narrow(0, 0, 0), labels.narrow(0, 0, 0));
  expect("[3, 1, 0, 2]", images.narrow(2, 0, 0), labels);
  expect("undefined", images, at::Tensor());
  expect("int32 [3]", images, labels.to(at::kInt));
  expect("int64 [3, 1]", images, labels.unsqueeze(1));
  expect("2 labels for 3 images", images, labels.narrow(0, 0, 2));
  expect("label 1 is 1, allowed is 0 to 0", images, labels, 1);
  expect("label 2 is -1", images, at::tensor({0, 1, -1}, at::kLong));
  expect("classes is 0", images, labels, 0);
  expect("classes is 9223372036854775807", images, labels, INT64_MAX);
  expect("1 class names for 2", images, labels, 2, {}, {"a"});
  expect("name of class 1", images, labels, 2, {}, {"a", "\xff"});
  expect("float32", images.to(at::kFloat), labels, 2,
         Transform::from_json(Json::parse(R"({"pad": 1})")));
  expect("2 values for images of 1", images, labels, 2,
         Transform::from_json(Json::parse(R"({"mean": [0, 1]})")));
  expect("3 values for images of 1", images, labels, 2,
         Transform::from_json(Json::parse(R"({"std": [1, 1, 1]})")));
  Transform unchecked;
  unchecked.std = {0};
  expect("std", images, labels, 2, unchecked);

  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    at::Tensor floats = images.to(at::kFloat);
    floats[2][0][1][1] = bad;
    expect("image 2 holds NaN or infinity", floats, labels);
  }
}

// ---------------------------------------------------------------------------------- loader

void loader_visits_everything_once_an_epoch(void**) {
  Loader loader(10, 4, RandomStream(1, "retain"));
  assert_int_equal(loader.batches_per_epoch(), 3);
  std::set<Values> orders;
  for (int epoch = 0; epoch < 20; ++epoch) {
    assert_true(loader.at_epoch_start());
    Values order;
    for (const size_t size : {4, 4, 2}) {
      const Values batch = loader.next();
      assert_int_equal(static_cast<int>(batch.size()), static_cast<int>(size));
      order.insert(order.end(), batch.begin(), batch.end());
    }
    orders.insert(order);
    std::sort(order.begin(), order.end());
    assert_true(order == Values({0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  }
  assert_true(orders.size() > 15);  // reshuffled
}

void loader_repeats_by_seed_and_copy(void**) {
  Loader one(7, 3, RandomStream(5, "x")), same(7, 3, RandomStream(5, "x"));
  Loader other(7, 3, RandomStream(5, "y"));
  bool differs = false;
  for (int i = 0; i < 12; ++i) {
    const Values batch = one.next();
    assert_true(batch == same.next());
    differs = differs || batch != other.next();
  }
  assert_true(differs);
  one.next();
  Loader checkpoint = one;
  for (int i = 0; i < 12; ++i) assert_true(one.next() == checkpoint.next());
}

void loader_restarts(void**) {
  Loader loader(9, 2, RandomStream(3, "forget"));
  loader.next();
  loader.restart();
  std::set<int64_t> seen;
  for (int i = 0; i < 5; ++i) {
    for (const int64_t position : loader.next()) assert_true(seen.insert(position).second);
  }
  assert_int_equal(static_cast<int>(seen.size()), 9);

  Loader fresh(9, 2, RandomStream(3, "forget")), restarted(9, 2, RandomStream(3, "forget"));
  restarted.restart();
  assert_true(fresh.next() == restarted.next());
}

void loader_takes_any_batch_size(void**) {
  Loader small(3, 48, RandomStream(1, "x"));
  assert_int_equal(small.batches_per_epoch(), 1);
  assert_int_equal(static_cast<int>(small.next().size()), 3);
  assert_int_equal(static_cast<int>(small.next().size()), 3);
  assert_int_equal(Loader(8, 4, RandomStream(1, "x")).batches_per_epoch(), 2);
  assert_int_equal(Loader(3, INT64_MAX, RandomStream(1, "x")).batches_per_epoch(), 1);
  expect_error(Code::kInvalidArgument, "got 0", [] { Loader(0, 4, RandomStream(1, "x")); });
  expect_error(Code::kInvalidArgument, "is 0", [] { Loader(4, 0, RandomStream(1, "x")); });
}

}  // namespace

int main() {
  const CMUnitTest dataset[] = {
      cmocka_unit_test(dataset_describes_itself),
      cmocka_unit_test(batches_hold_the_right_samples),
      cmocka_unit_test(batches_own_their_memory),
      cmocka_unit_test(datasets_made_in_inference_mode_can_be_trained_on),
      cmocka_unit_test(classes_are_kept_and_dropped),
      cmocka_unit_test(few_shot_draws_per_class),
      cmocka_unit_test(few_shot_is_uniform),
      cmocka_unit_test(ratio_takes_the_floor),
      cmocka_unit_test(split_is_stratified_and_complete),
      cmocka_unit_test(digest_follows_its_definition),
      cmocka_unit_test(digest_depends_on_content_alone),
      cmocka_unit_test(digest_may_be_asked_by_many_threads),
      cmocka_unit_test(dataset_refuses_bad_input),
  };
  const CMUnitTest loader[] = {
      cmocka_unit_test(loader_visits_everything_once_an_epoch),
      cmocka_unit_test(loader_repeats_by_seed_and_copy),
      cmocka_unit_test(loader_restarts),
      cmocka_unit_test(loader_takes_any_batch_size),
  };
  return cmocka_run_group_tests_name("data: dataset", dataset, nullptr, nullptr) +
         cmocka_run_group_tests_name("data: loader", loader, nullptr, nullptr);
}
