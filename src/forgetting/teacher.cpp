#include "forgetting/teacher.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {
namespace {

template <typename Compute>
at::Tensor for_all(const BaseModel& base, const Dataset& dataset, const std::string& what,
                   const std::function<bool()>& cancelled, const Compute& compute) {
  return base.derived(str(what, " of ", dataset.content_digest()), [&] {
    constexpr int64_t kBatch = 250;
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < dataset.size(); begin += kBatch) {
      require(!cancelled || !cancelled(), Code::kCancelled,
              "cancelled while the base model was asked about the samples");
      const Batch batch = dataset.batch(begin, std::min(begin + kBatch, dataset.size()));
      parts.push_back(compute(batch.images.to(base.device())));
    }
    return at::cat(parts);
  });
}

}  // namespace

at::Tensor teacher_embeddings(const BaseModel& base, const Dataset& dataset,
                              const std::function<bool()>& cancelled) {
  return for_all(base, dataset, "embeddings", cancelled, [&](const at::Tensor& images) {
    return base.model().embed(base.weights(), images);
  });
}

at::Tensor token_attention(const at::Tensor& tokens) {
  const at::Tensor mean = tokens.pow(2).mean(1);
  const at::Tensor unit = mean / mean.norm(2, {1}, true).clamp_min(1e-12);
  return at::where(unit < 0.005, at::zeros_like(unit), unit);
}

at::Tensor teacher_attention(const BaseModel& base, const Dataset& dataset, int64_t depth,
                             const std::function<bool()>& cancelled) {
  const Transformer transformer = base.model().transformer(base.weights());
  return for_all(base, dataset, str("attention after ", depth, " blocks"), cancelled,
                 [&](const at::Tensor& images) {
                   const at::Tensor tokens = base.model().tokens(base.weights(), images);
                   return token_attention(run_blocks(tokens, transformer, 0, depth, {}));
                 });
}

at::Tensor rows(const at::Tensor& table, const std::vector<int64_t>& positions) {
  return table.index_select(0, at::tensor(positions, at::kLong).to(table.device()));
}

}  // namespace lethe
