package io.lethe.tests;

import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.raises;
import static io.lethe.tests.Support.task;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.Event;
import io.lethe.EventKind;
import io.lethe.JobState;
import io.lethe.Model;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;

/** Events as an iteration and as a publisher. */
final class EventTests {
  static void iterationEndsWithTheEngine() throws Exception {
    try (Model model = trainedModel(); Dataset data = dataset(128, 1)) {
      Engine engine = engine(model);
      equal(Optional.empty(), engine.nextEvent(Duration.ZERO));
      List<Event> events = new CopyOnWriteArrayList<>();  // read while it grows
      Iterable<Event> source = engine.events();
      Thread reader = new Thread(() -> source.forEach(events::add));
      reader.start();
      Support.forget(engine, "watched", 1, data);
      while (events.stream().noneMatch(event -> event.state() == JobState.SUCCEEDED)) {
        Thread.sleep(5);
      }
      engine.close();
      reader.join(10_000);
      check(!reader.isAlive(), "the iteration ended");
      equal(JobState.QUEUED, events.get(0).state());
      check(events.stream().filter(e -> e.kind() == EventKind.PROGRESS).count() > 10, "progress");
      check(events.stream().allMatch(e -> e.jobId() == 1), "one job");
      check(!source.iterator().hasNext(), "nothing more");
      raises(NoSuchElementException.class, () -> source.iterator().next());
      raises(IllegalStateException.class, engine::events);
    }
  }

  static void iterationEndsWhenInterrupted() throws Exception {
    try (Model model = trainedModel(); Engine engine = engine(model)) {
      Iterator<Event> events = engine.events().iterator();
      Thread.currentThread().interrupt();
      check(!events.hasNext(), "it ended");
      check(Thread.interrupted(), "and the thread stayed interrupted");
    }
  }

  /** Takes one event at a time when told to. */
  private static final class Reader implements Flow.Subscriber<Event> {
    final List<Event> events = Collections.synchronizedList(new ArrayList<>());
    final CountDownLatch begun = new CountDownLatch(1);
    final CountDownLatch ended = new CountDownLatch(1);
    volatile Flow.Subscription subscription;
    volatile Throwable failure;

    @Override
    public void onSubscribe(Flow.Subscription given) {
      subscription = given;
      begun.countDown();
    }

    @Override
    public void onNext(Event event) {
      events.add(event);
    }

    @Override
    public void onError(Throwable error) {
      failure = error;
      ended.countDown();
    }

    @Override
    public void onComplete() {
      ended.countDown();
    }
  }

  static void aPublisherHonoursDemand() throws Exception {
    try (Model model = trainedModel(); Dataset data = dataset(128, 1)) {
      Engine engine = engine(model);
      Flow.Publisher<Event> publisher = engine.publisher();
      Reader reader = new Reader();
      Reader late = new Reader();
      publisher.subscribe(reader);
      publisher.subscribe(late);
      check(late.ended.await(5, TimeUnit.SECONDS), "refused");
      check(late.failure instanceof IllegalStateException, "one subscriber");
      check(reader.begun.await(5, TimeUnit.SECONDS), "subscribed");
      Support.forget(engine, "watched", 1, data);
      Thread.sleep(60);
      equal(0, reader.events.size());
      reader.subscription.request(3);
      while (reader.events.size() < 3) {
        Thread.sleep(2);
      }
      Thread.sleep(60);
      equal(3, reader.events.size());
      reader.subscription.request(Long.MAX_VALUE);
      reader.subscription.request(Long.MAX_VALUE);
      while (reader.events.stream().noneMatch(e -> e.state() == JobState.SUCCEEDED)) {
        Thread.sleep(2);
      }
      engine.close();
      check(reader.ended.await(10, TimeUnit.SECONDS), "complete");
      equal(null, reader.failure);
    }
  }

  static void aPublisherRefusesNonsenseAndStops() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      Reader wrong = new Reader();
      engine.publisher().subscribe(wrong);
      check(wrong.begun.await(5, TimeUnit.SECONDS), "subscribed");
      wrong.subscription.request(0);
      check(wrong.ended.await(5, TimeUnit.SECONDS), "ended");
      check(wrong.failure instanceof IllegalArgumentException, "" + wrong.failure);

      Reader stopped = new Reader();
      engine.publisher().subscribe(stopped);
      check(stopped.begun.await(5, TimeUnit.SECONDS), "subscribed");
      stopped.subscription.cancel();
      stopped.subscription.request(10);
      Support.forget(engine, "unseen", 1, data);
      equal(0, stopped.events.size());
      check(engine.nextEvent(Duration.ofSeconds(5)).isPresent(), "the events are still there");
    }
  }
}
