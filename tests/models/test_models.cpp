// Architectures and heads: shapes and numbers that can be checked by hand (algorithm.md 11).
#include <ATen/CPUGeneratorImpl.h>

#include <set>

#include "models/base_model.h"
#include "models/face_transformer.h"
#include "models/tiny_models.h"

namespace lethe::testing {
namespace {

int64_t parameters(const Classifier& model, const std::string& prefix = "") {
  int64_t sum = 0;
  for (const TensorSpec& t : model.tensors()) {
    if (!t.name.starts_with(prefix)) continue;
    int64_t count = 1;
    for (int64_t n : t.shape) count *= n;
    sum += count;
  }
  return sum;
}

int64_t lora_parameters(const Classifier& model, int64_t rank) {
  int64_t sum = 0;
  for (const AdapterSite& site : model.adapter_sites()) sum += rank * (site.in + site.out);
  return sum;
}

// ------------------------------------------------------------------------------- shapes and sites

void check_1_parameter_counts(void**) {
  const auto face = model_of({{"arch", "face_vit"}});
  assert_int_equal(parameters(*face), 19'157'504);
  assert_int_equal(parameters(*face, "loss."), 51'200);
  assert_int_equal(parameters(*face, "transformer.layers.0."), 3'150'848);
  assert_int_equal(parameters(*face, "transformer.layers.5."), 3'150'848);
  assert_int_equal(lora_parameters(*face, 8), 245'760);
  const auto vit = model_of({{"arch", "vit"}, {"classes", 100}});
  assert_int_equal(parameters(*vit), 85'875'556);
  assert_int_equal(lora_parameters(*vit, 8), 737'280);
}

/// The published face model but for the patches: 432 values instead of 192, 240 x 512 weights more.
void overlapping_patches_change_one_tensor(void**) {
  const auto face = model_of({{"arch", "face_vit"}}), faces = model_of({{"arch", "face_vits"}});
  assert_int_equal(faces->spec().tokens(), 197);
  assert_int_equal(parameters(*faces), 19'157'504 + 240 * 512);
  assert_int_equal(lora_parameters(*faces, 8), 245'760);
  const auto one = face->tensors(), other = faces->tensors();
  assert_int_equal(one.size(), other.size());
  for (size_t i = 0; i < one.size(); ++i) {
    assert_true(one[i].name == other[i].name);
    if (one[i].name == "patch_to_embedding.weight") {
      assert_true(other[i].shape == std::vector<int64_t>({512, 432}));
    } else {
      assert_true(one[i].shape == other[i].shape);
    }
  }
  // The names of the reference's ViTs_face (vits_face.py), one block.
  std::set<std::string> names, expected = {"pos_embedding",
                                           "cls_token",
                                           "patch_to_embedding.weight",
                                           "patch_to_embedding.bias",
                                           "transformer.layers.0.0.fn.norm.weight",
                                           "transformer.layers.0.0.fn.norm.bias",
                                           "transformer.layers.0.0.fn.fn.to_qkv.weight",
                                           "transformer.layers.0.0.fn.fn.to_out.0.weight",
                                           "transformer.layers.0.0.fn.fn.to_out.0.bias",
                                           "transformer.layers.0.1.fn.norm.weight",
                                           "transformer.layers.0.1.fn.norm.bias",
                                           "transformer.layers.0.1.fn.fn.net.0.weight",
                                           "transformer.layers.0.1.fn.fn.net.0.bias",
                                           "transformer.layers.0.1.fn.fn.net.3.weight",
                                           "transformer.layers.0.1.fn.fn.net.3.bias",
                                           "mlp_head.0.weight",
                                           "mlp_head.0.bias",
                                           "loss.weight"};
  for (const TensorSpec& t : model_of(with(kTinyFaces, {{"depth", 1}}))->tensors()) {
    names.insert(t.name);
  }
  assert_true(names == expected);
}

void overlapping_patches_are_part_of_their_spec_alone(void**) {
  for (const char* arch : {"vit", "face_vit"}) {  // or their fingerprints would change
    const Json json = ModelSpec::defaults(arch).to_json();
    assert_false(json.contains("patch_stride") || json.contains("patch_padding"));
    expect_error(Code::kInvalidArgument, "unknown key \"patch_stride\"", [&] {
      ModelSpec::from_json({{"arch", arch}, {"patch_stride", 8}});
    });
  }
  const Json json = ModelSpec::defaults("face_vits").to_json();
  assert_true(json.at("patch_size") == 12 && json.at("patch_stride") == 8 &&
              json.at("patch_padding") == 4);
  assert_true(ModelSpec::from_json(json).to_json() == json);

  const auto refused = [](const Json& changes, const std::string& part) {
    expect_error(Code::kInvalidArgument, part,
                 [&] { ModelSpec::from_json(with(kTinyFaces, changes)); });
  };
  refused({{"patch_stride", 0}}, "patch_stride");
  refused({{"patch_stride", 7}}, "patch_stride");  // pixels between the windows
  refused({{"patch_padding", -1}}, "patch_padding");
  refused({{"patch_padding", 6}}, "patch_padding");              // a window of zeros
  expect_error(Code::kInvalidArgument, "\"patch_stride\" is 8",  // the default does not fit
               [&] {
                 ModelSpec::from_json({{"arch", "face_vits"}, {"patch_size", 7}});
               });
  refused({{"patch_size", 13}}, "larger than the image with its padding, 12");
  // Windows from 0 and 4 end at 6 and 10; the second would need 10 of the 9 that there are.
  refused({{"image_size", 9}, {"patch_padding", 0}}, "end at pixel 6 of \"image_size\" 9");
  assert_int_equal(ModelSpec::from_json(with(kTinyFaces, {{"image_size", 10}})).tokens(), 10);
}

void trap_sites_come_from_the_model_at_any_depth(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
    for (int64_t depth : {1, 8, 13}) {
      const auto model = model_of(with(tiny, {{"depth", depth}}));
      const auto sites = model->adapter_sites();
      assert_int_equal(sites.size(), 2 * depth);
      std::map<std::string, std::vector<int64_t>> shapes;
      for (const TensorSpec& t : model->tensors()) shapes[t.name] = t.shape;
      for (size_t i = 0; i < sites.size(); ++i) {
        assert_int_equal(sites[i].block, i / 2);
        assert_true(sites[i].layer == (i % 2 ? "fc2" : "fc1"));
        const std::vector<int64_t> shape = {sites[i].out, sites[i].in};
        assert_true(shapes.at(sites[i].name + ".weight") == shape);
      }
    }
  }
}

void adapter_layers_choose_sites(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
    for (const char* layer : {"fc1", "fc2"}) {
      const auto model = model_of(with(tiny, {{"adapter_layers", {layer}}}));
      assert_int_equal(model->adapter_sites().size(), 2);
      for (const AdapterSite& site : model->adapter_sites()) assert_true(site.layer == layer);
    }
    const auto both = model_of(with(tiny, {{"adapter_layers", {"fc2", "fc1"}}}));
    assert_true(both->adapter_sites()[0].layer == "fc1");
  }
}

void tensor_lists_are_sorted_and_distinct(void**) {
  for (const char* head : {"linear", "cosface", "arcface"}) {
    for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
      const auto model = model_of(with(tiny, {{"head", head}, {"depth", 11}}));
      const auto list = model->tensors();
      std::set<std::string> names;
      for (size_t i = 0; i < list.size(); ++i) {
        assert_true(names.insert(list[i].name).second);
        if (i > 0) assert_true(list[i - 1].name < list[i].name);
      }
      const bool bias = names.contains("heads.head.bias") || names.contains("loss.bias");
      assert_true(bias == (std::string(head) == "linear"));
    }
  }
}

void random_weights_fit_and_repeat(void**) {
  for (const char* head : {"linear", "cosface"}) {
    for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
      const auto model = model_of(with(tiny, {{"head", head}}));
      const Weights weights = model->random_weights(RandomStream(1, "w"));
      const Weights again = model->random_weights(RandomStream(1, "w"));
      const Weights other = model->random_weights(RandomStream(2, "w"));
      model->check_weights(weights);
      bool differs = false;
      for (const auto& [name, tensor] : weights) {
        assert_true(at::equal(tensor, again.at(name)));
        differs = differs || !at::equal(tensor, other.at(name));
      }
      assert_true(differs);
    }
  }
  // Section 2.1: linears U(+-1/sqrt(in)), head Xavier, position embedding N(0, 1).
  const auto face = model_of(with(kTinyFace, {{"dim", 64}, {"classes", 50}, {"mlp_dim", 256}}));
  const Weights w = face->random_weights(RandomStream(1, "w"));
  const auto largest = [&](const char* name) { return w.at(name).abs().max().item<double>(); };
  expect_close(largest("transformer.layers.0.1.fn.fn.net.0.weight"), 1 / 8.0, 0.01);
  expect_close(largest("transformer.layers.0.1.fn.fn.net.3.weight"), 1 / 16.0, 0.01);
  expect_close(largest("loss.weight"), std::sqrt(6.0 / (50 + 64)), 0.01);
  expect_close(w.at("pos_embedding").std().item<double>(), 1, 0.15);
}

// --------------------------------------------------------------------------------- forward passes

/// Pixel (c, y, x) is 10000 c + 100 y + x.
at::Tensor numbered_image() {
  const at::Tensor c = at::arange(3).view({3, 1, 1}), line = at::arange(112);
  return (c * 10000 + line.view({112, 1}) * 100 + line.view({1, 112})).to(at::kFloat).unsqueeze(0);
}

void check_2_patches_are_row_column_channel(void**) {
  const at::Tensor patches = patchify(numbered_image(), 8);
  assert_true(patches.sizes() == at::IntArrayRef({1, 196, 192}));
  const auto is = [&](int64_t patch, int64_t begin, const std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      expect_close(patches[0][patch][begin + static_cast<int64_t>(i)].item<float>(), values[i]);
    }
  };
  is(15, 0, {808, 10808, 20808, 809, 10809, 20809});
  is(15, 24, {908, 10908, 20908});
  is(15, 189, {1515, 11515, 21515});
  is(1, 0, {8, 10008, 20008});  // row by row
  is(14, 0, {800, 10800, 20800});
  is(195, 189, {11211, 21211, 31211});
}

/// Window (i, j) of the 14 x 14 begins at pixel (8 i - 4, 8 j - 4). Element 144 c + 12 r + k of its
/// vector is pixel (c, 8 i - 4 + r, 8 j - 4 + k).
void overlapping_patches_are_channel_row_column(void**) {
  const at::Tensor patches = overlapping_patches(numbered_image(), 12, 8, 4);
  assert_true(patches.sizes() == at::IntArrayRef({1, 196, 432}));
  const auto is = [&](int64_t patch, int64_t begin, const std::vector<float>& values) {
    for (size_t i = 0; i < values.size(); ++i) {
      expect_close(patches[0][patch][begin + static_cast<int64_t>(i)].item<float>(), values[i]);
    }
  };
  is(15, 0, {404, 405, 406});                   // (1, 1) is inside: it begins at pixel (4, 4)
  is(15, 12, {504});                            // the next row
  is(15, 144, {10404, 10405});                  // the next channel
  is(15, 431, {21515});                         // channel 2, row and column 4 + 11
  is(0, 144, std::vector<float>(48, 0));        // (0, 0) begins at (-4, -4): four rows of zeros
  is(0, 144 + 48, {0, 0, 0, 0, 10000, 10001});  // in row 4, image row 0, four zeros, then column 0
  is(0, 144 + 60, {0, 0, 0, 0, 10100});
  is(0, 431, {20707});
  is(1, 47, {0, 4, 5});               // (0, 1) begins at (-4, 4): its fifth row is image row 0
  is(13, 48, {100, 101});             // (0, 13) begins at (-4, 100)
  is(13, 59, {111, 200});             // and ends at the image's last column, 111
  is(14, 0, {0, 0, 0, 0, 400, 401});  // (1, 0) begins at (4, -4)
  is(195, 0, {10100});                // (13, 13) begins at (100, 100), and no padding is in it
  is(195, 431, {31211});
  // A frame that the last window does reach: 4 x 4 pixels in windows of 4, 2 apart, begin at -1, 1.
  const at::Tensor ones = overlapping_patches(at::ones({1, 1, 4, 4}), 4, 2, 1);
  assert_true(ones.sizes() == at::IntArrayRef({1, 4, 16}));
  for (int64_t i = 0; i < 4; ++i) assert_int_equal(ones[0][i].sum().item<int64_t>(), 9);
  assert_int_equal(ones[0][3][15].item<int64_t>(), 0);  // its last row and column
  assert_int_equal(ones[0][3][0].item<int64_t>(), 1);
}

void savings_change_nothing_beyond_rounding(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
    for (int64_t depth : {1, 3}) {
      const auto model = model_of(with(tiny, {{"depth", depth}}));
      const Weights weights = model->random_weights(RandomStream(1, "w"));
      const at::Tensor images = images_for(*model);
      ForwardOptions plain;
      plain.class_token_only = plain.fused_attention = false;
      const at::Tensor expected = model->embed(weights, images, plain);
      assert_true(expected.sizes() == at::IntArrayRef({3, model->spec().dim}));
      for (bool class_token : {false, true}) {
        for (bool fused : {false, true}) {
          ForwardOptions options;
          options.class_token_only = class_token;
          options.fused_attention = fused;
          expect_near(model->embed(weights, images, options), expected, 1e-5, "embeddings");
        }
      }
    }
  }
}

