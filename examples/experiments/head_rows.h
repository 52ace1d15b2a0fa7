// A head with fewer outputs: the rows of a pre-trained model that belong to the classes of the
// data.
#pragma once

#include "protocol.h"

namespace experiments {

/// Loads `weights` of a model with one output for each name in `order` into `model`, which has the
/// architecture "vit" and an output for each name in `kept`, taken from the row of that name.
/// Everything below the head is copied. Throws NOT_FOUND when a name is not in `order`,
/// UNSUPPORTED for other architectures, and what loading throws.
void load_head_rows(lethe_runtime* runtime, const Json& spec, const fs::path& weights,
                    const std::vector<std::string>& order, const std::vector<std::string>& kept,
                    lethe_model* model);

/// The words of a text file, one a line.
std::vector<std::string> read_lines(const fs::path& file);

}  // namespace experiments
