package io.lethe.tests;

import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.SPEC;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.forgetfulModel;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.model;
import static io.lethe.tests.Support.quickConfig;
import static io.lethe.tests.Support.raises;
import static io.lethe.tests.Support.task;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Adapter;
import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.ExportOptions;
import io.lethe.ForgetTask;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.JobState;
import io.lethe.Lethe;
import io.lethe.LetheException;
import io.lethe.Limits;
import io.lethe.Model;
import io.lethe.Naming;
import io.lethe.Report;
import io.lethe.Select;
import io.lethe.Status;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/** Every failure arrives as what it is, and what Java can judge never reaches native code. */
final class ErrorTests {
  static void everyStatusHasItsName() {
    for (Status status : Status.values()) {
      equal(status == Status.OK ? "OK" : status.name(), Lethe.statusName(status.code()));
      equal(status, Status.of(status.code()));
      if (status != Status.UNKNOWN) {
        equal(status, new LetheException(status, "x").status());
        equal("io.lethe.LetheException: " + status + ": x",
            new LetheException(status, "x").toString());
      }
    }
    equal(Status.UNKNOWN, Status.of(-4711));
  }

  static void codesOfModelsAndFiles() throws Exception {
    Path folder = folder();
    fails(Status.INVALID_ARGUMENT, "colour",
        () -> Model.create(RUNTIME, "{\"arch\":\"vit\",\"colour\":1}"));
    fails(Status.NOT_FOUND, "resnet", () -> Model.create(RUNTIME, "{\"arch\":\"resnet\"}"));
    fails(Status.CORRUPT, "JSON", () -> Model.create(RUNTIME, "no JSON at all"));
    fails(Status.DEVICE, "", () -> Model.create(RUNTIME, SPEC, "cuda:99"));
    try (Model model = model()) {
      fails(Status.NOT_FOUND, "nowhere", () -> model.loadWeights(folder.resolve("nowhere")));
      fails(Status.CORRUPT, "", () -> model.loadWeightsMemory(new byte[] {1, 2, 3}, null));
      fails(Status.IO, "", () -> model.exportMerged(folder.resolve("no/folder/x.safetensors")));
      fails(Status.NOT_FOUND, "", () -> model.tensorRead("no such tensor", false));
      fails(Status.NOT_FOUND, "", () -> model.adapterFind("nobody"));
      fails(Status.INVALID_ARGUMENT, "", () -> model.predict(Images.of(new float[3], 1, 3, 1, 1)));
    }
    String face = "{\"arch\":\"face_vit\",\"classes\":4,\"image_size\":8,\"patch_size\":4,"
        + "\"dim\":16,\"depth\":1,\"heads\":2,\"head_dim\":8,\"mlp_dim\":32}";
    ExportOptions timm = ExportOptions.builder().naming(Naming.TIMM).build();
    try (Model model = Model.create(RUNTIME, face)) {
      fails(Status.UNSUPPORTED, "", () -> model.exportMerged(folder.resolve("f"), timm));
    }
    fails(Status.NOT_FOUND, "", () -> Dataset.fromImageFolder(RUNTIME, folder, null));
    fails(Status.NOT_FOUND, "", () -> Lethe.journalInfoJson(folder));
    fails(Status.NOT_FOUND, "", () -> Lethe.journalReceipts(folder));
    fails(Status.NOT_FOUND, "alexnet", () -> Lethe.archDefaultSpec("alexnet"));
    equal(Status.CORRUPT, Lethe.receiptsVerify("nonsense\n", null).status());
    check(Lethe.receiptsVerify("", null).isOk(), "an engine without ended tasks has no receipts");
    equal(Status.NOT_FOUND, Lethe.adapterVerify(folder.resolve("nowhere")).status());
    raises(LetheException.class,
        () -> Lethe.adapterVerify(folder.resolve("nowhere")).orThrow());
  }