/// Images of a batch do not see each other, and a pixel of every patch matters.
void embeddings_are_per_image(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
    const auto model = model_of(tiny);
    const Weights weights = model->random_weights(RandomStream(1, "w"));
    const at::Tensor images = images_for(*model);
    const at::Tensor all = model->embed(weights, images);
    expect_near(model->embed(weights, images.narrow(0, 1, 1)), all.narrow(0, 1, 1), 1e-5);
    for (int64_t y : {0, 4}) {
      for (int64_t x : {0, 4}) {
        at::Tensor changed = images.clone();
        changed.select(0, 1).select(1, y).select(1, x).add_(1);
        const at::Tensor moved = model->embed(weights, changed);
        assert_true(deviation(moved[1], all[1]) > 1e-4);
        expect_near(moved[0], all[0], 1e-6);
      }
    }
  }
}

/// Scores scaled by dim^-0.5 are those scaled by head_dim^-0.5 of a query that is as much smaller.
void trap_attention_scale_is_a_choice(void**) {
  expect_close(ModelSpec::defaults("face_vit").attention_scale(), 0.0441942, 1e-7);
  expect_close(ModelSpec::defaults("vit").attention_scale(), 0.125);
  const auto by_head = model_of(with(kTinyVit, {{"attention_scale", "head_dim"}}));
  const auto by_dim = model_of(with(kTinyVit, {{"attention_scale", "dim"}}));
  Weights weights = by_head->random_weights(RandomStream(1, "w"));
  const at::Tensor images = images_for(*by_head);
  const at::Tensor expected = by_dim->embed(weights, images);
  assert_true(deviation(by_head->embed(weights, images), expected) > 1e-4);
  for (auto& [name, tensor] : weights) {
    if (name.ends_with("in_proj_weight") || name.ends_with("in_proj_bias")) {
      tensor = tensor.clone();
      tensor.narrow(0, 0, 16).mul_(std::sqrt(8.0 / 16.0));
    }
  }
  for (bool fused : {false, true}) {
    ForwardOptions options;
    options.fused_attention = fused;
    expect_near(by_head->embed(weights, images, options), expected, 1e-5);
  }
}

