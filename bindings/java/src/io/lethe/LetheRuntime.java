package io.lethe;

/** The surroundings of models and datasets: the log. Many may coexist. */
public final class LetheRuntime extends Handle {

  private LetheRuntime(long address, long log) {
    super(address, log == 0 ? Native::runtime_free : freed -> {
      Native.runtime_free(freed); // ends the log, so nothing is added to the queue any more
      Native.log_close(log); // its reader takes the rest and frees it
    });
  }

  /**
   * A runtime without a log.
   *
   * @return a new runtime
   * @throws LetheException the first time: {@link Status#NOT_FOUND}, {@link Status#UNSUPPORTED} or
   *     {@link Status#VERSION} when the native part cannot be loaded; the message lists the places
   */
  public static LetheRuntime create() {
    NativeLibrary.load();
    return create(0, null);
  }

  /**
   * A runtime with a log. Of the lines that a slow listener leaves, the newest 1024 are kept.
   *
   * @param level lines below it are not formed
   * @param listener takes the lines until the runtime is closed; models keep their runtime
   *     reachable
   * @return a new runtime
   * @throws LetheException as {@link #create()}
   */
  public static LetheRuntime create(LogLevel level, LogListener listener) {
    NativeLibrary.load();
    return create(Check.known(level, LogLevel.UNKNOWN, "level").value,
        Check.present(listener, "listener"));
  }

  private static LetheRuntime create(int level, LogListener listener) {
    long[] log = new long[1];
    long address = Buffers.handle(out -> Native.runtime_create(level, out, log));
    if (log[0] != 0) {
      Thread reader = new Thread(() -> read(log[0], listener), "lethe-log");
      reader.setDaemon(true);
      reader.start();
    }
    return new LetheRuntime(address, log[0]);
  }

  private static void read(long log, LogListener listener) {
    while (Native.log_wait(log, -1) == Status.OK.value) {
      try {
        listener.log(LogLevel.of(Native.log_level(log)), Native.log_component(log),
            Native.log_message(log));
      } catch (Throwable e) {
        Thread thread = Thread.currentThread();
        thread.getUncaughtExceptionHandler().uncaughtException(thread, e);
      }
    }
    Native.log_free(log);
  }

  /**
   * Number of CUDA devices. Loads the CUDA part on first use.
   *
   * @return 0 when it or a device is missing
   */
  public int deviceCount() {
    int[] count = new int[1];
    try (Pointer self = use()) {
      Native.runtime_device_count(self.address, count);
    }
    return count[0];
  }
}