  static void codesOfAdapters() throws Exception {
    Path folder = folder();
    Path file = folder.resolve("second.lethe");
    try (Model model = forgetfulModel(); Model other = trainedModel()) {
      try (Adapter second = model.adapterFind("second");
          Adapter first = model.adapterFind("first")) {
        second.export(file);
        fails(Status.BASE_MISMATCH, "second", () -> other.attach(second));
        fails(Status.EXISTS, "first", () -> model.attach(first));
      }
      Path weights = folder.resolve("weights.safetensors");
      other.exportMerged(weights);
      fails(Status.STATE, "adapters", () -> model.loadWeights(weights));
      fails(Status.BASE_MISMATCH, "", () -> model.enable("first", false));
      Limits small = Limits.builder().maxFileBytes(10).build();
      fails(Status.LIMIT_EXCEEDED, "", () -> Adapter.load(RUNTIME, file, small));
      equal(Status.LIMIT_EXCEEDED, Lethe.adapterVerify(file, small).status());
      check(Lethe.adapterVerify(file).isOk(), "a good adapter");
      Files.write(file, new byte[] {1, 2, 3});
      fails(Status.CORRUPT, "", () -> Adapter.load(RUNTIME, file));
    }
  }

  static void codesOfJobs() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      fails(Status.BUSY, "", () -> Engine.create(model));
      fails(Status.NOT_FOUND, "77", () -> engine.enqueue(task(data, "a", 77)));
      fails(Status.INVALID_ARGUMENT, "", () -> engine.enqueue(task(data, "a", 0, 1, 2, 3)));
      engine.pause();
      try (Job job = engine.enqueue(task(data, "taken", 1))) {
        fails(Status.EXISTS, "taken", () -> engine.enqueue(task(data, "taken", 2)));
        fails(Status.STATE, "", job::adapter);
        fails(Status.STATE, "", model::seal);
        job.cancel();
        engine.resume();
        equal(JobState.CANCELLED, job.await().state());
        fails(Status.CANCELLED, "", () -> job.await().orThrow());
        check(!job.errorMessage().isEmpty(), "a cancelled job says why");
      }
      ForgetTask strict = ForgetTask.of(data, 1).config(quickConfig().maxSteps(1).gateMaxAccF(0)
          .learningRate(1e-6).minLearningRate(0).build());
      try (Job job = engine.enqueue(strict)) {
        fails(Status.REJECTED, "", () -> job.await().orThrow());
        check(job.adapter().isEmpty(), "a rejected job left an adapter");
        try (Report report = job.report()) {
          fails(Status.NOT_FOUND, "beauty", () -> report.metric("beauty"));
        }
      }
      float[] huge = new float[8 * Support.PIXELS];
      Arrays.fill(huge, Float.MAX_VALUE);
      long[] labels = {0, 1, 2, 3, 0, 1, 2, 3};
      try (Dataset wild = Dataset.fromTensors(RUNTIME, Images.of(huge, 8, 1, 8, 8), labels, 4);
          Job job = engine.enqueue(task(wild, "wild", 1))) {
        fails(Status.NUMERIC, "", () -> job.await().orThrow());
        equal(JobState.FAILED, job.status().state());
      }
      engine.close(Duration.ofSeconds(10));
      fails(Status.STATE, "", () -> engine.enqueue(task(data, "late", 1)));
    }
  }

  static void nullIsRefused() throws Exception {
    try (Model model = model(); Dataset data = dataset(8, 1); Engine engine = engine(model)) {
      for (Support.Action action : List.<Support.Action>of(
          () -> Model.create(null, SPEC), () -> Model.create(RUNTIME, null),
          () -> model.loadWeights(null), () -> model.loadWeightsMemory((byte[]) null, null),
          () -> model.loadWeightsMemory((ByteBuffer) null, null), () -> model.exportMerged(null),
          () -> model.predict(null), () -> model.embed(null), () -> model.predictDataset(null),
          () -> model.evaluate(null), () -> model.evaluate(data, null), () -> model.attach(null),
          () -> model.setAdapters(null), () -> model.adapterFind(null), () -> model.detach(null),
          () -> model.enable(null, true), () -> model.tensorRead(null, true),
          () -> Images.of((float[]) null, 1, 1, 1, 1),
          () -> Images.of((FloatBuffer) null, 1, 1, 1, 1),
          () -> Images.of(new byte[1], (long[]) null), () -> data.select(null, 1),
          () -> data.select(Select.KEEP_CLASSES, (long[]) null),
          () -> Dataset.fromTensors(RUNTIME, images(4, 1), null, 4),
          () -> Dataset.fromTensors(RUNTIME, null, new long[4], 4),
          () -> Dataset.fromIdx(RUNTIME, null, Path.of("x"), 0, null),
          () -> Dataset.fromImageFolder(RUNTIME, null, null),
          () -> ForgetTask.of(null, 1), () -> ForgetTask.of(data, (long[]) null),
          () -> engine.enqueue(null), () -> engine.jobFind(null), () -> engine.receipt(null),
          () -> engine.enqueuePretraining("x", null, data, null), () -> engine.waitIdle(null),
          () -> engine.nextEvent(null), () -> engine.bindDataset(null),
          () -> Engine.create(null), () -> Engine.create(model, null),
          () -> Adapter.load(RUNTIME, null), () -> Adapter.load(null, Path.of("x")),
          () -> Adapter.loadMemory(RUNTIME, (byte[]) null, null),
          () -> Adapter.importPeft(model, Path.of("x"), null, new long[] {1}, null),
          () -> Lethe.archDefaultSpec(null), () -> Lethe.adapterVerify(null),
          () -> Lethe.receiptsVerify(null, null), () -> Lethe.journalInfoJson(null))) {
        raises(NullPointerException.class, action);
      }
    }
  }

  static void arraysThatDoNotFitAreRefused() throws Exception {
    ByteBuffer swapped = ByteBuffer.allocateDirect(64 * 4).order(ByteOrder.BIG_ENDIAN);
    try (Model model = model(); Dataset data = dataset(8, 1)) {
      for (Support.Action action : List.<Support.Action>of(
          () -> Images.of(new float[0], 0, 1, 8, 8), () -> Images.of(new float[0], 1, 1, 8, 8),
          () -> Images.of(new float[63], 1, 1, 8, 8), () -> Images.of(new float[65], 1, 1, 8, 8),
          () -> Images.of(new float[64], 8, 8), () -> Images.of(new float[64], 1, 1, -8, -8),
          () -> Images.of(new float[64], 1L << 62, 1L << 62, 16, 4),
          () -> Images.of(new byte[0], 1, 1, 8, 8),
          () -> Images.of(FloatBuffer.allocate(0), 1, 1, 1, 1),
          () -> Images.of(ByteBuffer.allocateDirect(0), 1, 1, 1, 1),
          () -> Images.of(swapped.asFloatBuffer(), 1, 1, 8, 8),
          () -> model.predict(Images.of(new byte[64], 1, 1, 8, 8)),
          () -> Dataset.fromTensors(RUNTIME, images(4, 1), new long[3], 4),
          () -> model.loadWeightsMemory(new byte[0], null),
          () -> model.loadWeightsMemory(ByteBuffer.allocateDirect(4).position(4), null),
          () -> Adapter.loadMemory(RUNTIME, new byte[0], null),
          () -> model.setAdapters(List.of(), new double[1]),
          () -> ForgetTask.of(data), () -> data.select(Select.KEEP_CLASSES),
          () -> Lethe.receiptsVerify("", new byte[31]))) {
        raises(IllegalArgumentException.class, action);
      }
    }
  }

  static void textThatIsNoneIsRefused() throws Exception {
    try (Model model = model()) {
      raises(IllegalArgumentException.class, () -> model.adapterFind("a\0b"));
      raises(IllegalArgumentException.class, () -> model.adapterFind("half \ud83d pair"));
      raises(IllegalArgumentException.class, () -> Model.create(RUNTIME, "{\"arch\":\"v\0\"}"));
    }
  }

  static void textIsUtf8() throws Exception {
    String name = "Łódź 🙂";
    Path folder = Files.createDirectory(folder().resolve(name));
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      Support.forget(engine, name, 1, data);
      try (Job job = engine.jobFind(name); Adapter adapter = job.adapter().orElseThrow()) {
        equal(name, job.requestId());
        equal(name, job.await().requestId());
        check(adapter.infoJson().contains(name), "the manifest bears the name");
        check(engine.receipt(name).contains(name), "the receipt bears the name");
        Path file = folder.resolve(name + ".lethe");
        adapter.export(file);
        check(Files.exists(file), "the file has the name");
        check(Lethe.adapterVerify(file).json().contains(name), "the findings bear the name");
      }
      fails(Status.NOT_FOUND, "niemand 🙂", () -> engine.jobFind("niemand 🙂"));
    }
  }
}
