package io.lethe;

import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.CodeSource;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/**
 * Finds and loads the native part. Every way into the package that needs no object of it goes
 * through {@link #load()}.
 *
 * <p>Places, in this order: the folder that the system property {@code lethe.library.path} names;
 * the folder that the environment variable {@code LETHE_LIBRARY_PATH} names; the class path, under
 * {@code io/lethe/native/linux-x86_64/}, unpacked into a private temporary folder; when the jar
 * lies where it was installed, the library folder of that installation; {@code java.library.path}.
 */
final class NativeLibrary {
  private static final String SUPPORTED = "linux-x86_64";
  private static final String PLATFORM = platform();
  private static final String FILE = System.mapLibraryName("lethe_java");
  /** What may lie beside it in a jar; liblethe.so.1 finds liblethe_cuda.so beside itself. */
  private static final List<String> COMPANIONS = List.of("liblethe.so.1", "liblethe_cuda.so");

  private final List<String> tried = new ArrayList<>();
  private boolean isOtherVersion;
  private UnsatisfiedLinkError last;

  private NativeLibrary() {}

  /** Loads it the first time; throws each time when that failed. */
  static void load() {
    if (Once.FAILURE != null) {
      throw new LetheException(Once.FAILURE.status(), Once.FAILURE.getMessage(), Once.FAILURE);
    }
  }

  private static final class Once {
    static final LetheException FAILURE = new NativeLibrary().failure();
  }

  private LetheException failure() {
    try {
      return findAndLoad() ? olderOrOther() : notLoaded();
    } catch (IOException | RuntimeException e) {
      return new LetheException(
          Status.IO, "the native part of Lethe could not be unpacked: " + e, e);
    }
  }

  private boolean findAndLoad() throws IOException {
    return fromFolder("lethe.library.path", System.getProperty("lethe.library.path"))
        || fromFolder("LETHE_LIBRARY_PATH", System.getenv("LETHE_LIBRARY_PATH"))
        || fromClassPath()
        || fromInstallation()
        || fromJavaLibraryPath();
  }

  private boolean fromFolder(String name, String folder) {
    if (folder == null || folder.isEmpty()) {
      tried.add(name + ": not set");
      return false;
    }
    return fromFile(name, Path.of(folder, FILE));
  }

  private boolean fromFile(String place, Path file) {
    if (!Files.exists(file)) {
      tried.add(place + ": there is no " + file);
      return false;
    }
    return attempt(place, () -> System.load(file.toAbsolutePath().toString()));
  }

  private boolean fromClassPath() throws IOException {
    String folder = "/io/lethe/native/" + PLATFORM + "/";
    if (NativeLibrary.class.getResource(folder + FILE) == null) {
      tried.add("the class path: it has no " + folder.substring(1) + FILE);
      return false;
    }
    Path unpacked = Files.createTempDirectory("lethe-"); // for this user alone
    unpacked.toFile().deleteOnExit();
    for (String name : COMPANIONS) {
      unpack(folder + name, unpacked.resolve(name));
    }
    unpack(folder + FILE, unpacked.resolve(FILE));
    return fromFile("the class path", unpacked.resolve(FILE));
  }

  private static void unpack(String resource, Path file) throws IOException {
    try (InputStream in = NativeLibrary.class.getResourceAsStream(resource)) {
      if (in != null) {
        Files.copy(in, file);
        file.toFile().deleteOnExit();
      }
    }
  }

  /** Of <prefix>/share/lethe/java/lethe.jar: the folder that the build wrote down. */
  private boolean fromInstallation() {
    try (InputStream in = NativeLibrary.class.getResourceAsStream("/io/lethe/library-folder")) {
      CodeSource source = NativeLibrary.class.getProtectionDomain().getCodeSource();
      if (in == null || source == null || source.getLocation() == null) {
        return false;
      }
      Path jar = Path.of(URI.create(source.getLocation().toString())).toRealPath().getParent();
      if (!jar.endsWith(Path.of("share", "lethe", "java"))) {
        return false; // copied elsewhere, where "../../../lib" means something else
      }
      String folder = new String(in.readAllBytes(), StandardCharsets.UTF_8).trim();
      return fromFile("the installation", jar.resolve(folder).normalize().resolve(FILE));
    } catch (IOException | RuntimeException e) {
      return false; // not in a jar on disk
    }
  }

  private boolean fromJavaLibraryPath() {
    return attempt("java.library.path", () -> System.loadLibrary("lethe_java"));
  }

  private boolean attempt(String place, Runnable loading) {
    try {
      loading.run();
      return true;
    } catch (UnsatisfiedLinkError e) {
      last = e;
      String reason = String.valueOf(e.getMessage());
      isOtherVersion |= reason.contains("LETHE_"); // a version node that liblethe.so.1 lacks
      tried.add(place + ": " + reason);
      return false;
    }
  }

  private LetheException notLoaded() {
    StringBuilder text = new StringBuilder("the native part of Lethe (").append(FILE)
        .append(") could not be loaded");
    if (!PLATFORM.equals(SUPPORTED)) {
      text.append("; it exists for ").append(SUPPORTED).append(", and this Java runs on ")
          .append(PLATFORM);
    } else if (isOtherVersion) {
      text.append("; ").append(advice());
    } else {
      text.append("; set the system property lethe.library.path to the folder that holds it");
    }
    tried.forEach(place -> text.append("\n  ").append(place));
    Status status = !PLATFORM.equals(SUPPORTED) ? Status.UNSUPPORTED
        : isOtherVersion ? Status.VERSION : Status.NOT_FOUND;
    return new LetheException(status, text.toString(), last);
  }

  private static LetheException olderOrOther() {
    long abi = Native.abi_version();
    boolean fits = abi >> 16 == BuiltFor.ABI >> 16 && (abi & 0xffff) >= (BuiltFor.ABI & 0xffff);
    return fits ? null : new LetheException(Status.VERSION,
        "the loaded liblethe has ABI " + shown(abi) + "; " + advice());
  }

  private static String advice() {
    return "io.lethe " + BuiltFor.VERSION + " needs ABI " + shown(BuiltFor.ABI) + " or a later "
        + (BuiltFor.ABI >> 16) + ".x: install liblethe and lethe.jar of one version";
  }

  private static String shown(long abi) {
    return (abi >> 16) + "." + (abi & 0xffff);
  }

  private static String platform() {
    String system = System.getProperty("os.name", "").toLowerCase(Locale.ROOT).replace(" ", "");
    String machine = System.getProperty("os.arch", "").toLowerCase(Locale.ROOT);
    return system + "-" + (machine.equals("amd64") ? "x86_64" : machine);
  }
}
