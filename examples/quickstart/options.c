/* The command line, as both programs read it. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

void usage_error(const char* format, ...) {
  va_list arguments;
  fputs("quickstart: INVALID_ARGUMENT: ", stderr);
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputs("; --help explains every option\n", stderr);
  exit(2);
}

static int64_t parse_integer(const char* name, const char* text, int64_t low, int64_t high) {
  char* end = NULL;
  errno = 0;
  long long value = strtoll(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || value < low || value > high)
    usage_error("%s is \"%s\", must be a whole number from %lld to %lld", name, text,
                (long long)low, (long long)high);
  return value;
}

static lethe_method parse_method(const char* text) {
  if (strcmp(text, "gs-lora") == 0) return LETHE_GS_LORA;
  if (strcmp(text, "gs-lora++") == 0) return LETHE_GS_LORA_PP;
  usage_error("--method is \"%s\", must be gs-lora or gs-lora++", text);
}

const char* method_title(lethe_method method) {
  return method == LETHE_GS_LORA ? "GS-LoRA" : "GS-LoRA++";
}

static void set_option(const char* name, const char* value, options* out) {
  if (strcmp(name, "--data") == 0)
    out->data = value;
  else if (strcmp(name, "--model") == 0)
    out->model = value;
  else if (strcmp(name, "--out") == 0)
    out->out = value;
  else if (strcmp(name, "--device") == 0)
    out->device = value;
  else if (strcmp(name, "--config") == 0)
    out->config = value;
  else if (strcmp(name, "--method") == 0)
    out->method = parse_method(value);
  else if (strcmp(name, "--seed") == 0)
    out->seed = parse_integer(name, value, 0, INT64_MAX);
  else if (strcmp(name, "--steps") == 0)
    out->steps = parse_integer(name, value, 1, 1000000000);
  else if (strcmp(name, "--threads") == 0)
    out->threads = (int32_t)parse_integer(name, value, 1, 1024);
  else
    out->forget_text = value;
}

static int takes_value(const char* name, const command* command) {
  if (strcmp(name, "--model") == 0) return command->model != NULL;
  static const char* const names[] = {"--data", "--out",   "--device",  "--config", "--method",
                                      "--seed", "--steps", "--threads", "--forget"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
    if (strcmp(name, names[i]) == 0) return 1;
  return 0;
}

void options_parse(const command* command, int argc, char** argv, options* out) {
  memset(out, 0, sizeof *out);
  out->program = argv[0];
  out->data = command->data;
  out->model = command->model;
  out->out = "out";
  out->device = "cpu";
  out->method = LETHE_GS_LORA_PP;
  out->seed = command->seed;
  out->forget_text = command->forget;

  for (int i = 1; i < argc; ++i) {
    char name[32];
    const char* value = strchr(argv[i], '=');
    size_t length = value != NULL ? (size_t)(value - argv[i]) : strlen(argv[i]);
    if (value != NULL) ++value;
    snprintf(name, sizeof name, "%.*s", length < sizeof name ? (int)length : 0, argv[i]);

    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
      command->help();
      exit(0);
    } else if (command->can_pretrain && strcmp(name, "--pretrain") == 0) {
      out->pretrain = 1;
      out->pretrain_path = value;
    } else if (strcmp(argv[i], "--reload") == 0) { /* see reload_elsewhere() */
      out->reload = 1;
      out->reload_files = argv + i + 1;
      out->reload_file_count = argc - i - 1;
      break;
    } else if (takes_value(name, command)) {
      if (value == NULL && i + 1 < argc) value = argv[++i];
      if (value == NULL || *value == '\0') usage_error("%s needs a value", name);
      set_option(name, value, out);
    } else {
      usage_error("unknown option %s", argv[i]);
    }
  }
  command->read_forget(out);
  if (out->pretrain && out->pretrain_path != NULL && *out->pretrain_path == '\0')
    usage_error("--pretrain= needs a file name");
  if (out->reload && out->reload_file_count == 0) usage_error("--reload needs the base weights");
}
