/* How things cross into Go. Only package lethe calls the floor; it checks what it passes. */

%{
#include <cstdlib>
%}

/* ------------------------------------------------------------------------------- status
 * An answer crosses as Go's string: none for LETHE_OK, else one byte with the code and, after a
 * failure, its sentence, read while the thread's record still tells of it. status.go undoes it. */
%{
static _gostring_ lethe_go_status(lethe_status status) {
  _gostring_ record = {nullptr, 0};
  if (status == LETHE_OK) return record;
  const char* text = status < 0 ? lethe_last_error() : "";
  const size_t size = std::strlen(text);
  record.p = static_cast<char*>(std::malloc(size + 1));
  if (record.p == nullptr) {  // no memory for the sentence: the code alone, never freed
    static char codes[256];
    record.p = &codes[static_cast<uint8_t>(status)];
    *record.p = static_cast<char>(status);
    return record;
  }
  *record.p = static_cast<char>(status);
  std::memcpy(record.p + 1, text, size);
  record.n = static_cast<intgo>(size + 1);
  return record;
}
%}
%typemap(gotype) lethe_status "Status"
%typemap(imtype) lethe_status "string"
%typemap(out) lethe_status "$result = lethe_go_status($1);"
%typemap(goout) lethe_status "$result = statusOf($input)"

/* ------------------------------------------------------------------------------- numbers
 * Enumerations are written by write_types.py. */
%rename("$ignore", %$isenumitem) "";
%typemap(gotype) int32_t "int32"
%typemap(gotype) uint32_t "uint32"
%typemap(gotype) int64_t "int64"
%typemap(gotype) size_t "int"
%typemap(gotype) int32_t* "*int32"
%typemap(gotype) int64_t* "*int64"

/* A status that is a value, not an answer. */
%typemap(gotype) lethe_status status, lethe_status error "int32"
%typemap(imtype) lethe_status status, lethe_status error "int32"
%typemap(in) lethe_status status, lethe_status error "$1 = $input;"
%typemap(out) lethe_status status, lethe_status error "$result = $1;"
%typemap(goout) lethe_status status, lethe_status error "$result = $input"

/* ------------------------------------------------------------------------------- handles */
%define LETHE_HANDLE(NAME)
%typemap(gotype) lethe_##NAME*, const lethe_##NAME* "uintptr"
%typemap(gotype) lethe_##NAME** "*uintptr"
%enddef

/* ------------------------------------------------------------------------------- text
 * With its NUL at the end, which package lethe has put there: no copy. Nothing at all is NULL. */
%typemap(in) const char* "$1 = $input.n ? $input.p : nullptr;"
%typemap(freearg) const char* ""
/* What is borrowed Go copies at once, while the call holds the object. */
%typemap(out) const char* "$result.p = (char*)$1; $result.n = $1 ? std::strlen($1) : 0;"
%typemap(goout) const char* "$result = strings.Clone($input)"
%go_import("strings")

/* ------------------------------------------------------------------------------- arrays
 * A slice crosses as a string that begins where it does and counts its elements: cgo then sees a
 * `char*`, and an array inside a Go struct beside Go pointers may cross too, as it should: C reads
 * or writes its elements alone and keeps nothing. */
%define LETHE_SLICE(ELEMENT, DATA, COUNT)
%typemap(gotype) (DATA, COUNT) "[]" ELEMENT
%typemap(imtype) (DATA, COUNT) "string"
%typemap(goin) (DATA, COUNT) "$result = *(*string)(unsafe.Pointer(&$input))"
%typemap(in) (DATA, COUNT) "$1 = ($1_ltype)$input.p; $2 = $input.n;"
%enddef
LETHE_SLICE("byte", const uint8_t* data, size_t size)
LETHE_SLICE("byte", void* data, size_t size)
LETHE_SLICE("float32", const float* data, size_t count)
LETHE_SLICE("float32", float* data, size_t count)
LETHE_SLICE("int64", const int64_t* shape, size_t dims)
LETHE_SLICE("int64", int64_t* shape, size_t shape_size)
LETHE_SLICE("int64", const int64_t* labels, size_t label_count)
LETHE_SLICE("float32", const float* boxes, size_t box_count)
LETHE_SLICE("int64", const int64_t* image_of, size_t image_of_count)
LETHE_SLICE("int64", const int64_t* values, size_t count)
LETHE_SLICE("int64", const int64_t* classes, size_t class_count)
LETHE_SLICE("int64", const int64_t* forget_classes, size_t forget_class_count)
LETHE_SLICE("int64", const int64_t* past_classes, size_t past_class_count)
LETHE_SLICE("int64", const int64_t* adapters, size_t count)
LETHE_SLICE("float64", const double* scales, size_t scale_count)
LETHE_SLICE("byte", const uint8_t* seed, size_t seed_size)
LETHE_SLICE("byte", const uint8_t* key, size_t key_size)
LETHE_SLICE("byte", uint8_t* key, size_t key_size)
LETHE_SLICE("byte", uint8_t* base, size_t base_size)
LETHE_SLICE("byte", uint8_t* state, size_t state_size)

/* A call that does nothing, to measure what crossing costs. */
%inline %{
void nothing(void) {}
%}
