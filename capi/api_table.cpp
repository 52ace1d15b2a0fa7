// The function table of lethe_api.h.
#include "lethe/lethe_api.h"

#include <cstddef>

namespace {

#define LETHE_API_ENTRY(name) lethe_##name,
constexpr lethe_api_v1 kApi = {sizeof(lethe_api_v1), LETHE_ABI_VERSION, 0,
                               LETHE_API_FUNCTIONS(LETHE_API_ENTRY)};
#undef LETHE_API_ENTRY

/// Where a host built for ABI 1.0 expects its last function; it never moves.
constexpr size_t kBefore = 16 + 86 * sizeof(void (*)());
static_assert(offsetof(lethe_api_v1, report_free) == kBefore);

}  // namespace

const lethe_api_v1* lethe_get_api(uint32_t major) {
  return major == LETHE_ABI_VERSION >> 16 ? &kApi : nullptr;
}
