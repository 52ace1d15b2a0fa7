package io.lethe.tests;

import static io.lethe.tests.Support.check;
import static io.lethe.tests.Support.equal;
import static io.lethe.tests.Support.fails;
import static io.lethe.tests.Support.property;
import static io.lethe.tests.Support.raises;

import io.lethe.Audits;
import io.lethe.EngineOptions;
import io.lethe.EvaluateOptions;
import io.lethe.ExportOptions;
import io.lethe.Fast;
import io.lethe.Findings;
import io.lethe.ForgetConfig;
import io.lethe.Form;
import io.lethe.Grouping;
import io.lethe.Head;
import io.lethe.Limits;
import io.lethe.LoraPosition;
import io.lethe.Method;
import io.lethe.PretrainConfig;
import io.lethe.PrototypeSource;
import io.lethe.Sparsity;
import io.lethe.Status;
import io.lethe.StructureSearch;
import io.lethe.TaskOptions;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Options are values, and their defaults are those of the library. */
final class OptionTests {
  /** The library's JSON of a configuration names each of its fields: all must be Java's. */
  static void forgetConfigIsThatOfTheLibrary() throws Exception {
    for (Method method : Method.values()) {
      if (method == Method.UNKNOWN) {
        continue;
      }
      for (Head head : new Head[] {Head.LINEAR, Head.COSFACE, Head.ARCFACE, Head.DETECTION}) {
        ForgetConfig config = ForgetConfig.defaults(method, head);
        equal(config, ForgetConfig.fromJson(method, head, "{}"));
        Matcher field = Pattern.compile("\"(\\w+)\":(\"[^\"]*\"|[^,}]*)").matcher(config.toJson());
        int fields = 0;
        while (field.find()) {
          ++fields;
          Object value = ForgetConfig.class.getMethod(camel(field.group(1))).invoke(config);
          if (value instanceof Number number) {
            equal(Double.parseDouble(field.group(2)), number.doubleValue());
          } else {
            String word = value.toString().toLowerCase().replace("_pp", "++").replace('_', '-');
            equal(field.group(2).replace("\"", "").replace('_', '-'), word);
          }
        }
        equal(47, fields);
      }
    }
    equal(3.0, ForgetConfig.defaults(Method.EWC, Head.LINEAR).penaltyWeight());
    equal(10.0, ForgetConfig.defaults(Method.EWC, Head.COSFACE).penaltyWeight());
    equal(Audits.MEMBERSHIP, ForgetConfig.defaults(Method.RETRAIN, Head.LINEAR).audits());
    equal(0.1, ForgetConfig.defaults(Method.GS_LORA, Head.DETECTION).gradientClip());
    equal(0, ForgetConfig.defaults(Method.GS_LORA, Head.DETECTION).audits());
    equal(Form.CORRECTED, ForgetConfig.defaults(Method.LWF, Head.LINEAR).form());
    check(!ForgetConfig.defaults(Method.GS_LORA_PP, Head.LINEAR)
        .equals(ForgetConfig.defaults(Method.GS_LORA_PP, Head.COSFACE)), "heads differ");
  }

  static void laterFieldsCrossBothWays() {
    ForgetConfig config = ForgetConfig.builder(Method.DER_PP, Head.LINEAR)
        .form(Form.REFERENCE).loraPosition(LoraPosition.ATTENTION).firstBlock(1)
        .structureSearch(StructureSearch.SPARSEST).audits(Audits.PROBE | Audits.RELEARNING)
        .penaltyWeight(1.5).distillationWeight(2.5).replayWeight(3.5).temperature(4.5)
        .smoothing(5.5).gradientClip(6.5).augment(true)
        .prototypeSource(PrototypeSource.RANDOM_NETWORK).build();
    String json = config.toJson();
    for (String part : List.of("\"method\":\"der++\"", "\"form\":\"reference\"",
        "\"lora_position\":\"attention\"", "\"first_block\":1",
        "\"structure_search\":\"sparsest\"", "\"audits\":12", "\"penalty_weight\":1.5",
        "\"distillation_weight\":2.5", "\"replay_weight\":3.5", "\"temperature\":4.5",
        "\"smoothing\":5.5", "\"gradient_clip\":6.5", "\"augment\":true",
        "\"prototype_source\":\"random-network\"")) {
      check(json.contains(part), part + " is not in " + json);
    }
    equal(config, ForgetConfig.fromJson(Method.GS_LORA_PP, Head.LINEAR, json));
    check(config.toBuilder().audits(0).build().toJson().contains("\"audits\":0"), "no audits");
    Findings findings = config.toBuilder().audits(32).build().validate();
    check(findings.json().contains("\"field\":\"audits\""), findings.json());
  }