void dropout_repeats_with_its_generator(void**) {
  const at::Tensor ones = at::ones({1000});
  const auto dropped = [&](uint64_t seed) {
    at::Generator generator = RandomStream(seed, "d").generator();
    ForwardOptions options;
    options.dropout = 0.2;
    options.generator = &generator;
    return dropout(ones, options);
  };
  const at::Tensor once = dropped(1);
  assert_true(at::equal(once, dropped(1)));
  assert_false(at::equal(once, dropped(2)));
  assert_true(once.eq(0).logical_or(once.eq(1.25)).all().item<bool>());
  expect_close(once.mean().item<double>(), 1, 0.05);
  assert_true(at::equal(dropout(ones, {}), ones));
  ForwardOptions without;
  without.dropout = 0.5;
  expect_error(Code::kInternal, "generator", [&] { dropout(ones, without); });

  const auto model = model_of(kTinyFace);
  const Weights weights = model->random_weights(RandomStream(1, "w"));
  const at::Tensor images = images_for(*model);
  const auto embed = [&](uint64_t seed) {
    at::Generator generator = RandomStream(seed, "d").generator();
    ForwardOptions options;
    options.dropout = 0.2;
    options.generator = &generator;
    return model->embed(weights, images, options);
  };
  const at::Tensor state = at::detail::getDefaultCPUGenerator().get_state();
  assert_true(at::equal(embed(1), embed(1)));
  assert_false(at::equal(embed(1), embed(2)));
  assert_false(at::equal(embed(1), model->embed(weights, images)));
  assert_true(at::equal(at::detail::getDefaultCPUGenerator().get_state(), state));
}

