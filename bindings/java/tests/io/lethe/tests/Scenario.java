package io.lethe.tests;

import io.lethe.Adapter;
import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.EngineOptions;
import io.lethe.EvaluateOptions;
import io.lethe.ForgetConfig;
import io.lethe.ForgetTask;
import io.lethe.Head;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.JobResult;
import io.lethe.Lethe;
import io.lethe.LetheException;
import io.lethe.LetheRuntime;
import io.lethe.Method;
import io.lethe.Model;
import io.lethe.Report;
import io.lethe.Scores;
import io.lethe.Select;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.math.RoundingMode;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.LongStream;

/**
 * Works off tests/bindings/scenario.txt, which describes itself, and prints a line of JSON a
 * command. Usage, in the root of the sources: Scenario SCENARIO WORK_FOLDER
 */
public final class Scenario {
  private final LetheRuntime runtime = LetheRuntime.create();
  private final Map<String, Model> models = new HashMap<>();
  private final Map<String, Dataset> sets = new HashMap<>();
  private final Map<String, Engine> engines = new HashMap<>();
  private final Path work;

  Scenario(Path work) {
    this.work = work;
  }

  public static void main(String[] arguments) throws Exception {
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
    new Scenario(Path.of(arguments[1])).run(Path.of(arguments[0]), out);
  }

  void run(Path scenario, PrintStream out) throws Exception {
    int number = 0;
    for (String line : Files.readAllLines(scenario)) {
      ++number;
      if (line.isBlank() || line.startsWith("#")) {
        continue;
      }
      String[] words = line.trim().split(" +");
      String rest = words[0].equals("fail") ? failing(Arrays.copyOfRange(words, 1, words.length))
          : command(words);
      out.println("{\"line\":" + number + ",\"command\":\"" + words[0] + "\"" + rest + "}");
    }
    engines.values().forEach(Engine::close);
    models.values().forEach(Model::close);
    sets.values().forEach(Dataset::close);
    runtime.close();
  }

  private String failing(String[] words) throws Exception {
    try {
      command(words);
    } catch (LetheException e) {
      return ",\"error\":\"" + e.status() + "\",\"message\":" + quoted(e.getMessage());
    }
    throw new AssertionError(String.join(" ", words) + " did not fail");
  }

