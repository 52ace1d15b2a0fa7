package io.lethe;

import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;

/** One task or training run of an engine. Closing a handle does not stop the job. */
public final class Job extends Handle {
  private final Waits waits;
  private final AtomicReference<CompletableFuture<JobResult>> completion = new AtomicReference<>();

  Job(long address, Waits waits) {
    super(address, Native::job_free);
    this.waits = waits;
  }

  /**
   * Number of the job.
   *
   * @return 1, 2, 3 ... within its engine
   */
  public long id() {
    return status().jobId();
  }

  /**
   * The request id.
   *
   * @return the one given or made
   */
  public String requestId() {
    try (Pointer self = use()) {
      return Native.job_request_id(self.address);
    }
  }

  /**
   * Where the job stands now.
   *
   * @return state, error and figures
   */
  public JobStatus status() {
    try (Pointer self = use()) {
      return statusOf(self.address);
    }
  }

  static JobStatus statusOf(long address) {
    try (NativeJobStatusInfo n = new NativeJobStatusInfo()) {
      Native.job_status(address, n);
      return JobStatus.of(n);
    }
  }

  /**
   * Asks the job to stop; returns at once. It takes effect within one optimiser step and leaves no
   * adapter. A job that is nearly done may still succeed; cancelling an ended job does nothing.
   */
  public void cancel() {
    try (Pointer self = use()) {
      Native.job_cancel(self.address);
    }
  }

  /**
   * A future of the job's end, however it ends: see {@link JobResult#orThrow()}. It stays valid
   * when this handle is closed. Cancelling the future does not cancel the job, {@link #cancel()}
   * does. Exceptionally with a {@link LetheException}: {@link Status#STATE}, its engine with a
   * folder was closed, {@link Status#IO}, the folder cannot be written; either way the job is kept
   * there and goes on when the folder is opened again.
   *
   * @return a new future, which the caller may complete or cancel
   */
  public CompletableFuture<JobResult> completion() {
    return shared().copy();
  }

  /** One future for all who wait, however often: a list of waiters would grow. */
  private CompletableFuture<JobResult> shared() {
    Pointer kept = use(); // until the job has ended
    CompletableFuture<JobResult> mine = new CompletableFuture<>();
    if (completion.compareAndSet(null, mine)) {
      waits.add(kept, Native::job_wait, JobResult::of, mine);
      return mine;
    }
    kept.close();
    return completion.get();
  }

  /**
   * Waits until the job has ended, however it ended.
   *
   * @return how
   * @throws InterruptedException when the thread is interrupted
   * @throws LetheException as {@link #completion()}
   */
  public JobResult await() throws InterruptedException {
    try {
      return shared().get();
    } catch (ExecutionException e) {
      throw failure(e);
    }
  }

  /**
   * Waits until the job has ended, however it ended, or the time is over.
   *
   * @param timeout how long
   * @return true when it has ended
   * @throws InterruptedException when the thread is interrupted
   * @throws LetheException as {@link #completion()}
   */
  public boolean await(Duration timeout) throws InterruptedException {
    try {
      shared().get(Check.millis(timeout), TimeUnit.MILLISECONDS);
      return true;
    } catch (TimeoutException e) {
      return false;
    } catch (ExecutionException e) {
      throw failure(e);
    }
  }

  static RuntimeException failure(ExecutionException e) {
    if (e.getCause() instanceof LetheException cause) {
      return new LetheException(cause.status(), cause.getMessage(), cause);
    }
    return new IllegalStateException("waiting failed", e.getCause());
  }

  /**
   * The sentence of a job that failed, was rejected or cancelled.
   *
   * @return "" otherwise
   */
  public String errorMessage() {
    try (Pointer self = use()) {
      return Native.job_error(self.address);
    }
  }

  /**
   * The adapter of a forget task that succeeded.
   *
   * @return a new handle; empty after a rejection and after pre-training
   * @throws LetheException {@link Status#STATE}: not ended, or it left nothing because it failed or
   *     was cancelled
   */
  public Optional<Adapter> adapter() {
    try (Pointer self = use()) {
      long adapter = Buffers.handle(out -> Native.job_result(self.address, out, null));
      return adapter == 0 ? Optional.empty() : Optional.of(new Adapter(adapter));
    }
  }

  /**
   * The figures of a job that succeeded or was rejected.
   *
   * @return a new handle
   * @throws LetheException {@link Status#STATE}: not ended, or it left nothing because it failed or
   *     was cancelled
   */
  public Report report() {
    try (Pointer self = use()) {
      return new Report(Buffers.handle(out -> Native.job_result(self.address, null, out)));
    }
  }
}
