package io.lethe;

import java.util.concurrent.Flow;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;

/** The events of an engine for one subscriber, taken from it as they are asked for. */
final class EventPublisher implements Flow.Publisher<Event> {
  private final Engine engine;
  private final AtomicBoolean taken = new AtomicBoolean();

  EventPublisher(Engine engine) {
    this.engine = engine;
  }

  @Override
  public void subscribe(Flow.Subscriber<? super Event> subscriber) {
    Check.present(subscriber, "subscriber");
    if (!taken.compareAndSet(false, true)) {
      subscriber.onSubscribe(new Flow.Subscription() {
        @Override
        public void request(long count) {}

        @Override
        public void cancel() {}
      });
      subscriber.onError(new IllegalStateException(
          "this publisher has its one subscriber; ask the engine for another publisher"));
      return;
    }
    new Pump(subscriber).start();
  }

  /** Takes events while there is demand and hands them on, all on its own thread. */
  private final class Pump extends Thread implements Flow.Subscription {
    private final Flow.Subscriber<? super Event> subscriber;
    private final AtomicLong demand = new AtomicLong();
    private volatile boolean cancelled;
    private volatile boolean misused;

    Pump(Flow.Subscriber<? super Event> subscriber) {
      super("lethe-events");
      setDaemon(true);
      this.subscriber = subscriber;
    }

    @Override
    public void request(long count) {
      misused |= count <= 0;
      demand.getAndUpdate(now -> now + count < 0 ? Long.MAX_VALUE : now + Math.max(count, 0));
      LockSupport.unpark(this);
    }

    @Override
    public void cancel() {
      cancelled = true;
      LockSupport.unpark(this);
    }

    @Override
    public void run() {
      try {
        subscriber.onSubscribe(this);
        while (!cancelled) {
          if (misused) {
            throw new IllegalArgumentException("a request for no or a negative number of events");
          }
          if (demand.get() == 0) {
            LockSupport.park(this);
            continue;
          }
          Event event = engine.take(Engine.SLICE_MS);
          if (event == Engine.END) {
            subscriber.onComplete();
            return;
          }
          if (event != null && !cancelled) {
            demand.getAndUpdate(now -> now == Long.MAX_VALUE ? now : now - 1);
            subscriber.onNext(event);
          }
        }
      } catch (Throwable e) {
        if (!cancelled) {
          subscriber.onError(e);
        }
      }
    }
  }
}
