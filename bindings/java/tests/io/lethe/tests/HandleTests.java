package io.lethe.tests;

import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.SPEC;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.forgetfulModel;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.model;
import static io.lethe.tests.Support.property;
import static io.lethe.tests.Support.raises;
import static io.lethe.tests.Support.task;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Adapter;
import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.EvaluateOptions;
import io.lethe.ForgetTask;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.LetheException;
import io.lethe.LetheRuntime;
import io.lethe.LogLevel;
import io.lethe.Model;
import io.lethe.PretrainConfig;
import io.lethe.Report;
import io.lethe.Scores;
import io.lethe.Select;
import io.lethe.StackFlag;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicReference;

/** Closing, forgetting to close, closing while others work. */
final class HandleTests {
  /** Calls every public method of a closed object. */
  static void everyMethodAfterClose() throws Exception {
    Model stacked = forgetfulModel();
    Dataset data = dataset(8, 1);
    Map<Class<?>, Object> samples = new HashMap<>(Map.of(
        String.class, "x", Path.class, Path.of("x"), int.class, 1, long.class, 1L,
        boolean.class, true, double.class, 0.5, long[].class, new long[] {1},
        byte[].class, new byte[] {1}, double[].class, new double[0]));
    samples.putAll(Map.of(Images.class, images(1, 1), Dataset.class, data,
        ByteBuffer.class, ByteBuffer.allocate(1), Duration.class, Duration.ZERO,
        Select.class, Select.DROP_CLASSES, StackFlag[].class, new StackFlag[0],
        List.class, List.of(),
        Adapter.class, stacked.adapterFind("first"), ForgetTask.class, ForgetTask.of(data, 1),
        PretrainConfig.class, PretrainConfig.defaults()));
    samples.put(EvaluateOptions.class, EvaluateOptions.defaults());
    Engine engine = engine(model());
    engine.pause();
    int calls = 0;
    for (AutoCloseable closed : List.of(engine.enqueue(task(data, "x", 1)), engine,
        model().evaluate(data), stacked.adapterFind("second"), dataset(8, 1), model(),
        LetheRuntime.create(), LetheRuntime.create(LogLevel.INFO, (l, c, m) -> {}))) {
      closed.close();
      closed.close();
      for (Method method : closed.getClass().getDeclaredMethods()) {
        if (Modifier.isPublic(method.getModifiers()) && !Modifier.isStatic(method.getModifiers())
            && !method.isSynthetic()
            && !(method.getName().equals("close") && method.getParameterCount() == 0)) {
          Object[] arguments =
              Arrays.stream(method.getParameterTypes()).map(samples::get).toArray();
          InvocationTargetException e = raises(InvocationTargetException.class,
              () -> method.invoke(closed, arguments));
          check(e.getCause() instanceof IllegalStateException, method + ": " + e.getCause());
          ++calls;
        }
      }
    }
    check(calls > 60, "only " + calls + " methods");
    Adapter open = stacked.adapterFind("first");
    open.close();
    check(open.isClosed() && !stacked.isClosed(), "isClosed");
    raises(IllegalStateException.class, () -> stacked.attach(open));
    stacked.close();
  }

  static void objectsKeepWhatTheyNeed() throws Exception {
    LetheRuntime runtime = LetheRuntime.create();
    Model model = Model.create(runtime, SPEC);
    runtime.close();
    Dataset data = dataset(128, 1);
    Engine engine = engine(model);
    Job job = engine.enqueue(task(data, "kept", 1));
    data.close();
    Model copy = model.copy();
    model.close();
    job.await();
    engine.close();
    check(job.status().state().isEnded(), "the job's handle stays valid");
    job.close();
    equal(4, copy.predict(images(1, 1)).columns());
    copy.close();
  }

