// Requests, ends and models in the words of the journal, and back.
#pragma once

#include "engine/archive.h"
#include "engine/environment.h"
#include "engine/request.h"

namespace lethe {

/// What another process needs to run the request: settings, and its data as the archive keeps it.
/// Writes copies of sets that cannot be read again.
/// For both kinds of data (in records.cpp).
template <typename Data>
Json write_request(const ForgetRequestOn<Data>& request, Archive& archive);
template <typename Data>
Json write_request(const PretrainRequestOn<Data>& request, Archive& archive);

/// The request of a task, its data read again. Throws DataMissing when that cannot be had.
Request read_request(const TaskRecord& task, Archive& archive);

/// Data that a task needs is gone, unreadable or changed.
struct DataMissing : Error {
  using Error::Error;
};

ModelRecord describe_model(const Snapshot& snapshot);

/// What every receipt of a task says (receipt.h adds number, previous digest and signature).
/// `snapshot`: the model that the task leaves.
Json describe_end(const TaskRecord& task, const Journal::End& end, const Snapshot& snapshot,
                  const Json& report, int threads);

/// What receipts of lethe_model_seal are found by.
inline constexpr const char* kSealId = "seal";
/// Such a receipt: `before` is gone, `after` is the only state.
Json describe_seal(const Snapshot& before, const Snapshot& after, int64_t now_ms);

}  // namespace lethe
