package io.lethe.tests;

import static io.lethe.tests.Support.RUNTIME;
import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.images;
import static io.lethe.tests.Support.raises;

import io.lethe.Dataset;
import io.lethe.DetectedObject;
import io.lethe.Engine;
import io.lethe.EvaluateOptions;
import io.lethe.ForgetConfig;
import io.lethe.ForgetTask;
import io.lethe.Head;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.Method;
import io.lethe.Model;
import io.lethe.Report;
import io.lethe.Select;
import io.lethe.Status;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/** Detectors, and datasets with boxes. */
final class DetectionTests {
  private static final int SIDE = 64;
  private static final int COUNT = 6;
  private static final long[] SHAPE = {COUNT, 3, SIDE, SIDE};
  private static final String SPEC = "{\"arch\":\"deformable_detr\",\"classes\":3,"
      + "\"backbone\":\"resnet18\",\"backbone_width\":8,\"feature_levels\":2,\"dim\":32,"
      + "\"heads\":2,\"encoder_layers\":1,\"decoder_layers\":1,\"ffn_dim\":32,\"points\":2,"
      + "\"queries\":10,\"shorter_side\":0,\"dropout\":0}";

  /** Image i has a square of the class i % 3, and all but the last a second one of the next. */
  private static List<List<DetectedObject>> objects() {
    List<List<DetectedObject>> all = new ArrayList<>();
    for (int i = 0; i < COUNT; ++i) {
      DetectedObject first = new DetectedObject(4 + i, 5, 24 + i, 25.5f, 1, i % 3);
      DetectedObject second = new DetectedObject(30, 30 + i, 60, 50 + i, 1, (i + 1) % 3);
      all.add(i + 1 < COUNT ? List.of(first, second) : List.of(first));
    }
    return all;
  }

  private static byte[] pixels() {
    byte[] pixels = new byte[COUNT * 3 * SIDE * SIDE];
    Arrays.fill(pixels, (byte) 90);
    List<List<DetectedObject>> all = objects();
    for (int i = 0; i < COUNT; ++i) {
      for (DetectedObject object : all.get(i)) {
        for (int y = (int) object.top(); y < object.bottom(); ++y) {
          for (int x = (int) object.left(); x < object.right(); ++x) {
            pixels[((i * 3 + (int) object.label()) * SIDE + y) * SIDE + x] = (byte) 255;
          }
        }
      }
    }
    return pixels;
  }

  private static Dataset squares(Images images) {
    List<List<DetectedObject>> all = objects();
    int count = all.stream().mapToInt(List::size).sum();
    float[] boxes = new float[4 * count];
    long[] labels = new long[count];
    long[] imageOf = new long[count];
    int k = 0;
    for (int i = 0; i < COUNT; ++i) {
      for (DetectedObject object : all.get(i)) {
        float[] box = {object.left(), object.top(), object.right(), object.bottom()};
        System.arraycopy(box, 0, boxes, 4 * k, 4);
        labels[k] = object.label();
        imageOf[k++] = i;
      }
    }
    return Dataset.fromBoxes(RUNTIME, images, boxes, labels, imageOf, 3);
  }

  /** Six images with eleven objects of three classes. */
  static Dataset squares() {
    return squares(Images.of(pixels(), SHAPE));
  }

  private static int count(Dataset data) {
    int count = 0;
    for (long i = 0; i < data.size(); ++i) {
      count += data.objects(i).size();
    }
    return count;
  }