  static void closeWhileOthersAreInside() throws Exception {
    try (Model trained = trainedModel()) {
      Scores expected = trained.predict(images(2, 1), 1);
      for (int round = 0; round < 100; ++round) {
        Model shared = trained.copy();
        AtomicReference<Object> wrong = new AtomicReference<>();
        CountDownLatch inside = new CountDownLatch(4);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; ++i) {
          Thread thread = new Thread(() -> {
            try {
              for (;;) {
                Scores scores = shared.predict(images(2, 1), 1);
                inside.countDown();
                if (!scores.equals(expected)) {
                  wrong.set(scores);
                }
              }
            } catch (IllegalStateException e) {
              inside.countDown(); // the model was closed
            } catch (Throwable e) {
              wrong.set(e);
            }
          });
          thread.start();
          threads.add(thread);
        }
        inside.await();
        shared.close();
        for (Thread thread : threads) {
          thread.join();
        }
        equal(null, wrong.get());
      }
    }
  }

  static void closeAnEngineFromManyThreads() throws Exception {
    try (Dataset data = dataset(128, 1)) {
      for (int round = 0; round < 20; ++round) {
        Model model = model();
        Engine engine = engine(model);
        engine.enqueue(task(data, "busy", 1)).close();
        List<Thread> threads = new ArrayList<>();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        for (int i = 0; i < 4; ++i) {
          Support.Action use = List.<Support.Action>of(engine::close, model::close,
              () -> engine.events().forEach(event -> {}), () -> engine.waitIdle()).get(i);
          Thread thread = new Thread(() -> {
            try {
              use.run();
            } catch (IllegalStateException e) {
              return; // closed already
            } catch (Throwable e) {
              failure.set(e);
            }
          });
          thread.start();
          threads.add(thread);
        }
        for (Thread thread : threads) {
          thread.join();
        }
        equal(null, failure.get());
      }
    }
  }

  /** Nothing is closed: the collector finds it, in an order of its own. */
  static void whatIsDroppedIsFreed() throws Exception {
    int before = threads();
    for (int round = 0; round < 60; ++round) {
      drop(round);
      if (round % 10 == 0) {
        System.gc();
      }
    }
    for (int i = 0; i < 200 && threads() > before + 12; ++i) {
      System.gc();
      Thread.sleep(20);
    }
    check(threads() <= before + 12, "engines live on: " + threads() + " threads, were " + before);
  }

  private static void drop(int round) throws Exception {
    LetheRuntime runtime = LetheRuntime.create(LogLevel.ERROR, (l, c, m) -> {});
    Model model = Model.create(runtime, SPEC);
    Dataset data = dataset(16, round);
    Engine engine = engine(model);
    Job job = engine.enqueue(task(data, "dropped", 1));
    Report report = model.evaluate(data, EvaluateOptions.builder().threads(1).build());
    Model copy = model.copy();
    copy.predict(images(1, 1), 1);
    if (round % 2 == 0) { // in the reversed order of what needs what
      List.of(runtime, data, model, copy, engine, job, report).forEach(HandleTests::closeQuietly);
    } else if (round % 3 == 0) {
      job.completion();
    }
  }

  private static void closeQuietly(AutoCloseable closed) {
    try {
      closed.close();
    } catch (Exception e) {
      throw new IllegalStateException(e);
    }
  }

  /** In a JVM of its own, whose heap does not grow. */
  static void memoryStaysFlat() throws Exception {
    Support.Ended ended = Support.java(List.of("-Xms64m", "-Xmx64m", "-XX:+AlwaysPreTouch",
        "-XX:+UseSerialGC", "-Dlethe.library.path=" + property("lethe.library.path")),
        "io.lethe.tests.HandleTests");
    check(ended.code() == 0, ended.output());
  }

  /** An exit in the middle of training, predicting and listening. */
  static void exitWhileWorking() throws Exception {
    for (int i = 0; i < 4; ++i) {
      Support.Ended ended = Support.java(
          List.of("-Dlethe.library.path=" + property("lethe.library.path")),
          "io.lethe.tests.HandleTests", "exit");
      equal(new Support.Ended(0, ""), ended);
    }
  }

  private static void work() throws Exception {
    Model model = model();
    Engine engine = engine(model);
    engine.enqueue(ForgetTask.of(dataset(128, 1), 1)
        .config(Support.quickConfig().maxSteps(1_000_000).build())).completion();
    for (Support.Action action : List.<Support.Action>of(
        () -> model.predict(images(2, 1), 1), () -> engine.nextEvent(Duration.ofDays(1)))) {
      Thread thread = new Thread(() -> {
        try {
          for (;;) {
            action.run();
          }
        } catch (IllegalStateException e) {
          return; // closed by the exit
        } catch (Exception e) {
          throw new AssertionError(e);
        }
      });
      thread.setDaemon(true);
      thread.start();
    }
    Thread.sleep(150);
  }

  /** What runs in a JVM of its own: "exit", or the memory test. */
  public static void main(String[] arguments) throws Exception {
    if (arguments.length > 0) {
      work();
      return;
    }
    Model model = model();
    Images images = images(2, 1);
    Dataset boxes = DetectionTests.squares();
    long kilobytes = 0;
    for (int i = 0; i < 15_000; ++i) {
      if (i == 5_000) {
        kilobytes = residentKilobytes();
      }
      if (i % 8 == 0) {
        model.predict(images, 1);
        boxes.image(0);
        boxes.objects(0);
        boxes.dropObjects(0.5, i).close();
      }
      model.copy().close();
      model.infoJson();
      try {
        model.adapterFind("nobody 🙂");
      } catch (LetheException e) {
        continue;
      }
    }
    long growth = residentKilobytes() - kilobytes;
    check(growth < 8 << 10, "10,000 calls took " + growth + " kB");
    check(RUNTIME.deviceCount() >= 0, "still well");
  }

  private static long residentKilobytes() throws Exception {
    return 4 * Long.parseLong(Files.readString(Path.of("/proc/self/statm")).split(" ")[1]);
  }

  private static int threads() throws Exception {
    return Files.readAllLines(Path.of("/proc/self/status")).stream()
        .filter(line -> line.startsWith("Threads:"))
        .mapToInt(line -> Integer.parseInt(line.replaceAll("\\D", ""))).sum();
  }
}
