package io.lethe;

import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A base model and its stack of adapters. */
public final class Model extends Handle {
  private static final int MOST = 100; // detections of an image, as COCO counts

  private final LetheRuntime runtime; // whose log would end if it were collected

  private Model(LetheRuntime runtime, long address) {
    super(address, Native::model_free);
    this.runtime = runtime;
  }

  // ------------------------------------------------------------------------------------- making

  /**
   * Creates a model with random weights on the CPU.
   *
   * @param runtime its surroundings
   * @param specJson the architecture, see {@link #create(LetheRuntime, String, String)}
   * @return a new model
   * @throws LetheException as there
   */
  public static Model create(LetheRuntime runtime, String specJson) {
    return create(runtime, specJson, null);
  }

  /**
   * Creates a model with random weights.
   *
   * @param runtime its surroundings
   * @param specJson the architecture as {@link Lethe#archDefaultSpec(String)} shows it; fields left
   *     out take the architecture's default: arch ("vit", "face_vit", "face_vits"), classes,
   *     image_size, channels, patch_size, patch_stride and patch_padding (of face_vits), dim, depth,
   *     heads, head_dim, mlp_dim, dropout, layer_norm_eps, head ("linear", "cosface", "arcface"),
   *     head_scale, head_margin, attention_scale, adapter_layers, seed. A detector, arch
   *     "deformable_detr", has arch, classes, dropout and seed, and backbone ("resnet18",
   *     "resnet34", "resnet50"), backbone_width, feature_levels, dim, heads, encoder_layers,
   *     decoder_layers, ffn_dim, points, queries (objects that it can name in an image),
   *     shorter_side (that images are resized to; 0: taken as they are), longest_side,
   *     refine_boxes, two_stage, auxiliary_losses
   * @param device "cpu", "cuda" or "cuda:N", where the model lives and computes; null: "cpu"
   * @return a new model
   * @throws LetheException {@link Status#CORRUPT}: not JSON. {@link Status#NOT_FOUND}: unknown
   *     arch. {@link Status#INVALID_ARGUMENT}: an unknown field or a value out of range. {@link
   *     Status#DEVICE}: no such device, or the CUDA part could not be loaded; the message says why
   */
  public static Model create(LetheRuntime runtime, String specJson, String device) {
    Check.present(specJson, "specJson");
    try (Pointer r = Check.present(runtime, "runtime").use()) {
      return new Model(runtime,
          Buffers.handle(out -> Native.model_create(r.address, specJson, device, out)));
    }
  }

  /**
   * An independent model with the same base and stack. Weights are shared until one changes, so it
   * costs little.
   *
   * @return a new model
   */
  public Model copy() {
    try (Pointer self = use()) {
      return new Model(runtime, Buffers.handle(out -> Native.model_clone(self.address, out)));
    }
  }

  /**
   * A new model whose base is base plus enabled adapters of this one, with an empty stack. The
   * logits of the two are equal bit for bit. What the adapters forgot counts as forgotten in the
   * new model too, until it gets other weights.
   *
   * @return a new model
   */
  public Model merge() {
    try (Pointer self = use()) {
      return new Model(runtime, Buffers.handle(out -> Native.model_merge(self.address, out)));
    }
  }

  /**
   * Makes the current state the only state: the enabled adapters are folded into the base, base and
   * adapters are dropped, and from then on nothing can be rolled back. With an engine on a folder
   * this is durable, and a receipt is written. Copies made before are not touched.
   *
   * @throws LetheException {@link Status#STATE}: an engine has tasks of this model queued or
   *     running. {@link Status#IO}
   */
  public void seal() {
    try (Pointer self = use()) {
      Native.model_seal(self.address);
    }
  }

  // ------------------------------------------------------------------------------------ weights

  /**
   * Replaces the base weights by those of a file: safetensors, or a PyTorch state dict (.pt, .pth),
   * which is read without running anything in it. Names of torchvision, timm and Hugging Face
   * (vit), of the paper's code (face_vit), and of the published code and Hugging Face
   * (deformable_detr) are understood. All or nothing.
   *
   * @param file the weights
   * @throws LetheException {@link Status#NOT_FOUND}, {@link Status#IO}: the file. {@link
   *     Status#CORRUPT}: truncated, contradictory, not finite. {@link Status#INVALID_ARGUMENT}: a
   *     tensor is missing, extra or misshapen; the message names the first. {@link
   *     Status#UNSUPPORTED}: a pickle that names code. {@link Status#LIMIT_EXCEEDED}. {@link
   *     Status#STATE}: the model has adapters, or an engine works on it
   */
  public void loadWeights(Path file) {
    loadWeights(file, null);
  }

