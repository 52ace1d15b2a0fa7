package io.lethe.tests;

import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.forgetfulModel;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.trainedModel;

import io.lethe.Adapter;
import io.lethe.ExportOptions;
import io.lethe.Limits;
import io.lethe.Model;
import io.lethe.Scores;
import io.lethe.StackFlag;
import io.lethe.Status;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Adapters and the stack of a model. */
final class StackTests {
  static void adaptersTravel() throws Exception {
    Path file = folder().resolve("first.lethe");
    Path peft = folder().resolve("peft");
    try (Model model = forgetfulModel(); Model other = trainedModel()) {
      equal(2, model.adapterCount());
      try (Adapter first = model.adapterFind("first")) {
        first.export(file, ExportOptions.builder().level(19).build());
        first.exportPeft(peft, null);
        check(first.infoJson().contains("\"first\""), first.infoJson());
        byte[] bytes = first.exportMemory();
        ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length);
        direct.put(bytes).flip();
        Adapter.loadMemory(RUNTIME, bytes, null).close();
        Adapter.loadMemory(RUNTIME, direct, Limits.defaults()).close();
      }
      check(Files.exists(peft.resolve("adapter_config.json")), "PEFT's files");
      try (Adapter first = Adapter.load(RUNTIME, file); Adapter second = model.adapters().get(1)) {
        other.attach(first);
        other.attach(second);
      }
      equal(model.predict(images(4, 2), 1), other.predict(images(4, 2), 1));
      other.rollbackTo(null);
      try (Adapter again = Adapter.importPeft(other, peft, "again", new long[] {1}, null)) {
        other.attach(again);
      }
      model.rollbackTo("first");
      equal(model.predict(images(4, 2), 1), other.predict(images(4, 2), 1));
    }
  }

  static void theStackChanges() throws Exception {
    try (Model model = forgetfulModel();
        Adapter first = model.adapterFind("first");
        Adapter second = model.adapterFind("second")) {
      Scores both = model.predict(images(4, 2), 1);
      model.enable("second", false);
      Scores one = model.predict(images(4, 2), 1);
      check(!both.equals(one), "disabled");
      model.enable("second", true);
      equal(both, model.predict(images(4, 2), 1));
      model.enable("first", false, StackFlag.ALLOW_UNVERIFIED);
      model.detach("second", StackFlag.ALLOW_UNVERIFIED);
      equal(1, model.adapterCount());
      model.setAdapters(List.of(first, second));
      equal(both, model.predict(images(4, 2), 1));
      fails(Status.BASE_MISMATCH, "", () -> model.setAdapters(List.of(second)));
      model.setAdapters(List.of(first, second), new double[] {1, 0}, StackFlag.ALLOW_UNVERIFIED);
      equal(one, model.predict(images(4, 2), 1));
      model.setAdapters(List.of(first, second), new double[] {1, 0.5}, StackFlag.ALLOW_UNVERIFIED);
      model.setAdapters(List.of());
      equal(0, model.adapterCount());
    }
  }

  static void mergeAndSeal() throws Exception {
    try (Model model = forgetfulModel(); Model merged = model.merge()) {
      Scores both = model.predict(images(4, 2), 1);
      equal(0, merged.adapterCount());
      equal(both, merged.predict(images(4, 2), 1));
      equal(2, model.adapterCount());
      model.seal();
      equal(0, model.adapterCount());
      equal(both, model.predict(images(4, 2), 1));
    }
  }
}
