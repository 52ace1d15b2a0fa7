package io.lethe;

import java.nio.file.Path;
import java.util.List;

/**
 * Images, each with a label, or with boxes around any number of objects. Immutable; parts share
 * their pixels.
 *
 * <p>A dataset with boxes comes from {@link #fromCoco fromCoco}, {@link #fromVoc fromVoc} or {@link
 * #fromBoxes fromBoxes} and is for detectors only; tasks take it as they take the other kind. What
 * is of one kind alone throws {@link LetheException} with {@link Status#UNSUPPORTED} for the other.
 */
public final class Dataset extends Handle {

  /**
   * One sample as the model will see it.
   *
   * @param image float32 C,H,W
   * @param label its class
   */
  public record Sample(float[] image, long label) {}

  /**
   * An image of a dataset with boxes, as its source has it. {@link Images#of(byte[], long...)
   * Images.of}{@code (pixels, 1, 3, height, width)} is what a detector takes.
   *
   * @param pixels bytes 0..255, 3,H,W
   * @param height in pixels
   * @param width in pixels
   */
  public record Image(byte[] pixels, int height, int width) {}

  /**
   * Two disjoint parts of a dataset.
   *
   * @param first the rest
   * @param second the asked fraction of each class, with boxes of all images
   */
  public record Split(Dataset first, Dataset second) implements AutoCloseable {
    /** Closes both. */
    @Override
    public void close() {
      first.close();
      second.close();
    }
  }

  private Dataset(long address) {
    super(address, Native::dataset_free);
  }

  /**
   * Makes a dataset of images as they are.
   *
   * @param runtime its surroundings
   * @param images N images, which are copied
   * @param labels N labels, each in 0..classCount-1
   * @param classCount number of classes
   * @return a new dataset
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: a label out of range, NaN or infinity
   *     (the message names the sample)
   */
  public static Dataset fromTensors(LetheRuntime runtime, Images images, long[] labels,
      long classCount) {
    return fromTensors(runtime, images, labels, classCount, null);
  }

  /**
   * Makes a dataset of images that are transformed.
   *
   * @param runtime its surroundings
   * @param images N images, which are copied: bytes, or finite floats in the scale that "mean" and
   *     "std" expect (0..1 without them)
   * @param labels N labels, each in 0..classCount-1
   * @param classCount number of classes
   * @param transformJson {"resize":256, "center_crop":224, "pad":0, "channels":3, "mean":[..],
   *     "std":[..]}: steps run in this order, absent ones are skipped, geometry needs bytes, which
   *     are scaled to 0..1 before mean and std; null: none
   * @return a new dataset
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: a label out of range, NaN or infinity
   *     (the message names the sample), a transform that does not fit
   */
  public static Dataset fromTensors(LetheRuntime runtime, Images images, long[] labels,
      long classCount, String transformJson) {
    Check.present(runtime, "runtime");
    Check.that(Check.present(labels, "labels").length == Check.present(images, "images").count(),
        "there are " + labels.length + " labels for " + images.count() + " images");
    try (Pointer r = runtime.use()) {
      return new Dataset(Buffers.handle(out -> {
        if (images.isFloat) {
          Native.dataset_from_floats(r.address, images.data, images.shape(), labels, classCount,
              transformJson, out);
        } else {
          Native.dataset_from_bytes(r.address, images.data, images.shape(), labels, classCount,
              transformJson, out);
        }
      }));
    }
  }

