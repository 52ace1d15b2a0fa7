using System;
using System.Collections.Generic;

namespace Lethe
{
    /// <summary>Named figures of a finished task or an evaluation. Reports do not change.</summary>
    public sealed class Report : IDisposable
    {
        readonly ReportHandle handle;

        internal Report(ReportHandle handle)
        {
            this.handle = handle;
        }

        internal ReportHandle Handle => handle.Open(nameof(Report));

        /// <summary>The whole report.</summary>
        /// <returns>JSON.</returns>
        public string Json()
        {
            Native.report_json(Handle, out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>A metric. After a forget task: acc_f, acc_r, acc_o (percent), acc_f_before,
        /// acc_r_before (the base's on the same classes), acc_f_start, acc_r_start (this task's
        /// start), h, h_start, acc_m (retained classes without training samples); all of these with
        /// _margin: with the head's margin; over_forgetting (points of acc_r lost since the base),
        /// groups_kept, groups_total, zero_group_ratio (of methods with LoRA), tunable_ratio (what
        /// training could change, percent of all parameters), steps, seconds, peak_memory_mib. And
        /// what <see cref="ForgetConfig.Audits"/> asks for, held-out samples given: mia_loss_auc and
        /// other mia_..., verification_..., probe_f, probe_r, relearning_steps, relearning_reached;
        /// lethe.h says more of them. Of detectors ap for acc in every name, the COCO AP in
        /// percent, and ap50 at the IoU 0.50; detectors have no audits.</summary>
        /// <param name="name">Its name.</param>
        /// <returns>Its value.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: there is no such figure;
        /// it is never silently 0 or NaN.</exception>
        public double Metric(string name)
        {
            Native.report_metric(Handle, Text.Required(name, nameof(name)), out double value);
            return value;
        }

        /// <summary>All metrics, in the order of their names.</summary>
        /// <returns>A new dictionary.</returns>
        public SortedDictionary<string, double> Metrics()
        {
            var metrics = new SortedDictionary<string, double>(StringComparer.Ordinal);
            int count = Native.report_metric_count(Handle);
            for (int i = 0; i < count; ++i)
            {
                string name = Text.Lent(Handle, report => Native.report_metric_name(report, i));
                metrics[name] = Metric(name);
            }
            return metrics;
        }

        /// <summary>Lets go of the report.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
