// The methods by kind and name. A new one is a file that implements Method, and its line in
// method.cpp.
//
// Form::kReference follows the paper's code where that changes what a baseline is trained on or
// towards; each method's file says how. Four habits of that code (algorithm.md 10.2, 10.4, 10.6,
// 10.11) have no such form, and every run does what was meant:
//   weight average   in the code's continual runs it never sees a LoRA matrix; here it is of them
//   L_structure      in the code's continual runs it is over the first 6 blocks of a face model,
//                    of 12 or 18 too; here it is over all groups
//   best H           the code also saves the weights of the best H on the test set; here a task
//                    ends with its last weights or their average, and no test set chooses
//   LIRF's deposit   the code's deposit network is in no optimizer, its terms are constants; here
//                    there is none
#pragma once

#include <string>
#include <vector>

#include "forgetting/task.h"

namespace lethe {

/// A way to forget. Stateless; one object serves all tasks.
template <typename Data>
class MethodOn {
 public:
  virtual ~MethodOn() = default;
  /// Trains. Throws kNumeric (NaN or infinity in a loss, with the step), kCancelled.
  /// kCorrupt: `checkpoints.resume` is not of this task.
  virtual ForgetResult run(const TaskOn<Data>& task, const Observer& observer,
                           const Checkpoints& checkpoints) const = 0;
};
using Method = MethodOn<Dataset>;
using DetectorMethod = MethodOn<DetectionDataset>;

/// A method as settings and documentation know it.
struct MethodEntry {
  MethodKind kind;
  const char* name;     ///< as the paper calls it, in lower case
  const char* meaning;  ///< one sentence
  const Method& method;
  /// Sets what differs from GS-LoRA++ with a linear head (algorithm.md 4.12, 7).
  void (*adapt_defaults)(ForgetConfig& config, HeadKind head);
  const DetectorMethod* detector = nullptr;  ///< its form for detectors; null: it has none
};

/// In the order of MethodKind.
const std::vector<MethodEntry>& methods();
/// Throws kUnsupported for a kind that does not exist.
const MethodEntry& method_entry(MethodKind kind);

inline const Method& method_of(MethodKind kind) { return method_entry(kind).method; }
/// Throws kUnsupported naming the methods that detectors have.
const DetectorMethod& detector_method_of(MethodKind kind);
inline std::string method_name(MethodKind kind) { return method_entry(kind).name; }

}  // namespace lethe