void images_of_another_shape_are_refused(void**) {
  for (const Json& tiny : {kTinyVit, kTinyFace, kTinyFaces}) {
    const auto model = model_of(tiny);
    const Weights weights = model->random_weights(RandomStream(1, "w"));
    const int64_t c = model->spec().channels;
    for (const std::vector<int64_t>& shape : std::vector<std::vector<int64_t>>{
             {2, c + 1, 8, 8}, {2, c, 8, 4}, {2, c, 16, 16}, {c, 8, 8}, {1, 2, c, 8, 8}, {}}) {
      const std::string given = lethe::str(at::IntArrayRef(shape)),
                        wanted = lethe::str("[N, ", c, ", 8, 8]");
      const auto embed = [&] { model->embed(weights, at::zeros(shape)); };
      expect_error(Code::kInvalidArgument, given, embed);
      expect_error(Code::kInvalidArgument, wanted, embed);
    }
    assert_int_equal(model->embed(weights, at::zeros({0, c, 8, 8})).size(0), 0);
  }
}

// ------------------------------------------------------------------------------------------ heads

Head head_of(HeadKind kind, double margin, const at::Tensor& weight, const at::Tensor& bias = {}) {
  ModelSpec spec;
  spec.head = kind;
  spec.head_margin = margin;
  return Head(spec, weight, bias);
}

