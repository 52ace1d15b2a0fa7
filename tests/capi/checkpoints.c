#include "checkpoints.h"

#include <math.h>

static const char kBias[] = "heads.head.bias";

typedef struct file {
  char* header;
  size_t header_size;
  float* data;
  size_t count;
} file;

static void add_tensor(file* out, const char* name, const char* shape, size_t count) {
  out->header_size += (size_t)sprintf(
      out->header + out->header_size,
      "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%lu,%lu]}",
      out->header_size > 1 ? "," : "", name, shape, (unsigned long)(out->count * sizeof(float)),
      (unsigned long)((out->count + count) * sizeof(float)));
  out->count += count;
}

void write_checkpoint(const char* path, const lethe_model* model, defect kind) {
  file out = {calloc(1, 1 << 20), 1, calloc(1, 1 << 20), 0};
  FILE* stream = fopen(path, "wb");
  lethe_tensor_info info;
  uint64_t prefix;
  int32_t i, d;
  out.header[0] = '{';
  info.struct_size = sizeof info;
  for (i = 0; i < lethe_model_tensor_count(model); ++i) {
    char shape[128] = "";
    int is_bias;
    assert_ok(lethe_model_tensor_info(model, i, &info));
    is_bias = strcmp(info.name, kBias) == 0;
    if (is_bias && kind == TENSOR_MISSING) continue;
    for (d = 0; d < info.ndim; ++d) {
      sprintf(shape + strlen(shape), "%s%d", d ? "," : "", (int)info.shape[d]);
    }
    if (is_bias && kind == TENSOR_MISSHAPEN) strcpy(shape, "2,2");
    assert_ok(
        lethe_model_tensor_read(model, info.name, 0, out.data + out.count, (size_t)info.count));
    if (is_bias && kind == TENSOR_NAN) out.data[out.count + 1] = NAN;
    add_tensor(&out, info.name, shape, (size_t)info.count);
  }
  if (kind == TENSOR_EXTRA) add_tensor(&out, "surplus", "3", 3);
  out.header[out.header_size++] = '}';
  prefix = out.header_size; /* little-endian, as all machines this runs on */
  assert_non_null(stream);
  fwrite(&prefix, sizeof prefix, 1, stream);
  fwrite(out.header, 1, kind == HEADER_TRUNCATED ? out.header_size / 2 : out.header_size, stream);
  if (kind != HEADER_TRUNCATED) fwrite(out.data, sizeof(float), out.count, stream);
  assert_int_equal(fclose(stream), 0);
  free(out.header);
  free(out.data);
}

static uint32_t crc32_of(const unsigned char* data, size_t size) {
  uint32_t crc = 0xffffffffu;
  size_t i;
  int bit;
  for (i = 0; i < size; ++i) {
    crc ^= data[i];
    for (bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

static size_t put(unsigned char* out, uint32_t value, size_t bytes) {
  size_t i;
  for (i = 0; i < bytes; ++i) out[i] = (unsigned char)(value >> (8 * i));
  return bytes;
}

/* The fields that the local and the central header of a stored zip entry share. */
static size_t put_entry(unsigned char* out, const unsigned char* data, size_t size, size_t name) {
  size_t n = 0;
  n += put(out + n, 20, 2); /* version needed */
  n += put(out + n, 0, 2);  /* flags */
  n += put(out + n, 0, 2);  /* stored */
  n += put(out + n, 0, 4);  /* time, date */
  n += put(out + n, crc32_of(data, size), 4);
  n += put(out + n, (uint32_t)size, 4);
  n += put(out + n, (uint32_t)size, 4);
  n += put(out + n, (uint32_t)name, 2);
  n += put(out + n, 0, 2); /* extra */
  return n;
}

void write_pickle_with_code(const char* path) {
  static const char name[] = "archive/data.pkl";
  static const unsigned char pickle[] =
      "\x80\x02"
      "cposix\nsystem\n"
      "X\x04\0\0\0"
      "true"
      "\x85R.";
  const size_t length = sizeof name - 1, size = sizeof pickle - 1;
  unsigned char out[512];
  size_t n = 0, directory, end;
  n += put(out + n, 0x04034b50, 4);
  n += put_entry(out + n, pickle, size, length);
  memcpy(out + n, name, length), n += length;
  memcpy(out + n, pickle, size), n += size;
  directory = n;
  n += put(out + n, 0x02014b50, 4);
  n += put(out + n, 20, 2); /* made by */
  n += put_entry(out + n, pickle, size, length);
  n += put(out + n, 0, 4); /* comment, disk */
  n += put(out + n, 0, 4); /* attributes */
  n += put(out + n, 0, 2);
  n += put(out + n, 0, 4); /* offset of the local header */
  memcpy(out + n, name, length), n += length;
  end = n;
  n += put(out + n, 0x06054b50, 4);
  n += put(out + n, 0, 4);
  n += put(out + n, 1, 2);
  n += put(out + n, 1, 2);
  n += put(out + n, (uint32_t)(end - directory), 4);
  n += put(out + n, (uint32_t)directory, 4);
  n += put(out + n, 0, 2);
  write_file(path, out, n);
}
