package io.lethe.tests;

import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.property;

import io.lethe.Lethe;
import io.lethe.LetheException;
import io.lethe.Limits;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Where the native part is found, and what is said when it is not; each in a JVM of its own. */
final class LibraryTests {
  private static final String HERE = "-Dlethe.library.path=";

  /** Prints the version, or twice what the first use of the package says. */
  public static void main(String[] arguments) {
    try {
      System.out.println("version " + Lethe.version());
    } catch (LetheException e) {
      System.out.println(e);
      try {
        Limits.defaults();
      } catch (LetheException again) {
        System.out.println("again " + again.status() + ", cause " + again.getCause().getClass());
      }
    }
  }

  private static String output(String... options) throws Exception {
    Support.Ended ended = Support.java(List.of(options), "io.lethe.tests.LibraryTests");
    equal(0, ended.code());
    return ended.output();
  }

  private static void contains(String output, String... parts) {
    for (String part : parts) {
      check(output.contains(part), "\"" + part + "\" is not in:\n" + output);
    }
  }

  private static Path nativeFile() {
    return Path.of(property("lethe.library.path"), "liblethe_java.so");
  }

  static void aMissingLibraryListsThePlaces() throws Exception {
    Path empty = folder();
    contains(output(HERE + empty), "LetheException: NOT_FOUND", "lethe.library.path: there is no "
        + empty.resolve("liblethe_java.so"), "LETHE_LIBRARY_PATH: not set", "the class path",
        "java.library.path", "set the system property", "again NOT_FOUND");
  }

  static void anotherPlatformIsNamed() throws Exception {
    contains(output("-Dos.name=Mac OS X", "-Dos.arch=aarch64"), "UNSUPPORTED",
        "it exists for linux-x86_64, and this Java runs on macosx-aarch64", "java.library.path");
    Path folder = folder();
    byte[] elf = Files.readAllBytes(nativeFile());
    elf[18] = (byte) 183; // another machine in the ELF header
    Files.write(folder.resolve("liblethe_java.so"), elf);
    contains(output(HERE + folder), "NOT_FOUND", folder.toString());
  }

  /** A liblethe.so.1 of another ABI beside the native part. */
  static void anotherAbiIsRefused() throws Exception {
    for (String abi : List.of("2.0", "1.0")) {
      Path folder = folder();
      Files.copy(nativeFile(), folder.resolve("liblethe_java.so"));
      Files.copy(Path.of(property("lethe.tests.fake-" + abi)), folder.resolve("liblethe.so.1"));
      contains(output(HERE + folder), "LetheException: VERSION", "ABI " + abi, "needs ABI 1.",
          "install liblethe and lethe.jar of one version", "again VERSION");
    }
  }

  static void theClassPathMayBringIt() throws Exception {
    Path root = folder();
    Path place = Files.createDirectories(root.resolve("io/lethe/native/linux-x86_64"));
    Files.copy(nativeFile(), place.resolve("liblethe_java.so"));
    Files.copy(Path.of(property("lethe.tests.liblethe")), place.resolve("liblethe.so.1"));
    String classPath = System.getProperty("java.class.path") + ":" + root;
    Path temporary = folder();
    contains(output("-cp", classPath, "-Djava.io.tmpdir=" + temporary), "version ");
    equal(0L, entries(temporary));
  }

  static void javaLibraryPathIsTheLastPlace() throws Exception {
    contains(output("-Djava.library.path=" + property("lethe.library.path")), "version ");
  }

  private static long entries(Path folder) throws IOException {
    try (var all = Files.list(folder)) {
      return all.count();
    }
  }
}
