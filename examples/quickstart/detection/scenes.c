/* Where the scenes come from, how they are divided, and what their categories are called. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "detection.h"
#include "settings.h"

/* The first `most` images of a dataset, which is freed. */
static lethe_dataset* take_first(lethe_dataset* all, int64_t most) {
  int64_t count = lethe_dataset_size(all) < most ? lethe_dataset_size(all) : most;
  int64_t* places = allocate((size_t)count * sizeof *places);
  lethe_dataset* part = NULL;
  for (int64_t i = 0; i < count; ++i) places[i] = i;
  check(lethe_dataset_select(all, LETHE_TAKE_INDICES, places, (size_t)count, 0, 0, &part));
  free(places);
  lethe_dataset_free(all);
  return part;
}

/* `side`: "train" or "test". */
static lethe_dataset* open_side(lethe_runtime* runtime, const options* opts, const char* side) {
  char name[NAME_SIZE], annotations[PATH_SIZE], images[PATH_SIZE];
  lethe_dataset* set = NULL;
  snprintf(name, sizeof name, "%s.json", side);
  path_in(annotations, opts->data, name);
  path_in(images, opts->data, side);
  if (!is_folder(images))
    die("NOT_FOUND",
        "%s holds no folder %s/ of images: compose the scenes with examples/data/scenes.py, or "
        "name a folder with --data",
        opts->data, side);
  check(lethe_dataset_from_coco(runtime, annotations, images, &set));
  return set;
}

static void read_names(scene_data* data) {
  lethe_buffer* json = NULL;
  check(lethe_dataset_info_json(data->test, &json));
  const char* list = json_member(lethe_buffer_data(json), "categories");
  const char* item = list == NULL ? NULL : json_first(list);
  for (; item != NULL; item = json_next(item)) {
    const char* name = json_member(item, "name");
    if (data->class_count == MAX_CLASSES)
      die("LIMIT_EXCEEDED", "more than %d categories", MAX_CLASSES);
    json_string(name != NULL ? name : "", data->names[data->class_count++], NAME_SIZE);
  }
  lethe_buffer_free(json);
  if (data->class_count == 0) die("INVALID_ARGUMENT", "the test scenes have no categories");
}

void scenes_open_test(lethe_runtime* runtime, const options* opts, scene_data* out) {
  const char* slash = strrchr(opts->data, '/');
  const char* title = slash != NULL && slash[1] != '\0' ? slash + 1 : opts->data;
  snprintf(out->title, NAME_SIZE, "%.*s", NAME_SIZE - 1, title);
  out->test = open_side(runtime, opts, "test");
  out->probe = take_first(open_side(runtime, opts, "test"), PROBE_SCENES);
  read_names(out);
}

void scenes_open(lethe_runtime* runtime, const options* opts, scene_data* out) {
  scenes_open_test(runtime, opts, out);
  lethe_dataset* all = take_first(open_side(runtime, opts, "train"), TRAIN_SCENES);
  check(lethe_dataset_split(all, VALIDATION_PART, SPLIT_SEED, &out->train, &out->validation));
  lethe_dataset_free(all);
}

void scenes_close(scene_data* data) {
  lethe_dataset_free(data->train);
  lethe_dataset_free(data->validation);
  lethe_dataset_free(data->test);
  lethe_dataset_free(data->probe);
}

/* ------------------------------------------------------------------ categories */

/* The category called `text`, letters large or small, or numbered so; -1: there is none. */
static int64_t find_category(const scene_data* data, const char* text) {
  for (int64_t c = 0; c < data->class_count; ++c)
    if (strcasecmp(text, data->names[c]) == 0) return c;
  if (*text == '\0' || text[strspn(text, "0123456789")] != '\0' || strlen(text) > 4) return -1;
  int64_t number = strtol(text, NULL, 10);
  return number < data->class_count ? number : -1;
}

/* One name of --forget, without the spaces around it, into the last task. */
static void add_category(const scene_data* data, options* opts, const char* name, size_t length,
                         unsigned char* seen) {
  char text[NAME_SIZE], known[1024];
  class_set all = all_classes(data);
  for (; length > 0 && *name == ' '; --length) ++name;
  while (length > 0 && name[length - 1] == ' ') --length;
  snprintf(text, sizeof text, "%.*s", (int)length, name);
  int64_t id = find_category(data, text);
  if (id < 0)
    die("NOT_FOUND", "--forget names \"%s\", the categories are %s", text,
        category_list(data, &all, ", ", known, sizeof known));
  if (seen[id]) die("INVALID_ARGUMENT", "--forget names %s twice", data->names[id]);
  seen[id] = 1;
  class_set* set = &opts->forget[opts->task_count];
  set->ids[set->count++] = id;
}

void scenes_find_categories(const scene_data* data, options* opts) {
  unsigned char seen[MAX_CLASSES] = {0};
  size_t named = 0;
  opts->task_count = 0;
  for (const char* at = opts->forget_text;;) {
    size_t length = strcspn(at, ",/");
    if (opts->task_count == MAX_TASKS)
      die("INVALID_ARGUMENT", "--forget holds more than %d tasks", MAX_TASKS);
    add_category(data, opts, at, length, seen);
    ++named;
    at += length;
    if (*at != ',') ++opts->task_count;
    if (*at == '\0') break;
    ++at;
  }
  if ((int64_t)named >= data->class_count)
    die("INVALID_ARGUMENT", "--forget names every category; leave at least one to keep");
}

char* category_list(const scene_data* data, const class_set* classes, const char* between,
                    char* text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < classes->count && used + 1 < size; ++i) {
    int added = snprintf(text + used, size - used, "%s%s", i > 0 ? between : "",
                         data->names[classes->ids[i]]);
    used += added > 0 ? (size_t)added : 0;
  }
  return text;
}

found* scene_objects(const scene_data* data, size_t index, size_t* count) {
  lethe_buffer* buffer = NULL;
  check(lethe_dataset_objects(data->probe, (int64_t)index, &buffer));
  size_t size = lethe_buffer_size(buffer);
  found* objects = allocate(size);
  check(lethe_buffer_copy(buffer, objects, size));
  lethe_buffer_free(buffer);
  *count = size / sizeof *objects;
  return objects;
}
