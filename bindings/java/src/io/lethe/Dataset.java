package io.lethe;

import java.nio.file.Path;

/** Labelled images in memory. Immutable; parts share their pixels. */
public final class Dataset extends Handle {

  /**
   * One sample as the model will see it.
   *
   * @param image float32 C,H,W
   * @param label its class
   */
  public record Sample(float[] image, long label) {}

  /**
   * Two disjoint parts of a dataset.
   *
   * @param first the rest
   * @param second the asked fraction of each class
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
   * A part of the dataset.
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
   * @param fewShot that many samples of each class; 0: all
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
   * @param fraction of each class, 0..1, rounded, that is in the second
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
   * @throws LetheException {@link Status#NOT_FOUND} outside
   */
  public Sample sample(long index) {
    long[] label = new long[1];
    try (Pointer self = use()) {
      float[] image = Buffers.floats(out -> Native.dataset_sample(self.address, index, out, label));
      return new Sample(image, label[0]);
    }
  }

  /**
   * Size, classes, names, samples per class, image shape, transform, content digest.
   *
   * @return JSON
   */
  public String infoJson() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.dataset_info_json(self.address, out));
    }
  }
}
