#include "models/model.h"

#include <ATen/ATen.h>

#include "models/checkpoint.h"
#include "support/error.h"

namespace lethe {

at::Tensor AdapterSite::rows(const Weights& weights) const {
  return weights.at(weight).narrow(0, row, out);
}

at::Tensor AdapterSite::replace_rows(const at::Tensor& w, const at::Tensor& rows) const {
  return out == w.size(0) ? rows : at::slice_scatter(w, rows, 0, row, row + out);
}

std::vector<AdapterSite> qkv_sites(const std::string& name, const std::string& weight,
                                   int64_t block, int64_t dim, int64_t inner) {
  return {{name + ".q", "q", block, dim, inner, weight, 0},
          {name + ".k", "k", block, dim, inner, weight, inner},
          {name + ".v", "v", block, dim, inner, weight, 2 * inner}};
}

std::vector<AdapterSite> Model::all_sites() const {
  std::vector<AdapterSite> sites = adapter_sites();
  const std::vector<AdapterSite> attention = attention_sites();
  sites.insert(sites.end(), attention.begin(), attention.end());
  return sites;
}

void Model::check_weights(const Weights& weights) const {
  check_tensors(tensors(), weights, arch());
}

Weights Model::rename_to(Naming naming, Weights weights) const {
  require(naming == Naming::kOwn, Code::kUnsupported, "the architecture ", arch(), " has no ",
          naming_name(naming), " names; use its own");
  return weights;
}

Weights Model::import_weights(Weights checkpoint, Naming* naming) const {
  Weights plain = plain_weights(std::move(checkpoint));
  if (naming) *naming = naming_of(plain);
  Weights weights = rename(std::move(plain));
  check_weights(weights);
  return weights;
}

}  // namespace lethe
