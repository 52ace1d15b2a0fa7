#include "forgetting/distillation.h"

#include <ATen/ATen.h>

namespace lethe {

at::Tensor distillation_kl(const at::Tensor& student, const at::Tensor& teacher,
                           double temperature) {
  const at::Tensor log_s = at::log_softmax(student / temperature, 1);
  const at::Tensor log_t = at::log_softmax(teacher / temperature, 1);
  return temperature * temperature * (log_t.exp() * (log_t - log_s)).sum(1).mean();
}

at::Tensor distillation_cross_entropy(const at::Tensor& student, const at::Tensor& teacher,
                                      double temperature) {
  // p^(1/T) brought to a sum of 1 is softmax(z / T).
  return -(at::softmax(teacher / temperature, 1) * at::log_softmax(student / temperature, 1))
              .sum(1)
              .mean();
}

at::Tensor distillation_sigmoid_kl(const at::Tensor& student, const at::Tensor& teacher,
                                   double temperature) {
  const at::Tensor s = student / temperature, t = teacher / temperature;
  const at::Tensor yes = at::sigmoid(t) * (at::log_sigmoid(t) - at::log_sigmoid(s));
  const at::Tensor no = at::sigmoid(-t) * (at::log_sigmoid(-t) - at::log_sigmoid(-s));
  return temperature * temperature * (yes + no).sum() / student.size(0);
}

}  // namespace lethe