  /**
   * {@link #loadWeights(Path)} under limits.
   *
   * @param file the weights
   * @param limits for reading; null: the defaults
   * @throws LetheException as above
   */
  public void loadWeights(Path file, Limits limits) {
    String path = Check.path(file, "file");
    try (Pointer self = use(); NativeLimits n = limits == null ? null : limits.toNative()) {
      Native.model_load_weights(self.address, path, n);
    }
  }

  /**
   * The same from memory.
   *
   * @param bytes of a file of weights
   * @param limits for reading; null: the defaults
   * @throws LetheException as {@link #loadWeights(Path)}, but for the file
   */
  public void loadWeightsMemory(byte[] bytes, Limits limits) {
    loadWeightsData(Check.filled(bytes, "bytes"), limits);
  }

  /**
   * The same from memory.
   *
   * @param bytes of a file of weights, from position to limit; a direct buffer is read in place
   * @param limits for reading; null: the defaults
   * @throws LetheException as {@link #loadWeights(Path)}, but for the file
   */
  public void loadWeightsMemory(ByteBuffer bytes, Limits limits) {
    loadWeightsData(Check.filled(bytes, "bytes"), limits);
  }

  private void loadWeightsData(Object data, Limits limits) {
    try (Pointer self = use(); NativeLimits n = limits == null ? null : limits.toNative()) {
      Native.model_load_weights_memory(self.address, data, n);
    }
  }

  /**
   * Writes base plus enabled adapters as one safetensors file with the default options. Atomic: a
   * crash leaves the old file or the new one.
   *
   * @param file where to
   * @throws LetheException {@link Status#IO}: folder missing or read-only, disk full
   */
  public void exportMerged(Path file) {
    exportMerged(file, null);
  }

  /**
   * {@link #exportMerged(Path)} with options.
   *
   * @param file where to
   * @param options type and names of the tensors; null: the defaults
   * @throws LetheException {@link Status#IO}: folder missing or read-only, disk full. {@link
   *     Status#UNSUPPORTED}: the architecture has no such names
   */
  public void exportMerged(Path file, ExportOptions options) {
    String path = Check.path(file, "file");
    try (Pointer self = use();
        NativeExportOptions n = options == null ? null : options.toNative()) {
      Native.model_export_merged(self.address, path, n);
    }
  }

  // -------------------------------------------------------------------------------------- facts

