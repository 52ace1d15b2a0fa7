import io.lethe.Adapter;
import io.lethe.Dataset;
import io.lethe.Engine;
import io.lethe.Event;
import io.lethe.EventKind;
import io.lethe.ForgetConfig;
import io.lethe.ForgetTask;
import io.lethe.Head;
import io.lethe.Images;
import io.lethe.Job;
import io.lethe.LetheRuntime;
import io.lethe.Method;
import io.lethe.Model;
import io.lethe.Progress;
import java.nio.file.Path;

/** A model of clothes forgets trousers and pullovers. Run it in the root folder of the sources. */
public class FirstForget {
  static final String SPEC = "{\"arch\":\"vit\",\"classes\":10,\"image_size\":28,\"channels\":1,"
      + "\"patch_size\":4,\"dim\":96,\"depth\":6,\"heads\":3,\"head_dim\":32,\"mlp_dim\":192}";

  static Dataset images(LetheRuntime runtime, String part) {
    String file = "/usr/share/datasets/fashion-mnist/" + part;
    return Dataset.fromIdx(runtime, Path.of(file + "-images-idx3-ubyte.gz"),
        Path.of(file + "-labels-idx1-ubyte.gz"), 10, "{\"mean\":[0.2860],\"std\":[0.3530]}");
  }

  public static void main(String[] arguments) throws Exception {
    try (LetheRuntime runtime = LetheRuntime.create();
        Dataset train = images(runtime, "train");
        Dataset test = images(runtime, "t10k");
        Model model = Model.create(runtime, SPEC)) {
      model.loadWeights(Path.of("examples/quickstart/fashion_vit.safetensors"));
      Images pullover = Images.of(test.sample(1).image(), 1, 1, 28, 28); // of class 2
      System.out.println("before: class " + model.predict(pullover).argMax(0));

      ForgetConfig config = ForgetConfig.builder(Method.GS_LORA_PP, Head.LINEAR)
          .maxSteps(300).dataRatio(0.2).build();
      try (Engine engine = Engine.create(model);
          Job job = engine.enqueue(ForgetTask.of(train, 1, 2).requestId("req-1").config(config))) {
        for (Event event : engine.events()) {
          Progress now = event.progress();
          if (event.kind() == EventKind.PROGRESS) {
            System.out.printf("step %d of %d: right on %.1f %% of what goes, %.1f %% of the rest%n",
                now.step(), now.totalSteps(), now.accF(), now.accR());
          }
          if (event.state().isEnded()) {
            break;
          }
        }
        System.out.println("Acc_f " + job.await().orThrow().metrics().get("acc_f") + " %");
        try (Adapter adapter = job.adapter().orElseThrow()) {
          adapter.export(Path.of("req-1.lethe"));
        }
      }
      System.out.println("after: class " + model.predict(pullover).argMax(0));
    }
  }
}
