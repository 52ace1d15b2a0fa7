package io.lethe.tests;

import io.lethe.Dataset;
import io.lethe.Images;
import io.lethe.Lethe;
import io.lethe.LetheRuntime;
import io.lethe.Model;
import java.nio.file.Path;
import java.util.Arrays;

/**
 * What the way into the library costs: the cheapest call, and a prediction. Prints "empty_ns X" and
 * "predict_ms Y", medians. Usage, in the root of the sources: Bench
 */
public final class Bench {
  private static final String SPEC = "{\"arch\":\"vit\",\"classes\":10,\"image_size\":28,"
      + "\"channels\":1,\"patch_size\":4,\"dim\":96,\"depth\":6,\"heads\":3,\"head_dim\":32,"
      + "\"mlp_dim\":192}";
  private static final String DATA = "/usr/share/datasets/fashion-mnist/t10k-";
  private static final int BATCH = 32;

  private Bench() {}

  public static void main(String[] arguments) {
    System.out.println("empty_ns " + emptyCall());
    System.out.println("predict_ms " + prediction());
  }

  private static double emptyCall() {
    int calls = 10_000;
    double[] times = new double[100];
    long sum = 0;
    for (int round = -50; round < times.length; ++round) { // the first ones warm up
      long start = System.nanoTime();
      for (int i = 0; i < calls; ++i) {
        sum += Lethe.abiVersion();
      }
      times[Math.max(round, 0)] = (System.nanoTime() - start) / (double) calls;
    }
    return sum == 0 ? 0 : median(times);
  }

  private static double prediction() {
    try (LetheRuntime runtime = LetheRuntime.create();
        Model model = Model.create(runtime, SPEC);
        Dataset test = Dataset.fromIdx(runtime, Path.of(DATA + "images-idx3-ubyte.gz"),
            Path.of(DATA + "labels-idx1-ubyte.gz"), 10, "{\"mean\":[0.2860],\"std\":[0.3530]}")) {
      model.loadWeights(Path.of("examples/quickstart/fashion_vit.safetensors"));
      float[] pixels = new float[BATCH * 28 * 28];
      for (int i = 0; i < BATCH; ++i) {
        System.arraycopy(test.sample(i).image(), 0, pixels, i * 28 * 28, 28 * 28);
      }
      Images images = Images.of(pixels, BATCH, 1, 28, 28);
      double[] times = new double[100];
      for (int round = -20; round < times.length; ++round) {
        long start = System.nanoTime();
        model.predict(images, 1);
        times[Math.max(round, 0)] = (System.nanoTime() - start) / 1e6;
      }
      return median(times);
    }
  }

  private static double median(double[] times) {
    Arrays.sort(times);
    return (times[times.length / 2 - 1] + times[times.length / 2]) / 2;
  }
}
