package io.lethe.tests;

import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.property;

import io.lethe.Lethe;
import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URI;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The public surface, sorted, as in surface.txt. To renew that after a wanted change, run the main
 * class io.lethe.tests.SurfaceTests and keep its output.
 */
final class SurfaceTests {
  public static void main(String[] arguments) throws Exception {
    surface().forEach(System.out::println);
  }

  static void surfaceIsAsRecorded() throws Exception {
    TreeSet<String> recorded = new TreeSet<>(Files.readAllLines(
        Path.of(property("lethe.tests.root"), "bindings/java/surface.txt")));
    TreeSet<String> added = new TreeSet<>(surface());
    TreeSet<String> gone = new TreeSet<>(recorded);
    gone.removeAll(added);
    added.removeAll(recorded);
    check(added.isEmpty() && gone.isEmpty(), "added: " + added + "\ngone: " + gone);
  }

  private static TreeSet<String> surface() throws Exception {
    TreeSet<String> lines = new TreeSet<>();
    for (String name : classNames()) {
      Class<?> type = Class.forName("io.lethe." + name);
      if (!isPublic(type)) {
        continue;
      }
      String extended = type.getSuperclass() == null || !isPublic(type.getSuperclass()) ? ""
          : " extends " + type.getSuperclass().getSimpleName();
      String implemented = Arrays.stream(type.getInterfaces()).map(Class::getSimpleName)
          .collect(Collectors.joining(", "));
      lines.add(shown(type) + ": " + Modifier.toString(type.getModifiers() & ~Modifier.STATIC)
          + extended + (implemented.isEmpty() ? "" : " implements " + implemented));
      Stream.of(type.getConstructors(), type.getMethods(), type.getFields())
          .flatMap(Arrays::stream)
          .filter(member -> member.getDeclaringClass() != Object.class
              && member.getDeclaringClass().getName().startsWith("io.lethe")
              && !member.isSynthetic())
          .forEach(member -> lines.add(shown(type) + "." + shown(member)));
    }
    return lines;
  }

  private static boolean isPublic(Class<?> type) {
    return Modifier.isPublic(type.getModifiers())
        && (type.getDeclaringClass() == null || isPublic(type.getDeclaringClass()));
  }

  private static String shown(Member member) {
    String kind = Modifier.isStatic(member.getModifiers()) ? "static " : "";
    if (member instanceof Field field) {
      return field.getName() + ": " + kind + shown(field.getType());
    }
    Executable call = (Executable) member;
    String parameters = Arrays.stream(call.getParameterTypes()).map(SurfaceTests::shown)
        .collect(Collectors.joining(", ", "(", ")"));
    String thrown = Arrays.stream(call.getExceptionTypes()).map(SurfaceTests::shown)
        .collect(Collectors.joining(", "));
    String result = call instanceof Constructor ? "new"
        : shown(((Method) call).getReturnType());
    return (call instanceof Constructor ? "" : call.getName()) + parameters + ": " + kind + result
        + (thrown.isEmpty() ? "" : " throws " + thrown);
  }

  private static String shown(Class<?> type) {
    return type.getTypeName().replaceAll("^(io\\.lethe|java\\.[a-z.]+)\\.", "").replace('$', '.');
  }

  private static List<String> classNames() throws Exception {
    URI source = Lethe.class.getProtectionDomain().getCodeSource().getLocation().toURI();
    Path path = Path.of(source);
    if (Files.isDirectory(path)) {
      return classNames(path);
    }
    try (FileSystem jar = FileSystems.newFileSystem(path)) {
      return classNames(jar.getPath("/"));
    }
  }

  private static List<String> classNames(Path root) throws IOException {
    try (Stream<Path> files = Files.list(root.resolve("io/lethe"))) {
      return files.map(file -> file.getFileName().toString())
          .filter(name -> name.endsWith(".class")
              && !name.matches(".*\\$\\d+\\.class|package-info.*"))
          .map(name -> name.substring(0, name.length() - ".class".length())).sorted().toList();
    }
  }
}
