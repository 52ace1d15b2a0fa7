// What stands behind the opaque types of lethe.h. A handle owns shared references, so handles may
// be freed in any order; it is stamped, so that a wrong or freed one is noticed where that is
// cheap.
#pragma once

#include <unistd.h>

#include <memory>
#include <vector>

#include "engine/engine.h"
#include "lethe/lethe.h"
#include "support/log.h"

namespace lethe::capi {

/// The stamp that every handle begins with.
struct Stamp {
  uint64_t kind;  ///< tells the types apart; 0 once freed
  pid_t owner;    ///< the process that made it
};

template <uint64_t kKind>
struct Handle : Stamp {
  Handle() : Stamp{kKind, getpid()} {}
  bool intact() const { return kind == kKind; }
  bool inherited() const { return owner != getpid(); }
};

}  // namespace lethe::capi

struct lethe_buffer : lethe::capi::Handle<0x4c65746865627566> {
  const void* data;  ///< 64-byte aligned, `size` bytes and a NUL
  size_t size;
};

struct lethe_runtime : lethe::capi::Handle<0x4c6574686572756e> {
  std::shared_ptr<lethe::Log> log;
};

struct lethe_model : lethe::capi::Handle<0x4c657468656d6f64> {
  std::shared_ptr<lethe::LiveModel> live;
  std::shared_ptr<lethe::Log> log;
  std::shared_ptr<const std::vector<lethe::TensorSpec>> tensors;  ///< owns the borrowed names
};

struct lethe_dataset : lethe::capi::Handle<0x4c65746865646174> {
  lethe::AnyDataset data;
  explicit lethe_dataset(lethe::AnyDataset dataset) : data(std::move(dataset)) {}
};

struct lethe_engine : lethe::capi::Handle<0x4c65746865656e67> {
  std::shared_ptr<lethe::LiveModel> live;
  std::shared_ptr<lethe::Engine> engine;
};

struct lethe_job : lethe::capi::Handle<0x4c657468656a6f62> {
  std::shared_ptr<lethe::Job> job;
};

struct lethe_adapter : lethe::capi::Handle<0x4c65746865616461> {
  std::shared_ptr<const lethe::Adapter> adapter;
};

struct lethe_report : lethe::capi::Handle<0x4c65746865726570> {
  std::shared_ptr<const lethe::Report> report;
};

namespace lethe::capi {

/// The handle, checked: not NULL, of its type, not freed (best effort), made by this process.
template <typename H>
H& checked(H* handle, const char* name) {
  require(handle, Code::kInvalidArgument, name, " is NULL");
  require(handle->intact(), Code::kInvalidArgument, name,
          " is not a live handle of its type; it was freed, or is another kind of object");
  require(!handle->inherited(), Code::kForked, name,
          " was inherited through fork(); make a new one in this process");
  return *handle;
}

/// Whether a query may look at the handle; the rest of checked(), without a sentence.
template <typename H>
bool usable(H* handle) {
  return handle && handle->intact() && !handle->inherited();
}

/// Takes the stamp off and deletes. NULL, and what is no live handle, is left alone.
template <typename H>
void destroy(H* handle) {
  if (!handle || !handle->intact()) return;
  *const_cast<volatile uint64_t*>(&handle->kind) = 0;
  delete handle;
}

/// The set as labelled images, or as images with boxes. Throws kUnsupported when it is the other
/// kind.
inline const Dataset& labelled(const lethe_dataset& dataset) {
  const auto* set = std::get_if<Dataset>(&dataset.data);
  require(set, Code::kUnsupported,
          "the dataset has boxes, this needs images with labels; detectors take such datasets");
  return *set;
}
inline const DetectionDataset& with_boxes(const lethe_dataset& dataset) {
  const auto* set = std::get_if<DetectionDataset>(&dataset.data);
  require(set, Code::kUnsupported,
          "the dataset has labels alone, this needs one with boxes; make it from COCO, Pascal VOC "
          "or arrays of boxes");
  return *set;
}

template <typename H, typename T>
H* make_handle(std::shared_ptr<T> H::*member, std::shared_ptr<T> object) {
  auto handle = std::make_unique<H>();
  handle.get()->*member = std::move(object);
  return handle.release();
}

}  // namespace lethe::capi