  static void datasetsFromBoxes() {
    byte[] pixels = pixels();
    ByteBuffer direct = ByteBuffer.allocateDirect(pixels.length + 5).position(5);
    direct.put(pixels).position(5);
    for (Images images : List.of(Images.of(pixels, SHAPE), Images.of(direct, SHAPE))) {
      try (Dataset data = squares(images)) {
        equal((long) COUNT, data.size());
        for (int i = 0; i < COUNT; ++i) {
          Dataset.Image image = data.image(i);
          equal(SIDE, image.height());
          equal(SIDE, image.width());
          int size = 3 * SIDE * SIDE;
          equal(Arrays.copyOfRange(pixels, i * size, (i + 1) * size), image.pixels());
          equal(objects().get(i), data.objects(i));
        }
        raises(UnsupportedOperationException.class, () -> data.objects(0).clear());
        check(data.infoJson().contains("\"class_count\":3"), data.infoJson());
        fails(Status.NOT_FOUND, "6", () -> data.image(COUNT));
        fails(Status.NOT_FOUND, "-1", () -> data.objects(-1));
      }
    }
    Images one = Images.of(new byte[3 * 8 * 8], 1, 3, 8, 8);
    float[] box = {1, 1, 9, 2};
    fails(Status.INVALID_ARGUMENT, "inside the image",
        () -> Dataset.fromBoxes(RUNTIME, one, box, new long[1], new long[1], 1));
    box[2] = 8;
    fails(Status.INVALID_ARGUMENT, "image 7",
        () -> Dataset.fromBoxes(RUNTIME, one, box, new long[1], new long[] {7}, 1));
    fails(Status.INVALID_ARGUMENT, "label 1",
        () -> Dataset.fromBoxes(RUNTIME, one, box, new long[] {1}, new long[1], 1));
    raises(IllegalArgumentException.class,
        () -> Dataset.fromBoxes(RUNTIME, one, new float[3], new long[1], new long[1], 1));
    raises(IllegalArgumentException.class,
        () -> Dataset.fromBoxes(RUNTIME, one, box, new long[1], new long[2], 1));
    raises(NullPointerException.class,
        () -> Dataset.fromBoxes(RUNTIME, one, null, new long[1], new long[1], 1));
    try (Dataset empty =
        Dataset.fromBoxes(RUNTIME, one, new float[0], new long[0], new long[0], 2)) {
      equal(List.of(), empty.objects(0));
    }
  }

  static void partsOfDatasetsWithBoxes() {
    try (Dataset data = squares();
        Dataset kept = data.select(Select.KEEP_CLASSES, 1);
        Dataset half = data.dropObjects(0.5, 7);
        Dataset again = data.dropObjects(0.5, 7);
        Dataset none = data.dropObjects(1, 7);
        Dataset.Split parts = data.split(0.5, 1)) {
      equal(11, count(data));
      check(kept.size() < COUNT && count(kept) == kept.size(), "one object an image");
      equal(1L, kept.objects(0).get(0).label());
      equal((long) COUNT, none.size());
      equal(0, count(none));
      check(count(half) == 5 || count(half) == 6, "half of 11");
      for (int i = 0; i < COUNT; ++i) {
        equal(half.objects(i), again.objects(i));
      }
      equal(3L, parts.second().size());
      fails(Status.INVALID_ARGUMENT, "share", () -> data.dropObjects(1.5, 0));
    }
  }

