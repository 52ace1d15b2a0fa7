/* The command line of detection. */
#include <stdio.h>
#include <string.h>

#include "detection.h"
#include "settings.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

static void help(void) {
  fputs(
      "usage: quickstart-detection [OPTION...]\n"
      "\n"
      "A pre-trained object detector, a Deformable DETR, forgets categories of objects in composed\n"
      "scenes, one request after another, through Lethe's C interface alone. In order, it\n"
      "  1. reads the scenes and holds a tenth of the training scenes back as the gate,\n"
      "  2. loads the detector and measures it on the test scenes,\n"
      "  3. works off one forget task after another and prints a row of figures for each,\n"
      "  4. exports each task's adapter (OUT/task-N.lethe), then starts a second process that\n"
      "     loads the base and the adapters from their files and looks at the same scenes,\n"
      "  5. rolls the last task back and shows its categories return,\n"
      "  6. writes OUT/report.html, where scenes show what is found before and after, and one\n"
      "     line of JSON as the last line of its output.\n"
      "\n"
      "What it forgets and with what\n"
      "  --forget SETS     tasks, separated by '/', of categories by name or by number from 0,\n"
      "                    separated by ','\n"
      "                    (default \"" DEFAULT_FORGET "\")\n"
      "  --method NAME     gs-lora++ (default) or gs-lora\n"
      "  --steps N         optimiser steps of each task\n"
      "  --config JSON     settings by name, e.g. '{\"rank\":4,\"proximal_weight\":2}';\n"
      "                    lethe_forget_config in lethe.h lists them\n"
      "  --seed N          of initialisation, sampling and order (default " TEXT(DEFAULT_SEED) ")\n"
      "\n"
      "On which scenes and model\n"
      "  --data DIR        COCO instances: train.json and test.json, their images in train/ and\n"
      "                    test/. Default: the scenes that examples/data/scenes.py composes\n"
      "  --model FILE      another detector, NAME.safetensors; NAME.json beside it is its spec, or\n"
      "                    holds it as \"spec\" (other scenes need one that was trained on them)\n"
      "\n"
      "Where\n"
      "  --out DIR         results (default ./out)\n"
      "  --device NAME     cpu (default), cuda or cuda:N\n"
      "  --threads N       compute threads (default: all processors)\n"
      "\n",
      stdout);
  printf(
      "The tasks draw from the first %d training scenes. Settings of a task beside Lethe's "
      "defaults\n"
      "for the method and a detector:\n"
      "  %s\n"
      "and a gate that allows an AP_f of %g and asks for %g %% of the pre-trained model's AP_r.\n"
      "\n",
      TRAIN_SCENES, TASK_SETTINGS, GATE_MAX_AP_F, 100 * GATE_KEPT);
  fputs(
      "The columns, COCO AP (the mean over the IoU 0.50 to 0.95) in percent over the test scenes,\n"
      "each with the pre-trained model's before\n"
      "  AP_f    of the categories that this task forgets: the lower the better\n"
      "  AP_r    of the categories that no task so far has named: to be kept\n"
      "  AP_o    of the categories of earlier tasks: must stay down\n"
      "  AP50    at the IoU 0.50 alone, of the forgotten and the kept categories now\n"
      "  groups  linear layers of the transformer that the adapter changes, of all\n"
      "\n"
      "Exit codes: 0 done; 1 an error, on stderr; 2 called wrongly; 3 a task was rejected or "
      "failed,\n"
      "or a check did not hold (the run goes on and the figures say which).\n"
      "\n"
      "Examples\n"
      "  quickstart-detection --forget \"Shirt,T-shirt\" --seed 2\n"
      "  quickstart-detection --data street --model street.safetensors --forget car/bus,truck\n",
      stdout);
}

/* Names can be looked up only when the scenes are open; what no scenes could have is refused here.
 */
static void read_forget(options* opts) {
  const char* at = opts->forget_text;
  for (;;) {
    size_t length = strcspn(at, ",/");
    if (length == strspn(at, " ") || length >= NAME_SIZE)
      usage_error("--forget is \"%s\", must be categories like \"" DEFAULT_FORGET "\"",
                  opts->forget_text);
    at += length;
    if (*at == '\0') return;
    ++at;
  }
}

void command_parse(int argc, char** argv, options* out) {
  static const command detection = {.help = help,
                                    .read_forget = read_forget,
                                    .data = SCENES_FOLDER,
                                    .model = DEFAULT_MODEL,
                                    .forget = DEFAULT_FORGET,
                                    .seed = DEFAULT_SEED};
  options_parse(&detection, argc, argv, out);
}