  /** What a command's line says after its name. */
  private String command(String[] words) throws Exception {
    String name = words.length > 1 ? words[1] : "";
    switch (words[0]) {
      case "model" -> {
        models.put(name, Model.create(runtime, words[2]));
        return field("tensors", models.get(name).tensors().size());
      }
      case "weights" -> {
        models.get(name).loadWeights(Path.of(words[2]));
        byte[] base = models.get(name).baseFingerprint();
        return ",\"base\":\"" + HexFormat.of().formatHex(base) + "\"";
      }
      case "idx" -> {
        sets.put(name, Dataset.fromIdx(
            runtime, Path.of(words[2]), Path.of(words[3]), Long.parseLong(words[4]), words[5]));
        return field("size", sets.get(name).size());
      }
      case "split" -> {
        Dataset.Split parts = sets.get(name).split(
            Double.parseDouble(words[2]), Long.parseLong(words[3]));
        sets.put(words[4], parts.first());
        sets.put(words[5], parts.second());
        return field("first", parts.first().size()) + field("second", parts.second().size());
      }
      case "first" -> {
        long[] positions = LongStream.range(0, Long.parseLong(words[2])).toArray();
        sets.put(words[3], sets.get(name).select(Select.TAKE_INDICES, positions));
        return field("size", sets.get(words[3]).size());
      }
      case "engine" -> {
        EngineOptions.Builder options =
            EngineOptions.builder().threads(Integer.parseInt(words[3]));
        if (!words[4].equals("-")) {
          options.folder(work.resolve(words[4]));
        }
        engines.put(name, Engine.create(models.get(words[2]), options.build()));
        return field("jobs", engines.get(name).jobCount());
      }
      case "enqueue" -> {
        long[] classes = Arrays.stream(words[3].split(",")).mapToLong(Long::parseLong).toArray();
        ForgetTask task = ForgetTask.of(sets.get(words[4]), classes).requestId(words[2])
            .config(ForgetConfig.fromJson(Method.GS_LORA_PP, Head.LINEAR, words[6]))
            .validationSet(sets.get(words[5]));
        try (Job job = engines.get(name).enqueue(task)) {
          return field("job", job.id());
        }
      }
      case "wait" -> {
        try (Job job = engines.get(name).jobFind(words[2])) {
          JobResult end = job.await();
          String state = end.state().name().toLowerCase(Locale.ROOT).replace('_', ' ');
          return ",\"state\":\"" + state + "\",\"error\":\"" + end.error() + "\""
              + metrics(end.metrics());
        }
      }
      case "evaluate" -> {
        EvaluateOptions options = EvaluateOptions.builder().threads(1).build();
        try (Report report = models.get(name).evaluate(sets.get(words[2]), options)) {
          return metrics(report.metrics());
        }
      }
      case "scores" -> {
        Scores scores = models.get(name).predictDataset(sets.get(words[2]), 1);
        List<Integer> best =
            IntStream.range(0, Math.min(10, scores.rows())).mapToObj(scores::argMax).toList();
        return hash(scores) + ",\"classes\":" + best.toString().replace(" ", "");
      }
      case "predict" -> {
        return hash(models.get(name).predict(samples(sets.get(words[2])), 1));
      }
      case "embed" -> {
        return hash(models.get(name).embed(samples(sets.get(words[2])), 1));
      }
      case "export" -> {
        try (Job job = engines.get(name).jobFind(words[2]);
            Adapter adapter = job.adapter().orElseThrow();
            Report report = job.report()) {
          adapter.export(work.resolve(words[3]));
          return field("groups_kept", (long) report.metric("groups_kept"));
        }
      }
      case "load" -> {
        try (Adapter adapter = Adapter.load(runtime, work.resolve(words[2]))) {
          models.get(name).attach(adapter);
        }
      }
      case "enable" -> models.get(name).enable(words[2], words[3].equals("1"));
      case "rollback" -> models.get(name).rollbackTo(words[2].equals("-") ? null : words[2]);
      case "merge" -> {
        models.put(words[2], models.get(name).merge());
        name = words[2];
      }
      case "receipts" -> {
        Engine engine = engines.get(name);
        Lethe.receiptsVerify(engine.receipts(), engine.publicKey()).orThrow();
        return field("receipts", engine.receiptCount());
      }
      case "close" -> {
        engines.remove(name).close();
        return "";
      }
      default -> throw new AssertionError("no command " + words[0]);
    }
    return field("adapters", models.get(name).adapterCount());
  }

  private static Images samples(Dataset set) {
    int size = (int) set.size();
    int side = 28;
    float[] pixels = new float[size * side * side];
    for (int i = 0; i < size; ++i) {
      System.arraycopy(set.sample(i).image(), 0, pixels, i * side * side, side * side);
    }
    return Images.of(pixels, size, 1, side, side);
  }

  private static String field(String name, long value) {
    return ",\"" + name + "\":" + value;
  }

  private static String hash(Scores scores) throws Exception {
    float[] values = scores.toArray();
    ByteBuffer bytes = ByteBuffer.allocate(4 * values.length).order(ByteOrder.LITTLE_ENDIAN);
    bytes.asFloatBuffer().put(values);
    byte[] digest = MessageDigest.getInstance("SHA-256").digest(bytes.array());
    return ",\"hash\":\"" + HexFormat.of().formatHex(digest) + "\"";
  }

  private static String metrics(Map<String, Double> metrics) {
    return metrics.entrySet().stream()
        .filter(metric -> !List.of("seconds", "peak_memory_mib").contains(metric.getKey()))
        .map(metric -> quoted(metric.getKey()) + ":\"" + fixed(metric.getValue()) + "\"")
        .collect(Collectors.joining(",", ",\"metrics\":{", "}"));
  }

  /** As C's "%.6f": of the exact value, where String.format rounds its shortest decimal form. */
  private static String fixed(double value) {
    String text = new BigDecimal(value).setScale(6, RoundingMode.HALF_EVEN).toPlainString();
    return value < 0 && !text.startsWith("-") ? "-" + text : text;
  }

  static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      int known = "\"\\\b\f\n\r\t".indexOf(c);
      if (known >= 0) {
        out.append('\\').append("\"\\bfnrt".charAt(known));
      } else if (c < ' ') {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }
}
