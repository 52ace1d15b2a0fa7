#include "engine/import_adapter.h"

#include <set>

#include "adapters/manifest.h"
#include "adapters/peft.h"
#include "engine/environment.h"
#include "support/error.h"

namespace lethe {
namespace {

void check_classes(const std::vector<int64_t>& classes, int64_t class_count) {
  require(!classes.empty(), Code::kInvalidArgument,
          "no class is named that the adapter makes the model forget; name at least one");
  std::set<int64_t> seen;
  for (const int64_t c : classes) {
    require(c >= 0 && c < class_count, Code::kNotFound, "class ", c,
            " is unknown; the model has the classes 0 to ", class_count - 1);
    require(seen.insert(c).second, Code::kInvalidArgument, "class ", c,
            " is named twice; name each class once");
  }
}

}  // namespace

std::shared_ptr<const Adapter> import_peft(const Snapshot& snapshot, const std::string& folder,
                                           const std::string& request_id,
                                           const std::vector<int64_t>& classes,
                                           const Limits& limits) {
  const BaseModel& base = *snapshot.base;
  require(is_request_id(request_id), Code::kInvalidArgument, "the request id ",
          in_quotes(request_id), " is not 1 to 128 bytes of UTF-8 without control characters");
  check_classes(classes, base.model().classes());
  AdapterFacts facts;
  facts.request_id = request_id;
  facts.lethe_version = library_version();
  facts.classes = classes;
  facts.parents = enabled_ids(snapshot.stack);
  facts.parent_state = state_fingerprint(base, snapshot.stack);
  facts.environment = describe_environment(0);
  facts.created_utc = utc_text(system_now_ms());
  return read_peft(folder, base, std::move(facts), limits);
}

}  // namespace lethe
