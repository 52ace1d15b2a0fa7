package io.lethe.tests;

import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;

/**
 * Runs every test: each static method of a test class that is not private and takes nothing. Prints
 * a line a test and counts as cmocka does. Usage, in the root of the sources: TestRunner [CLASS...]
 *
 * <p>System properties: lethe.tests.* as Meson sets them, see {@link Support}.
 */
public final class TestRunner {
  private static final List<String> CLASSES = List.of("ErrorTests", "OptionTests", "ModelTests",
      "StackTests", "DetectionTests", "JobTests", "EventTests", "LogTests", "HandleTests",
      "LibraryTests", "SurfaceTests");

  private TestRunner() {}

  public static void main(String[] chosen) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    List<String> failed = new ArrayList<>();
    int passed = 0;
    for (String name : chosen.length > 0 ? List.of(chosen) : CLASSES) {
      for (Method test : tests(Class.forName("io.lethe.tests." + name))) {
        String title = name + "." + test.getName();
        long start = System.nanoTime();
        try {
          test.setAccessible(true);
          test.invoke(null);
          ++passed;
          out.printf("[       OK ] %s (%d ms)%n", title, (System.nanoTime() - start) / 1_000_000);
        } catch (InvocationTargetException e) {
          failed.add(title);
          e.getCause().printStackTrace(out);
          out.println("[  FAILED  ] " + title);
        }
      }
    }
    if (!failed.isEmpty()) {
      out.println(String.join("\n", failed));
      out.println("[  FAILED  ] " + failed.size() + " test(s).");
    }
    out.println("[  PASSED  ] " + passed + " test(s).");
    System.exit(failed.isEmpty() ? 0 : 1);
  }

  private static List<Method> tests(Class<?> tested) {
    return Arrays.stream(tested.getDeclaredMethods())
        .filter(method -> method.getParameterCount() == 0 && !method.isSynthetic()
            && method.getReturnType() == void.class
            && Modifier.isStatic(method.getModifiers())
            && !Modifier.isPrivate(method.getModifiers()))
        .sorted(Comparator.comparing(Method::getName)).toList();
  }
}
