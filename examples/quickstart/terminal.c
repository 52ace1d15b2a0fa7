/* What a person at the terminal sees of a run, and the line of JSON for a program. */
#include <math.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

void print_intro(const run* r) {
  char train[32], gate[32], test[32], size[32];
  class_set all = all_classes(&r->data);
  const char* slash = strrchr(r->weights, '/');
  printf("  images  %s, %lld classes: %s to train, %s for the gate, %s to test\n", r->data.title,
         (long long)r->data.class_count,
         grouped(lethe_dataset_size(r->data.train), train, sizeof train),
         grouped(lethe_dataset_size(r->data.validation), gate, sizeof gate),
         grouped(lethe_dataset_size(r->data.test), test, sizeof test));
  printf("  model   vision transformer, %s parameters, from %s\n",
         grouped(r->parameters, size, sizeof size), slash != NULL ? slash + 1 : r->weights);
  double right = percent(&r->base, &r->data, &all);
  printf("          right on %.2f %% of the test images\n", right);
  if (right < 50 && !r->opts.pretrain)
    puts("          This model was trained on Fashion-MNIST: add --pretrain for other images.");
}

void print_table_head(void) {
  printf("          %-12s %16s  %16s  %6s %7s  %-8s %10s  %s\n", "forgets", "Acc_f", "Acc_r",
         "Acc_o", "H", "groups", "time", "adapter");
}

void print_task(const run* r, size_t index) {
  const request* q = &r->requests[index];
  const figures* f = &r->figures[index];
  char forget[128], f0[16], f1[16], r0[16], r1[16], o[16], h[16], groups[32], time[32];
  char adapter[32] = "-";
  if (isfinite(q->adapter_bytes))
    snprintf(adapter, sizeof adapter, "%.1f kB", q->adapter_bytes / 1000);
  printf("  task %-3zu%-12s %6s -> %6s  %6s -> %6s  %6s %7s  %-8s %10s  %s\n", index + 1,
         set_text(&q->forget, forget, sizeof forget), figure(f->acc_f_before, 2, f0, sizeof f0),
         figure(f->acc_f, 2, f1, sizeof f1), figure(f->acc_r_before, 2, r0, sizeof r0),
         figure(f->acc_r, 2, r1, sizeof r1), figure(f->acc_o, 2, o, sizeof o),
         figure(f->h, 2, h, sizeof h), groups_text(q, groups, sizeof groups),
         duration(q->seconds, time, sizeof time), adapter);
  print_reason(q);
}

/* ------------------------------------------------------------------ JSON */

void print_json(FILE* out, const run* r) {
  class_set all = all_classes(&r->data);
  json_number(out, "{\"pretrained_acc\":", percent(&r->base, &r->data, &all));
  fputs(",\"tasks\":[", out);
  for (size_t i = 0; i < r->request_count; ++i) {
    const request* q = &r->requests[i];
    const figures* f = &r->figures[i];
    char forget[8 * MAX_CLASSES];
    fprintf(out, "%s{\"forget\":[%s]", i > 0 ? "," : "",
            set_text(&q->forget, forget, sizeof forget));
    json_number(out, ",\"acc_f_before\":", f->acc_f_before);
    json_number(out, ",\"acc_f\":", f->acc_f);
    json_number(out, ",\"acc_r_before\":", f->acc_r_before);
    json_number(out, ",\"acc_r\":", f->acc_r);
    json_number(out, ",\"acc_o\":", f->acc_o);
    json_number(out, ",\"h\":", f->h);
    json_number(out, ",\"groups_kept\":", q->groups_kept);
    json_number(out, ",\"groups_total\":", q->groups_total);
    json_number(out, ",\"adapter_bytes\":", q->adapter_bytes);
    json_number(out, ",\"seconds\":", q->seconds);
    json_number(out, ",\"steps\":", (double)q->steps);
    fputc('}', out);
  }
  json_number(out, "],\"reload_max_abs_diff\":", r->reload_max_abs_diff);
  json_number(out, ",\"rollback_acc_f\":", r->rollback_acc_f);
  json_number(out, ",\"peak_rss_mb\":", r->peak_mb);
  json_number(out, ",\"total_seconds\":", r->total_seconds);
  fputs("}\n", out);
}
