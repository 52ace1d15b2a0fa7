// Precompiled for every file of src/: LibTorch's tensor header takes longer to parse than any file of
// ours to compile. Each file still includes what it uses and compiles without this.
#include <ATen/ATen.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>