  /**
   * Spec, device, parameter count, groups that can carry adapters, the stack, classes forgotten,
   * fingerprints.
   *
   * @return JSON
   */
  public String infoJson() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.model_info_json(self.address, out));
    }
  }

  /**
   * SHA-256 of the base: names, types, shapes, values and the spec. May take as long as reading all
   * weights.
   *
   * @return 32 bytes
   */
  public byte[] baseFingerprint() {
    byte[] base = new byte[32];
    try (Pointer self = use()) {
      Native.model_fingerprint(self.address, base, null);
    }
    return base;
  }

  /**
   * SHA-256 of base plus enabled adapters. May take as long as reading all weights.
   *
   * @return 32 bytes
   */
  public byte[] stateFingerprint() {
    byte[] state = new byte[32];
    try (Pointer self = use()) {
      Native.model_fingerprint(self.address, null, state);
    }
    return state;
  }

  /**
   * The base tensors, in the order of their names.
   *
   * @return names and shapes
   */
  public List<TensorInfo> tensors() {
    List<TensorInfo> tensors = new ArrayList<>();
    long[] sizes = new long[8];
    int[] ndim = new int[1];
    long[] count = new long[1];
    try (Pointer self = use()) {
      for (int i = 0; i < Native.model_tensor_count(self.address); ++i) {
        Native.model_tensor_info(self.address, i, sizes, ndim, count);
        List<Long> shape = new ArrayList<>();
        for (int d = 0; d < ndim[0]; ++d) {
          shape.add(sizes[d]);
        }
        tensors.add(new TensorInfo(
            Native.tensor_name(self.address, i), List.copyOf(shape), count[0]));
      }
    }
    return List.copyOf(tensors);
  }

  /**
   * A tensor's values.
   *
   * @param name of the tensor, see {@link #tensors()}
   * @param merged true: with the enabled adapters added, false: of the base
   * @return the values, row-major
   * @throws LetheException {@link Status#NOT_FOUND}: no such name
   */
  public float[] tensorRead(String name, boolean merged) {
    Check.present(name, "name");
    long count = 1; // of an unknown name: the library says so
    for (TensorInfo tensor : tensors()) {
      count = tensor.name().equals(name) ? tensor.count() : count;
    }
    float[] values = new float[Math.toIntExact(count)];
    try (Pointer self = use()) {
      Native.model_tensor_read(self.address, name, merged ? 1 : 0, values);
    }
    return values;
  }

  // ----------------------------------------------------------------------- predict and evaluate

  /**
   * Class scores of images, computed by all processors.
   *
   * @param images as {@link #predict(Images, int)}
   * @return N rows, a column a class
   * @throws LetheException as there
   */
  public Scores predict(Images images) {
    return predict(images, 0);
  }

  /**
   * Class scores of images (cosine heads: scale times cosine, no margin). Runs on the state of the
   * model at the time of the call, beside training; results are equal bit for bit for equal state,
   * thread count and build.
   *
   * @param images float32 N,C,H,W, normalised as the model was trained, finite
   * @param threads that compute; 0: all processors
   * @return N rows, a column a class
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: another shape than the model's, NaN.
   *     {@link Status#UNSUPPORTED}: the model is a detector
   */
  public Scores predict(Images images, int threads) {
    checkFloat(images);
    try (Pointer self = use()) {
      return new Scores(images.count(), Buffers.floats(out -> Native.model_predict(
          self.address, images.data, images.shape(), threads, out)));
    }
  }

  /**
   * Embeddings of images, computed by all processors.
   *
   * @param images as {@link #predict(Images, int)}
   * @return N rows of the model's dim
   * @throws LetheException as there
   */
  public Scores embed(Images images) {
    return embed(images, 0);
  }

  /**
   * Embeddings of images: the head's input. Otherwise as {@link #predict(Images, int)}.
   *
   * @param images as there
   * @param threads that compute; 0: all processors
   * @return N rows of the model's dim
   * @throws LetheException as there
   */
  public Scores embed(Images images, int threads) {
    checkFloat(images);
    try (Pointer self = use()) {
      return new Scores(images.count(), Buffers.floats(out -> Native.model_embed(
          self.address, images.data, images.shape(), threads, out)));
    }
  }

  private static void checkFloat(Images images) {
    Check.that(Check.present(images, "images").isFloat,
        "images are bytes; the model takes float32");
  }

  /**
   * Class scores of every sample of a dataset, in its order, computed by all processors.
   *
   * @param dataset the samples
   * @return a row a sample, a column a class
   */
  public Scores predictDataset(Dataset dataset) {
    return predictDataset(dataset, 0);
  }

  /**
   * Class scores of every sample of a dataset, in its order.
   *
   * @param dataset the samples
   * @param threads that compute; 0: all processors
   * @return a row a sample, a column a class
   */
  public Scores predictDataset(Dataset dataset, int threads) {
    try (Pointer self = use(); Pointer data = Check.present(dataset, "dataset").use()) {
      return new Scores(Native.dataset_size(data.address),
          Buffers.floats(out -> Native.model_predict_dataset(
              self.address, data.address, threads, out)));
    }
  }

  /**
   * What a detector finds in images: of each its 100 best objects, computed by all processors.
   *
   * @param images as {@link #detect(Images, int, int)}
   * @return a list an image
   * @throws LetheException as there
   */
  public List<List<DetectedObject>> detect(Images images) {
    return detect(images, MOST, 0);
  }

  /**
   * What a detector finds in images. One place can be found as several classes, nothing is dropped
   * for overlapping. Runs on the state of the model at the time of the call, beside training.
   *
   * @param images bytes with 3 channels, of any size
   * @param most that many objects an image, the best; 1..1000, 100 is COCO's
   * @param threads that compute; 0: all processors
   * @return a list an image, of at most so many objects, best first; unmodifiable
   * @throws LetheException {@link Status#INVALID_ARGUMENT}: another number of channels, most out of
   *     range. {@link Status#UNSUPPORTED}: the model is an image classifier
   */
  public List<List<DetectedObject>> detect(Images images, int most, int threads) {
    try (Pointer self = use()) {
      Check.ofBytes(images, "a detector");
      return DetectedObject.listsOf(Buffers.floats(out -> Native.model_detect(
          self.address, images.data, images.shape(), most, threads, out)), images.count());
    }
  }

  /**
   * What a detector finds in every image of a dataset with boxes: the 100 best objects, computed by
   * all processors.
   *
   * @param dataset the images
   * @return a list an image
   * @throws LetheException as {@link #detectDataset(Dataset, int, int)}
   */
  public List<List<DetectedObject>> detectDataset(Dataset dataset) {
    return detectDataset(dataset, MOST, 0);
  }

  /**
   * What a detector finds in every image of a dataset with boxes, in its order, in each image's own
   * pixels. Otherwise as {@link #detect(Images, int, int)}.
   *
   * @param dataset the images
   * @param most that many objects an image, the best; 1..1000, 100 is COCO's
   * @param threads that compute; 0: all processors
   * @return a list an image, of at most so many objects, best first; unmodifiable
   * @throws LetheException as there, and {@link Status#UNSUPPORTED}: the dataset has no boxes
   */
  public List<List<DetectedObject>> detectDataset(Dataset dataset, int most, int threads) {
    try (Pointer self = use(); Pointer data = Check.present(dataset, "dataset").use()) {
      return DetectedObject.listsOf(
          Buffers.floats(out -> Native.model_detect_dataset(
              self.address, data.address, most, threads, out)),
          Native.dataset_size(data.address));
    }
  }

  /**
   * Accuracy over a dataset, with the default options.
   *
   * @param dataset the samples
   * @return acc (all), acc_f, acc_r, acc_o, acc_class.N for each class with samples, samples,
   *     seconds; of a detector ap and ap50 for acc, the COCO AP in percent
   */
  public Report evaluate(Dataset dataset) {
    return evaluate(dataset, EvaluateOptions.defaults());
  }

  /**
   * Accuracy over a dataset.
   *
   * @param dataset the samples
   * @param options how
   * @return acc (all), acc_f, acc_r, acc_o, acc_class.N for each class with samples, samples,
   *     seconds; of a detector ap and ap50 for acc, the COCO AP in percent
   */
  public Report evaluate(Dataset dataset, EvaluateOptions options) {
    Check.present(options, "options");
    long[] forget = options.forgetClasses();
    long[] past = options.pastClasses();
    try (Pointer self = use(); Pointer data = Check.present(dataset, "dataset").use()) {
      return new Report(Buffers.handle(out -> Native.model_evaluate(self.address, data.address,
          options.threads(), options.batch(), options.margin() ? 1 : 0, options.base() ? 1 : 0,
          forget == null ? 1 : 0, forget, past == null ? 1 : 0, past, out)));
    }
  }

  // ---------------------------------------------------------------------------------- the stack

  /**
   * The adapters of the stack, oldest first, enabled or not.
   *
   * @return new handles, which the caller closes
   */
  public List<Adapter> adapters() {
    List<Adapter> adapters = new ArrayList<>();
    try (Pointer self = use()) {
      for (int i = 0; i < Native.model_adapter_count(self.address); ++i) {
        int index = i;
        adapters.add(new Adapter(
            Buffers.handle(out -> Native.model_adapter_at(self.address, index, out))));
      }
    }
    return List.copyOf(adapters);
  }

  /**
   * Number of adapters in the stack, enabled or not.
   *
   * @return the number
   */
  public int adapterCount() {
    try (Pointer self = use()) {
      return Native.model_adapter_count(self.address);
    }
  }

  /**
   * The adapter of a request.
   *
   * @param requestId the request
   * @return a new handle
   * @throws LetheException {@link Status#NOT_FOUND}
   */
  public Adapter adapterFind(String requestId) {
    Check.present(requestId, "requestId");
    try (Pointer self = use()) {
      return new Adapter(
          Buffers.handle(out -> Native.model_adapter_find(self.address, requestId, out)));
    }
  }

  /**
   * Puts an adapter on top of the stack.
   *
   * @param adapter made for this base and the adapters now enabled
   * @throws LetheException {@link Status#BASE_MISMATCH}: made for another base, or on other
   *     adapters; the message says which. {@link Status#EXISTS}: already there. {@link
   *     Status#STATE}: an engine has tasks of this model queued or running
   */
  public void attach(Adapter adapter) {
    try (Pointer self = use(); Pointer a = Check.present(adapter, "adapter").use()) {
      Native.model_attach(self.address, a.address);
    }
  }

  /**
   * Replaces the whole stack at once, every adapter with scale 1.
   *
   * @param adapters oldest first
   * @param flags {@link StackFlag#ALLOW_UNVERIFIED}: also a stack that no task was trained on
   * @throws LetheException as {@link #attach(Adapter)}
   */
  public void setAdapters(List<Adapter> adapters, StackFlag... flags) {
    set(adapters, null, flags);
  }

  /**
   * Replaces the whole stack at once. Without the flag only stacks are accepted that a task was
   * trained on: each adapter's parents are exactly those before it, all with scale 1.
   *
   * @param adapters oldest first
   * @param scales one for each adapter; 0 keeps it listed but disabled
   * @param flags {@link StackFlag#ALLOW_UNVERIFIED}: also a stack that no task was trained on
   * @throws LetheException as {@link #attach(Adapter)}
   */
  public void setAdapters(List<Adapter> adapters, double[] scales, StackFlag... flags) {
    Check.that(Check.present(scales, "scales").length == Check.present(adapters, "adapters").size(),
        "there are " + scales.length + " scales for " + adapters.size() + " adapters");
    set(adapters, scales, flags);
  }

  private void set(List<Adapter> adapters, double[] scales, StackFlag... flags) {
    List<Pointer> used = new ArrayList<>();
    try (Pointer self = use()) {
      for (Adapter adapter : Check.present(adapters, "adapters")) {
        used.add(Check.present(adapter, "an adapter").use());
      }
      long[] addresses = used.stream().mapToLong(pointer -> pointer.address).toArray();
      Native.model_set_adapters(self.address, addresses, scales, StackFlag.sum(flags));
    } finally {
      used.forEach(Pointer::close);
    }
  }

  /**
   * Back to the state after a task; later adapters leave the stack, last in first out. The logits
   * are those of that state bit for bit.
   *
   * @param requestId the task; null: before the first
   * @throws LetheException {@link Status#NOT_FOUND}: no such adapter in the stack. {@link
   *     Status#STATE} as {@link #attach(Adapter)}
   */
  public void rollbackTo(String requestId) {
    try (Pointer self = use()) {
      Native.model_rollback_to(self.address, requestId);
    }
  }

  /**
   * Enables or disables the adapter of a request; it stays in its place. Enabling gives it scale 1.
   * Without the flag the topmost enabled adapter can be disabled and enabled again, others not.
   *
   * @param requestId the request
   * @param enabled what it shall be
   * @param flags {@link StackFlag#ALLOW_UNVERIFIED}: also a state that no task was trained on
   * @throws LetheException {@link Status#NOT_FOUND}: no such adapter in the stack. {@link
   *     Status#BASE_MISMATCH}: a state that needs the flag. {@link Status#STATE} as {@link
   *     #attach(Adapter)}
   */
  public void enable(String requestId, boolean enabled, StackFlag... flags) {
    Check.present(requestId, "requestId");
    try (Pointer self = use()) {
      Native.model_enable(self.address, requestId, enabled ? 1 : 0, StackFlag.sum(flags));
    }
  }

  /**
   * Takes the adapter of a request out of the stack.
   *
   * @param requestId the request
   * @param flags as {@link #enable(String, boolean, StackFlag...)} needs them to disable it
   * @throws LetheException as there
   */
  public void detach(String requestId, StackFlag... flags) {
    Check.present(requestId, "requestId");
    try (Pointer self = use()) {
      Native.model_detach(self.address, requestId, StackFlag.sum(flags));
    }
  }
}