  /**
   * Reads an IDX pair (MNIST, Fashion-MNIST), plain or gzip-compressed.
   *
   * @param runtime its surroundings
   * @param images file of the images
   * @param labels file of the labels
   * @param classCount number of classes; 0: the largest label + 1
   * @param transformJson as {@link #fromTensors(LetheRuntime, Images, long[], long, String)}
   * @return a new dataset
   * @throws LetheException {@link Status#NOT_FOUND}, {@link Status#IO}, {@link Status#CORRUPT} (bad
   *     magic, truncated, counts differ), {@link Status#LIMIT_EXCEEDED}
   */
  public static Dataset fromIdx(LetheRuntime runtime, Path images, Path labels, long classCount,
      String transformJson) {
    String imagesPath = Check.path(images, "images");
    String labelsPath = Check.path(labels, "labels");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Dataset(Buffers.handle(out -> Native.dataset_from_idx(
          r.address, imagesPath, labelsPath, classCount, transformJson, out)));
    }
  }

  /**
   * Reads a folder with one sub-folder a class, numbered in lexicographic order: .jpg, .jpeg, .png,
   * .ppm, .pgm. All images must have one size and channel count after the transform.
   *
   * @param runtime its surroundings
   * @param folder of the classes
   * @param transformJson as {@link #fromTensors(LetheRuntime, Images, long[], long, String)}
   * @return a new dataset
   * @throws LetheException {@link Status#NOT_FOUND}: no folder, no class, no image. {@link
   *     Status#CORRUPT}: an image that cannot be decoded; the message names it
   */
  public static Dataset fromImageFolder(LetheRuntime runtime, Path folder, String transformJson) {
    String path = Check.path(folder, "folder");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Dataset(Buffers.handle(out -> Native.dataset_from_image_folder(
          r.address, path, transformJson, out)));
    }
  }

  /**
   * Reads COCO instances: one JSON file with "images", "annotations" and "categories", and the
   * folder of its images. A category's class is its place by ascending id, 0 to 79 of COCO's own
   * files: for models that are trained on such a dataset; checkpoints from elsewhere are often
   * numbered by the ids, see {@link #fromCocoIds fromCocoIds}. Images are decoded when they are
   * looked at. Boxes are cut at the image's border; those without an area are left out and counted
   * ("left_out" of {@link #infoJson()}). Crowds are neither learnt nor counted, as COCO does.
   *
   * @param runtime its surroundings
   * @param annotations the JSON file
   * @param imageFolder folder of the images
   * @return a new dataset with boxes
   * @throws LetheException {@link Status#NOT_FOUND}: the file, the folder, an image. {@link
   *     Status#CORRUPT}: not JSON, an id that nothing has or two have, a box outside its image, of
   *     negative size or not finite; the message names the record. {@link Status#LIMIT_EXCEEDED}
   */
  public static Dataset fromCoco(LetheRuntime runtime, Path annotations, Path imageFolder) {
    String annotationsPath = Check.path(annotations, "annotations");
    String imagePath = Check.path(imageFolder, "imageFolder");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Dataset(Buffers.handle(
          out -> Native.dataset_from_coco(r.address, annotationsPath, imagePath, out)));
    }
  }

  /**
   * Reads COCO instances as {@link #fromCoco fromCoco} does, but a category's class is its id. For
   * models whose outputs are numbered as COCO numbers its categories, 91 of them in the public
   * checkpoints. The classes are 0 to the highest id of the file; numbers that it leaves out are
   * classes without objects, called "unused 12", and no figure counts them.
   *
   * @param runtime its surroundings
   * @param annotations the JSON file
   * @param imageFolder folder of the images
   * @return a new dataset with boxes
   * @throws LetheException as fromCoco, and {@link Status#INVALID_ARGUMENT}: an id below 0 or above
   *     9999; the message names it
   */
  public static Dataset fromCocoIds(LetheRuntime runtime, Path annotations, Path imageFolder) {
    String annotationsPath = Check.path(annotations, "annotations");
    String imagePath = Check.path(imageFolder, "imageFolder");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Dataset(Buffers.handle(
          out -> Native.dataset_from_coco_ids(r.address, annotationsPath, imagePath, out)));
    }
  }

  /**
   * Reads Pascal VOC: a folder of XML files, one an image, and the folder of the images. Difficult
   * objects are treated as crowds. Otherwise as {@link #fromCoco(LetheRuntime, Path, Path)}.
   *
   * @param runtime its surroundings
   * @param annotationsFolder folder of the XML files
   * @param imageFolder folder of the images; may be the same
   * @param classNames the classes in their order; null or empty: all names found, in lexicographic
   *     order
   * @return a new dataset with boxes
   * @throws LetheException as there, and {@link Status#INVALID_ARGUMENT}: a name that classNames
   *     lacks. {@link Status#UNSUPPORTED}: a document type
   */
  public static Dataset fromVoc(LetheRuntime runtime, Path annotationsFolder, Path imageFolder,
      List<String> classNames) {
    String annotationsPath = Check.path(annotationsFolder, "annotationsFolder");
    String imagePath = Check.path(imageFolder, "imageFolder");
    String names = classNames == null || classNames.isEmpty() ? null
        : Text.jsonList(classNames, "classNames");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Dataset(Buffers.handle(
          out -> Native.dataset_from_voc(r.address, annotationsPath, imagePath, names, out)));
    }
  }

  /**
   * Makes a dataset with boxes from arrays, which are copied.
   *
   * @param runtime its surroundings
   * @param images N images of bytes with 3 channels
   * @param boxes M times left, top, right, bottom in pixels, inside the image and with an area
   * @param labels M classes, each in 0..classCount-1
   * @param imageOf M times the image that the box is in, 0..N-1
   * @param classCount number of classes
   * @return a new dataset with boxes
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: a box, a label or an image out of
   *     range; the message names it
   */
  public static Dataset fromBoxes(LetheRuntime runtime, Images images, float[] boxes, long[] labels,
      long[] imageOf, long classCount) {
    Check.present(runtime, "runtime");
    Check.ofBytes(images, "a dataset with boxes");
    int objects = Check.present(labels, "labels").length;
    Check.that(Check.present(boxes, "boxes").length == 4L * objects,
        "boxes has " + boxes.length + " values for " + objects + " labels; each box has 4");
    Check.that(Check.present(imageOf, "imageOf").length == objects,
        "imageOf has " + imageOf.length + " values for " + objects + " labels");
    try (Pointer r = runtime.use()) {
      return new Dataset(Buffers.handle(out -> Native.dataset_from_boxes(r.address, images.data,
          images.shape(), boxes, labels, imageOf, classCount, out)));
    }
  }

  /**
   * A part of the dataset. With boxes: images with an object of these (of other) classes, and of
   * their objects only those.
   *
   * @param what what the values are
   * @param values classes, or positions; may be empty for {@link Select#DROP_CLASSES}
   * @return a new dataset
   * @throws LetheException {@link Status#NOT_FOUND}: a class that the dataset does not know
   */
  public Dataset select(Select what, long... values) {
    return select(what, values, 0, 0);
  }

  /**
   * A part of the dataset, and of each class in it a few random samples.
   *
   * @param what what the values are
   * @param values classes, or positions; may be empty for {@link Select#DROP_CLASSES}
   * @param fewShot that many samples of each class, with boxes that many times the number of
   *     classes images in all; 0: all
   * @param seed equal seeds give equal samples
   * @return a new dataset
   * @throws LetheException {@link Status#NOT_FOUND}: a class that the dataset does not know
   */
  public Dataset select(Select what, long[] values, long fewShot, long seed) {
    Check.known(what, Select.UNKNOWN, "what");
    Check.that(Check.present(values, "values").length > 0 || what == Select.DROP_CLASSES,
        "values is empty");
    try (Pointer self = use()) {
      return new Dataset(Buffers.handle(out -> Native.dataset_select(
          self.address, what.value, values, fewShot, seed, out)));
    }
  }

  /**
   * Two disjoint parts.
   *
   * @param fraction of each class (with boxes: of all images), 0..1, rounded, that is in the second
   * @param seed equal seeds give equal parts
   * @return both parts
   */
  public Split split(double fraction, long seed) {
    long[] first = new long[1];
    try (Pointer self = use()) {
      Dataset second = new Dataset(Buffers.handle(out -> Native.dataset_split(
          self.address, fraction, seed, first, out)));
      return new Split(new Dataset(first[0]), second);
    }
  }

  /**
   * Number of samples.
   *
   * @return the number
   */
  public long size() {
    try (Pointer self = use()) {
      return Native.dataset_size(self.address);
    }
  }

  /**
   * A sample as the model will see it.
   *
   * @param index 0..size-1
   * @return its pixels and label
   * @throws LetheException {@link Status#NOT_FOUND} outside. {@link Status#UNSUPPORTED}: the
   *     dataset has boxes, see {@link #image(long)}
   */
  public Sample sample(long index) {
    long[] label = new long[1];
    try (Pointer self = use()) {
      float[] image = Buffers.floats(out -> Native.dataset_sample(self.address, index, out, label));
      return new Sample(image, label[0]);
    }
  }

  /**
   * An image of a dataset with boxes, as its source has it.
   *
   * @param index 0..size-1
   * @return its pixels and size
   * @throws LetheException {@link Status#NOT_FOUND} outside. {@link Status#UNSUPPORTED}: the
   *     dataset has no boxes. {@link Status#IO}, {@link Status#CORRUPT}: the file
   */
  public Image image(long index) {
    long[] height = new long[1];
    long[] width = new long[1];
    try (Pointer self = use()) {
      byte[] pixels = Buffers.bytes(
          out -> Native.dataset_image(self.address, index, out, height, width));
      return new Image(pixels, (int) height[0], (int) width[0]);
    }
  }

  /**
   * The objects in an image of a dataset with boxes.
   *
   * @param index 0..size-1
   * @return an unmodifiable list
   * @throws LetheException {@link Status#NOT_FOUND} outside. {@link Status#UNSUPPORTED}: the
   *     dataset has no boxes
   */
  public List<DetectedObject> objects(long index) {
    try (Pointer self = use()) {
      return DetectedObject.listOf(
          Buffers.floats(out -> Native.dataset_objects(self.address, index, out)));
    }
  }

  /**
   * The same images without a part of their objects: annotations that were never made. Crowds stay.
   *
   * @param share of the objects, 0..1, that is left out
   * @param seed equal seeds leave out equal objects
   * @return a new dataset
   * @throws LetheException {@link Status#UNSUPPORTED}: the dataset has no boxes
   */
  public Dataset dropObjects(double share, long seed) {
    try (Pointer self = use()) {
      return new Dataset(Buffers.handle(
          out -> Native.dataset_drop_objects(self.address, share, seed, out)));
    }
  }

  /**
   * Size, classes, names, samples per class, image shape, transform, content digest. With boxes:
   * size, class_count, categories (id, name), objects per class, left_out, content digest.
   *
   * @return JSON
   */
  public String infoJson() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.dataset_info_json(self.address, out));
    }
  }
}
