// Deformable DETR without golden numbers: sizes that are published, names, shapes at every setting,
// and parts that can be computed another way. golden_check holds it against the paper's code.
#include <set>

#include "kernels/grid_attention.h"
#include "models/image_batch.h"
#include "models/resnet.h"
#include "models/tiny_detector.h"

namespace lethe::testing {
namespace {

int64_t count(const TensorSpec& tensor) {
  int64_t product = 1;
  for (int64_t n : tensor.shape) product *= n;
  return product;
}

// --------------------------------------------------------------------------------------- published

void sizes_are_the_published_ones(void**) {
  // torchvision: 11,689,512, 21,797,672 and 25,557,032 with classifiers of 1,000 (512 or 2,048
  // wide).
  const std::pair<const char*, int64_t> nets[] = {{"resnet18", 11'689'512 - 513'000},
                                                  {"resnet34", 21'797'672 - 513'000},
                                                  {"resnet50", 25'557'032 - 2'049'000}};
  for (const auto& [name, expected] : nets) {
    int64_t sum = 0;
    for (const TensorSpec& t : resnet_tensors(name, "")) {
      if (t.name.find("running") == std::string::npos) sum += count(t);
    }
    assert_int_equal(sum, expected);
  }
  // What the published training log counts: without normalisation, stem and first stage.
  const DeformableDetr full = detector({{"arch", "deformable_detr"}});
  int64_t trained = 0;
  for (const TensorSpec& t : full.tensors()) {
    const auto in = [&](const char* part) { return t.name.find(part) != std::string::npos; };
    const bool frozen =
        in("backbone") && (in("bn") || in("downsample.1") || in("body.conv1") || in("body.layer1"));
    if (!frozen) trained += count(t);
  }
  assert_int_equal(trained, 39'847'265);

  std::set<int64_t> groups;
  int64_t lora = 0;
  for (const AdapterSite& site : full.adapter_sites()) {
    groups.insert(site.block);
    lora += 8 * (site.in + site.out);
  }
  assert_int_equal(groups.size(), 12);
  assert_int_equal(lora, 245'760);
}

/// The boxes of the first layer begin small, -2 before the sigmoid; later layers begin with what
/// the one before says, and all layers of a two-stage model with what is proposed.
void boxes_begin_as_published(void**) {
  const auto check = [](const Json& changes, const std::vector<double>& sides) {
    const DeformableDetr model = detector(with(kTiny, changes));
    const Weights weights = model.random_weights(RandomStream(1, "base"));
    for (size_t i = 0; i < sides.size(); ++i) {
      const std::string name = str("bbox_embed.", i, ".layers.2.");
      assert_int_equal(weights.at(name + "weight").count_nonzero().item<int64_t>(), 0);
      const at::Tensor expected = at::zeros({4});
      expected.slice(0, 2).fill_(sides[i]);
      assert_true(at::equal(weights.at(name + "bias"), expected));
    }
    assert_false(weights.contains(str("bbox_embed.", sides.size(), ".layers.2.bias")));
  };
  check(Json::object(), {-2});
  check({{"refine_boxes", true}}, {-2, 0});
  check({{"refine_boxes", true}, {"two_stage", true}}, {0, 0, 0});
}

void sites_are_among_the_weights(void**) {
  const DeformableDetr model = detector(kTiny);
  const Weights weights = model.random_weights(RandomStream(1, "base"));
  for (const AdapterSite& site : model.adapter_sites()) {
    const std::array<int64_t, 2> shape{site.out, site.in};
    assert_true(site.rows(weights).sizes() == at::IntArrayRef(shape));
  }
  assert_string_equal(model.adapter_sites()[5].name.c_str(),
                      "transformer.decoder.layers.0.linear2");
  assert_int_equal(model.adapter_sites()[5].block, 2);
}

// ------------------------------------------------------------------------------------------- parts

/// By hand: of a row of 4 cells 2 are the image's. Places (n - 0.5) / 2 of 2 pi: pi / 2, 3 pi / 2,
/// and on in the padding, where the count stands. Width 8: 4 channels an axis, wavelengths 1, 1,
/// 100, 100.
void sine_positions_by_hand(void**) {
  at::Tensor padding = at::zeros({1, 1, 4}, at::kBool);
  padding.slice(2, 2).fill_(true);
  const at::Tensor p = sine_positions(padding, 8);
  assert_true(p.sizes() == at::IntArrayRef({1, 8, 1, 4}));
  const double half = M_PI / 2, places[] = {half, 3 * half, 3 * half, 3 * half};
  for (int64_t i = 0; i < 4; ++i) {
    const auto channel = [&](int64_t c) { return p[0][c][0][i].item<double>(); };
    const double y =
        i < 2 ? M_PI : -1;  // (1 - 0.5) / 1 of 2 pi; a column without image: far below 0
    if (i < 2) {
      expect_close(channel(0), std::sin(y), 1e-4);
      expect_close(channel(1), std::cos(y), 1e-4);
      expect_close(channel(2), std::sin(y / 100), 1e-4);
    }
    expect_close(channel(4), std::sin(places[i]), 1e-4);
    expect_close(channel(5), std::cos(places[i]), 1e-4);
    expect_close(channel(6), std::sin(places[i] / 100), 1e-4);
    expect_close(channel(7), std::cos(places[i] / 100), 1e-4);
  }
}

void boxes_beside_references(void**) {
  const at::Tensor raw = at::tensor({0.3f, -0.2f, 0.1f, 0.4f}).view({1, 4});
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  const auto back = [](double p) { return std::log(p / (1 - p)); };
  const at::Tensor point = box_beside(raw, at::tensor({0.2f, 0.7f}).view({1, 2}));
  const at::Tensor box = box_beside(raw, at::tensor({0.2f, 0.7f, 0.5f, 0.1f}).view({1, 4}));
  const double from_point[] = {sigmoid(0.3 + back(0.2)), sigmoid(-0.2 + back(0.7)), sigmoid(0.1),
                               sigmoid(0.4)};
  const double from_box[] = {from_point[0], from_point[1], sigmoid(0.1 + back(0.5)),
                             sigmoid(0.4 + back(0.1))};
  for (int64_t i = 0; i < 4; ++i) {
    expect_close(point[0][i].item<double>(), from_point[i]);
    expect_close(box[0][i].item<double>(), from_box[i]);
  }
  // The ends are held: log(1e-5 / 1) and its negative.
  const at::Tensor ends = inverse_sigmoid(at::tensor({-1.f, 0.f, 0.5f, 1.f, 2.f}));
  const double expected[] = {std::log(1e-5), std::log(1e-5), 0, -std::log(1e-5), -std::log(1e-5)};
  for (int64_t i = 0; i < 5; ++i) expect_close(ends[i].item<double>(), expected[i], 1e-4);
}

void images_share_a_canvas(void**) {
  const ImageBatch batch = ImageBatch::of({at::ones({3, 4, 6}), at::full({3, 5, 2}, 2.0)});
  assert_true(batch.pixels.sizes() == at::IntArrayRef({2, 3, 5, 6}));
  assert_int_equal(batch.padding[0].sum().item<int64_t>(), 6);
  assert_int_equal(batch.padding[1].sum().item<int64_t>(), 20);
  assert_true(batch.pixels[1].sum().item<double>() == 3 * 10 * 2);
  assert_true(batch.padding[0][4].all().item<bool>());
  expect_error(Code::kInvalidArgument, "[1, 4, 4]", [] { ImageBatch::of({at::ones({1, 4, 4})}); });
  expect_error(Code::kInvalidArgument, "at least one", [] { ImageBatch::of({}); });
}

// ------------------------------------------------------------------------------------------- whole

void every_setting_has_its_shapes(void**) {
  const Json settings[] = {
      Json::object(),
      {{"feature_channels", {5}}, {"feature_levels", 1}},
      {{"feature_channels", {5, 6}}, {"feature_levels", 2}},
      {{"feature_channels", {5, 6, 7}}, {"feature_levels", 5}},
      {{"heads", 8}, {"points", 1}, {"dim", 64}},
      {{"encoder_layers", 1}, {"decoder_layers", 3}, {"auxiliary_losses", true}},
      {{"refine_boxes", true}, {"auxiliary_losses", true}},
      {{"refine_boxes", true}, {"two_stage", true}}};
  for (const Json& changes : settings) {
    const DeformableDetr model = detector(with(kTiny, changes));
    const DetectorSpec& s = model.spec();
    const Batch batch = batch_of(s.feature_channels);
    const DetectorOutput output =
        model.forward(lively_weights(model), batch.features, batch.padding);
    assert_int_equal(output.layers.size(), s.auxiliary_losses ? s.decoder_layers : 1);
    for (const DetectorLayer& layer : output.layers) {
      assert_true(layer.logits.sizes() == at::IntArrayRef({2, 9, 3}));
      assert_true(layer.boxes.sizes() == at::IntArrayRef({2, 9, 4}));
      const std::array<int64_t, 3> embeddings{2, 9, s.dim};
      assert_true(layer.embeddings.sizes() == at::IntArrayRef(embeddings));
      assert_true(at::isfinite(layer.logits).all().item<bool>());
      assert_true(layer.boxes.ge(0).all().item<bool>() && layer.boxes.le(1).all().item<bool>());
    }
    assert_int_equal(output.proposals.has_value(), s.two_stage);
  }
}

/// From where each cell of an image looks at each level: [S, L, 2]. The image covers `valid` of the
/// levels' `sizes`.
at::Tensor cell_references(const std::vector<LevelSize>& sizes,
                           const std::vector<LevelSize>& valid) {
  std::vector<at::Tensor> cells;
  for (size_t l = 0; l < sizes.size(); ++l) {
    for (int64_t i = 0; i < sizes[l].height * sizes[l].width; ++i) {
      const double row = static_cast<double>(i / sizes[l].width) + 0.5;
      const double column = static_cast<double>(i % sizes[l].width) + 0.5;
      std::vector<double> places;  // in shares of the image, then of each padded level
      for (size_t on = 0; on < sizes.size(); ++on) {
        const auto share = [](int64_t part, int64_t all) {
          return static_cast<double>(part) / static_cast<double>(all);
        };
        places.push_back(column / static_cast<double>(valid[l].width) *
                         share(valid[on].width, sizes[on].width));
        places.push_back(row / static_cast<double>(valid[l].height) *
                         share(valid[on].height, sizes[on].height));
      }
      cells.push_back(at::tensor(places, at::kFloat).view({-1, 2}));
    }
  }
  return at::stack(cells);
}

/// The projections and the encoder of five levels, written out with grid_sample: the fourth level
/// is made of the last map itself, the fifth of the fourth.
void five_levels_by_grid_sample(void**) {
  constexpr int64_t kDim = 64, kHeads = 4, kPoints = 2, kLevels = 5;
  const DeformableDetr model =
      detector(with(kTiny, {{"feature_levels", kLevels}, {"dim", kDim}, {"encoder_layers", 1}}));
  const Weights weights = lively_weights(model);
  const Batch batch = batch_of({5, 6, 7}, 2);
  const EncodedImages projected = model.encode(weights, batch.features, batch.padding, 0);
  const EncodedImages encoded = model.encode(weights, batch.features, batch.padding, 1);

  const std::vector<LevelSize> sizes = {{16, 24}, {8, 12}, {4, 6}, {2, 3}, {1, 2}};
  const std::vector<LevelSize> second = {{12, 14}, {6, 7}, {3, 4}, {2, 2}, {1, 2}};
  const auto valid = [&](int64_t image, int64_t l) { return image == 0 ? sizes[l] : second[l]; };
  const auto line = [&](const at::Tensor& x, const std::string& name) {
    return at::linear(x, weights.at(name + ".weight"), weights.at(name + ".bias"));
  };
  const auto norm = [&](const at::Tensor& x, const std::string& name) {
    return at::layer_norm(x, {kDim}, weights.at(name + ".weight"), weights.at(name + ".bias"));
  };
  std::vector<at::Tensor> maps, values, positions, paddings;
  for (int64_t l = 0; l < kLevels; ++l) {
    const std::string name = str("input_proj.", l, ".");
    const int64_t stride = l < 3 ? 1 : 2, edge = l < 3 ? 0 : 1;
    const at::Tensor from = l < 3 ? batch.features[l] : l == 3 ? batch.features[2] : maps[3];
    maps.push_back(
        at::group_norm(at::conv2d(from, weights.at(name + "0.weight"), weights.at(name + "0.bias"),
                                  at::IntArrayRef{stride, stride}, at::IntArrayRef{edge, edge}),
                       32, weights.at(name + "1.weight"), weights.at(name + "1.bias")));
    values.push_back(maps[l].flatten(2).transpose(1, 2));
    const at::Tensor padding = at::ones({2, sizes[l].height, sizes[l].width}, at::kBool);
    for (int64_t b = 0; b < 2; ++b) {
      padding[b].slice(0, 0, valid(b, l).height).slice(1, 0, valid(b, l).width).fill_(false);
    }
    paddings.push_back(padding.flatten(1));
    positions.push_back(sine_positions(padding, kDim).flatten(2).transpose(1, 2) +
                        weights.at("transformer.level_embed")[l]);
  }
  at::Tensor x = at::cat(values, 1);
  expect_near(projected.pyramid.values, x, 1e-5, "projections");

  const int64_t cells = x.size(1);
  const at::Tensor reference =
      at::stack({cell_references(sizes, sizes), cell_references(sizes, second)});
  const at::Tensor size = at::empty({kLevels, 1, 2});
  for (int64_t l = 0; l < kLevels; ++l) {
    size[l][0][0] = sizes[l].width;
    size[l][0][1] = sizes[l].height;
  }
  const std::string layer = "transformer.encoder.layers.0.", attention = layer + "self_attn.";
  const at::Tensor query = x + at::cat(positions, 1);
  const at::Tensor offsets =
      line(query, attention + "sampling_offsets").view({2, cells, kHeads, kLevels, kPoints, 2});
  const at::Tensor scores = at::softmax(
      line(query, attention + "attention_weights").view({2, cells, kHeads, kLevels * kPoints}), -1);
  const at::Tensor value = line(x, attention + "value_proj")
                               .masked_fill(at::cat(paddings, 1).unsqueeze(-1), 0)
                               .view({2, cells, kHeads, kDim / kHeads});
  const at::Tensor seen =
      grid_attention(value, sizes, reference.unsqueeze(2).unsqueeze(4) + offsets / size,
                     scores.view({2, cells, kHeads, kLevels, kPoints}));
  x = norm(x + line(seen, attention + "output_proj"), layer + "norm1");
  x = norm(x + line(at::relu(line(x, layer + "linear1")), layer + "linear2"), layer + "norm2");
  expect_near(encoded.pyramid.values, x, 1e-4, "encoder");
}

/// A whole network from pixels: resnet18 in front, images of odd sizes.
void pixels_to_boxes(void**) {
  const DeformableDetr model = detector({{"arch", "deformable_detr"},
                                         {"backbone", "resnet18"},
                                         {"feature_levels", 4},
                                         {"classes", 3},
                                         {"dim", 32},
                                         {"heads", 4},
                                         {"encoder_layers", 1},
                                         {"decoder_layers", 1},
                                         {"ffn_dim", 24},
                                         {"points", 2},
                                         {"queries", 9},
                                         {"dropout", 0}});
  const Weights weights = model.random_weights(RandomStream(1, "base"));
  at::Generator generator = RandomStream(2, "images").generator();
  const ImageBatch batch = ImageBatch::of({at::empty({3, 65, 97}).normal_(0, 1, generator),
                                           at::empty({3, 50, 33}).normal_(0, 1, generator)});
  const std::vector<at::Tensor> maps = model.backbone(weights).features(batch.pixels);
  expect_error(Code::kInvalidArgument, "[1, 4, 64, 64]", [&] {
    model.backbone(weights).features(at::ones({1, 4, 64, 64}));
  });
  assert_true(maps[0].sizes() == at::IntArrayRef({2, 128, 9, 13}));
  assert_true(maps[2].sizes() == at::IntArrayRef({2, 512, 3, 4}));
  const DetectorOutput output = model.forward(weights, maps, batch.padding);
  assert_true(output.last().logits.sizes() == at::IntArrayRef({2, 9, 3}));
  // A fresh model expects nothing: scores near one in a hundred.
  const double score = output.last().logits.sigmoid().mean().item<double>();
  assert_true(score > 0.002 && score < 0.05);
}

/// What lies in the padding is never seen by the decoder: with the maps' own values there changed,
/// only normalisation and convolutions over the border could tell. One level, no border: 1x1.
void padding_is_not_looked_at(void**) {
  const DeformableDetr model =
      detector(with(kTiny, {{"feature_channels", {5}}, {"feature_levels", 1}}));
  Weights weights = lively_weights(model);
  const Batch batch = batch_of({5});
  Pyramid pyramid;
  pyramid.levels = {{8, 12}};
  at::Generator generator = RandomStream(9, "pyramid").generator();
  pyramid.values = at::empty({1, 96, 32}).normal_(0, 1, generator);
  pyramid.padding = at::zeros({1, 96}, at::kBool);
  pyramid.padding.slice(1, 60).fill_(true);
  const std::string name = "transformer.encoder.layers.0.self_attn.";
  const auto part = [&](const char* end) {
    return Linear{weights.at(name + end + ".weight"), weights.at(name + end + ".bias")};
  };
  const DeformableAttention attention{part("sampling_offsets"),
                                      part("attention_weights"),
                                      part("value_proj"),
                                      part("output_proj"),
                                      4,
                                      1,
                                      2};
  const at::Tensor query = at::empty({1, 3, 32}).normal_(0, 1, generator);
  const at::Tensor reference = at::empty({1, 3, 1, 2}).uniform_(0, 1, generator);
  const at::Tensor before = deformable(attention, query, reference, pyramid.values, pyramid);
  at::Tensor changed = pyramid.values.clone();
  changed.slice(1, 60).add_(100);
  assert_true(at::equal(before, deformable(attention, query, reference, changed, pyramid)));
  changed.slice(1, 0, 60).add_(1);
  assert_false(at::equal(before, deformable(attention, query, reference, changed, pyramid)));
}

/// The references of refined layers carry no gradient: the first layer's box head learns from its
/// own boxes alone.
void refinement_is_cut_between_layers(void**) {
  const DeformableDetr model =
      detector(with(kTiny, {{"refine_boxes", true}, {"auxiliary_losses", true}}));
  Weights weights = lively_weights(model);
  at::Tensor& head = weights.at("bbox_embed.0.layers.2.weight");
  head.requires_grad_(true);
  const Batch batch = batch_of(model.spec().feature_channels);
  const DetectorOutput output = model.forward(weights, batch.features, batch.padding);
  assert_false(output.layers[1].boxes.requires_grad());
  assert_true(output.layers[0].boxes.requires_grad());
}

/// Queries of a two-stage model are its encoder's best proposals, best first.
void two_stage_takes_the_best_proposals(void**) {
  const DeformableDetr model =
      detector(with(kTiny, {{"refine_boxes", true}, {"two_stage", true}, {"decoder_layers", 1}}));
  Weights weights = lively_weights(model);
  // The decoder's box head says "no change": its boxes are then the proposals themselves.
  weights.at("bbox_embed.0.layers.2.weight").zero_();
  weights.at("bbox_embed.0.layers.2.bias").zero_();
  const Batch batch = batch_of(model.spec().feature_channels);
  const DetectorOutput output = model.forward(weights, batch.features, batch.padding);
  const at::Tensor scores = output.proposals->logits.select(2, 0);
  const at::Tensor best = std::get<1>(scores.topk(9, 1));
  const at::Tensor expected =
      output.proposals->boxes.gather(1, best.unsqueeze(-1).expand({-1, -1, 4}));
  // A proposal in the padding or at the edge has no box: it is 1, held to 1 - 1e-5 by the inverse.
  expect_near(output.last().boxes, expected, 2e-5, "boxes");
}

void dropout_repeats_by_its_generator(void**) {
  const DeformableDetr model = detector(kTiny);
  const Weights weights = lively_weights(model);
  const Batch batch = batch_of(model.spec().feature_channels);
  const auto run = [&](uint64_t seed, double probability) {
    at::Generator generator = RandomStream(seed, "dropout").generator();
    ForwardOptions options;
    options.dropout = probability;
    options.generator = &generator;
    return model.forward(weights, batch.features, batch.padding, options).last().logits;
  };
  assert_true(at::equal(run(1, 0.3), run(1, 0.3)));
  assert_false(at::equal(run(1, 0.3), run(2, 0.3)));
  assert_true(
      at::equal(run(1, 0), model.forward(weights, batch.features, batch.padding).last().logits));
}

// ------------------------------------------------------------------------------------------- names

/// The names of transformers' DeformableDetrForObjectDetection, of one layer each.
Weights hugging_face_names(const Weights& own) {
  const std::pair<const char*, const char*> parts[] = {
      {"transformer.encoder.layers.0.norm1.", "model.encoder.layers.0.self_attn_layer_norm."},
      {"transformer.encoder.layers.0.norm2.", "model.encoder.layers.0.final_layer_norm."},
      {"transformer.encoder.layers.0.linear1.", "model.encoder.layers.0.fc1."},
      {"transformer.encoder.layers.0.linear2.", "model.encoder.layers.0.fc2."},
      {"transformer.encoder.layers.0.self_attn.", "model.encoder.layers.0.self_attn."},
      {"transformer.decoder.layers.0.norm1.", "model.decoder.layers.0.encoder_attn_layer_norm."},
      {"transformer.decoder.layers.0.norm2.", "model.decoder.layers.0.self_attn_layer_norm."},
      {"transformer.decoder.layers.0.norm3.", "model.decoder.layers.0.final_layer_norm."},
      {"transformer.decoder.layers.0.linear1.", "model.decoder.layers.0.fc1."},
      {"transformer.decoder.layers.0.linear2.", "model.decoder.layers.0.fc2."},
      {"transformer.decoder.layers.0.cross_attn.", "model.decoder.layers.0.encoder_attn."},
      {"transformer.decoder.layers.0.self_attn.out_proj.",
       "model.decoder.layers.0.self_attn.out_proj."},
      {"transformer.level_embed", "model.level_embed"},
      {"transformer.reference_points.", "model.reference_points."},
      {"transformer.enc_output_norm.", "model.enc_output_norm."},
      {"transformer.enc_output.", "model.enc_output."},
      {"transformer.pos_trans_norm.", "model.pos_trans_norm."},
      {"transformer.pos_trans.", "model.pos_trans."},
      {"query_embed.", "model.query_position_embeddings."},
      {"input_proj.", "model.input_proj."},
      {"backbone.0.body.", "model.backbone.conv_encoder.model."}};
  Weights named;
  for (const auto& [name, tensor] : own) {
    const std::string qkv = "transformer.decoder.layers.0.self_attn.in_proj_";
    if (name.starts_with(qkv)) {
      const std::vector<at::Tensor> rows = tensor.chunk(3, 0);
      const char* letters[] = {"q", "k", "v"};
      for (int i = 0; i < 3; ++i) {
        named[str("model.decoder.layers.0.self_attn.", letters[i], "_proj.",
                  name.substr(qkv.size()))] = rows[i].clone();
      }
      continue;
    }
    std::string target = name;
    for (const auto& [from, to] : parts) {
      if (name.starts_with(from)) {
        target = to + name.substr(std::string(from).size());
        break;
      }
    }
    named[target] = tensor;
  }
  return named;
}

void expect_equal(const Weights& actual, const Weights& expected) {
  assert_int_equal(actual.size(), expected.size());
  for (const auto& [name, tensor] : expected) assert_true(at::equal(actual.at(name), tensor));
}

void both_namings_are_understood(void**) {
  for (const bool refined : {false, true}) {
    const DeformableDetr model =
        detector(with(kTiny, {{"encoder_layers", 1},
                              {"decoder_layers", 1},
                              {"backbone", "resnet18"},
                              {"refine_boxes", refined},
                              {"two_stage", refined},
                              {"feature_levels", 4}})
                     .patch(Json::parse(R"([{"op": "remove", "path": "/feature_channels"}])")));
    const Weights own = lively_weights(model);
    expect_equal(model.import_weights(own), own);
    expect_equal(model.import_weights(hugging_face_names(own)), own);

    Weights half;  // float16, as published files are; counters of batch normalisation are left out
    for (const auto& [name, tensor] : own) half["module." + name] = tensor.to(at::kHalf);
    half["module.backbone.0.body.bn1.num_batches_tracked"] = at::zeros({}, at::kLong);
    for (const auto& [name, tensor] : model.import_weights(half)) {
      assert_true(at::equal(tensor, own.at(name).to(at::kHalf).to(at::kFloat)));
    }
  }
}

/// One head under many names is taken once, and only when they agree.
void heads_have_aliases(void**) {
  const DeformableDetr shared = detector(kTiny);
  const Weights own = lively_weights(shared);
  Weights checkpoint = own;
  for (const auto& [name, tensor] : own) {
    if (name.starts_with("class_embed.0."))
      checkpoint["class_embed.1." + name.substr(14)] = tensor.clone();
    if (name.starts_with("bbox_embed.0."))
      checkpoint["bbox_embed.1." + name.substr(13)] = tensor.clone();
  }
  expect_equal(shared.import_weights(checkpoint), own);
  checkpoint["class_embed.1.bias"] = checkpoint["class_embed.1.bias"] + 1;
  expect_error(Code::kInvalidArgument, "class_embed.1.bias",
               [&] { shared.import_weights(checkpoint); });

  const DeformableDetr refined = detector(with(kTiny, {{"refine_boxes", true}}));
  const Weights heads = lively_weights(refined);
  Weights with_decoder = heads;
  for (const auto& [name, tensor] : heads) {
    if (name.starts_with("bbox_embed.")) with_decoder["transformer.decoder." + name] = tensor;
  }
  expect_equal(refined.import_weights(with_decoder), heads);
}

void bad_weights_are_named(void**) {
  const DeformableDetr model = detector(kTiny);
  const Weights own = lively_weights(model);
  const auto refused = [&](Code code, const std::string& part, const auto& change) {
    Weights weights = own;
    change(weights);
    expect_error(code, part, [&] { model.import_weights(weights); });
  };
  refused(Code::kInvalidArgument, "query_embed.weight",
          [](Weights& w) { w.erase("query_embed.weight"); });
  refused(Code::kInvalidArgument, "class_head",
          [](Weights& w) { w["class_head"] = at::ones({3}); });
  refused(Code::kInvalidArgument, "[9, 64]", [](Weights& w) {
    w["query_embed.weight"] = at::ones({8, 64});
  });
  refused(Code::kCorrupt, "transformer.level_embed", [](Weights& w) {
    w["transformer.level_embed"] = at::full({4, 32}, NAN);
  });
}

void bad_specs_are_named(void**) {
  const std::pair<Json, const char*> bad[] = {
      {{{"backbone", "vgg"}}, "\"vgg\""},
      {{{"feature_channels", Json::array()}}, "feature_channels"},
      {{{"feature_levels", 2}}, "feature_channels"},
      {{{"feature_levels", 6}}, "feature_levels"},
      {{{"dim", 40}}, "40 is not a multiple of 32"},
      {{{"heads", 5}}, "\"heads\" 5"},
      {{{"two_stage", true}}, "refine_boxes"},
      {{{"queries", 0}}, "queries"},
      {{{"colour", 1}}, "colour"}};
  for (const auto& [changes, part] : bad) {
    expect_error(Code::kInvalidArgument, part, [&] { detector(with(kTiny, changes)); });
  }
  expect_error(Code::kNotFound, "\"yolo\"", [] { detector({{"arch", "yolo"}}); });
  // What is written is what is read.
  const DetectorSpec spec = DetectorSpec::from_json(with(kTiny, {{"refine_boxes", true}}));
  assert_true(DetectorSpec::from_json(spec.to_json()).to_json() == spec.to_json());
}

void wrong_maps_are_refused(void**) {
  const DeformableDetr model = detector(kTiny);
  const Weights weights = model.random_weights(RandomStream(1, "base"));
  const Batch batch = batch_of({5, 6});
  expect_error(Code::kInvalidArgument, "takes 3 feature maps, 2",
               [&] { model.forward(weights, batch.features, batch.padding); });
  expect_error(Code::kUnsupported, "features", [&] { model.backbone(weights); });
  const Batch other = batch_of({5, 6, 8});
  expect_error(Code::kInvalidArgument, "8",
               [&] { model.forward(weights, other.features, other.padding); });
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(sizes_are_the_published_ones),
      cmocka_unit_test(boxes_begin_as_published),
      cmocka_unit_test(sites_are_among_the_weights),
      cmocka_unit_test(sine_positions_by_hand),
      cmocka_unit_test(boxes_beside_references),
      cmocka_unit_test(images_share_a_canvas),
      cmocka_unit_test(every_setting_has_its_shapes),
      cmocka_unit_test(five_levels_by_grid_sample),
      cmocka_unit_test(pixels_to_boxes),
      cmocka_unit_test(padding_is_not_looked_at),
      cmocka_unit_test(refinement_is_cut_between_layers),
      cmocka_unit_test(two_stage_takes_the_best_proposals),
      cmocka_unit_test(dropout_repeats_by_its_generator),
      cmocka_unit_test(both_namings_are_understood),
      cmocka_unit_test(heads_have_aliases),
      cmocka_unit_test(bad_weights_are_named),
      cmocka_unit_test(bad_specs_are_named),
      cmocka_unit_test(wrong_maps_are_refused),
  };
  return cmocka_run_group_tests_name("deformable_detr", tests, nullptr, nullptr);
}
