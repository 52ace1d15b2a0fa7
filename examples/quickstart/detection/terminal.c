/* What a person at the terminal sees of a run, and the line of JSON for a program. */
#include <math.h>
#include <string.h>

#include "detection.h"
#include "settings.h"

void print_intro(const run* r) {
  char train[32], gate[32], test[32], size[32], names[1024];
  class_set all = all_classes(&r->data);
  const char* slash = strrchr(r->opts.model, '/');
  printf("  scenes  %s to train, %s for the gate, %s to test; %lld categories:\n",
         grouped(lethe_dataset_size(r->data.train), train, sizeof train),
         grouped(lethe_dataset_size(r->data.validation), gate, sizeof gate),
         grouped(lethe_dataset_size(r->data.test), test, sizeof test),
         (long long)r->data.class_count);
  printf("          %s\n", category_list(&r->data, &all, ", ", names, sizeof names));
  printf("  model   Deformable DETR, %s parameters, from %s\n",
         grouped(r->parameters, size, sizeof size), slash != NULL ? slash + 1 : r->opts.model);
  double ap = mean_over(r->base.ap, &all);
  printf("          AP %.2f, AP50 %.2f on the test scenes\n", ap, mean_over(r->base.ap50, &all));
  if (ap < 10)
    puts("          This detector hardly knows these scenes: name another with --model.");
}

void print_table_head(void) {
  printf("          %-20s %16s  %16s  %6s  %15s  %-7s %12s  %s\n", "forgets", "AP_f", "AP_r",
         "AP_o", "AP50 f, r", "groups", "time", "adapter");
}

void print_task(const run* r, size_t index) {
  const request* q = &r->requests[index];
  const figures* f = &r->figures[index];
  char forget[512], f0[16], f1[16], r0[16], r1[16], o[16], f50[16], r50[16], groups[32], time[32];
  char adapter[32] = "-";
  if (isfinite(q->adapter_bytes))
    snprintf(adapter, sizeof adapter, "%.1f kB", q->adapter_bytes / 1000);
  printf("  task %-3zu%-20s %6s -> %6s  %6s -> %6s  %6s  %6s, %7s  %-7s %12s  %s\n", index + 1,
         category_list(&r->data, &q->forget, ",", forget, sizeof forget),
         figure(f->ap_f_before, 2, f0, sizeof f0), figure(f->ap_f, 2, f1, sizeof f1),
         figure(f->ap_r_before, 2, r0, sizeof r0), figure(f->ap_r, 2, r1, sizeof r1),
         figure(f->ap_o, 2, o, sizeof o), figure(f->ap50_f, 2, f50, sizeof f50),
         figure(f->ap50_r, 2, r50, sizeof r50), groups_text(q, groups, sizeof groups),
         duration(q->seconds, time, sizeof time), adapter);
  print_reason(q);
}

/* ------------------------------------------------------------------ JSON */

static void json_text(FILE* out, const char* text) {
  fputc('"', out);
  for (; *text != '\0'; ++text) {
    if (*text == '"' || *text == '\\') fputc('\\', out);
    fputc(*text, out);
  }
  fputc('"', out);
}

static void json_task(FILE* out, const run* r, size_t index) {
  const request* q = &r->requests[index];
  const figures* f = &r->figures[index];
  fputs("{\"forget\":[", out);
  for (size_t i = 0; i < q->forget.count; ++i) {
    if (i > 0) fputc(',', out);
    json_text(out, r->data.names[q->forget.ids[i]]);
  }
  fputc(']', out);
  json_number(out, ",\"ap_f_before\":", f->ap_f_before);
  json_number(out, ",\"ap_f\":", f->ap_f);
  json_number(out, ",\"ap_r_before\":", f->ap_r_before);
  json_number(out, ",\"ap_r\":", f->ap_r);
  json_number(out, ",\"ap_o\":", f->ap_o);
  json_number(out, ",\"h\":", f->h);
  json_number(out, ",\"ap50_f_before\":", f->ap50_f_before);
  json_number(out, ",\"ap50_f\":", f->ap50_f);
  json_number(out, ",\"ap50_r_before\":", f->ap50_r_before);
  json_number(out, ",\"ap50_r\":", f->ap50_r);
  json_number(out, ",\"ap50_o\":", f->ap50_o);
  json_number(out, ",\"groups_kept\":", q->groups_kept);
  json_number(out, ",\"groups_total\":", q->groups_total);
  json_number(out, ",\"adapter_bytes\":", q->adapter_bytes);
  json_number(out, ",\"seconds\":", q->seconds);
  json_number(out, ",\"steps\":", (double)q->steps);
  fputc('}', out);
}

void print_json(FILE* out, const run* r) {
  class_set all = all_classes(&r->data);
  json_number(out, "{\"pretrained_ap\":", mean_over(r->base.ap, &all));
  json_number(out, ",\"pretrained_ap50\":", mean_over(r->base.ap50, &all));
  fputs(",\"tasks\":[", out);
  for (size_t i = 0; i < r->request_count; ++i) {
    if (i > 0) fputc(',', out);
    json_task(out, r, i);
  }
  json_number(out, "],\"reload_max_abs_diff\":", r->reload_max_abs_diff);
  json_number(out, ",\"rollback_ap_f\":", r->rollback_ap_f);
  fprintf(out, ",\"rollback_is_exact\":%s", r->rollback_is_exact ? "true" : "false");
  json_number(out, ",\"peak_rss_mb\":", r->peak_mb);
  json_number(out, ",\"total_seconds\":", r->total_seconds);
  fputs("}\n", out);
}
