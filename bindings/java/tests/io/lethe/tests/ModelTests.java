package io.lethe.tests;

import static io.lethe.tests.Support.CLASSES;
import static io.lethe.tests.Support.PIXELS;
import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.model;
import static io.lethe.tests.Support.pixels;
import static io.lethe.tests.Support.raises;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Dataset;
import io.lethe.Dtype;
import io.lethe.Engine;
import io.lethe.EvaluateOptions;
import io.lethe.ExportOptions;
import io.lethe.Images;
import io.lethe.Lethe;
import io.lethe.Model;
import io.lethe.Report;
import io.lethe.Scores;
import io.lethe.Select;
import io.lethe.Status;
import io.lethe.TensorInfo;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReference;

/** Models, datasets, images, scores, reports. */
final class ModelTests {
  static void whatNeedsNoRuntime() {
    equal(1, Lethe.abiVersion() >> 16);
    check(Lethe.version().matches("\\d+\\.\\d+\\.\\d+"), Lethe.version());
    check(Lethe.buildInfoJson().contains("libtorch"), "build info");
    check(Lethe.archNames().containsAll(List.of("vit", "face_vit", "deformable_detr")), "architectures");
    check(Lethe.archDefaultSpec("vit").contains("patch_size"), "spec");
    check(Lethe.methodInfoJson().contains("gs-lora++"), "methods");
    equal("BASE_MISMATCH", Lethe.statusName(-9));
    check(RUNTIME.deviceCount() >= 0, "devices");
  }

  static void scoresAreATable() throws Exception {
    try (Model model = trainedModel()) {
      Scores scores = model.predict(images(8, 3), 1);
      equal(8, scores.rows());
      equal(CLASSES, scores.columns());
      float[] all = scores.toArray();
      for (int i = 0; i < 8; ++i) {
        equal(i % CLASSES, scores.argMax(i));
        equal(all[i * CLASSES + 2], scores.at(i, 2));
        equal(all[i * CLASSES + 3], scores.row(i)[3]);
      }
      all[0] = 1e9f;
      check(scores.at(0, 0) != 1e9f, "scores are immutable");
      raises(IndexOutOfBoundsException.class, () -> scores.at(8, 0));
      raises(IndexOutOfBoundsException.class, () -> scores.at(0, CLASSES));
      raises(IndexOutOfBoundsException.class, () -> scores.row(-1));
      equal(scores, model.predict(images(8, 3)));
      equal(16, model.embed(images(8, 3), 1).columns());
      try (Dataset data = dataset(8, 3)) {
        equal(scores, model.predictDataset(data, 1));
      }
    }
  }

  static void imagesComeFromArraysAndBuffers() throws Exception {
    float[] pixels = pixels(3, 5);
    FloatBuffer direct = ByteBuffer.allocateDirect(4 * (pixels.length + 7))
        .order(ByteOrder.nativeOrder()).asFloatBuffer();
    direct.position(5).put(pixels).flip().position(5);
    ByteBuffer swapped = ByteBuffer.allocate(4 * pixels.length).order(ByteOrder.BIG_ENDIAN);
    swapped.asFloatBuffer().put(pixels);
    try (Model model = trainedModel()) {
      Scores expected = model.predict(Images.of(pixels, 3, 1, 8, 8), 1);
      equal(expected, model.predict(Images.of(direct, 3, 1, 8, 8), 1));
      equal(5, direct.position());
      equal(expected, model.predict(Images.of(direct.asReadOnlyBuffer(), 3, 1, 8, 8), 1));
      equal(expected, model.predict(Images.of(FloatBuffer.wrap(pixels), 3, 1, 8, 8), 1));
      equal(expected, model.predict(Images.of(swapped.asFloatBuffer(), 3, 1, 8, 8), 1));
      Images view = Images.of(direct, 3, 1, 8, 8);
      direct.put(5, 7f); // read in place: the next call sees it
      check(!expected.equals(model.predict(view, 1)), "a direct buffer was copied");
      FloatBuffer crooked = ByteBuffer.allocateDirect(4 * PIXELS + 1)
          .order(ByteOrder.nativeOrder()).position(1).slice().order(ByteOrder.nativeOrder())
          .asFloatBuffer();
      fails(Status.INVALID_ARGUMENT, "multiple",
          () -> model.predict(Images.of(crooked, 1, 1, 8, 8)));
      pixels[0] = Float.NaN;
      fails(Status.INVALID_ARGUMENT, "", () -> model.predict(Images.of(pixels, 3, 1, 8, 8)));
    }
  }

