package io.lethe;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Executor;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.LongFunction;

/**
 * Waits natively for the jobs of one engine and completes their futures, so that nobody else is
 * kept inside native code. Its one daemon thread lives while something is waited for. It holds
 * native handles, never the objects of the caller: those can be closed or collected meanwhile.
 */
final class Waits {
  /** How long the oldest is waited for until the others are looked at. */
  private static final long SLICE_MS = 20;
  private static final AtomicInteger THREADS = new AtomicInteger();

  /** A native wait. */
  @FunctionalInterface
  interface Wait {
    int call(long address, long timeoutMs);
  }

  private record Waiting<T>(
      Handle.Pointer pointer, Wait way, LongFunction<T> result, CompletableFuture<T> future) {

    /** True when it is over, however: then the future is completed on the executor. */
    boolean isOver(long timeoutMs, Executor executor) {
      if (future.isDone()) { // cancelled: nobody waits any more
        pointer.close();
        return true;
      }
      T value;
      try {
        if (way.call(pointer.address, timeoutMs) == Status.TIMEOUT.value) {
          return false;
        }
        value = result.apply(pointer.address);
      } catch (Throwable e) {
        future.completeExceptionally(e);
        pointer.close();
        return true;
      }
      pointer.close();
      future.completeAsync(() -> value, executor);
      return true;
    }
  }

  private final ReentrantLock lock = new ReentrantLock();
  private final List<Waiting<?>> waiting = new ArrayList<>(); // under the lock, oldest first
  private boolean running; // under the lock

  /** Completes `future` when `way` says so. Keeps `pointer`, which is in use, until then. */
  <T> void add(
      Handle.Pointer pointer, Wait way, LongFunction<T> result, CompletableFuture<T> future) {
    Waiting<T> entry = new Waiting<>(pointer, way, result, future);
    if (entry.isOver(0, Runnable::run)) {
      return;
    }
    lock.lock();
    try {
      if (!running) {
        Thread thread = new Thread(this::run, "lethe-waits-" + THREADS.incrementAndGet());
        thread.setDaemon(true);
        thread.start();
        running = true;
      }
      waiting.add(entry);
    } catch (OutOfMemoryError e) { // no thread to be had
      future.completeExceptionally(e);
      pointer.close();
    } finally {
      lock.unlock();
    }
  }

  private void run() {
    for (List<Waiting<?>> now = snapshot(); !now.isEmpty(); now = snapshot()) {
      List<Waiting<?>> over = new ArrayList<>();
      long patience = SLICE_MS;
      for (Waiting<?> entry : now) {
        // Elsewhere, because what hangs on a future may wait for another job.
        if (entry.isOver(patience, entry.future.defaultExecutor())) {
          over.add(entry);
        }
        patience = 0;
      }
      lock.lock();
      try {
        waiting.removeAll(over);
      } finally {
        lock.unlock();
      }
    }
  }

  /** What is waited for. When it is nothing the thread ends, and the next one starts another. */
  private List<Waiting<?>> snapshot() {
    lock.lock();
    try {
      running = !waiting.isEmpty();
      return List.copyOf(waiting);
    } finally {
      lock.unlock();
    }
  }
}
