/* Where the images come from, how they are divided, and the few that are looked at closely. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "quickstart.h"
#include "settings.h"

static const char* const fashion_names[FASHION_CLASSES] = {
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal",      "Shirt",   "Sneaker",  "Bag",   "Ankle boot"};

/* The first file of `dir`, in name order, that begins with `prefix`. 0: there is none. */
static int find_file(const char* dir, const char* prefix, char* path) {
  char best[256] = "";
  DIR* folder = opendir(dir);
  if (folder == NULL) return 0;
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0) continue;
    if (best[0] == '\0' || strcmp(entry->d_name, best) < 0)
      snprintf(best, sizeof best, "%s", entry->d_name);
  }
  closedir(folder);
  if (best[0] == '\0') return 0;
  path_in(path, dir, best);
  return 1;
}

static int by_text(const void* a, const void* b) { return strcmp((const char*)a, (const char*)b); }

/* The sub-folders of `dir` in the order in which Lethe numbers them as classes. */
static int64_t list_classes(const char* dir, char names[MAX_CLASSES][NAME_SIZE]) {
  size_t count = 0;
  DIR* folder = opendir(dir);
  if (folder == NULL) die("NOT_FOUND", "cannot open the folder %s", dir);
  for (struct dirent* entry; (entry = readdir(folder)) != NULL;) {
    char path[PATH_SIZE];
    if (entry->d_name[0] == '.') continue;
    path_in(path, dir, entry->d_name);
    if (!is_folder(path)) continue;
    if (count == MAX_CLASSES)
      die("LIMIT_EXCEEDED", "%s holds more than %d classes", dir, MAX_CLASSES);
    snprintf(names[count++], NAME_SIZE, "%.*s", NAME_SIZE - 1, entry->d_name);
  }
  closedir(folder);
  qsort(names, count, NAME_SIZE, by_text);
  return (int64_t)count;
}

/* Two folders number their classes alike only when the same classes are in both. */
static void check_same_classes(const char* dir, const image_data* data) {
  static char test_names[MAX_CLASSES][NAME_SIZE];
  if (list_classes(dir, test_names) != data->class_count)
    die("INVALID_ARGUMENT", "train/ and test/ hold different numbers of classes");
  for (int64_t c = 0; c < data->class_count; ++c)
    if (strcmp(test_names[c], data->names[c]) != 0)
      die("INVALID_ARGUMENT", "train/ has the class folder %s where test/ has %s", data->names[c],
          test_names[c]);
}

/* `idx`: "train" or "t10k"; `folder`: "train" or "test". */
static lethe_dataset* open_part(lethe_runtime* runtime, const options* opts, const char* idx,
                                const char* folder, int64_t class_count) {
  lethe_dataset* part = NULL;
  char prefix[NAME_SIZE], images[PATH_SIZE], labels[PATH_SIZE];
  snprintf(prefix, sizeof prefix, "%s-images", idx);
  int has_images = find_file(opts->data, prefix, images);
  snprintf(prefix, sizeof prefix, "%s-labels", idx);
  if (has_images && find_file(opts->data, prefix, labels)) {
    check(lethe_dataset_from_idx(runtime, images, labels, class_count, "{" VALUE_STEPS "}", &part));
    return part;
  }
  path_in(images, opts->data, folder);
  if (!is_folder(images))
    die("NOT_FOUND",
        "%s holds neither IDX files (%s-images*, %s-labels*) nor a folder %s/; name the images "
        "with --data, or install the Debian package dataset-fashion-mnist",
        opts->data, idx, idx, folder);
  check(
      lethe_dataset_from_image_folder(runtime, images, "{" SHAPE_STEPS "," VALUE_STEPS "}", &part));
  return part;
}

static int64_t label_of(const lethe_dataset* set, int64_t index) {
  int64_t label = 0;
  check(lethe_dataset_sample(set, index, NULL, &label));
  return label;
}

/* Counts the test images of each class and picks the first few of each as the probe. */
static void count_and_probe(image_data* data) {
  int64_t size = lethe_dataset_size(data->test);
  int64_t* label = allocate((size_t)size * sizeof *label);
  int64_t* picked = allocate((size_t)size * sizeof *picked);
  for (int64_t i = 0; i < size; ++i) {
    label[i] = label_of(data->test, i);
    if (label[i] >= MAX_CLASSES)
      die("LIMIT_EXCEEDED", "label %lld: the quickstart shows at most %d classes",
          (long long)label[i], MAX_CLASSES);
    ++data->test_count[label[i]];
  }
  size_t count = 0;
  for (int64_t c = 0; c < MAX_CLASSES; ++c) {
    data->probe.begin[c] = count;
    for (int64_t i = 0; i < size && count < data->probe.begin[c] + PROBES_PER_CLASS; ++i)
      if (label[i] == c) picked[count++] = i;
  }
  data->probe.begin[MAX_CLASSES] = data->probe.count = count;
  check(lethe_dataset_select(data->test, LETHE_TAKE_INDICES, picked, count, 0, 0,
                             &data->probe.images));
  free(picked);
  free(label);
}

