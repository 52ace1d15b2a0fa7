package io.lethe;

import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What needs no runtime: the library itself, files, receipts, journals. */
public final class Lethe {
  private Lethe() {}

  /**
   * Semantic version of the loaded library.
   *
   * @return for example "0.5.0"
   */
  public static String version() {
    NativeLibrary.load();
    return Native.version_string();
  }

  /**
   * ABI version of the loaded library. The package has checked that it fits.
   *
   * @return major &lt;&lt; 16 | minor
   */
  public static int abiVersion() {
    NativeLibrary.load();
    return (int) Native.abi_version();
  }

  /**
   * About this build: version, abi, compiler, libtorch, zstd, sodium, sqlite, cpu, threads, cuda
   * (whether the CUDA part could be loaded, and why not).
   *
   * @return JSON
   */
  public static String buildInfoJson() {
    NativeLibrary.load();
    return Buffers.text(Native::build_info_json);
  }

  /**
   * The built-in architectures.
   *
   * @return their names: "vit", "face_vit", "face_vits", "deformable_detr"
   */
  public static List<String> archNames() {
    NativeLibrary.load();
    List<String> names = new ArrayList<>();
    for (int i = 0; i < Native.arch_count(); ++i) {
      names.add(Native.arch_name(i));
    }
    return List.copyOf(names);
  }

  /**
   * The spec of an architecture with every field at its default.
   *
   * @param arch its name
   * @return JSON
   * @throws LetheException {@link Status#NOT_FOUND}: unknown name
   */
  public static String archDefaultSpec(String arch) {
    NativeLibrary.load();
    Check.present(arch, "arch");
    return Buffers.text(out -> Native.arch_default_spec(arch, out));
  }

  /**
   * Every method (name, number, meaning) and setting (type, range, default, meaning) of a forget
   * task, and the defaults by method and head.
   *
   * @return JSON
   */
  public static String methodInfoJson() {
    NativeLibrary.load();
    return Buffers.text(Native::method_info_json);
  }

  /**
   * Stable name of a code.
   *
   * @param code a number of lethe.h
   * @return for example "BASE_MISMATCH"; "UNKNOWN" for others
   */
  public static String statusName(int code) {
    NativeLibrary.load();
    return Native.status_name(code);
  }

  /**
   * Runs every check of {@link Adapter#load(LetheRuntime, Path)} and keeps nothing.
   *
   * @param file an adapter checkpoint
   * @return {"ok", "bytes", "adapter_id", "request_id", "error"}; the codes are those of {@code
   *     load}
   */
  public static Findings adapterVerify(Path file) {
    return adapterVerify(file, null);
  }

  /**
   * {@link #adapterVerify(Path)} under limits.
   *
   * @param file an adapter checkpoint
   * @param limits for reading it; null: the defaults
   * @return as above
   */
  public static Findings adapterVerify(Path file, Limits limits) {
    NativeLibrary.load();
    String path = Check.path(file, "file");
    try (NativeLimits n = limits == null ? null : limits.toNative()) {
      return Findings.of(out -> Native.adapter_verify(path, n, out));
    }
  }

  /**
   * Checks a chain of receipts: the form, every signature, every link. Cut-off ends cannot be seen:
   * compare the count or keep the newest digest elsewhere.
   *
   * @param receipts as {@link Engine#receipts()} gives them
   * @param publicKey 32 bytes that all must be signed with; null: each with the key that it names,
   *     which shows only that nothing was changed afterwards
   * @return {"ok", "receipts": good ones before the first break, "first_break"}; {@link
   *     Status#CORRUPT} when the chain is broken
   */
  public static Findings receiptsVerify(String receipts, byte[] publicKey) {
    NativeLibrary.load();
    byte[] lines = Check.present(receipts, "receipts").getBytes(StandardCharsets.UTF_8);
    byte[] key = publicKey == null ? null : Check.bytes(publicKey, 32, "publicKey");
    return Findings.of(out -> Native.receipts_verify(lines, key, out));
  }

  /**
   * What an engine's folder holds, without opening an engine; also while one works on it, in this
   * process or another.
   *
   * @param folder of an engine
   * @return JSON: jobs, adapters, count of receipts
   * @throws LetheException {@link Status#NOT_FOUND}: no journal there. {@link Status#CORRUPT},
   *     {@link Status#VERSION}, {@link Status#IO}
   */
  public static String journalInfoJson(Path folder) {
    NativeLibrary.load();
    String path = Check.path(folder, "folder");
    return Buffers.text(out -> Native.journal_info_json(path, out));
  }

  /**
   * The receipts in a folder.
   *
   * @param folder of an engine
   * @return as {@link Engine#receipts()}
   * @throws LetheException as {@link #journalInfoJson(Path)}
   */
  public static String journalReceipts(Path folder) {
    NativeLibrary.load();
    String path = Check.path(folder, "folder");
    return Buffers.text(out -> Native.journal_receipts(path, out));
  }
}
