#include "forgetting/teacher.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "support/error.h"

namespace lethe {
namespace {

/// `compute` of the images [b, C, S, S] of all samples, one batch after the other.
template <typename Compute>
at::Tensor for_all(const ForgetTask& task, const Dataset& set, const std::string& what,
                   const Compute& compute) {
  const BaseModel& base = *task.base;
  return base.derived(str(what, " of ", set.content_digest()), [&] {
    constexpr int64_t kBatch = 250;
    const at::NoGradGuard no_grad;
    std::vector<at::Tensor> parts;
    for (int64_t begin = 0; begin < set.size(); begin += kBatch) {
      require(!task.cancelled || !task.cancelled(), Code::kCancelled,
              "cancelled while the base model was asked about the samples");
      const Batch batch = set.batch(begin, std::min(begin + kBatch, set.size()));
      parts.push_back(compute(batch.images.to(base.device())));
    }
    return at::cat(parts);
  });
}

}  // namespace

Teacher::Teacher(const ForgetTask& task, const Dataset& set)
    : head_(task.base->classifier().head(task.base->weights())),
      embeddings_(for_all(task, set, "embeddings", [&](const at::Tensor& images) {
        return task.base->classifier().embed(task.base->weights(), images);
      })) {}

at::Tensor Teacher::embeddings(const std::vector<int64_t>& positions) const {
  return rows(embeddings_, positions);
}

at::Tensor Teacher::scores(const std::vector<int64_t>& positions, const at::Tensor& labels) const {
  return head_.scores(embeddings(positions), labels);
}

at::Tensor token_attention(const at::Tensor& tokens) {
  const at::Tensor mean = tokens.pow(2).mean(1);
  const at::Tensor unit = mean / mean.norm(2, {1}, true).clamp_min(1e-12);
  return at::where(unit < 0.005, at::zeros_like(unit), unit);
}

at::Tensor teacher_attention(const ForgetTask& task, const Dataset& set, int64_t depth) {
  const Classifier& model = task.base->classifier();
  const Weights& weights = task.base->weights();
  return for_all(
      task, set, str("attention after ", depth, " blocks"), [&](const at::Tensor& images) {
        return token_attention(
            run_blocks(model.tokens(weights, images), model.transformer(weights), 0, depth, {}));
      });
}

at::Tensor rows(const at::Tensor& table, const std::vector<int64_t>& positions) {
  return table.index_select(0, at::tensor(positions, at::kLong).to(table.device()));
}

}  // namespace lethe
