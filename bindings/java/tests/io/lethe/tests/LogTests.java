package io.lethe.tests;

import static io.lethe.tests.Support.SPEC;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.task;

import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.Job;
import io.lethe.LetheRuntime;
import io.lethe.LogLevel;
import io.lethe.Model;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Log lines are pulled by a daemon thread. */
final class LogTests {
  static void linesArriveUntilTheRuntimeIsClosed() throws Exception {
    List<String> lines = new CopyOnWriteArrayList<>();
    List<Thread> threads = new CopyOnWriteArrayList<>();
    LetheRuntime runtime = LetheRuntime.create(LogLevel.DEBUG, (level, component, message) -> {
      threads.add(Thread.currentThread());
      lines.add(level + " " + component + " " + message);
    });
    try (Model model = Model.create(runtime, SPEC);
        Dataset data = dataset(128, 1);
        Engine engine = engine(model);
        Job job = engine.enqueue(task(data, "logged 🙂", 1))) {
      job.await();
      runtime.close();
      runtime.close();
    }
    for (int i = 0; i < 500 && lines.isEmpty(); ++i) {
      Thread.sleep(10);
    }
    check(!lines.isEmpty(), "the engine logs its tasks");
    check(lines.stream().anyMatch(line -> line.contains("🙂")), "true UTF-8: " + lines);
    check(threads.get(0).isDaemon(), "a daemon thread");
    threads.get(0).join(10_000);
    check(!threads.get(0).isAlive(), "which ends with the runtime");
  }

  static void aListenerMayThrow() throws Exception {
    List<Throwable> caught = new CopyOnWriteArrayList<>();
    Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
    Thread.setDefaultUncaughtExceptionHandler((thread, error) -> caught.add(error));
    try (LetheRuntime runtime = LetheRuntime.create(LogLevel.DEBUG, (level, component, message) -> {
      throw new IllegalStateException(message);
    });
        Model model = Model.create(runtime, SPEC);
        Dataset data = dataset(128, 1);
        Engine engine = engine(model);
        Job first = engine.enqueue(task(data, "a", 1));
        Job second = engine.enqueue(task(data, "b", 2))) {
      first.await();
      second.await();
      for (int i = 0; i < 500 && caught.size() < 2; ++i) {
        Thread.sleep(10);
      }
      check(caught.size() >= 2, "the log went on after the first: " + caught);
    } finally {
      Thread.setDefaultUncaughtExceptionHandler(before);
    }
  }
}
