// Images with objects in memory, selections of them, and batches.
#include <ATen/ATen.h>

#include <atomic>
#include <cmath>
#include <set>
#include <thread>
#include <vector>

#include "data/detection_batch.h"
#include "data/detection_dataset.h"
#include "data/fixtures.h"
#include "test.h"

namespace {

using namespace lethe;
using namespace lethe::testing;

using Values = std::vector<int64_t>;

DetectionObject object(int64_t label, BoxCorners box, bool crowd = false) {
  return {label, box, box.width() * box.height(), crowd};
}

at::Tensor flat(int64_t value, int64_t height, int64_t width) {
  return at::full({3, height, width}, value, at::kByte);
}

DetectionImage image(int64_t id, std::vector<DetectionObject> objects) {
  return {id, "", flat(id, 4, 8), {}, std::move(objects)};
}

const std::vector<DetectionCategory> kThree = {{10, "ape"}, {20, "bee"}, {70, "cat"}};

/// Six images, objects of classes 0 | 0 1 | 1 1 crowd 2 | none | crowd 0 | 2.
DetectionDataset six() {
  const BoxCorners a = {0, 0, 2, 2}, b = {1, 1, 8, 4};
  return {kThree,
          {image(1, {object(0, a)}), image(2, {object(0, a), object(1, b)}),
           image(3, {object(1, a), object(1, b), object(2, b, true)}), image(4, {}),
           image(5, {object(0, b, true)}), image(6, {object(2, a)})}};
}

/// `count` images with one object each, classes 0, 1, 2 in turn.
DetectionDataset many(int64_t count) {
  std::vector<DetectionImage> images;
  for (int64_t i = 0; i < count; ++i) images.push_back(image(i, {object(i % 3, {0, 0, 1, 1})}));
  return {kThree, std::move(images)};
}

Values ids(const DetectionDataset& data) {
  Values result;
  for (int64_t i = 0; i < data.size(); ++i) result.push_back(data.image_id(i));
  return result;
}

int64_t object_count(const DetectionDataset& data) {
  int64_t count = 0;
  for (int64_t i = 0; i < data.size(); ++i) count += std::ssize(data.objects(i));
  return count;
}

// ------------------------------------------------------------------------------- data sets

void samples_come_as_they_were_given(void**) {
  const DetectionDataset data = six();
  assert_int_equal(data.size(), 6);
  assert_int_equal(data.class_count(), 3);
  assert_string_equal(data.categories()[2].name.c_str(), "cat");
  assert_int_equal(data.label_of(70), 2);
  expect_error(Code::kNotFound, "category 2 is unknown", [&] { data.label_of(2); });
  assert_int_equal(data.image_size(1).height, 4);
  assert_int_equal(data.image_size(1).width, 8);
  const DetectionSample sample = data.sample(1);
  assert_true(at::equal(sample.image, flat(2, 4, 8)));
  assert_int_equal(sample.objects.size(), 2);
  assert_true(sample.objects[1] == object(1, {1, 1, 8, 4}));
  assert_true(data.sample(3).objects.empty());
  assert_true(data.histogram() == Values({2, 3, 1}));  // crowds are not counted
  assert_true(data.present_classes() == Values({0, 1, 2}));
  assert_true(data.origin().is_null());
  expect_error(Code::kInvalidArgument, "position 6", [&] { data.sample(6); });
  expect_error(Code::kInvalidArgument, "position -1", [&] { data.objects(-1); });
}

void files_are_decoded_when_asked_for(void**) {
  const TemporaryFolder folder;
  write_text(folder / "a.ppm", "P6 2 1 255\n" + bytes_of({1, 2, 3, 4, 5, 6}));
  write_text(folder / "b.pgm", "P5 2 2 255\n" + bytes_of({7, 8, 9, 10}));
  const DetectionDataset data(
      kThree, {{1, folder / "a.ppm", {}, {1, 2}, {}}, {2, folder / "b.pgm", {}, {2, 2}, {}}});
  assert_true(
      at::equal(data.sample(0).image, at::tensor({1, 4, 2, 5, 3, 6}, at::kByte).view({3, 1, 2})));
  const at::Tensor grey = data.sample(1).image;
  assert_true(grey.sizes() == at::IntArrayRef({3, 2, 2}) && grey.is_contiguous());
  assert_true(at::equal(grey[0], grey[2]));

  const std::string digest = data.content_digest();
  assert_string_equal(data.take({0, 1}).content_digest().c_str(), digest.c_str());
  write_text(folder / "a.ppm", "P6 1 2 255\n" + bytes_of({1, 2, 3, 4, 5, 6}));
  assert_true(data.take({0, 1}).content_digest() != digest);
  expect_error(Code::kCorrupt, "a.ppm is 1x2 but its annotations say 2x1", [&] { data.sample(0); });
  std::filesystem::remove(folder / "a.ppm");
  expect_error(Code::kNotFound, "a.ppm", [&] { data.sample(0); });
  const DetectionDataset again = data.take({1, 0});
  expect_error(Code::kNotFound, "a.ppm", [&] { again.content_digest(); });
  write_text(folder / "a.ppm", "P6 2 1 255\n" + bytes_of({1, 2, 3, 4, 5, 6}));
  assert_int_equal(again.content_digest().size(), 64);  // an attempt that failed is made anew
}

void kept_classes_lose_all_other_annotations(void**) {
  const DetectionDataset data = six();
  const DetectionDataset kept = data.keep_classes({1, 2});
  assert_true(ids(kept) == Values({2, 3, 6}));  // 5 shows only a crowd, 4 nothing
  assert_int_equal(kept.objects(0).size(), 1);
  assert_int_equal(kept.objects(0)[0].label, 1);
  assert_int_equal(kept.objects(1).size(), 3);  // the crowd of a kept class stays
  assert_true(kept.histogram() == Values({0, 3, 1}));
  assert_true(kept.present_classes() == Values({1, 2}));
  assert_int_equal(kept.class_count(), 3);
  assert_int_equal(kept.source_index(2), 5);
  assert_true(ids(data.keep_classes({0})) == Values({1, 2}));

  const DetectionDataset narrowed = kept.keep_classes({1});
  assert_true(ids(narrowed) == Values({2, 3}));
  assert_int_equal(object_count(narrowed), 3);
  assert_int_equal(kept.keep_classes({0}).size(), 0);  // what was dropped does not come back
  assert_int_equal(data.keep_classes({}).size(), 0);
  assert_int_equal(object_count(data), 8);  // the whole set has changed nothing
  expect_error(Code::kNotFound, "class 3", [&] { data.keep_classes({3}); });
}

void ratio_and_few_shot_count_images(void**) {
  const DetectionDataset data = many(100);
  const DetectionDataset tenth = data.ratio(0.107, 5);
  assert_int_equal(tenth.size(), 10);
  const Values chosen = ids(tenth);
  assert_true(std::is_sorted(chosen.begin(), chosen.end()));
  assert_true(chosen == ids(data.ratio(0.107, 5)));
  assert_true(chosen != ids(data.ratio(0.107, 6)));
  assert_int_equal(data.ratio(0, 1).size(), 0);
  assert_int_equal(data.ratio(1, 1).size(), 100);
  expect_error(Code::kInvalidArgument, "ratio is 1.5", [&] { data.ratio(1.5, 0); });
  expect_error(Code::kInvalidArgument, "nan", [&] { data.ratio(std::nan(""), 0); });

  // k times the number of classes in all: 4 x 3, not 4 of each.
  assert_int_equal(data.few_shot(4, 1).size(), 12);
  assert_int_equal(data.keep_classes({0, 2}).few_shot(4, 1).size(), 8);
  assert_int_equal(data.few_shot(1000, 1).size(), 100);
  assert_int_equal(data.few_shot(INT64_MAX, 1).size(), 100);
  bool balanced = true;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    balanced = balanced && data.few_shot(4, seed).histogram() == Values({4, 4, 4});
  }
  assert_false(balanced);
  expect_error(Code::kInvalidArgument, "is 0", [&] { data.few_shot(0, 0); });
}

