package io.lethe;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * A queue of tasks for one model and the thread that works them off.
 *
 * <p>With a folder nothing accepted is lost, whenever the process dies: a job is on disk before
 * {@link #enqueue(ForgetTask)} returns. To go on after a restart, load the same base weights into a
 * model without adapters and create an engine on the same folder.
 */
public final class Engine extends Handle {
  /** How long a native wait for events lasts at most, so that interrupts and closing are seen. */
  static final long SLICE_MS = 50;
  /** What {@link #take} returns when nothing more will come. */
  static final Event END = new Event(EventKind.UNKNOWN, 0, JobState.UNKNOWN, null);

  private final Waits waits = new Waits();
  private final Model model; // whose runtime's log would end if both were collected

  private Engine(Model model, long address) {
    super(address, engine -> Native.engine_close(engine, -1), Native::engine_free);
    this.model = model;
  }

  /**
   * Creates an engine in memory with the default options and starts its thread.
   *
   * @param model which has no engine yet
   * @return a new engine
   * @throws LetheException {@link Status#BUSY}: the model has an engine
   */
  public static Engine create(Model model) {
    return create(model, EngineOptions.defaults());
  }

  /**
   * Creates an engine and starts its thread.
   *
   * @param model which has no engine yet
   * @param options threads, folder and so on
   * @return a new engine
   * @throws LetheException {@link Status#BUSY}: the model has an engine; another process, which the
   *     message names, or engine has the folder. {@link Status#BASE_MISMATCH}: the folder belongs
   *     to another base. {@link Status#STATE}: the model carries other adapters than the folder.
   *     {@link Status#CORRUPT}: the folder's journal or an adapter in it is damaged. {@link
   *     Status#VERSION}: a newer library wrote the folder. {@link Status#IO}
   */
  public static Engine create(Model model, EngineOptions options) {
    Check.present(options, "options");
    String folder = options.folder() == null ? null : Check.path(options.folder(), "folder");
    try (Pointer m = Check.present(model, "model").use()) {
      return new Engine(model, Buffers.handle(out -> Native.engine_create(m.address,
          options.threads(), options.eventCapacity(), folder, options.checkpointSeconds(),
          options.signingSeed(), options.paused() ? 1 : 0, out)));
    }
  }

  // --------------------------------------------------------------------------------------- jobs

  /**
   * Queues a forget task. The same request id with the same request returns the same job again.
   * Everything that can be checked is checked here. Sets are shared, not copied, and may be closed
   * at once.
   *
   * @param task what to forget
   * @return its job
   * @throws LetheException {@link Status#NOT_FOUND}: a class that the model does not have, or that
   *     has no sample. {@link Status#INVALID_ARGUMENT}: all classes, a class named twice, sets
   *     whose labels contradict the classes, images of another shape than the model's, a setting
   *     out of range. {@link Status#EXISTS}: the request id is taken by a different request. {@link
   *     Status#STATE}: the engine is closed
   */
  public Job enqueue(ForgetTask task) {
    Check.present(task, "task");
    try (Pointer self = use();
        Pointer forget = task.forgetSet.use();
        Pointer retain = use(task.retainSet);
        Pointer validation = use(task.validationSet);
        NativeForgetConfig config = task.config == null ? null : task.config.toNative();
        NativeTaskOptions options = task.options == null ? null : task.options.toNative()) {
      return new Job(Buffers.handle(out -> {
        if (options == null) {
          Native.engine_enqueue(self.address, task.requestId, task.classes, config, forget.address,
              retain.address, validation.address, out);
        } else {
          Native.engine_enqueue_with(self.address, task.requestId, task.classes, config,
              forget.address, retain.address, validation.address, options, out);
        }
      }), waits);
    }
  }

  /**
   * Queues the training of the base weights, which replace the old ones when it succeeds.
   *
   * @param requestId 1..128 bytes of UTF-8; null: one is made
   * @param config the settings
   * @param trainSet training samples
   * @param validationSet held-out samples; null: the report uses the training samples
   * @return its job
   * @throws LetheException {@link Status#STATE}: the model has adapters, or the engine is closed;
   *     otherwise as {@link #enqueue(ForgetTask)}
   */
  public Job enqueuePretraining(String requestId, PretrainConfig config, Dataset trainSet,
      Dataset validationSet) {
    Check.present(config, "config");
    try (Pointer self = use();
        Pointer train = Check.present(trainSet, "trainSet").use();
        Pointer validation = use(validationSet);
        NativePretrainConfig n = config.toNative()) {
      return new Job(Buffers.handle(out -> Native.engine_enqueue_pretraining(
          self.address, requestId, n, train.address, validation.address, out)), waits);
    }
  }

  /**
   * All jobs ever queued in this engine, in the order of arrival.
   *
   * @return new handles, which the caller closes
   */
  public List<Job> jobs() {
    List<Job> jobs = new ArrayList<>();
    try (Pointer self = use()) {
      for (int i = 0; i < Native.engine_job_count(self.address); ++i) {
        int index = i;
        jobs.add(new Job(
            Buffers.handle(out -> Native.engine_job_at(self.address, index, out)), waits));
      }
    }
    return List.copyOf(jobs);
  }

  /**
   * Number of jobs ever queued in this engine.
   *
   * @return the number
   */
  public int jobCount() {
    try (Pointer self = use()) {
      return Native.engine_job_count(self.address);
    }
  }

  /**
   * The job of a request.
   *
   * @param requestId the request
   * @return a new handle
   * @throws LetheException {@link Status#NOT_FOUND}
   */
  public Job jobFind(String requestId) {
    Check.present(requestId, "requestId");
    try (Pointer self = use()) {
      return new Job(
          Buffers.handle(out -> Native.engine_job_find(self.address, requestId, out)), waits);
    }
  }

  /**
   * Stops training after the current step until {@link #resume()}; queued tasks wait. Cancelling
   * and closing work as ever, and predictions never notice. Returns at once.
   */
  public void pause() {
    try (Pointer self = use()) {
      Native.engine_pause(self.address);
    }
  }

  /** Goes on after {@link #pause()}. */
  public void resume() {
    try (Pointer self = use()) {
      Native.engine_resume(self.address);
    }
  }

  /**
   * Gives data back to jobs in {@link JobState#AWAITING_DATA}: every set of theirs with the content
   * of this dataset is found in it, and a job that lacks no other is queued again.
   *
   * @param dataset the data
   * @return how many jobs were queued again
   * @throws LetheException {@link Status#NOT_FOUND}: no job waits for this content
   */
  public int bindDataset(Dataset dataset) {
    int[] jobs = new int[1];
    try (Pointer self = use(); Pointer data = Check.present(dataset, "dataset").use()) {
      Native.engine_bind_dataset(self.address, data.address, jobs);
    }
    return jobs[0];
  }

  /**
   * Waits until no job is queued or running. Jobs awaiting data do not count.
   *
   * @throws InterruptedException when the thread is interrupted
   * @throws LetheException {@link Status#IO}: the engine stopped because its folder cannot be
   *     written; the message says why
   */
  public void waitIdle() throws InterruptedException {
    CompletableFuture<Boolean> idle = idle();
    try {
      idle.get();
    } catch (ExecutionException e) {
      throw Job.failure(e);
    } finally {
      idle.cancel(false); // nobody waits any more
    }
  }

  /**
   * Waits until no job is queued or running, or the time is over.
   *
   * @param timeout how long
   * @return true when the engine is idle
   * @throws InterruptedException when the thread is interrupted
   * @throws LetheException as {@link #waitIdle()}
   */
  public boolean waitIdle(Duration timeout) throws InterruptedException {
    CompletableFuture<Boolean> idle = idle();
    try {
      return idle.get(Check.millis(timeout), TimeUnit.MILLISECONDS);
    } catch (TimeoutException e) {
      return false;
    } catch (ExecutionException e) {
      throw Job.failure(e);
    } finally {
      idle.cancel(false);
    }
  }

  private CompletableFuture<Boolean> idle() {
    CompletableFuture<Boolean> idle = new CompletableFuture<>();
    waits.add(use(), Native::engine_wait_idle, address -> true, idle);
    return idle;
  }

  // ------------------------------------------------------------------------------------- events

  /**
   * The events of this engine until it is closed. The iterator waits on the calling thread; when
   * that is interrupted, the iteration ends and the thread stays interrupted. Any number of
   * iterators and publishers may take events; each event goes to one of them.
   *
   * @return what happens from now on, and what nobody has taken yet
   */
  public Iterable<Event> events() {
    use().close();
    return () -> new EventIterator(this);
  }

  /**
   * The next event.
   *
   * @param timeout how long to wait for it
   * @return empty when none came, and when nothing more will come
   * @throws InterruptedException when the thread is interrupted
   */
  public Optional<Event> nextEvent(Duration timeout) throws InterruptedException {
    use().close();
    long end = System.nanoTime() / 1_000_000 + Check.millis(timeout);
    for (;;) {
      if (Thread.interrupted()) {
        throw new InterruptedException();
      }
      long left = Math.max(0, end - System.nanoTime() / 1_000_000);
      Event event = take(Math.min(left, SLICE_MS));
      if (event != null || left == 0) {
        return event == END ? Optional.empty() : Optional.ofNullable(event);
      }
    }
  }

  /**
   * The events of this engine, taken by a daemon thread as its subscriber asks for them; complete
   * when the engine is closed.
   *
   * @return a publisher for one subscriber
   */
  public Flow.Publisher<Event> publisher() {
    use().close();
    return new EventPublisher(this);
  }

  /** The next event, null when none came, END when nothing more will come. */
  Event take(long timeoutMs) {
    Pointer entered = tryUse();
    if (entered == null) {
      return END; // closed while somebody was listening
    }
    try (Pointer self = entered; NativeEvent n = new NativeEvent()) {
      int status = Native.engine_next_event(self.address, timeoutMs, n);
      return status == Status.TIMEOUT.value ? null : status == Status.END.value ? END : Event.of(n);
    }
  }

  // ----------------------------------------------------------------------------------- receipts

  /**
   * Number of receipts.
   *
   * @return one for each ended task
   */
  public int receiptCount() {
    try (Pointer self = use()) {
      return Native.engine_receipt_count(self.address);
    }
  }

  /**
   * The receipt of a request: the signed record of one ended task.
   *
   * @param requestId the request
   * @return one line of canonical JSON without its end
   * @throws LetheException {@link Status#NOT_FOUND}: no such request has ended
   */
  public String receipt(String requestId) {
    Check.present(requestId, "requestId");
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.engine_receipt(self.address, requestId, out));
    }
  }

  /**
   * All receipts, oldest first: what {@link Lethe#receiptsVerify(String, byte[])} reads.
   *
   * @return a line each, ended by '\n'
   */
  public String receipts() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.engine_receipts(self.address, out));
    }
  }

  /**
   * The Ed25519 public key that this engine's receipts are signed with. Publish it where those who
   * verify receipts trust it.
   *
   * @return 32 bytes
   */
  public byte[] publicKey() {
    byte[] key = new byte[32];
    try (Pointer self = use()) {
      Native.engine_public_key(self.address, key);
    }
    return key;
  }

  // ------------------------------------------------------------------------------------ closing

  /**
   * Takes no more jobs, cancels those that are queued or running and waits for the thread. To
   * finish the queue first, call {@link #waitIdle()} before. With a folder no job is cancelled: the
   * running one is saved, all are kept and go on when the folder is opened again. The object itself
   * stays usable, for jobs, receipts and the events left.
   *
   * @param timeout how long to wait
   * @return false when the thread still runs; call again
   */
  public boolean close(Duration timeout) {
    try (Pointer self = use()) {
      return Native.engine_close(self.address, Check.millis(timeout)) == Status.OK.value;
    }
  }

  /** The same, waiting for the current step, and frees the engine. Jobs stay valid. */
  @Override
  public void close() {
    Pointer entered = tryUse();
    if (entered == null) {
      return;
    }
    try (Pointer self = entered) {
      Native.engine_close(self.address, -1);
    } finally {
      super.close();
    }
  }
}
