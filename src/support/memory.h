// How much memory the process has had.
#pragma once

namespace lethe {

/// The most that was resident so far, in MiB.
double peak_memory_mib();

}  // namespace lethe
