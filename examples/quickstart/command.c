/* The command line of classification: what --help says and which classes --forget names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static void help(void) {
  fputs(
      "usage: quickstart [OPTION...]\n"
      "\n"
      "A pre-trained vision transformer forgets classes of real images, one request after\n"
      "another, through Lethe's C interface alone. In order, it\n"
      "  1. reads Fashion-MNIST and holds a tenth of the training images back as the gate,\n"
      "  2. loads a small pre-trained transformer and measures it on the test images,\n"
      "  3. works off one forget task after another and prints a row of figures for each,\n"
      "  4. exports each task's adapter (OUT/task-N.lethe), then starts a second process that\n"
      "     loads the base and the adapters from their files and predicts the same images,\n"
      "  5. rolls the last task back and shows its classes return,\n"
      "  6. writes OUT/report.html, and one line of JSON as the last line of its output.\n"
      "\n"
      "What it forgets and with what\n"
      "  --forget SETS     tasks, separated by '/', of class numbers, separated by ','\n"
      "                    (default " DEFAULT_FORGET ")\n"
      "  --method NAME     gs-lora++ (default) or gs-lora\n"
      "  --steps N         optimiser steps of each task\n"
      "  --config JSON     settings by name, e.g. '{\"rank\":4,\"structure_weight\":0.004}';\n"
      "                    lethe_forget_config in lethe.h lists them\n"
      "  --seed N          of initialisation, sampling and order (default " TEXT(DEFAULT_SEED) ")\n"
      "\n"
      "On which images and model\n"
      "  --data DIR        IDX files (train-images*, train-labels*, t10k-images*, t10k-labels*)\n"
      "                    or an image folder: train/CLASS/*.png and test/CLASS/*.png, also .jpg and\n"
      "                    .pgm, made grey and 28 x 28. Default " FASHION_FOLDER "\n"
      "  --pretrain[=FILE] train the model anew instead of loading the committed one (other\n"
      "                    images need it); the weights go to OUT/fashion_vit.safetensors and to FILE\n"
      "\n"
      "Where\n"
      "  --out DIR         results (default ./out)\n"
      "  --device NAME     cpu (default), cuda or cuda:N\n"
      "  --threads N       compute threads (default: all processors)\n"
      "\n",
      stdout);
  printf(
      "Settings of a task beside Lethe's defaults for the method: %s\n"
      "Recipe of --pretrain: %d epochs (%d of warm-up), batch %d, AdamW, learning rate %g with a\n"
      "cosine, weight decay %g, label smoothing %g, mirroring %s, shift up to %d pixels, erasing "
      "%g,\n"
      "weight averaging %g; then a warm restart of %d epochs from %g.\n"
      "\n",
      TASK_SETTINGS, PRETRAIN_EPOCHS, PRETRAIN_WARMUP_EPOCHS, PRETRAIN_BATCH,
      PRETRAIN_LEARNING_RATE, PRETRAIN_WEIGHT_DECAY, PRETRAIN_LABEL_SMOOTHING,
      PRETRAIN_FLIP ? "on" : "off", PRETRAIN_SHIFT, PRETRAIN_ERASE, PRETRAIN_AVERAGE_DECAY,
      PRETRAIN_RESTART_EPOCHS, PRETRAIN_RESTART_LEARNING_RATE);
  fputs(
      "The columns, in percent of the whole test split, each with the pre-trained model's before\n"
      "  Acc_f   on the classes that this task forgets: the lower the better\n"
      "  Acc_r   on the classes that no task so far has named: to be kept\n"
      "  Acc_o   on the classes of earlier tasks: must stay down\n"
      "  H       harmonic mean of Acc_r and the drop of Acc_f\n"
      "  groups  transformer blocks that the adapter changes, of all\n"
      "\n"
      "Exit codes: 0 done; 1 an error, on stderr; 2 called wrongly; 3 a task was rejected or "
      "failed,\n"
      "or a check did not hold (the run goes on and the figures say which).\n"
      "\n"
      "Examples\n"
      "  quickstart --forget 0/9 --seed 2\n"
      "  quickstart --data photos --pretrain --forget 0,3\n",
      stdout);
}

/* "1,2/5,7" as sets. A class may be named once over all of them. */
static void read_forget(options* out) {
  const char* text = out->forget_text;
  unsigned char seen[MAX_CLASSES] = {0};
  const char* cursor = text;
  out->task_count = 0;
  memset(out->forget, 0, sizeof out->forget);
  for (;;) {
    if (*cursor < '0' || *cursor > '9')
      usage_error("--forget is \"%s\", must be class numbers like " DEFAULT_FORGET, text);
    char* end = NULL;
    errno = 0;
    long long id = strtoll(cursor, &end, 10);
    if (errno != 0 || id >= MAX_CLASSES)
      usage_error("--forget names class %.*s, must be below %d", (int)(end - cursor), cursor,
                  MAX_CLASSES);
    if (seen[id]) usage_error("--forget names class %lld twice", id);
    seen[id] = 1;
    class_set* set = &out->forget[out->task_count];
    set->ids[set->count++] = id;
    if (*end == '/' || *end == '\0') ++out->task_count;
    if (*end == '\0') return;
    if (*end != '/' && *end != ',')
      usage_error("--forget is \"%s\", must be class numbers like " DEFAULT_FORGET, text);
    if (out->task_count == MAX_TASKS) usage_error("--forget holds more than %d tasks", MAX_TASKS);
    cursor = end + 1;
  }
}

void command_parse(int argc, char** argv, options* out) {
  static const command classification = {.help = help,
                                         .read_forget = read_forget,
                                         .data = FASHION_FOLDER,
                                         .forget = DEFAULT_FORGET,
                                         .seed = DEFAULT_SEED,
                                         .can_pretrain = 1};
  options_parse(&classification, argc, argv, out);
}
