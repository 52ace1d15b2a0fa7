// Section 9 of lethe.h: reports.
#include <iterator>

#include "guard.h"
#include "handles.h"
#include "text.h"

using namespace lethe;
using namespace lethe::capi;

lethe_status lethe_report_json(const lethe_report* report, lethe_buffer** out_json) {
  return guard([&] {
    clear_required(out_json, "out_json");
    *out_json = json_buffer(checked(report, "report").report->json);
  });
}

int32_t lethe_report_metric_count(const lethe_report* report) {
  return usable(report) ? static_cast<int32_t>(report->report->metrics.size()) : 0;
}

const char* lethe_report_metric_name(const lethe_report* report, int32_t index) {
  if (index < 0 || index >= lethe_report_metric_count(report)) return nullptr;
  return std::next(report->report->metrics.begin(), index)->first.c_str();
}

lethe_status lethe_report_metric(const lethe_report* report, const char* name, double* out_value) {
  return guard([&] {
    clear_required(out_value, "out_value");
    const auto& metrics = checked(report, "report").report->metrics;
    const auto found = metrics.find(text(name, "name"));
    require(found != metrics.end(), Code::kNotFound, "the report has no figure ", in_quotes(name));
    *out_value = found->second;
  });
}

void lethe_report_free(lethe_report* report) {
  query(0, [&] {
    destroy(report);
    return 0;
  });
}
