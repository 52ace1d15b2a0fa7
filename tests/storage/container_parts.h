// Adapter files put together from parts by the text of the format, independently of the library's
// writer, so that a test can spell out any single part wrongly with all checksums right.
#pragma once

#include <zstd.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/bytes.h"
#include "storage/digest.h"
#include "storage/safetensors.h"

namespace lethe::testing {

/// A zstd frame of these bytes.
inline std::string zstd_frame(const std::string& raw, bool checksum = true,
                              bool content_size = true, int window_log = 23) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, 3);
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, checksum);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, content_size);
  std::string frame(ZSTD_compressBound(raw.size()), '\0');
  frame.resize(ZSTD_compress2(context, frame.data(), frame.size(), raw.data(), raw.size()));
  ZSTD_freeCCtx(context);
  return frame;
}

struct FramePart {
  std::string raw;                                   ///< what the digest is of
  std::optional<std::string> stored = {};            ///< instead of zstd_frame(raw)
  std::optional<uint64_t> raw_bytes = {};            ///< instead of raw.size()
  std::function<void(std::string&)> edit = nullptr;  ///< changes the 64-byte index entry
};

struct ContainerParts {
  Digest base = sha256("base");
  std::string manifest = R"({"format":1})";
  std::vector<FramePart> frames;
  std::optional<uint64_t> tensor_bytes;
  std::string gap;                                ///< bytes before the index
  std::function<void(std::string&)> edit_header;  ///< changes the fixed header before its CRC
  std::function<void(std::string&)> edit_index;   ///< changes the index before the file digest

  /// The parts of a good file of these tensors, which must all have one dtype.
  static ContainerParts of(const Weights& tensors) {
    ContainerParts parts;
    parts.frames.push_back({safetensors_header(tensors)});
    for (const auto& [name, tensor] : tensors) {
      const at::Tensor rows = tensor.contiguous();
      parts.frames.push_back({{static_cast<const char*>(rows.const_data_ptr()), rows.nbytes()}});
    }
    return parts;
  }

  std::string build() const {
    std::string body, index;
    uint64_t tensor_total = 0;
    for (size_t i = 0; i < frames.size(); ++i) {
      const FramePart& frame = frames[i];
      const std::string stored = frame.stored.value_or(zstd_frame(frame.raw));
      const uint64_t raw_bytes = frame.raw_bytes.value_or(frame.raw.size());
      if (i > 0) tensor_total += raw_bytes;
      std::string entry;
      append_number<uint64_t>(entry, 104 + manifest.size() + body.size());
      append_number<uint64_t>(entry, stored.size());
      append_number<uint64_t>(entry, raw_bytes);
      append_number<uint32_t>(entry, crc32c(stored.data(), stored.size()));
      append_number<uint32_t>(entry, 0);
      append(entry, sha256(frame.raw));
      if (frame.edit) frame.edit(entry);
      index += entry;
      body += stored;
    }
    body += gap;

    std::string header = "LETHEADP";
    append_number<uint16_t>(header, 1);
    append_number<uint16_t>(header, 0);
    append_number<uint32_t>(header, 0);
    append_number<uint32_t>(header, 0);
    append_number<uint32_t>(header, static_cast<uint32_t>(frames.size() - 1));
    append_number<uint64_t>(header, manifest.size());
    append_number<uint64_t>(header, tensor_bytes.value_or(tensor_total));
    append_number<uint64_t>(header, 104 + manifest.size() + body.size());
    append(header, base);
    append_number<uint32_t>(header, crc32c(manifest.data(), manifest.size()));
    append_number<uint64_t>(header, 0);
    if (edit_header) edit_header(header);
    append_number<uint32_t>(header, crc32c(header.data(), header.size()));

    std::string file = skippable(0x184D2A5A, header.size() + manifest.size()) + header + manifest;
    file += body;
    std::string index_frame = skippable(0x184D2A5B, index.size() + 40) + index;
    if (edit_index) edit_index(index_frame);
    file += index_frame;
    return sealed(file);
  }

  /// `file` with the digest and end mark that belong to it.
  static std::string sealed(std::string file) {
    append(file, sha256(file));
    return file + "LETHEEND";
  }

 private:
  static void append(std::string& out, const Digest& digest) {
    out.append(reinterpret_cast<const char*>(digest.data()), digest.size());
  }
  static std::string skippable(uint32_t magic, size_t size) {
    std::string frame;
    append_number(frame, magic);
    append_number(frame, static_cast<uint32_t>(size));
    return frame;
  }
};

/// Overwrites the number at `offset`.
template <typename T>
std::function<void(std::string&)> put(size_t offset, T value) {
  return [=](std::string& bytes) { std::memcpy(&bytes.at(offset), &value, sizeof value); };
}

}  // namespace lethe::testing