  static void datasetsFromFiles() throws Exception {
    Path folder = folder();
    Files.write(folder.resolve("a.pgm"), "P5 4 2 255\n12345678".getBytes());
    Path coco = folder.resolve("instances.json");
    Files.writeString(coco, "{\"categories\":[{\"id\":9,\"name\":\"dog\"},{\"id\":3,"
        + "\"name\":\"cat\"}],\"images\":[{\"id\":5,\"file_name\":\"a.pgm\",\"width\":4,"
        + "\"height\":2}],\"annotations\":[{\"id\":1,\"image_id\":5,\"category_id\":9,"
        + "\"bbox\":[1,0.5,2,1]},{\"id\":2,\"image_id\":5,\"category_id\":3,"
        + "\"bbox\":[0,0,4,2],\"iscrowd\":1}]}");
    try (Dataset data = Dataset.fromCoco(RUNTIME, coco, folder)) {
      DetectedObject dog = new DetectedObject(1, 0.5f, 3, 1.5f, 1, 1);
      DetectedObject cats = new DetectedObject(0, 0, 4, 2, 0, 0);
      equal(List.of(dog, cats), data.objects(0));
      Dataset.Image image = data.image(0);
      equal(4, image.width());
      equal(2, image.height());
      equal("123456781234567812345678", new String(image.pixels()));
      Files.delete(folder.resolve("a.pgm"));
      fails(Status.NOT_FOUND, "a.pgm", () -> data.image(0));
    }
    fails(Status.NOT_FOUND, "a.pgm", () -> Dataset.fromCoco(RUNTIME, coco, folder));
    fails(Status.NOT_FOUND, "a.pgm", () -> Dataset.fromCocoIds(RUNTIME, coco, folder));

    Files.write(folder.resolve("a.pgm"), "P5 4 2 255\n12345678".getBytes());
    try (Dataset data = Dataset.fromCocoIds(RUNTIME, coco, folder)) {
      equal(9L, data.objects(0).get(0).label());
      equal(3L, data.objects(0).get(1).label());
      check(data.infoJson().contains("\"class_count\":10"), "9 is the highest id");
    }
    String name = "a \"big\" \\ dog";
    Files.writeString(folder.resolve("a.xml"), "<annotation><filename>a.pgm</filename><size>"
        + "<width>4</width><height>2</height><depth>1</depth></size><object><name>" + name
        + "</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox>"
        + "</object></annotation>");
    List<DetectedObject> second = List.of(new DetectedObject(1, 0, 3, 2, 1, 1));
    try (Dataset named = Dataset.fromVoc(RUNTIME, folder, folder, List.of("cat", name));
        Dataset found = Dataset.fromVoc(RUNTIME, folder, folder, null);
        Dataset same = Dataset.fromVoc(RUNTIME, folder, folder, List.of())) {
      equal(second, named.objects(0));
      equal(0L, found.objects(0).get(0).label());
      equal(found.objects(0), same.objects(0));
    }
    fails(Status.INVALID_ARGUMENT, "dog",
        () -> Dataset.fromVoc(RUNTIME, folder, folder, List.of("cat\n")));
    raises(NullPointerException.class,
        () -> Dataset.fromVoc(RUNTIME, folder, folder, Arrays.asList("cat", null)));
    raises(IllegalArgumentException.class,
        () -> Dataset.fromVoc(RUNTIME, folder, folder, List.of("a\0b")));
    raises(NullPointerException.class, () -> Dataset.fromVoc(RUNTIME, null, folder, null));
    raises(NullPointerException.class, () -> Dataset.fromCoco(RUNTIME, coco, null));
    raises(NullPointerException.class, () -> Dataset.fromCoco(null, coco, folder));
    raises(NullPointerException.class, () -> Dataset.fromCocoIds(RUNTIME, null, folder));
    raises(NullPointerException.class, () -> Dataset.fromCocoIds(null, coco, folder));
  }

