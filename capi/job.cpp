// Section 6 of lethe.h: jobs.
#include "guard.h"
#include "handles.h"
#include "progress.h"
#include "structs.h"

using namespace lethe;
using namespace lethe::capi;

lethe_status lethe_job_status(const lethe_job* job, lethe_job_status_info* out_info) {
  return guard([&] {
    const size_t size = clear_struct(out_info, "out_info");
    const Job& source = *checked(job, "job").job;
    const Job::Status status = source.status();
    lethe_job_status_info info{};
    info.state = static_cast<lethe_job_state>(status.state);
    info.job_id = source.id();
    info.error = status.error ? static_cast<lethe_status>(*status.error) : LETHE_OK;
    info.progress = to_struct(status.progress);
    write_fields(out_info, info, size);
  });
}

const char* lethe_job_request_id(const lethe_job* job) {
  return usable(job) ? job->job->request_id().c_str() : nullptr;
}

lethe_status lethe_job_wait(const lethe_job* job, int64_t timeout_ms) {
  return guard([&]() -> lethe_status {
    return checked(job, "job").job->wait(timeout_of(timeout_ms)) ? LETHE_OK : LETHE_TIMEOUT;
  });
}

lethe_status lethe_job_cancel(lethe_job* job) {
  return guard([&] { checked(job, "job").job->cancel(); });
}

const char* lethe_job_error(const lethe_job* job) {
  return query("", [&]() -> const char* {
    // The sentence is written once, when the job ends; before that there is nothing to lend out.
    if (!usable(job) || !ended(job->job->status().state)) return "";
    return job->job->error_message().c_str();
  });
}

lethe_status lethe_job_result(const lethe_job* job, lethe_adapter** out_adapter,
                              lethe_report** out_report) {
  return guard([&] {
    clear(out_adapter);
    clear(out_report);
    const Job& source = *checked(job, "job").job;
    require(ended(source.status().state), Code::kState,
            "the job has not ended; wait for it with lethe_job_wait");
    const JobResult result = source.result();
    require(result.adapter || result.report, Code::kState,
            "the job left nothing: ", source.error_message());
    std::unique_ptr<lethe_adapter> adapter;
    if (result.adapter) adapter.reset(make_handle(&lethe_adapter::adapter, result.adapter));
    if (out_report && result.report) {
      *out_report = make_handle(&lethe_report::report, result.report);
    }
    if (out_adapter) *out_adapter = adapter.release();
  });
}

void lethe_job_free(lethe_job* job) {
  query(0, [&] {
    destroy(job);
    return 0;
  });
}