void a_split_is_disjoint_and_whole(void**) {
  const DetectionDataset data = many(11);
  const auto [first, second] = data.split(0.25, 3);
  assert_int_equal(second.size(), 3);
  Values all = ids(first);
  for (const int64_t id : ids(second)) all.push_back(id);
  assert_int_equal(std::set<int64_t>(all.begin(), all.end()).size(), 11);
  assert_int_equal(all.size(), 11);
  expect_error(Code::kInvalidArgument, "split fraction", [&] { data.split(-0.1, 0); });
}

void dropped_objects_leave_their_images(void**) {
  const DetectionDataset data = many(40);
  const DetectionDataset thinned = data.drop_objects(0.25, 9);
  assert_int_equal(thinned.size(), 40);
  assert_int_equal(object_count(thinned), 30);
  assert_string_equal(thinned.content_digest().c_str(),
                      data.drop_objects(0.25, 9).content_digest().c_str());
  assert_true(thinned.content_digest() != data.drop_objects(0.25, 8).content_digest());
  assert_int_equal(object_count(data.drop_objects(1, 9)), 0);
  assert_int_equal(object_count(thinned.drop_objects(0, 1)), 30);  // what is gone stays gone
  assert_int_equal(object_count(six().drop_objects(1, 0)), 2);     // crowds stay
  // An image that was taken twice has its objects once: of two objects one goes, with both or one.
  const DetectionDataset twice = data.take({0, 0, 1}).drop_objects(0.5, 0);
  assert_true(twice.objects(0) == twice.objects(1));
  assert_true(twice.objects(0).empty() != twice.objects(2).empty());
  expect_error(Code::kInvalidArgument, "share of dropped", [&] { data.drop_objects(2, 0); });
}

