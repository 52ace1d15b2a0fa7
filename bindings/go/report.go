package lethe

import (
	"runtime"

	"lethe/internal/native"
)

// Report is the named figures of a finished task or an evaluation. It does not change.
type Report struct{ handle }

func newReport(object uintptr) *Report {
	r := new(Report)
	r.own("Report", object, native.Report_free)
	runtime.SetFinalizer(r, func(r *Report) { r.close() })
	return r
}

// Close frees the report. It returns nil.
func (r *Report) Close() error {
	r.close()
	return nil
}

// JSON returns the whole report.
func (r *Report) JSON() (string, error) { return r.textFrom(native.Report_json) }

// Metrics returns all figures by name; fmt and encoding/json put them in the order of names.
func (r *Report) Metrics() (map[string]float64, error) {
	metrics := map[string]float64{}
	err := r.call(func(report uintptr) native.Status {
		for i := int32(0); i < native.Report_metric_count(report); i++ {
			name, value := native.Report_metric_name(report, i), 0.0
			if answer := native.Report_metric(report, name+"\x00", &value); answer.Code < 0 {
				return answer
			}
			metrics[name] = value
		}
		return native.Status{}
	})
	if err != nil {
		return nil, err
	}
	return metrics, nil
}

// Metric returns one figure. After a forget task:
//
//	acc_f, acc_r, acc_o, acc_m    percent right of the classes to forget, of those that stay, of those
//	                              forgotten earlier, of retained ones without training samples
//	..._before, ..._start         the same classes with the base, at this task's start
//	h, h_start                    2 acc_r drop / (acc_r + drop), drop = acc_f_before - acc_f (or _start)
//	..._margin                    all of these with the head's margin at the true class
//	over_forgetting               points of acc_r lost since the base
//	groups_kept, groups_total, zero_group_ratio   of methods with LoRA
//	tunable_ratio                 what training could change, percent of all parameters
//	steps, seconds, peak_memory_mib
//
// and what [ForgetConfig.Audits] asks for, held-out samples given: mia_loss_auc and other mia_...,
// verification_..., probe_f, probe_r, relearning_steps, relearning_reached; lethe.h says more of
// them. Of detectors ap for acc in every name, the COCO AP in percent, and ap50 at the IoU 0.50;
// detectors have no audits. After an evaluation see [Model.Evaluate]. [ErrNotFound]: there is no
// such figure; it is never silently 0 or NaN.
func (r *Report) Metric(name string) (float64, error) {
	figure, err := text("name", name)
	if err != nil {
		return 0, err
	}
	value := 0.0
	err = r.call(func(report uintptr) native.Status {
		return native.Report_metric(report, figure, &value)
	})
	return value, err
}
