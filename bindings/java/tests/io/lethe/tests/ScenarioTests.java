package io.lethe.tests;

import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.folder;
import static io.lethe.tests.Support.property;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** The scenario that all languages share; the project's tests compare their outputs. */
final class ScenarioTests {
  static void theScenario() throws Exception {
    Path root = Path.of(property("lethe.tests.root"));
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    new Scenario(folder()).run(root.resolve("tests/bindings/scenario.txt"),
        new PrintStream(bytes, true, StandardCharsets.UTF_8));
    String output = bytes.toString(StandardCharsets.UTF_8);

    equal(List.of("succeeded", "succeeded", "rejected"), all(output, "\"state\":\"(\\w+)\""));
    equal(List.of("OK", "OK", "REJECTED", "EXISTS", "NOT_FOUND", "INVALID_ARGUMENT",
        "INVALID_ARGUMENT", "STATE", "NOT_FOUND", "NOT_FOUND", "BASE_MISMATCH", "BASE_MISMATCH"),
        all(output, "\"error\":\"(\\w+)\""));
    // Of the states base, two tasks, one task and, for the embedding, base.
    List<String> hashes = all(output, "\"hash\":\"(\\w+)\"");
    String base = hashes.get(0);
    String embedding = hashes.get(2);
    String two = hashes.get(3);
    String one = hashes.get(5);
    equal(List.of(base, base, embedding, two, two, one, two, one, base), hashes);
    equal(4L, List.of(base, embedding, two, one).stream().distinct().count());
  }

  private static List<String> all(String text, String pattern) {
    return Pattern.compile(pattern).matcher(text).results().map((MatchResult m) -> m.group(1))
        .toList();
  }
}
