// Where data sets come from. One function a source; each reads everything and checks everything,
// and leaves in the set's origin what it takes to read it again (reference.h).
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "data/dataset.h"

namespace lethe {

/// An IDX pair (the MNIST family), plain or gzip-compressed, told apart by content: images uint8
/// [N, H, W] or [N, H, W, C], labels uint8 [N]. `class_count` 0 means the largest label + 1.
///
/// Throws kNotFound, kIo, kLimitExceeded (a file or its content over 2 GiB), kCorrupt (bad magic,
/// truncated, bytes left over, counts that differ), kUnsupported (another element type) or
/// kInvalidArgument (a label outside `class_count`, a transform that does not fit).
Dataset read_idx(const std::string& images_path, const std::string& labels_path,
                 const Transform& transform, int64_t class_count = 0);

/// One folder a class, in lexicographic order (as torchvision's ImageFolder numbers them), with
/// .jpg, .jpeg, .png, .ppm and .pgm files in lexicographic order inside. Hidden entries, other
/// files and folders inside a class folder are ignored. Files are decoded on the calling thread's
/// share of LibTorch's threads.
///
/// Throws kNotFound (no folder, no class, a class without images), kIo, what decode_image throws
/// for the first such file, or kInvalidArgument when the images are not of one size and channel
/// count after the transform; the message names the first file that differs.
Dataset read_image_folder(const std::string& path, const Transform& transform);

/// One JPEG, PNG or binary PNM (P5, P6) file, told apart by content, as uint8 [C, H, W] with C = 1
/// for grey and 3 for colour. Alpha is composited on black, palettes become RGB, deeper samples are
/// scaled to 8 bits. Colour profiles, gamma and the EXIF orientation are ignored, as torchvision's
/// loader ignores them. `what` names the image in messages.
///
/// Throws kCorrupt (undecodable, truncated), kUnsupported (another format, CMYK) or kLimitExceeded
/// (more than 2^26 pixels, more than 500 progressive scans).
at::Tensor decode_image(const std::string& bytes, const std::string& what);

}  // namespace lethe