void digests_are_of_the_content(void**) {
  const DetectionDataset data = six();
  const std::string digest = data.content_digest();
  assert_int_equal(digest.size(), 64);
  assert_string_equal(six().content_digest().c_str(), digest.c_str());
  assert_string_equal(data.take({0, 1, 2, 3, 4, 5}).content_digest().c_str(), digest.c_str());
  assert_true(data.take({1, 0, 2, 3, 4, 5}).content_digest() != digest);
  assert_true(data.keep_classes({0}).content_digest() != data.take({0, 1}).content_digest());
  assert_true(data.keep_classes({0, 1}).keep_classes({0}).content_digest() ==
              data.keep_classes({0}).content_digest());
  const auto changed = [](const DetectionImage& one,
                          std::vector<DetectionCategory> names = kThree) {
    return DetectionDataset(std::move(names), {one}).content_digest();
  };
  const DetectionImage base = image(1, {object(0, {0, 0, 2, 2})});
  const std::string own = changed(base);
  DetectionImage other = base;
  other.pixels = base.pixels.clone();
  assert_true(changed(other) == own);
  other.pixels[2][3][7] = 99;
  assert_true(changed(other) != own);
  other = base;
  other.pixels = base.pixels.view({3, 8, 4});
  assert_true(changed(other) != own);
  for (int what = 0; what < 4; ++what) {
    other = base;
    if (what == 0) other.objects[0].label = 1;
    if (what == 1) other.objects[0].box.right = 3;
    if (what == 2) other.objects[0].area = 3;
    if (what == 3) other.objects[0].crowd = true;
    assert_true(changed(other) != own);
  }
  assert_true(changed(base, {{10, "ape"}, {20, "bee"}, {71, "cat"}}) != own);
  assert_true(data.info()["content_digest"] == digest);
  assert_int_equal(data.info()["categories"][1]["id"].get<int64_t>(), 20);
}

void bad_images_and_objects_are_refused(void**) {
  const auto expect = [](const char* part, DetectionImage one,
                         std::vector<DetectionCategory> categories = kThree) {
    expect_error(Code::kInvalidArgument, part, [&] {
      DetectionDataset(categories, {image(7, {}), one});
    });
  };
  const double nan = std::nan(""), infinite = INFINITY;
  expect("number 7 is given twice", image(7, {}));
  expect("label 3, allowed is 0 to 2", image(1, {object(3, {0, 0, 1, 1})}));
  expect("label -1", image(1, {object(-1, {0, 0, 1, 1})}));
  for (const BoxCorners box : {BoxCorners{nan, 0, 1, 1},
                               {0, 0, nan, 1},
                               {0, 0, infinite, 1},
                               {-infinite, 0, 1, 1},
                               {-0.5, 0, 1, 1},
                               {0, 0, 8.5, 1},
                               {0, 0, 1, 4.5},
                               {1, 0, 1, 1},
                               {2, 0, 1, 1},
                               {0, 2, 1, 1}}) {
    DetectionObject bad = object(0, box);
    bad.area = 1;
    expect("image 1 has the corners (", image(1, {bad}));
  }
  for (const double area : {nan, infinite, -1.0}) {
    DetectionObject bad = object(0, {0, 0, 1, 1});
    bad.area = area;
    expect("the area", image(1, {bad}));
  }
  expect("either a file or pixels", {1, "", {}, {4, 4}, {}});
  expect("either a file or pixels", {1, "a.png", flat(0, 2, 2), {}, {}});
  expect("float32 [3, 2, 2]", {1, "", flat(0, 2, 2).to(at::kFloat), {}, {}});
  expect("uint8 [2, 2, 2]", {1, "", flat(0, 2, 2).narrow(0, 0, 2), {}, {}});
  expect("size 0x4", {1, "a.png", {}, {4, 0}, {}});
  expect("category 5 is given twice", image(1, {}), {{5, "a"}, {5, "b"}});
  expect("category 5 is not valid UTF-8", image(1, {}), {{5, "\xff"}});
  expect("0 categories", image(1, {}), {});
  expect_error(Code::kInvalidArgument, "at least one image", [] { DetectionDataset(kThree, {}); });
}