at::Tensor matrix(const std::vector<std::vector<double>>& rows) {
  at::Tensor result = at::empty(
      {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}, at::kDouble);
  for (size_t i = 0; i < rows.size(); ++i) {
    for (size_t j = 0; j < rows[i].size(); ++j) {
      result[static_cast<int64_t>(i)][static_cast<int64_t>(j)] = rows[i][j];
    }
  }
  return result;
}

const at::Tensor kLabel1 = at::ones({1}, at::kLong);

void check_6_cosface(void**) {
  const Head head = head_of(HeadKind::kCosFace, 0.35, matrix({{1, 0}, {0, 2}, {-1, 1}}));
  const at::Tensor e = matrix({{3, 4}});
  const at::Tensor margin = head.scores(e, kLabel1), plain = head.scores(e);
  expect_near(margin, matrix({{38.4, 28.8, 9.05096680}}), 1e-8);
  expect_near(plain, matrix({{38.4, 51.2, 9.05096680}}), 1e-8);
  expect_close(at::cross_entropy_loss(margin, kLabel1).item<double>(), 9.60006773, 1e-9);
  expect_close(1e6 * at::cross_entropy_loss(plain, kLabel1).item<double>(), 2.7607688, 1e-7);
  assert_int_equal(margin.argmax().item<int64_t>(), 0);
  assert_int_equal(plain.argmax().item<int64_t>(), 1);
}

void check_6_arcface(void**) {
  const Head head = head_of(HeadKind::kArcFace, 0.5, matrix({{1, 0}, {0, 2}, {-1, 1}}));
  const at::Tensor e = matrix({{3, 4}});
  expect_near(head.scores(e, kLabel1), matrix({{38.4, 26.5222863, 9.05096680}}), 1e-8);
  expect_near(head.scores(e), matrix({{38.4, 51.2, 9.05096680}}), 1e-8);
  // Beyond the threshold cos(pi - m) = -0.87758256 the margin is the offset 0.23971277.
  const at::Tensor behind = head.scores(matrix({{0, -3}}), kLabel1);
  expect_close(behind[0][1].item<double>(), 64 * (-1 - 0.23971277), 1e-8);
}

