/* As much JSON as this program reads: members of objects, elements of arrays, strings. */
#include <string.h>

#include "detection.h"

static const char* skip_spaces(const char* at) { return at + strspn(at, " \t\r\n"); }

/* Past a string that begins at `at`; at the end of the text when it is not closed. */
static const char* skip_string(const char* at) {
  for (++at; *at != '\0' && *at != '"'; ++at)
    if (*at == '\\' && at[1] != '\0') ++at;
  return *at == '"' ? at + 1 : at;
}

const char* json_end(const char* value) {
  const char* at = value;
  int depth = 0;
  do {
    if (*at == '"') {
      at = skip_string(at);
    } else if (*at == '{' || *at == '[') {
      ++depth, ++at;
    } else if (*at == '}' || *at == ']') {
      --depth, ++at;
    } else if (depth > 0) {
      ++at;
    } else {
      at += strcspn(at, ",]} \t\r\n");
    }
  } while (depth > 0 && *at != '\0');
  return at;
}

const char* json_first(const char* array) {
  if (*array != '[') return NULL;
  const char* at = skip_spaces(array + 1);
  return *at == ']' || *at == '\0' ? NULL : at;
}

const char* json_next(const char* item) {
  const char* at = skip_spaces(json_end(item));
  return *at == ',' ? skip_spaces(at + 1) : NULL;
}

const char* json_member(const char* object, const char* name) {
  object = skip_spaces(object);
  if (*object != '{') return NULL;
  const char* at = skip_spaces(object + 1);
  while (at != NULL && *at == '"') {
    const char *key = at + 1, *end = skip_string(at);
    const char* value = skip_spaces(end);
    if (*value != ':') return NULL;
    value = skip_spaces(value + 1);
    size_t length = strlen(name);
    if ((size_t)(end - key) == length + 1 && strncmp(key, name, length) == 0) return value;
    at = json_next(value);
  }
  return NULL;
}

char* json_string(const char* value, char* text, size_t size) {
  size_t used = 0;
  if (*value == '"')
    for (const char* at = value + 1; *at != '\0' && *at != '"' && used + 1 < size; ++at) {
      if (*at == '\\' && at[1] != '\0') ++at; /* names hold no control characters */
      text[used++] = *at;
    }
  text[used] = '\0';
  return text;
}
