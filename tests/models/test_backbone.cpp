// ResNets in front of a detector: their parts, what folding leaves, and torchvision's files of
// them.
#include <array>

#include "models/resnet.h"
#include "models/tiny_detector.h"

namespace lethe::testing {
namespace {

/// Every stage of a narrow network is narrower in proportion, under the same names.
void a_narrow_backbone_has_the_same_parts(void**) {
  assert_true(resnet_channels("resnet18") == std::vector<int64_t>({128, 256, 512}));
  assert_true(resnet_channels("resnet34", 24) == std::vector<int64_t>({48, 96, 192}));
  assert_true(resnet_channels("resnet50", 16) == std::vector<int64_t>({128, 256, 512}));
  for (const char* name : {"resnet18", "resnet50"}) {
    const std::vector<TensorSpec> whole = resnet_tensors(name, "net."),
                                  quarter = resnet_tensors(name, "net.", 16);
    assert_int_equal(whole.size(), quarter.size());
    for (size_t i = 0; i < whole.size(); ++i) {
      assert_string_equal(whole[i].name.c_str(), quarter[i].name.c_str());
      for (size_t d = 0; d < whole[i].shape.size(); ++d) {
        const int64_t side = whole[i].shape[d];  // of an image's channels and kernels, or a width
        assert_int_equal(quarter[i].shape[d], side >= 64 ? side / 4 : side);
      }
    }
  }
}

void the_width_of_a_backbone_is_part_of_the_spec(void**) {
  const Json narrow = {
      {"arch", "deformable_detr"}, {"backbone", "resnet18"}, {"backbone_width", 8}};
  const DetectorSpec spec = DetectorSpec::from_json(narrow);
  assert_true(spec.feature_channels == std::vector<int64_t>({16, 32, 64}));
  assert_true(DetectorSpec::from_json(spec.to_json()).to_json() == spec.to_json());
  assert_int_equal(spec.to_json().at("backbone_width").get<int64_t>(), 8);
  // The published width is not written: specs keep the digests that they had without the field.
  const DetectorSpec published = DetectorSpec::from_json(with(narrow, {{"backbone_width", 64}}));
  assert_false(published.to_json().contains("backbone_width"));
  for (const int64_t width : {0, 12, 264}) {
    expect_error(Code::kInvalidArgument, "backbone_width", [&] {
      DetectorSpec::from_json(with(narrow, {{"backbone_width", width}}));
    });
  }
  expect_error(Code::kInvalidArgument, "backbone_width", [] {
    detector(with(kTiny, {{"backbone_width", 8}}));
  });

  const DeformableDetr model(spec);
  const Weights weights = model.random_weights(RandomStream(1, "base"));
  const std::vector<at::Tensor> maps = model.backbone(weights).features(at::ones({1, 3, 32, 64}));
  assert_true(maps[0].sizes() == at::IntArrayRef({1, 16, 4, 8}));
  assert_true(maps[2].sizes() == at::IntArrayRef({1, 64, 1, 2}));
}

/// Stage by stage, as torchvision runs it ("v1.5": a bottleneck's stride is in its 3x3
/// convolution).
struct PlainResNet {
  const char* name;
  std::array<int, 4> blocks;
  bool bottleneck;
};
const PlainResNet kResNets[] = {{"resnet18", {2, 2, 2, 2}, false},
                                {"resnet34", {3, 4, 6, 3}, false},
                                {"resnet50", {3, 4, 6, 3}, true}};

Weights random_resnet(const char* name, int64_t width) {
  at::Generator generator = RandomStream(5, "resnet").generator();
  Weights weights;
  for (const TensorSpec& t : resnet_tensors(name, "net.", width)) {
    at::Tensor value = at::empty(t.shape);
    if (t.shape.size() == 4) {
      const auto fan_in = static_cast<double>(t.shape[1] * t.shape[2] * t.shape[3]);
      value.normal_(0, std::sqrt(2 / fan_in), generator);
    } else if (t.name.ends_with("var") || t.name.ends_with("weight")) {
      value.uniform_(0.5, 1.5, generator);
    } else {
      value.uniform_(-0.2, 0.2, generator);
    }
    weights[t.name] = value;
  }
  return weights;
}

/// The maps of all four stages, convolution and batch normalisation one after the other.
std::vector<at::Tensor> unfolded(const PlainResNet& net, const Weights& weights,
                                 const at::Tensor& images) {
  const auto normed = [&](const at::Tensor& x, const std::string& conv, const std::string& norm,
                          int64_t stride, int64_t padding) {
    const at::Tensor y =
        at::conv2d(x, weights.at("net." + conv + ".weight"), {}, at::IntArrayRef{stride, stride},
                   at::IntArrayRef{padding, padding});
    const std::string n = "net." + norm;
    return at::batch_norm(y, weights.at(n + ".weight"), weights.at(n + ".bias"),
                          weights.at(n + ".running_mean"), weights.at(n + ".running_var"), false, 0,
                          1e-5, false);
  };
  at::Tensor x =
      at::max_pool2d(at::relu(normed(images, "conv1", "bn1", 2, 3)), {3, 3}, {2, 2}, {1, 1});
  std::vector<at::Tensor> maps;
  for (int stage = 1; stage <= 4; ++stage) {
    for (int block = 0; block < net.blocks[stage - 1]; ++block) {
      const std::string name = str("layer", stage, ".", block, ".");
      const int64_t stride = stage > 1 && block == 0 ? 2 : 1;
      const auto part = [&](const at::Tensor& in, int i, int64_t by, int64_t padding) {
        return normed(in, str(name, "conv", i), str(name, "bn", i), by, padding);
      };
      at::Tensor y;
      if (net.bottleneck) {
        y = at::relu(part(x, 1, 1, 0));
        y = at::relu(part(y, 2, stride, 1));
        y = part(y, 3, 1, 0);
      } else {
        y = part(at::relu(part(x, 1, stride, 1)), 2, 1, 1);
      }
      const bool widens = block == 0 && (stage > 1 || net.bottleneck);
      x = at::relu(
          y + (widens ? normed(x, name + "downsample.0", name + "downsample.1", stride, 0) : x));
    }
    maps.push_back(x);
  }
  return maps;
}

void folding_changes_nothing(void**) {
  const at::Tensor images =
      at::empty({2, 3, 64, 96}).normal_(0, 1, RandomStream(6, "images").generator());
  for (const PlainResNet& resnet : kResNets) {
    const Weights weights = random_resnet(resnet.name, 8);
    const std::vector<at::Tensor> maps = unfolded(resnet, weights, images);
    for (int64_t taken = 1; taken <= 3; ++taken) {
      const ResNet net(resnet.name, "net.", weights, taken);
      const std::vector<at::Tensor> features = net.features(images);
      assert_int_equal(features.size(), taken);
      for (int64_t i = 0; i < taken; ++i) {
        expect_near(features[i], maps[4 - taken + i], 1e-4,
                    str(resnet.name, ", map ", i, " of ", taken));
      }
    }
  }
}

/// The file that torchvision writes of a ResNet: parameters, statistics, counters, a classifier of
/// 1,000.
Weights torchvision_file(const PlainResNet& net, int64_t width) {
  at::Generator generator = RandomStream(11, "file").generator();
  Weights file;
  const auto add = [&](const std::string& name, at::IntArrayRef shape) {
    file[name] = at::empty(shape).uniform_(0.1, 1, generator);
  };
  const auto part = [&](const std::string& conv, const std::string& norm, int64_t out, int64_t in,
                        int64_t kernel) {
    add(conv + ".weight", {out, in, kernel, kernel});
    for (const char* kind : {".weight", ".bias", ".running_mean", ".running_var"}) {
      add(norm + kind, {out});
    }
    file[norm + ".num_batches_tracked"] = at::full({}, 7, at::kLong);
  };
  part("conv1", "bn1", width, 3, 7);
  int64_t in = width;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t inner = width << stage, out = net.bottleneck ? 4 * inner : inner;
    for (int b = 0; b < net.blocks[stage]; ++b) {
      const std::string block = str("layer", stage + 1, ".", b, ".");
      if (net.bottleneck) {
        part(block + "conv1", block + "bn1", inner, in, 1);
        part(block + "conv2", block + "bn2", inner, inner, 3);
        part(block + "conv3", block + "bn3", out, inner, 1);
      } else {
        part(block + "conv1", block + "bn1", inner, in, 3);
        part(block + "conv2", block + "bn2", inner, inner, 3);
      }
      if (in != out) part(block + "downsample.0", block + "downsample.1", out, in, 1);
      in = out;
    }
  }
  add("fc.weight", {1000, in});
  add("fc.bias", {1000});
  return file;
}

void a_plain_resnet_is_the_backbone(void**) {
  for (const PlainResNet& net : kResNets) {
    for (const int64_t seed : {1337, 5}) {
      const DeformableDetr model = detector(with_backbone(net.name, {{"seed", seed}}));
      const Weights file = torchvision_file(net, 8);
      const Weights fresh =
          model.random_weights(RandomStream(static_cast<uint64_t>(seed), "weights"));
      const Weights loaded = model.import_weights(file);
      assert_int_equal(loaded.size(), fresh.size());
      const std::string prefix = "backbone.0.body.";
      size_t taken = 0;
      for (const auto& [name, tensor] : loaded) {
        const bool backbone = name.starts_with(prefix);
        taken += backbone;
        assert_true(
            at::equal(tensor, backbone ? file.at(name.substr(prefix.size())) : fresh.at(name)));
      }
      size_t used = 0;  // of the file
      for (const auto& [name, tensor] : file) {
        used += !name.starts_with("fc.") && !name.ends_with(".num_batches_tracked");
      }
      assert_int_equal(taken, used);
    }
  }
}

void another_resnet_is_refused_by_name(void**) {
  const auto refused = [](const Json& spec, const Weights& file, const std::string& part) {
    const DeformableDetr model = detector(spec);
    expect_error(Code::kInvalidArgument, part, [&] { model.import_weights(file); });
  };
  const auto& [small, middle, large] = kResNets;
  const Weights file = torchvision_file(small, 8);
  refused(kTiny, file, "\"backbone.0.body.bn1.bias\"");
  refused(with_backbone("resnet34"), file, "\"backbone.0.body.layer1.2.bn1.bias\"");
  refused(with_backbone("resnet18"), torchvision_file(middle, 8),
          "\"backbone.0.body.layer1.2.bn1.bias\"");
  refused(with_backbone("resnet18"), torchvision_file(large, 8),
          "\"backbone.0.body.layer1.0.conv1.weight\" has shape [8, 8, 1, 1]");
  refused(with_backbone("resnet18", {{"backbone_width", 16}}), file,
          "\"backbone.0.body.bn1.bias\" has shape [8]");
  const auto changed = [&](const std::string& name, const at::Tensor& tensor) {
    Weights weights = file;
    weights.erase(name);
    if (tensor.defined()) weights[name] = tensor;
    return weights;
  };
  const Json spec = with_backbone("resnet18");
  refused(spec, changed("layer4.1.bn2.bias", {}), "\"backbone.0.body.layer4.1.bn2.bias\"");
  refused(spec, changed("attnpool.weight", at::ones({2})), "\"attnpool.weight\"");
  // A part of a detector beside it: nothing is made up.
  refused(spec, changed("transformer.level_embed", at::ones({4, 32})),
          "\"backbone.0.body.bn1.bias\"");
}

}  // namespace
}  // namespace lethe::testing

int main() {
  using namespace lethe::testing;
  const CMUnitTest tests[] = {
      cmocka_unit_test(a_narrow_backbone_has_the_same_parts),
      cmocka_unit_test(the_width_of_a_backbone_is_part_of_the_spec),
      cmocka_unit_test(folding_changes_nothing),
      cmocka_unit_test(a_plain_resnet_is_the_backbone),
      cmocka_unit_test(another_resnet_is_refused_by_name),
  };
  return cmocka_run_group_tests_name("backbone", tests, nullptr, nullptr);
}