  static void aDetectorFindsObjects() {
    try (Model model = Model.create(RUNTIME, SPEC); Dataset data = squares()) {
      Images images = Images.of(pixels(), SHAPE);
      List<List<DetectedObject>> found = model.detect(images, 5, 1);
      equal(COUNT, found.size());
      for (List<DetectedObject> list : found) {
        equal(5, list.size());
        for (int k = 0; k < list.size(); ++k) {
          DetectedObject object = list.get(k);
          check(object.score() >= 0 && object.score() <= 1, "" + object);
          check(k == 0 || object.score() <= list.get(k - 1).score(), "best first");
          check(object.label() >= 0 && object.label() < 3, "" + object);
          check(object.left() <= object.right() && object.top() <= object.bottom(), "" + object);
        }
      }
      equal(found, model.detectDataset(data, 5, 1));
      raises(UnsupportedOperationException.class, () -> found.get(0).clear());
      Dataset.Image image = data.image(2);
      Images third = Images.of(image.pixels(), 1, 3, image.height(), image.width());
      try (Dataset same = data.select(Select.TAKE_INDICES, 2)) {
        List<List<DetectedObject>> all = model.detect(third);
        equal(1, all.size());
        equal(30, all.get(0).size()); // ten queries of three classes: 70 rows hold nothing
        equal(all, model.detectDataset(same));
      }
      try (Report report =
          model.evaluate(data, EvaluateOptions.builder().threads(1).build())) {
        check(report.metric("ap") >= 0 && report.metrics().containsKey("ap50"), report.json());
      }
      fails(Status.INVALID_ARGUMENT, "most", () -> model.detect(images, 0, 0));
      fails(Status.INVALID_ARGUMENT, "channels",
          () -> model.detect(Images.of(new byte[64], 1, 1, 8, 8)));
      raises(IllegalArgumentException.class,
          () -> model.detect(Images.of(new float[192], 1, 3, 8, 8)));
      raises(IllegalArgumentException.class, () -> Dataset.fromBoxes(RUNTIME,
          Images.of(new float[192], 1, 3, 8, 8), new float[4], new long[1], new long[1], 3));
      raises(NullPointerException.class, () -> model.detect(null));
      raises(NullPointerException.class, () -> model.detectDataset(null));
    }
  }

  static void theOtherKindIsRefused() {
    try (Model detector = Model.create(RUNTIME, SPEC);
        Model classifier = Support.model();
        Dataset boxes = squares();
        Dataset labels =
            Dataset.fromTensors(RUNTIME, images(3, 1), new long[] {0, 1, 2}, 3)) {
      fails(Status.UNSUPPORTED, "has boxes", () -> boxes.sample(0));
      fails(Status.UNSUPPORTED, "has boxes", () -> classifier.predictDataset(boxes));
      fails(Status.UNSUPPORTED, "labels alone", () -> labels.image(0));
      fails(Status.UNSUPPORTED, "labels alone", () -> labels.objects(0));
      fails(Status.UNSUPPORTED, "labels alone", () -> labels.dropObjects(0.5, 0));
      fails(Status.UNSUPPORTED, "labels alone", () -> detector.detectDataset(labels));
      fails(Status.UNSUPPORTED, "", () -> classifier.detect(Images.of(pixels(), SHAPE)));
      fails(Status.UNSUPPORTED, "", () -> classifier.detectDataset(boxes));
      fails(Status.UNSUPPORTED, "", () -> detector.predict(images(2, 1)));
      try (Engine engine = Support.engine(detector)) {
        fails(Status.UNSUPPORTED, "", () -> engine.enqueue(ForgetTask.of(labels, 1)));
      }
    }
  }

  static void aDetectorForgets() throws Exception {
    ForgetConfig config = ForgetConfig.builder(Method.GS_LORA_PP, Head.DETECTION).maxSteps(2)
        .dataRatio(1).forgetBatch(2).retainBatch(2).zeroThreshold(0).gateMaxAccF(-1)
        .gateMaxAccRDrop(-1).build();
    equal(0, config.audits());
    equal(0.1, config.gradientClip());
    try (Model model = Model.create(RUNTIME, SPEC);
        Dataset data = squares();
        Engine engine = Support.engine(model)) {
      fails(Status.UNSUPPORTED, "audits", () -> engine.enqueue(
          ForgetTask.of(data, 1).config(config.toBuilder().audits(1).build())));
      ForgetTask task = ForgetTask.of(data, 1).requestId("boxes").config(config);
      try (Job job = engine.enqueue(task)) {
        Map<String, Double> metrics = job.await().orThrow().metrics();
        check(metrics.containsKey("ap_f") && metrics.containsKey("ap50_r"), "" + metrics);
        check(!metrics.containsKey("acc_f"), "" + metrics);
        equal(2.0, metrics.get("steps"));
      }
      equal(1, model.adapterCount());
    }
  }
}