void threads_may_share_a_set(void**) {
  const DetectionDataset data = many(60);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t i = 0; i < data.size(); ++i) {
        if (data.sample(i).image[0][0][0].item<int64_t>() != i) ++wrong;
      }
      if (data.keep_classes({t % 3}).size() != 20) ++wrong;
      if (data.content_digest().size() != 64) ++wrong;
    });
  }
  for (std::thread& thread : threads) thread.join();
  assert_int_equal(wrong, 0);
}

// --------------------------------------------------------------------------------- batches

void batches_pad_and_share_each_image(void**) {
  const DetectionSample small = {flat(255, 2, 4),
                                 {object(2, {1, 0, 3, 1}), object(0, {0, 0, 4, 2}, true)}};
  const DetectionSample tall = {flat(51, 3, 2), {}};
  Transform values;
  values.mean = {0.5, 0.25, 0};
  values.std = {0.5};
  const DetectionBatch batch = batch_of({small, tall}, values);
  assert_true(batch.pixels.sizes() == at::IntArrayRef({2, 3, 3, 4}));
  assert_true(batch.padding.sizes() == at::IntArrayRef({2, 3, 4}));
  expect_close(batch.pixels[0][0][1][3].item<double>(), 1, 1e-6);    // (1 - 0.5) / 0.5
  expect_close(batch.pixels[0][1][1][3].item<double>(), 1.5, 1e-6);  // (1 - 0.25) / 0.5
  expect_close(batch.pixels[1][2][2][1].item<double>(), 0.4, 1e-6);  // 0.2 / 0.5
  expect_close(batch.pixels[0].narrow(1, 2, 1).abs().max().item<double>(), 0, 0);
  expect_close(batch.pixels[1].narrow(2, 2, 2).abs().max().item<double>(), 0, 0);
  const at::Tensor outside = at::tensor({0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1,  //
                                         0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1},
                                        at::kLong);
  assert_true(at::equal(batch.padding.to(at::kLong).view({-1}), outside));

  // The box covers 1 to 3 of 4 columns and the upper of 2 rows of its image, whatever the canvas.
  const DetectionTargets& targets = batch.targets[0];
  assert_true(at::equal(targets.labels, at::tensor({2}, at::kLong)));  // the crowd is left out
  assert_true(targets.boxes.scalar_type() == at::kFloat);
  assert_true(at::equal(targets.boxes, at::tensor({0.5F, 0.25F, 0.5F, 0.5F}).view({1, 4})));
  assert_true(batch.targets[1].boxes.sizes() == at::IntArrayRef({0, 4}));
  assert_true(batch.targets[1].labels.sizes() == at::IntArrayRef({0}));
  assert_true(batch.targets[1].labels.scalar_type() == at::kLong);
}

void batches_refuse_what_does_not_fit(void**) {
  Transform geometry;
  geometry.resize = 4;
  expect_error(Code::kInvalidArgument, "detection_transform.h", [&] {
    batch_of({{flat(0, 2, 2), {}}}, geometry);
  });
  expect_error(Code::kInvalidArgument, "at least one image", [] { batch_of({}); });
  expect_error(Code::kInvalidArgument, "float32 [3, 2, 2]", [] {
    batch_of({{flat(0, 2, 2).to(at::kFloat), {}}});
  });
  expect_error(Code::kInvalidArgument, "undefined", [] { batch_of({DetectionSample()}); });
}

}  // namespace

int main() {
  const CMUnitTest sets[] = {
      cmocka_unit_test(samples_come_as_they_were_given),
      cmocka_unit_test(files_are_decoded_when_asked_for),
      cmocka_unit_test(kept_classes_lose_all_other_annotations),
      cmocka_unit_test(ratio_and_few_shot_count_images),
      cmocka_unit_test(a_split_is_disjoint_and_whole),
      cmocka_unit_test(dropped_objects_leave_their_images),
      cmocka_unit_test(digests_are_of_the_content),
      cmocka_unit_test(bad_images_and_objects_are_refused),
      cmocka_unit_test(threads_may_share_a_set),
  };
  const CMUnitTest batches[] = {
      cmocka_unit_test(batches_pad_and_share_each_image),
      cmocka_unit_test(batches_refuse_what_does_not_fit),
  };
  return cmocka_run_group_tests_name("data: detection sets", sets, nullptr, nullptr) +
         cmocka_run_group_tests_name("data: detection batches", batches, nullptr, nullptr);
}
