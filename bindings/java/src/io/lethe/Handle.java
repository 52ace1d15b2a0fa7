package io.lethe;

import java.lang.ref.Cleaner;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import java.util.function.LongConsumer;

/**
 * An object with a native part. Closing twice is fine, in any order; what was forgotten is freed
 * after the garbage collector found it. When the virtual machine exits, engines are closed as
 * {@link Engine#close()} does and every object then counts as closed: nothing may compute any more
 * while the process takes itself apart.
 */
public abstract sealed class Handle implements AutoCloseable
    permits Adapter, Dataset, Engine, Job, LetheRuntime, Model, Report {
  private static final Cleaner CLEANER = Cleaner.create();
  private static final Set<Pointer> LIVE = ConcurrentHashMap.newKeySet();
  /** How long an exit waits for the calls in progress. */
  private static final long EXIT_MS = 10_000;

  static {
    try {
      Runtime.getRuntime().addShutdownHook(new Thread(Handle::closeAll, "lethe-exit"));
    } catch (IllegalStateException e) {
      // Too late: the virtual machine exits already.
    }
  }

  // Every native call happens inside `try (Pointer p = use())`, which keeps the native part:
  // closing meanwhile, or losing the last reference to the object, frees it when the last call has
  // returned.

  /** The native part. It knows nothing of its {@link Handle}, or that would never be collected. */
  static final class Pointer implements AutoCloseable, Runnable {
    private static final int CLOSED = Integer.MIN_VALUE;
    private static final Pointer NONE = new Pointer(0, address -> {}, address -> {});

    final long address;
    private final LongConsumer stop;
    private final LongConsumer free;
    private final AtomicInteger users = new AtomicInteger(); // calls in progress, and CLOSED

    private Pointer(long address, LongConsumer stop, LongConsumer free) {
      this.address = address;
      this.stop = stop;
      this.free = free;
    }

    /** Enters a call; false when closed. */
    private boolean enter() {
      for (;;) {
        int now = users.get();
        if (now < 0) {
          return false;
        }
        if (users.compareAndSet(now, now + 1)) {
          return true;
        }
      }
    }

    /** Leaves a call. */
    @Override
    public void close() {
      if (users.decrementAndGet() == CLOSED) {
        free();
      }
    }

    /** The owner's close or the collector's; the Cleaner runs it once. */
    @Override
    public void run() {
      if (users.getAndUpdate(now -> now | CLOSED) == 0) {
        free();
      }
    }

    private void free() {
      LIVE.remove(this);
      free.accept(address);
    }
  }

  private final Pointer pointer;
  private final Cleaner.Cleanable cleanable;

  Handle(long address, LongConsumer free) {
    this(address, unused -> {}, free);
  }

  /** `stop` ends what the object does on threads of its own. */
  Handle(long address, LongConsumer stop, LongConsumer free) {
    pointer = new Pointer(address, stop, free);
    LIVE.add(pointer);
    cleanable = CLEANER.register(this, pointer);
  }

  /** Before the process exits: a thread still inside LibTorch would crash it. */
  private static void closeAll() {
    for (Pointer live : LIVE) {
      if (live.enter()) {
        try (live) {
          live.stop.accept(live.address);
        } catch (RuntimeException e) {
          continue; // a folder that cannot be written: nobody is left to hear of it
        }
      }
    }
    LIVE.forEach(live -> live.users.getAndUpdate(now -> now | Pointer.CLOSED)); // memory is let go
    long end = System.nanoTime() + EXIT_MS * 1_000_000;
    for (Pointer live : LIVE) {
      while (live.users.get() != Pointer.CLOSED && System.nanoTime() < end) {
        LockSupport.parkNanos(1_000_000);
      }
    }
  }

  /** Enters a call, which ends with the pointer's close. */
  final Pointer use() {
    Pointer entered = tryUse();
    if (entered == null) {
      throw new IllegalStateException("this " + getClass().getSimpleName() + " is closed");
    }
    return entered;
  }

  /** The same; null when closed. */
  final Pointer tryUse() {
    return pointer.enter() ? pointer : null;
  }

  /** The same for an argument that may be null: address 0. */
  static Pointer use(Handle handle) {
    if (handle == null) {
      Pointer.NONE.enter();
      return Pointer.NONE;
    }
    return handle.use();
  }

  /** Frees the native part, once the calls in progress have returned. Closing twice is fine. */
  @Override
  public void close() {
    cleanable.clean();
  }

  /**
   * Whether it was closed.
   *
   * @return true after {@link #close()}
   */
  public final boolean isClosed() {
    return pointer.users.get() < 0;
  }
}
