package io.lethe;

import java.util.Collections;
import java.util.SortedMap;
import java.util.TreeMap;

/** Named figures of a finished task or an evaluation; accuracies in percent. Immutable. */
public final class Report extends Handle {

  Report(long address) {
    super(address, Native::report_free);
  }

  /**
   * The whole report.
   *
   * @return JSON
   */
  public String json() {
    try (Pointer self = use()) {
      return Buffers.text(out -> Native.report_json(self.address, out));
    }
  }

  /**
   * A figure. After a forget task: acc_f, acc_r, acc_o, acc_f_before, acc_r_before (the base's on
   * the same classes), acc_f_start, acc_r_start (this task's start), h, h_start, acc_m (retained
   * classes without training samples); all of these with _margin: with the head's margin;
   * over_forgetting (points of acc_r lost since the base), groups_kept, groups_total,
   * zero_group_ratio (of methods with LoRA), tunable_ratio (what training could change, percent of
   * all parameters), steps, seconds, peak_memory_mib. And what {@link ForgetConfig#audits()} asks
   * for, held-out samples given: mia_loss_auc and other mia_..., verification_..., probe_f, probe_r,
   * relearning_steps, relearning_reached; lethe.h says more of them. After an evaluation: acc,
   * acc_f, acc_r, acc_o, acc_class.N, samples, seconds. Of detectors ap for acc in every name, the
   * COCO AP in percent, and ap50 at the IoU 0.50; detectors have no audits.
   *
   * @param name of the figure
   * @return its value
   * @throws LetheException {@link Status#NOT_FOUND}: there is no such figure; it is never silently
   *     0
   */
  public double metric(String name) {
    Check.present(name, "name");
    double[] value = new double[1];
    try (Pointer self = use()) {
      Native.report_metric(self.address, name, value);
    }
    return value[0];
  }

  /**
   * All figures, sorted by name.
   *
   * @return an unmodifiable map
   */
  public SortedMap<String, Double> metrics() {
    try (Pointer self = use()) {
      return metricsOf(self.address);
    }
  }

  static SortedMap<String, Double> metricsOf(long address) {
    SortedMap<String, Double> metrics = new TreeMap<>();
    double[] value = new double[1];
    for (int i = 0; i < Native.report_metric_count(address); ++i) {
      String name = Native.report_metric_name(address, i);
      Native.report_metric(address, name, value);
      metrics.put(name, value[0]);
    }
    return Collections.unmodifiableSortedMap(metrics);
  }
}
