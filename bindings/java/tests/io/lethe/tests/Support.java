package io.lethe.tests;

import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.EngineOptions;
import io.lethe.ForgetConfig;
import io.lethe.ForgetTask;
import io.lethe.Head;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.JobResult;
import io.lethe.LetheException;
import io.lethe.LetheRuntime;
import io.lethe.Method;
import io.lethe.Model;
import io.lethe.PretrainConfig;
import io.lethe.Status;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.Objects;
import java.util.stream.Stream;

/** What the tests share: a tiny model, tiny images, checks. As tests/capi/common.c. */
final class Support {
  static final int CLASSES = 4;
  static final int SIDE = 8;
  static final int PIXELS = SIDE * SIDE;
  static final String SPEC = "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,\"channels\":1,"
      + "\"patch_size\":4,\"dim\":16,\"depth\":2,\"heads\":2,\"head_dim\":8,\"mlp_dim\":32,"
      + "\"seed\":1}";

  /** Lives as long as the tests. */
  static final LetheRuntime RUNTIME = LetheRuntime.create();

  private static Path trainedWeights;

  private Support() {}

  /** Code that may throw anything. */
  @FunctionalInterface
  interface Action {
    void run() throws Exception;
  }

  // ------------------------------------------------------------------------------------- checks

  static void check(boolean holds, String what) {
    if (!holds) {
      throw new AssertionError(what);
    }
  }

  static void equal(Object expected, Object actual) {
    check(Objects.deepEquals(expected, actual), "expected " + expected + ", got " + actual);
  }

  static <T extends Throwable> T raises(Class<T> kind, Action action) {
    try {
      action.run();
    } catch (Throwable e) {
      if (kind.isInstance(e)) {
        return kind.cast(e);
      }
      throw new AssertionError("expected " + kind.getSimpleName() + ", got " + e, e);
    }
    throw new AssertionError("nothing was thrown instead of " + kind.getSimpleName());
  }

  /** The library's failure with this status and a sentence that contains `part`. */
  static LetheException fails(Status status, String part, Action action) {
    LetheException e = raises(LetheException.class, action);
    check(e.status() == status, "expected " + status + ", got " + e);
    check(e.getMessage().contains(part), "the message lacks \"" + part + "\": " + e);
    return e;
  }

  // -------------------------------------------------------------------------------- tiny things

  /** Images float32 [count,1,8,8] with labels 0,1,2,3,0,1,...; equal seeds give equal pixels. */
  static float[] pixels(int count, int seed) {
    float[] pixels = new float[count * PIXELS];
    int state = seed * (int) 2654435761L + 1;
    for (int i = 0; i < count; ++i) {
      for (int p = 0; p < PIXELS; ++p) {
        int quarter = (p / SIDE >= SIDE / 2 ? 2 : 0) + (p % SIDE >= SIDE / 2 ? 1 : 0);
        state = state * 1664525 + 1013904223;
        pixels[i * PIXELS + p] = (quarter == i % CLASSES ? 0.8f : 0.0f)
            + 0.2f * (state >>> 8) / (float) (1 << 24);
      }
    }
    return pixels;
  }

  static Images images(int count, int seed) {
    return Images.of(pixels(count, seed), count, 1, SIDE, SIDE);
  }

  static Dataset dataset(int count, int seed) {
    long[] labels = new long[count];
    Arrays.setAll(labels, i -> i % CLASSES);
    return Dataset.fromTensors(RUNTIME, images(count, seed), labels, CLASSES);
  }

  static Model model() {
    return Model.create(RUNTIME, SPEC);
  }

  static Engine engine(Model model) {
    return Engine.create(model, EngineOptions.builder().threads(1).build());
  }

  /** A model that tells the four classes apart; trained once. */
  static synchronized Model trainedModel() throws Exception {
    Model model = model();
    if (trainedWeights == null) {
      PretrainConfig config = PretrainConfig.builder()
          .batch(32).epochs(40).warmupEpochs(1).learningRate(1e-2).build();
      try (Dataset data = dataset(128, 1);
          Engine engine = engine(model);
          Job job = engine.enqueuePretraining("base", config, data, null)) {
        job.await().orThrow();
      }
      trainedWeights = folder().resolve("tiny.safetensors");
      model.exportMerged(trainedWeights);
    } else {
      model.loadWeights(trainedWeights);
    }
    return model;
  }

  /** Settings under which the trained tiny model forgets one class in an instant. */
  static ForgetConfig.Builder quickConfig() {
    return ForgetConfig.builder(Method.GS_LORA_PP, Head.LINEAR)
        .dataRatio(1).forgetBatch(16).retainBatch(48).maxSteps(60).loraAlpha(8)
        .progressInterval(1);
  }

  static ForgetTask task(Dataset data, String requestId, long... classes) {
    return ForgetTask.of(data, classes).requestId(requestId).config(quickConfig().build());
  }

  /** Forgets a class and requires that it worked. */
  static JobResult forget(Engine engine, String requestId, long classId, Dataset data)
      throws Exception {
    try (Job job = engine.enqueue(task(data, requestId, classId))) {
      return job.await().orThrow();
    }
  }

  /** A trained model with two adapters, "first" (class 1) and "second" (class 2). */
  static Model forgetfulModel() throws Exception {
    Model model = trainedModel();
    try (Dataset data = dataset(128, 1); Engine engine = engine(model)) {
      forget(engine, "first", 1, data);
      forget(engine, "second", 2, data);
    }
    return model;
  }

  // -------------------------------------------------------------------------------- surroundings

  /** A new folder, removed with all that is in it when the tests have ended. */
  static Path folder() throws IOException {
    Path folder = Files.createTempDirectory("lethe-java-tests-");
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try (Stream<Path> all = Files.walk(folder)) {
        all.sorted(Comparator.reverseOrder()).forEach(path -> path.toFile().delete());
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    }));
    return folder;
  }

  /** A property that Meson sets; the tests that need it cannot run without. */
  static String property(String name) {
    return Objects.requireNonNull(System.getProperty(name), "start with -D" + name + "=...");
  }

  /** Output and exit code of a Java program of the tests' class path. */
  record Ended(int code, String output) {}

  static Ended java(List<String> options, String... command) throws Exception {
    List<String> line = new ArrayList<>();
    line.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
    line.addAll(options);
    if (!options.contains("-cp")) {
      line.addAll(List.of("-cp", System.getProperty("java.class.path")));
    }
    line.addAll(List.of(command));
    ProcessBuilder builder = new ProcessBuilder(line).redirectErrorStream(true);
    // Each test says itself where the native part is.
    builder.environment().keySet().removeAll(List.of("LETHE_LIBRARY_PATH", "LD_LIBRARY_PATH"));
    Process process = builder.start();
    String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
    return new Ended(process.waitFor(), output);
  }
}