  static void datasetsFromBytes() throws Exception {
    byte[] grey = new byte[2 * PIXELS];
    grey[1] = (byte) 255;
    ByteBuffer direct = ByteBuffer.allocateDirect(grey.length + 3).position(3);
    direct.put(grey).position(3);
    long[] labels = {0, 3};
    String transform = "{\"mean\":[0.5],\"std\":[0.5]}";
    for (Images images : List.of(Images.of(grey, 2, 1, 8, 8), Images.of(direct, 2, 1, 8, 8),
        Images.of(ByteBuffer.wrap(grey), 2, 1, 8, 8))) {
      try (Dataset data = Dataset.fromTensors(RUNTIME, images, labels, 4, transform)) {
        equal(2L, data.size());
        equal(3L, data.sample(1).label());
        equal(-1f, data.sample(0).image()[0]);
        equal(1f, data.sample(0).image()[1]);
        check(data.infoJson().contains("\"size\""), data.infoJson());
        fails(Status.NOT_FOUND, "", () -> data.sample(2));
      }
    }
    fails(Status.INVALID_ARGUMENT, "", () -> Dataset.fromTensors(
        RUNTIME, Images.of(grey, 2, 1, 8, 8), new long[] {0, 4}, 4));
  }

  static void partsOfDatasets() throws Exception {
    try (Dataset data = dataset(40, 1);
        Dataset kept = data.select(Select.KEEP_CLASSES, 1, 2);
        Dataset dropped = data.select(Select.DROP_CLASSES);
        Dataset taken = data.select(Select.TAKE_INDICES, 3, 2);
        Dataset few = data.select(Select.DROP_CLASSES, new long[] {0}, 2, 7);
        Dataset.Split parts = data.split(0.25, 1)) {
      equal(20L, kept.size());
      equal(40L, dropped.size());
      equal(3L, taken.sample(0).label());
      equal(6L, few.size());
      equal(40L, parts.first().size() + parts.second().size());
      fails(Status.NOT_FOUND, "9", () -> data.select(Select.KEEP_CLASSES, 9));
    }
  }

  static void weightsTravel() throws Exception {
    Path folder = folder();
    Path half = folder.resolve("half.safetensors");
    try (Model trained = trainedModel(); Model other = model(); Model copy = trained.copy()) {
      check(!Arrays.equals(trained.baseFingerprint(), other.baseFingerprint()), "differ");
      equal(trained.stateFingerprint(), copy.stateFingerprint());
      Path file = folder.resolve("whole.safetensors");
      trained.exportMerged(file);
      byte[] bytes = Files.readAllBytes(file);
      other.loadWeightsMemory(bytes, null);
      equal(trained.baseFingerprint(), other.baseFingerprint());
      ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length + 1).position(1);
      direct.put(bytes).position(1);
      other.loadWeightsMemory(direct, null);
      trained.exportMerged(half, ExportOptions.builder().dtype(Dtype.F16).build());
      check(Files.size(half) < bytes.length * 2 / 3, "half");

      TensorInfo bias = trained.tensors().stream()
          .filter(tensor -> tensor.name().equals("heads.head.bias")).findFirst().orElseThrow();
      equal(List.of(4L), bias.shape());
      equal(4L, bias.count());
      equal(4, trained.tensorRead(bias.name(), false).length);
      equal(trained.tensorRead(bias.name(), false), trained.tensorRead(bias.name(), true));
      check(trained.infoJson().contains("parameter"), trained.infoJson());
    }
  }

  static void reportsHaveFigures() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(40, 2);
        Report report = model.evaluate(data);
        Report chosen = model.evaluate(data, EvaluateOptions.builder().threads(1).batch(7)
            .forgetClasses(1).pastClasses().base(true).build())) {
      equal(100.0, report.metric("acc"));
      equal(report.metric("acc"), report.metrics().get("acc"));
      equal(new TreeSet<>(report.metrics().keySet()).first(),
          report.metrics().firstKey());
      check(report.json().contains("acc_class"), report.json());
      equal(100.0, chosen.metric("acc_f"));
      fails(Status.NOT_FOUND, "acc_f", () -> report.metric("acc_f"));
      raises(UnsupportedOperationException.class, () -> report.metrics().put("x", 1.0));
    }
  }

  static void eightThreadsPredictWhileATaskFinishes() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      Scores before = model.predict(images(4, 9), 1);
      Set<Scores> seen = ConcurrentHashMap.newKeySet();
      AtomicReference<Throwable> failure = new AtomicReference<>();
      AtomicReference<Scores> last = new AtomicReference<>();
      List<Thread> threads = new ArrayList<>();
      for (int i = 0; i < 8; ++i) {
        Thread thread = new Thread(() -> {
          try {
            while (last.get() == null) {
              seen.add(model.predict(images(4, 9), 1));
            }
          } catch (Throwable e) {
            failure.set(e);
          }
        });
        thread.start();
        threads.add(thread);
      }
      Support.forget(engine, "meanwhile", 1, data);
      Scores after = model.predict(images(4, 9), 1);
      last.set(after);
      for (Thread thread : threads) {
        thread.join();
      }
      equal(null, failure.get());
      check(!before.equals(after), "the task changed nothing");
      seen.removeAll(Set.of(before, after));
      check(seen.isEmpty(), "a state between two");
    }
  }
}
