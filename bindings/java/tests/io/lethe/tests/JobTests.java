package io.lethe.tests;

import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.dataset;
import static io.lethe.tests.Support.engine;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.quickConfig;
import static io.lethe.tests.Support.raises;
import static io.lethe.tests.Support.task;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Adapter;
import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.EngineOptions;
import io.lethe.Findings;
import io.lethe.ForgetConfig;
import io.lethe.ForgetTask;
import io.lethe.Head;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.JobResult;
import io.lethe.JobState;
import io.lethe.JobStatus;
import io.lethe.Lethe;
import io.lethe.LetheException;
import io.lethe.Method;
import io.lethe.Model;
import io.lethe.Report;
import io.lethe.Select;
import io.lethe.Status;
import io.lethe.TaskOptions;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/** Engines and their jobs. */
final class JobTests {
  static void aTaskFromBeginningToEnd() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Dataset forgetSet = data.select(Select.KEEP_CLASSES, 1);
        Dataset retainSet = data.select(Select.DROP_CLASSES, 1);
        Dataset validation = dataset(64, 2);
        Engine engine = engine(model)) {
      ForgetTask task = ForgetTask.of(forgetSet, 1).requestId("whole").retainSet(retainSet)
          .validationSet(validation).config(quickConfig().build())
          .options(TaskOptions.builder().priority(5).maxSteps(1000).build());
      try (Job job = engine.enqueue(task); Job same = engine.enqueue(task)) {
        equal(1L, job.id());
        equal(job.id(), same.id());
        equal("whole", job.requestId());
        check(job.await(Duration.ofSeconds(60)), "it takes an instant");
        JobResult end = job.await().orThrow();
        check(end.succeeded() && end.message().isEmpty() && end.error() == Status.OK, "" + end);
        JobStatus status = job.status();
        equal(JobState.SUCCEEDED, status.state());
        equal(60L, status.progress().step());
        check(status.progress().groupsTotal() > 0, "figures: " + status);
        try (Adapter adapter = job.adapter().orElseThrow(); Report report = job.report()) {
          equal(report.metrics(), end.metrics());
          check(adapter.infoJson().contains("whole"), "the adapter bears the name");
        }
      }
      equal(1, engine.jobCount());
      equal("whole", engine.jobs().get(0).requestId());
      equal(1, engine.receiptCount());
      Findings good = Lethe.receiptsVerify(engine.receipts(), engine.publicKey());
      check(good.isOk() && good.json().contains("\"receipts\":1"), "" + good);
      byte[] another = engine.publicKey();
      another[0] ^= 1;
      equal(Status.CORRUPT, Lethe.receiptsVerify(engine.receipts(), another).status());
    }
  }

  /** A method that trains the weights themselves: its adapter is a change of them. */
  static void aBaselineFromBeginningToEnd() throws Exception {
    Path file = folder().resolve("first.lethe");
    Images some = images(8, 3);
    float[] scores;
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Dataset validation = dataset(64, 2);
        Engine engine = engine(model)) {
      ForgetTask task = ForgetTask.of(data, 1).requestId("first").validationSet(validation)
          .config(ForgetConfig.builder(Method.L2, Head.LINEAR)
              .dataRatio(1).forgetBatch(16).retainBatch(48).maxSteps(60)
              .learningRate(1e-2).gateMaxAccRDrop(-1).build());
      try (Job job = engine.enqueue(task)) {
        Map<String, Double> metrics = job.await().orThrow().metrics();
        check(metrics.get("acc_f") < metrics.get("acc_f_before"), "it did not forget");
        // All but the head's 4 x 16 weights and 4 biases of 4916 parameters.
        equal(98.6168, Math.round(metrics.get("tunable_ratio") * 1e4) / 1e4);
        double area = metrics.get("mia_loss_auc");
        check(area >= 0 && area <= 1, "an area under a curve: " + area);
        check(!metrics.containsKey("groups_total"), "it has no groups");
        try (Adapter adapter = job.adapter().orElseThrow()) {
          check(adapter.infoJson().contains("\"kind\":\"delta\""), adapter.infoJson());
          check(adapter.infoJson().contains("\"method\":\"l2\""), adapter.infoJson());
          adapter.export(file);
        }
      }
      scores = model.predict(some).toArray();
    }
    try (Model model = trainedModel(); Adapter loaded = Adapter.load(RUNTIME, file)) {
      model.attach(loaded);
      equal(1, model.adapterCount());
      equal(scores, model.predict(some).toArray());
      model.rollbackTo(null);
      check(!Arrays.equals(scores, model.predict(some).toArray()), "the base");
    }
  }

  static void futuresEndAsJobsDo() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      engine.pause();
      Job first = engine.enqueue(task(data, "first", 1));
      Job second = engine.enqueue(task(data, "second", 2));
      CompletableFuture<JobResult> dropped = first.completion();
      CompletableFuture<JobResult> kept = first.completion();
      CompletableFuture<JobResult> cancelled = second.completion();
      dropped.cancel(true); // the future alone
      check(!first.await(Duration.ofMillis(30)), "a paused engine finished a job");
      second.cancel();
      equal(JobState.CANCELLED, cancelled.get(20, TimeUnit.SECONDS).state());
      equal(Status.CANCELLED, cancelled.get().error());
      first.close(); // the future lives on
      second.close();
      // What hangs on a future may wait itself.
      CompletableFuture<JobState> then = kept.thenApply(end -> {
        try (Job next = engine.enqueue(task(data, "third", 3))) {
          return next.await().state();
        } catch (InterruptedException e) {
          throw new IllegalStateException(e);
        }
      });
      engine.resume();
      equal(JobState.SUCCEEDED, kept.get(60, TimeUnit.SECONDS).state());
      equal(JobState.SUCCEEDED, then.get(60, TimeUnit.SECONDS));
      engine.waitIdle();
      check(engine.waitIdle(Duration.ZERO), "idle");
    }
  }

  static void waitingCanBeInterrupted() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(128, 1);
        Engine engine = engine(model)) {
      engine.pause();
      try (Job job = engine.enqueue(task(data, "paused", 1))) {
        check(!engine.waitIdle(Duration.ofMillis(10)), "a paused engine with a job is not idle");
        for (Support.Action waiting : List.<Support.Action>of(
            job::await, engine::waitIdle, () -> engine.nextEvent(Duration.ofDays(1)))) {
          while (engine.nextEvent(Duration.ZERO).isPresent()) {
            continue;
          }
          Thread waiter = Thread.currentThread();
          Thread alarm = new Thread(() -> {
            try {
              Thread.sleep(20);
            } catch (InterruptedException e) {
              throw new IllegalStateException(e);
            }
            waiter.interrupt();
          });
          alarm.start();
          raises(InterruptedException.class, waiting);
          alarm.join();
        }
      }
    }
  }

  static void closingCancels() throws Exception {
    try (Model model = trainedModel(); Dataset data = dataset(128, 1)) {
      Engine engine = engine(model);
      engine.pause();
      Job job = engine.enqueue(task(data, "late", 1));
      CompletableFuture<JobResult> end = job.completion();
      check(engine.close(Duration.ofSeconds(20)), "closed");
      equal(1, engine.jobCount());
      engine.close();
      engine.close();
      equal(JobState.CANCELLED, end.get(20, TimeUnit.SECONDS).state());
      equal(JobState.CANCELLED, job.status().state());
      job.close();
    }
  }

  static void thousandJobs() throws Exception {
    try (Model model = trainedModel();
        Dataset data = dataset(16, 1);
        Engine engine = engine(model)) {
      engine.pause();
      List<CompletableFuture<JobResult>> ends = new ArrayList<>();
      List<Job> jobs = new ArrayList<>();
      for (int i = 0; i < 1000; ++i) {
        Job job = engine.enqueue(task(data, "job-" + i, 1 + i % 3));
        ends.add(job.completion());
        jobs.add(job);
      }
      equal(1000, engine.jobCount());
      jobs.forEach(Job::cancel);
      jobs.forEach(Job::close);
      for (CompletableFuture<JobResult> end : ends) {
        equal(JobState.CANCELLED, end.get(60, TimeUnit.SECONDS).state());
      }
    }
  }

  static void aFolderOutlivesItsEngine() throws Exception {
    Path folder = folder().resolve("engine");
    byte[] seed = new byte[32];
    Arrays.fill(seed, (byte) 7);
    EngineOptions options = EngineOptions.builder().threads(1).folder(folder).paused(true)
        .signingSeed(seed).checkpointSeconds(0).eventCapacity(16).build();
    byte[] key;
    try (Model model = trainedModel(); Dataset data = dataset(128, 1)) {
      CompletableFuture<JobResult> end;
      try (Engine engine = Engine.create(model, options);
          Job job = engine.enqueue(task(data, "kept", 1))) {
        end = job.completion();
        key = engine.publicKey();
      }
      ExecutionException e = raises(ExecutionException.class, () -> end.get(20, TimeUnit.SECONDS));
      equal(Status.STATE, ((LetheException) e.getCause()).status());
    }
    check(Lethe.journalInfoJson(folder).contains("\"kept\""), "the journal has the job");
    try (Model model = trainedModel(); Engine engine = Engine.create(model, options)) {
      equal(key, engine.publicKey());
      try (Job job = engine.jobFind("kept"); Dataset data = dataset(128, 1)) {
        fails(Status.NOT_FOUND, "", () -> engine.bindDataset(data));
        engine.resume();
        job.await().orThrow();
      }
      equal(engine.receipts(), Lethe.journalReceipts(folder));
    }
  }

  static void lostDataIsGivenBack() throws Exception {
    Path root = folder();
    Path images = root.resolve("images");
    Path labels = root.resolve("labels");
    byte[] pixels = new byte[16 + 32 * 64];
    ByteBuffer.wrap(pixels).putInt(0x803).putInt(32).putInt(8).putInt(8);
    byte[] classes = new byte[8 + 32];
    ByteBuffer.wrap(classes).putInt(0x801).putInt(32);
    for (int i = 0; i < 32; ++i) {
      classes[8 + i] = (byte) (i % 4);
      pixels[16 + 64 * i + i] = (byte) 255;
    }
    Files.write(images, pixels);
    Files.write(labels, classes);
    EngineOptions options =
        EngineOptions.builder().threads(1).folder(root.resolve("engine")).paused(true).build();
    try (Dataset data = Dataset.fromIdx(RUNTIME, images, labels, 4, null)) {
      try (Model model = trainedModel(); Engine engine = Engine.create(model, options)) {
        engine.enqueue(task(data, "orphan", 1)).close();
      }
      Files.delete(images);
      try (Model model = trainedModel();
          Engine engine = Engine.create(model, options.toBuilder().paused(false).build());
          Job job = engine.jobFind("orphan")) {
        while (job.status().state() != JobState.AWAITING_DATA) {
          Thread.sleep(2);
        }
        check(!job.await(Duration.ofMillis(1)), "it waits for data");
        equal(1, engine.bindDataset(data));
        check(job.await().state().isEnded(), "it went on");
      }
    }
  }

  static void aBadSeedOrCapacityIsRefused() throws Exception {
    try (Model model = trainedModel()) {
      fails(Status.INVALID_ARGUMENT, "",
          () -> Engine.create(model, EngineOptions.builder().eventCapacity(-1).build()));
      fails(Status.INVALID_ARGUMENT, "",
          () -> Engine.create(model, EngineOptions.builder().threads(-1).build()));
    }
  }
}
