// The three JSON texts that a host hands over: settings, model spec, transform.
#include "data/transform.h"
#include "forgetting/config.h"
#include "fuzz/fuzz.h"
#include "models/detector_spec.h"
#include "models/spec.h"

FUZZ_TARGET(settings) {
  using namespace lethe;
  const Json json = parse_json(bytes, "input", testing::fuzz_limits().json);
  const auto tried = [](const auto& body) {
    try {
      body();
    } catch (const Error&) {
    }
  };
  tried([&] {
    ForgetConfig config;
    config.update_from_json(json);
    config.validate();
    if (config.to_json().size() < 10) std::abort();
  });
  tried([&] {
    PretrainConfig config;
    config.update_from_json(json);
    config.validate();
  });
  tried([&] { ModelSpec::from_json(ModelSpec::from_json(json).to_json()); });
  tried([&] { DetectorSpec::from_json(DetectorSpec::from_json(json).to_json()); });
  tried([&] { Transform::from_json(Transform::from_json(json).to_json()); });
}