static int64_t largest_label(const lethe_dataset* set) {
  int64_t largest = 0;
  for (int64_t i = 0; i < lethe_dataset_size(set); ++i) {
    int64_t label = label_of(set, i);
    if (label > largest) largest = label;
  }
  return largest;
}

static void name_all(const options* opts, image_data* data) {
  const char* slash = strrchr(opts->data, '/');
  const char* title = slash != NULL && slash[1] != '\0' ? slash + 1 : opts->data;
  snprintf(data->title, NAME_SIZE, "%.*s", NAME_SIZE - 1,
           data->is_fashion ? "Fashion-MNIST" : title);
  for (int64_t c = 0; c < data->class_count; ++c)
    if (data->is_fashion)
      snprintf(data->names[c], NAME_SIZE, "%s", fashion_names[c]);
    else if (data->names[c][0] == '\0')
      snprintf(data->names[c], NAME_SIZE, "class %lld", (long long)c);
}

void images_open_test(lethe_runtime* runtime, const options* opts, image_data* out) {
  out->is_fashion = strcmp(opts->data, FASHION_FOLDER) == 0;
  if (out->is_fashion) out->class_count = FASHION_CLASSES;
  out->test = open_part(runtime, opts, "t10k", "test", out->class_count);
  count_and_probe(out);
}

void images_open(lethe_runtime* runtime, const options* opts, image_data* out) {
  char folder[PATH_SIZE], path[PATH_SIZE];
  lethe_dataset* all = NULL;
  out->is_fashion = strcmp(opts->data, FASHION_FOLDER) == 0;
  all = open_part(runtime, opts, "train", "train", out->is_fashion ? FASHION_CLASSES : 0);
  if (out->is_fashion) {
    out->class_count = FASHION_CLASSES;
  } else if (find_file(opts->data, "train-images", path)) {
    out->class_count = largest_label(all) + 1;
  } else {
    path_in(folder, opts->data, "train");
    out->class_count = list_classes(folder, out->names);
    path_in(folder, opts->data, "test");
    check_same_classes(folder, out);
  }
  if (out->class_count > MAX_CLASSES)
    die("LIMIT_EXCEEDED", "%lld classes: the quickstart shows at most %d",
        (long long)out->class_count, MAX_CLASSES);
  name_all(opts, out);
  check(lethe_dataset_split(all, VALIDATION_PART, SPLIT_SEED, &out->train, &out->validation));
  lethe_dataset_free(all);
  out->test = open_part(runtime, opts, "t10k", "test", out->class_count);
  count_and_probe(out);

  size_t named = 0;
  for (size_t t = 0; t < opts->task_count; ++t) {
    for (size_t i = 0; i < opts->forget[t].count; ++i, ++named) {
      int64_t id = opts->forget[t].ids[i];
      if (id >= out->class_count)
        die("NOT_FOUND", "--forget names class %lld, the images have classes 0 to %lld",
            (long long)id, (long long)out->class_count - 1);
    }
  }
  if ((int64_t)named >= out->class_count)
    die("INVALID_ARGUMENT", "--forget names every class; leave at least one to keep");
}

void images_close(image_data* data) {
  lethe_dataset_free(data->train);
  lethe_dataset_free(data->validation);
  lethe_dataset_free(data->test);
  lethe_dataset_free(data->probe.images);
}

void probe_pixels(const probe_set* probe, size_t index, unsigned char pixels[]) {
  lethe_buffer* buffer = NULL;
  float values[IMAGE_SIDE * IMAGE_SIDE];
  check(lethe_dataset_sample(probe->images, (int64_t)index, &buffer, NULL));
  check(lethe_buffer_copy(buffer, values, sizeof values));
  lethe_buffer_free(buffer);
  for (int i = 0; i < IMAGE_SIDE * IMAGE_SIDE; ++i) {
    double grey = 255 * (values[i] * PIXEL_STD + PIXEL_MEAN) + 0.5;
    pixels[i] = (unsigned char)(grey < 0 ? 0 : grey > 255 ? 255 : grey);
  }
}

char* class_list(const image_data* data, const class_set* classes, char* text, size_t size) {
  size_t used = 0;
  text[0] = '\0';
  for (size_t i = 0; i < classes->count && used + 1 < size; ++i) {
    int added =
        snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", data->names[classes->ids[i]]);
    used += added > 0 ? (size_t)added : 0;
  }
  return text;
}
