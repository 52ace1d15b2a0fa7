#include "figures.h"

namespace cli {

lethe_head head_of(const lethe_model* model) {
  Buffer json;
  check(lethe_model_info_json(model, out(json)));
  const std::string head = json_of(json).at("spec").value("head", "detection");
  return head == "cosface"     ? LETHE_HEAD_COSFACE
         : head == "arcface"   ? LETHE_HEAD_ARCFACE
         : head == "detection" ? LETHE_HEAD_DETECTION
                               : LETHE_HEAD_LINEAR;
}

FigureNames figures_in(const Json& metrics) {
  if (metrics.contains("ap") || metrics.contains("ap_f")) return {"ap", "AP", "AP"};
  return {};
}

}  // namespace cli
