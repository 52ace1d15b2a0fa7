package io.lethe;

import java.util.Collections;
import java.util.SortedMap;

/**
 * How a job ended.
 *
 * @param jobId 1, 2, 3 ... within its engine
 * @param requestId the request
 * @param state one of those in which a job has ended
 * @param error why it failed, was rejected or cancelled; {@link Status#OK} otherwise
 * @param message the sentence of a job that failed, was rejected or cancelled; "" otherwise
 * @param metrics figures as {@link Report#metrics()}, also of a rejected job; empty where there are
 *     none
 */
public record JobResult(
    long jobId,
    String requestId,
    JobState state,
    Status error,
    String message,
    SortedMap<String, Double> metrics) {

  /**
   * Whether the job did what was asked.
   *
   * @return true for {@link JobState#SUCCEEDED}
   */
  public boolean succeeded() {
    return state == JobState.SUCCEEDED;
  }

  /**
   * This result, if the job succeeded.
   *
   * @return this
   * @throws LetheException with error and message otherwise
   */
  public JobResult orThrow() {
    if (!succeeded()) {
      throw new LetheException(error, message);
    }
    return this;
  }

  /** Of an ended job. */
  static JobResult of(long job) {
    JobStatus status = Job.statusOf(job);
    SortedMap<String, Double> metrics = Collections.emptySortedMap();
    if (status.state() == JobState.SUCCEEDED || status.state() == JobState.REJECTED) {
      long report = Buffers.handle(out -> Native.job_result(job, null, out));
      try {
        metrics = Report.metricsOf(report);
      } finally {
        Native.report_free(report);
      }
    }
    return new JobResult(status.jobId(), Native.job_request_id(job), status.state(), status.error(),
        Native.job_error(job), metrics);
  }
}