/// Where the cosine is 1 or -1, or rounds beyond, the root of ArcFace must neither be NaN nor pull
/// infinitely.
void trap_arcface_root_stays_finite(void**) {
  const at::Tensor weight = matrix({{1, 2, 3}, {0.1, 0.2, 0.3}}).to(at::kFloat);
  const Head head = head_of(HeadKind::kArcFace, 0.5, weight);
  for (double factor : {1.0, 1e-3, 7.0, -1.0, -0.3}) {
    at::Tensor e = (weight.narrow(0, 0, 1) * factor).requires_grad_(true);
    const at::Tensor scores = head.scores(e, at::zeros({1}, at::kLong));
    assert_true(at::isfinite(scores).all().item<bool>());
    scores.sum().backward();
    assert_true(at::isfinite(e.grad()).all().item<bool>());
  }
}

void a_linear_head_has_no_margin(void**) {
  const at::Tensor bias = matrix({{0.5, -0.5, 0}})[0];
  const Head head = head_of(HeadKind::kLinear, 0.35, matrix({{1, 0}, {0, 2}, {-1, 1}}), bias);
  const at::Tensor expected = matrix({{3.5, 7.5, 1}});
  expect_near(head.scores(matrix({{3, 4}})), expected, 1e-12);
  expect_near(head.scores(matrix({{3, 4}}), kLabel1), expected, 1e-12);
}

void a_zero_embedding_has_finite_scores(void**) {
  for (HeadKind kind : {HeadKind::kCosFace, HeadKind::kArcFace}) {
    const Head head = head_of(kind, 0.35, matrix({{1, 0}, {0, 2}}));
    assert_true(at::isfinite(head.scores(matrix({{0, 0}}), kLabel1)).all().item<bool>());
  }
}

/// Computed once for a name; oldest results go when all together exceed 64 MiB, and the newest
/// stays however large it is.
void what_is_derived_of_a_base_is_kept_within_bounds(void**) {
  const auto model = model_of(kTinyVit);
  const BaseModel base(model, model->random_weights(RandomStream(1, "base")), at::kCPU);
  int64_t computed = 0;
  const auto derive = [&](const std::string& name, int64_t mebibytes) {
    return base.derived(name, [&] {
      ++computed;
      return at::zeros({mebibytes << 20}, at::kByte);
    });
  };
  const at::Tensor first = derive("a", 30);
  assert_true(derive("a", 30).is_same(first));
  derive("b", 34);
  derive("a", 30);
  assert_int_equal(computed, 2);
  derive("c", 1);  // 65 in all: "a" goes
  derive("b", 34);
  assert_int_equal(computed, 3);
  derive("a", 30);
  assert_int_equal(computed, 4);
  derive("d", 100);
  derive("d", 100);
  assert_int_equal(computed, 5);
}

}  // namespace
}  // namespace lethe::testing

using namespace lethe::testing;

int main() {
  const lethe::ThreadBudget one(1);  // with tiny tensors more threads only wait for each other
  const CMUnitTest tests[] = {
      cmocka_unit_test(check_1_parameter_counts),
      cmocka_unit_test(what_is_derived_of_a_base_is_kept_within_bounds),
      cmocka_unit_test(overlapping_patches_change_one_tensor),
      cmocka_unit_test(overlapping_patches_are_part_of_their_spec_alone),
      cmocka_unit_test(trap_sites_come_from_the_model_at_any_depth),
      cmocka_unit_test(adapter_layers_choose_sites),
      cmocka_unit_test(tensor_lists_are_sorted_and_distinct),
      cmocka_unit_test(random_weights_fit_and_repeat),
      cmocka_unit_test(check_2_patches_are_row_column_channel),
      cmocka_unit_test(overlapping_patches_are_channel_row_column),
      cmocka_unit_test(savings_change_nothing_beyond_rounding),
      cmocka_unit_test(embeddings_are_per_image),
      cmocka_unit_test(trap_attention_scale_is_a_choice),
      cmocka_unit_test(dropout_repeats_with_its_generator),
      cmocka_unit_test(images_of_another_shape_are_refused),
      cmocka_unit_test(check_6_cosface),
      cmocka_unit_test(check_6_arcface),
      cmocka_unit_test(trap_arcface_root_stays_finite),
      cmocka_unit_test(a_linear_head_has_no_margin),
      cmocka_unit_test(a_zero_embedding_has_finite_scores),
  };
  return cmocka_run_group_tests_name("models", tests, nullptr, nullptr);
}
