package io.lethe;

import java.nio.ByteBuffer;
import java.nio.file.Path;

/**
 * What a finished forget task leaves: low-rank weights of the groups it needed, or the change of the
 * weights themselves. Immutable.
 */
public final class Adapter extends Handle {

  Adapter(long address) {
    super(address, Native::adapter_free);
  }

  /**
   * Reads an adapter checkpoint; no model is needed. Every byte is checked before anything counts.
   *
   * @param runtime its surroundings
   * @param file the checkpoint
   * @return a new adapter
   * @throws LetheException {@link Status#NOT_FOUND}, {@link Status#IO}, {@link Status#CORRUPT},
   *     {@link Status#LIMIT_EXCEEDED}, {@link Status#VERSION}
   */
  public static Adapter load(LetheRuntime runtime, Path file) {
    return load(runtime, file, null);
  }

  /**
   * {@link #load(LetheRuntime, Path)} under limits.
   *
   * @param runtime its surroundings
   * @param file the checkpoint
   * @param limits for reading it; null: the defaults
   * @return a new adapter
   * @throws LetheException as above
   */
  public static Adapter load(LetheRuntime runtime, Path file, Limits limits) {
    String path = Check.path(file, "file");
    try (Pointer r = Check.present(runtime, "runtime").use();
        NativeLimits n = limits == null ? null : limits.toNative()) {
      return new Adapter(Buffers.handle(out -> Native.adapter_load(r.address, path, n, out)));
    }
  }

  /**
   * Reads an adapter checkpoint from memory.
   *
   * @param runtime its surroundings
   * @param bytes the checkpoint
   * @param limits for reading it; null: the defaults
   * @return a new adapter
   * @throws LetheException as {@link #load(LetheRuntime, Path)}, but for the file
   */
  public static Adapter loadMemory(LetheRuntime runtime, byte[] bytes, Limits limits) {
    return loadData(runtime, Check.filled(bytes, "bytes"), limits);
  }

  /**
   * Reads an adapter checkpoint from memory.
   *
   * @param runtime its surroundings
   * @param bytes the checkpoint, from position to limit; a direct buffer is read in place
   * @param limits for reading it; null: the defaults
   * @return a new adapter
   * @throws LetheException as {@link #load(LetheRuntime, Path)}, but for the file
   */
  public static Adapter loadMemory(LetheRuntime runtime, ByteBuffer bytes, Limits limits) {
    return loadData(runtime, Check.filled(bytes, "bytes"), limits);
  }

  private static Adapter loadData(LetheRuntime runtime, Object data, Limits limits) {
    try (Pointer r = Check.present(runtime, "runtime").use();
        NativeLimits n = limits == null ? null : limits.toNative()) {
      return new Adapter(
          Buffers.handle(out -> Native.adapter_load_memory(r.address, data, n, out)));
    }
  }

  /**
   * Reads a folder of Hugging Face PEFT's LoRA format as an adapter for the present state of a
   * model: its base and the enabled adapters become the adapter's base and parents. Nobody has
   * measured it: evaluate before you rely on it. {@link Model#attach(Adapter)} puts it on the
   * model.
   *
   * @param model what it is for
   * @param folder holds adapter_config.json and adapter_model.safetensors
   * @param requestId 1..128 bytes, the name it gets
   * @param classes what it makes the model forget, which nothing in the folder says
   * @param limits for reading; null: the defaults
   * @return a new adapter
   * @throws LetheException {@link Status#NOT_FOUND}: the folder or a file in it, or a class that
   *     the model does not have. {@link Status#IO}. {@link Status#CORRUPT}: contradictory or not
   *     finite. {@link Status#UNSUPPORTED}: another PEFT method, DoRA, biases, saved modules, a
   *     base changed at initialisation. {@link Status#BASE_MISMATCH}: a module that the model does
   *     not have or that cannot carry adapters, or a shape that does not fit it. {@link
   *     Status#LIMIT_EXCEEDED}
   */
  public static Adapter importPeft(Model model, Path folder, String requestId, long[] classes,
      Limits limits) {
    String path = Check.path(folder, "folder");
    Check.present(requestId, "requestId");
    Check.filled(classes, "classes");
    try (Pointer m = Check.present(model, "model").use();
        NativeLimits n = limits == null ? null : limits.toNative()) {
      return new Adapter(Buffers.handle(out -> Native.adapter_import_peft(
          m.address, path, requestId, classes, n, out)));
    }
  }

  /**
   * The manifest: ids, parents, method and settings, classes forgotten, groups with norms and
   * effect, tensors, metrics, data digests, environment.
   *
   * @return JSON
   */
  public String infoJson() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.adapter_info_json(self.address, out));
    }
  }

  /**
   * Writes a checkpoint (zstd over safetensors) with the default options. Atomic, and read back
   * before it counts.
   *
   * @param file where to
   * @throws LetheException {@link Status#IO}
   */
  public void export(Path file) {
    export(file, null);
  }

  /**
   * {@link #export(Path)} with options.
   *
   * @param file where to
   * @param options how; null: the defaults
   * @throws LetheException {@link Status#IO}
   */
  public void export(Path file, ExportOptions options) {
    String path = Check.path(file, "file");
    try (Pointer self = use();
        NativeExportOptions n = options == null ? null : options.toNative()) {
      Native.adapter_export(self.address, path, n);
    }
  }

  /**
   * A checkpoint in memory, with the default options.
   *
   * @return the bytes that {@link #export(Path)} would write
   */
  public byte[] exportMemory() {
    return exportMemory(null);
  }

  /**
   * A checkpoint in memory.
   *
   * @param options how; null: the defaults
   * @return the bytes that {@link #export(Path, ExportOptions)} would write
   */
  public byte[] exportMemory(ExportOptions options) {
    try (Pointer self = use();
        NativeExportOptions n = options == null ? null : options.toNative()) {
      return Buffers.bytes(out -> Native.adapter_export_memory(self.address, n, out));
    }
  }

  /**
   * Writes the adapter in the format of Hugging Face's PEFT: adapter_config.json and
   * adapter_model.safetensors. Each file is replaced atomically. What PEFT has no field for
   * (parents, figures, digests) stays behind.
   *
   * @param folder made when it is missing; its parent is not
   * @param options whose names modules have; null: the architecture's own
   * @throws LetheException {@link Status#UNSUPPORTED}: the architecture has no such names. {@link
   *     Status#IO}
   */
  public void exportPeft(Path folder, ExportOptions options) {
    String path = Check.path(folder, "folder");
    try (Pointer self = use();
        NativeExportOptions n = options == null ? null : options.toNative()) {
      Native.adapter_export_peft(self.address, path, n);
    }
  }
}
