#include "head_rows.h"

#include <algorithm>
#include <fstream>

namespace experiments {
namespace {

using cli::check;
using cli::out;

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

bool is_of_head(const std::string& name) { return name.rfind("heads.", 0) == 0; }

std::vector<Tensor> read_tensors(const lethe_model* model) {
  std::vector<Tensor> tensors;
  for (int32_t i = 0; i < lethe_model_tensor_count(model); ++i) {
    lethe_tensor_info info{};
    info.struct_size = sizeof info;
    check(lethe_model_tensor_info(model, i, &info));
    Tensor tensor{info.name, {info.shape, info.shape + info.ndim}, {}};
    tensor.values.resize(static_cast<size_t>(info.count));
    check(lethe_model_tensor_read(model, info.name, 0, tensor.values.data(), tensor.values.size()));
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void keep_rows(Tensor& tensor, const std::vector<size_t>& rows) {
  const size_t width = tensor.values.size() / static_cast<size_t>(tensor.shape.at(0));
  std::vector<float> kept;
  for (const size_t row : rows) {
    const auto begin = tensor.values.begin() + static_cast<std::ptrdiff_t>(row * width);
    kept.insert(kept.end(), begin, begin + static_cast<std::ptrdiff_t>(width));
  }
  tensor.shape[0] = static_cast<int64_t>(rows.size());
  tensor.values = std::move(kept);
}

/// The tensors as a safetensors file, float32.
std::string safetensors_of(const std::vector<Tensor>& tensors) {
  Json header = Json::object();
  size_t end = 0;
  for (const Tensor& tensor : tensors) {
    const size_t begin = end;
    end += tensor.values.size() * sizeof(float);
    header[tensor.name] = {
        {"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  std::string bytes;
  bytes.reserve(8 + text.size() + end);
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(text.size() >> (8 * i) & 0xff);
  bytes += text;
  for (const Tensor& tensor : tensors) {
    bytes.append(reinterpret_cast<const char*>(tensor.values.data()),
                 tensor.values.size() * sizeof(float));
  }
  return bytes;
}

std::vector<size_t> rows_of(const std::vector<std::string>& order,
                            const std::vector<std::string>& kept) {
  std::vector<size_t> rows;
  for (const std::string& name : kept) {
    const auto found = std::find(order.begin(), order.end(), name);
    if (found == order.end()) {
      throw Failure(LETHE_E_NOT_FOUND,
                    "head_rows: the class \"" + name + "\" is not among the " +
                        std::to_string(order.size()) +
                        " names in output order; class folders must have those names");
    }
    rows.push_back(static_cast<size_t>(found - order.begin()));
  }
  return rows;
}

}  // namespace

std::vector<std::string> read_lines(const fs::path& file) {
  std::ifstream stream(file);
  std::vector<std::string> lines;
  for (std::string word; stream >> word; stream.ignore(4096, '\n')) lines.push_back(word);
  if (lines.empty()) {
    throw Failure(LETHE_E_NOT_FOUND,
                  "cannot read names from " + file.string() + "; give one line for each output");
  }
  return lines;
}

void load_head_rows(lethe_runtime* runtime, const Json& spec, const fs::path& weights,
                    const std::vector<std::string>& order, const std::vector<std::string>& kept,
                    lethe_model* model) {
  if (spec.value("arch", "") != "vit") {
    throw Failure(LETHE_E_UNSUPPORTED, "head_rows is for the architecture \"vit\" only");
  }
  const std::vector<size_t> rows = rows_of(order, kept);
  Json whole = spec;
  whole["classes"] = order.size();
  std::vector<Tensor> tensors;
  {
    cli::Model source;
    check(lethe_model_create(runtime, whole.dump().c_str(), "cpu", out(source)));
    check(lethe_model_load_weights(source.get(), weights.c_str(), nullptr));
    tensors = read_tensors(source.get());
  }
  for (Tensor& tensor : tensors) {
    if (is_of_head(tensor.name)) keep_rows(tensor, rows);
  }
  const std::string bytes = safetensors_of(tensors);
  check(lethe_model_load_weights_memory(model, reinterpret_cast<const uint8_t*>(bytes.data()),
                                        bytes.size(), nullptr));
}

}  // namespace experiments
