package io.lethe;

import java.util.Iterator;
import java.util.NoSuchElementException;

/** The events of an engine until it is closed; blocks in slices, so that an interrupt is seen. */
final class EventIterator implements Iterator<Event> {
  private final Engine engine;
  private Event next;

  EventIterator(Engine engine) {
    this.engine = engine;
  }

  @Override
  public boolean hasNext() {
    while (next == null && !Thread.currentThread().isInterrupted()) {
      next = engine.take(Engine.SLICE_MS);
    }
    return next != null && next != Engine.END;
  }

  @Override
  public Event next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    Event event = next;
    next = null;
    return event;
  }
}