  /** "default 8" in lethe.h, for the other structs. */
  static void defaultsAreThoseOfTheHeader() throws Exception {
    equal("Limits[maxTensors=16384, maxFileBytes=2147483648, maxHeaderBytes=16777216, "
        + "maxTotalBytes=4294967296, maxTensorBytes=1073741824, maxExpansion=1000]",
        Limits.defaults().toString());
    equal("ExportOptions[dtype=F32, level=3, naming=ORIGINAL]",
        ExportOptions.defaults().toString());
    equal("TaskOptions[priority=0, deadlineMs=0, maxSeconds=0.0, maxSteps=0]",
        TaskOptions.defaults().toString());
    String pretrain = PretrainConfig.defaults().toString();
    check(pretrain.contains("epochs=30, warmupEpochs=2, batch=128, learningRate=0.001"), pretrain);
    check(pretrain.contains("flip=false") && pretrain.contains("seed=1337"), pretrain);
    equal(0, EngineOptions.defaults().threads());
    check(EngineOptions.defaults().folder() == null, "in memory");
    check(EvaluateOptions.defaults().forgetClasses() == null, "the model's own");
    String header = Files.readString(Path.of(property("lethe.tests.root"),
        "capi/include/lethe/lethe.h"));
    check(header.contains("LETHE_FAST_ALL = " + Fast.ALL), "flags");
  }

  static void optionsAreValues() {
    ForgetConfig config = ForgetConfig.builder(Method.GS_LORA, Head.ARCFACE).rank(4)
        .grouping(Grouping.MATRIX).sparsity(Sparsity.PROXIMAL).seed(Long.MIN_VALUE).build();
    equal(4, config.rank());
    equal(Long.MIN_VALUE, config.seed());
    ForgetConfig same = config.toBuilder().build();
    equal(config, same);
    equal(config.hashCode(), same.hashCode());
    ForgetConfig.Builder builder = config.toBuilder();
    ForgetConfig changed = builder.rank(8).build();
    builder.rank(16);
    equal(8, changed.rank());
    equal(4, config.rank());
    ForgetConfig again = ForgetConfig.fromJson(Method.GS_LORA_PP, Head.LINEAR, config.toJson());
    equal(config, again);

    long[] classes = {1, 2};
    EvaluateOptions evaluate =
        EvaluateOptions.builder().forgetClasses(classes).margin(true).build();
    classes[0] = 7;
    evaluate.forgetClasses()[1] = 7;
    equal(new long[] {1, 2}, evaluate.forgetClasses());
    equal(evaluate, EvaluateOptions.builder().forgetClasses(1, 2).margin(true).build());

    byte[] seed = new byte[32];
    seed[0] = 99;
    EngineOptions engine = EngineOptions.builder().signingSeed(seed).paused(true).build();
    check(!engine.toString().contains("99"), "the seed is a secret");
    raises(IllegalArgumentException.class, () -> EngineOptions.builder().signingSeed(new byte[31]));
  }

  static void jsonAndFindings() {
    ForgetConfig config = ForgetConfig.fromJson(Method.GS_LORA_PP, Head.LINEAR,
        "{\"rank\":4,\"sparsity\":\"proximal\"}");
    equal(4, config.rank());
    equal(Sparsity.PROXIMAL, config.sparsity());
    ForgetConfig.Builder builder = config.toBuilder();
    fails(Status.INVALID_ARGUMENT, "colour", () -> builder.json("{\"colour\":1}"));
    equal(config, builder.build());
    equal("[]", config.validate().orThrow().json());
    Findings findings = config.toBuilder().rank(0).dataRatio(2).build().validate();
    equal(Status.INVALID_ARGUMENT, findings.status());
    check(findings.json().contains("rank") && findings.json().contains("data_ratio"),
        findings.json());
  }

  static void unknownValuesAreForReading() {
    for (Class<?> kind : new Class<?>[] {Head.class, Method.class, Grouping.class}) {
      Object last = kind.getEnumConstants()[kind.getEnumConstants().length - 1];
      equal("UNKNOWN", last.toString());
    }
    raises(IllegalArgumentException.class,
        () -> ForgetConfig.defaults(Method.UNKNOWN, Head.LINEAR));
    raises(IllegalArgumentException.class,
        () -> ForgetConfig.builder(Method.GS_LORA, Head.LINEAR).grouping(Grouping.UNKNOWN));
    raises(NullPointerException.class,
        () -> ForgetConfig.builder(Method.GS_LORA, Head.LINEAR).grouping(null));
  }

  private static String camel(String name) {
    return Pattern.compile("_(\\w)").matcher(name).replaceAll(m -> m.group(1).toUpperCase());
  }
}
