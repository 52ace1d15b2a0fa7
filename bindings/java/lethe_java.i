/* Java's side of lethe.i: how each kind of argument crosses JNI. Nothing made here is public. */

%pragma(java) moduleclassmodifiers="final class"
%pragma(java) jniclassclassmodifiers="final class"

/* A C long, so that arrays need no cast (SWIGWORDSIZE64), and still Java's long. */
%apply long long { int64_t }

/* Structs become package-private classes that a try statement frees. */
%rename(NativeLimits) lethe_limits;
%rename(NativeExportOptions) lethe_export_options;
%rename(NativeForgetConfig) lethe_forget_config;
%rename(NativePretrainConfig) lethe_pretrain_config;
%rename(NativeTaskOptions) lethe_task_options;
%rename(NativeProgress) lethe_progress;
%rename(NativeEvent) lethe_event;
%rename(NativeJobStatusInfo) lethe_job_status_info;
%typemap(javaclassmodifiers) SWIGTYPE "final class"
%typemap(javainterfaces) SWIGTYPE "AutoCloseable"
%typemap(javafinalize) SWIGTYPE ""
%typemap(javabody) SWIGTYPE %{
  private long swigCPtr;
  private boolean swigCMemOwn;

  $javaclassname(long cPtr, boolean cMemoryOwn) {
    swigCMemOwn = cMemoryOwn;
    swigCPtr = cPtr;
  }

  static long getCPtr($javaclassname obj) {
    return obj == null ? 0 : obj.swigCPtr;
  }
%}
%typemap(javadestruct, methodname="close", methodmodifiers="public") SWIGTYPE {
    if (swigCPtr != 0 && swigCMemOwn) {
      swigCMemOwn = false;
      $jnicall;
    }
    swigCPtr = 0;
  }

/* Constants are written by write_types.py. */
%rename("$ignore", %$isenum) "";
%rename("$ignore", %$isenumitem) "";
%rename("$ignore", %$isconstant, regextarget=1) "^LETHE_";

%{
namespace {

jclass exception_class;
jmethodID exception_constructor;

jbyteArray bytes_of(JNIEnv* env, const char* text) {
  const jsize size = static_cast<jsize>(std::strlen(text));
  jbyteArray bytes = env->NewByteArray(size);
  if (bytes) env->SetByteArrayRegion(bytes, 0, size, reinterpret_cast<const jbyte*>(text));
  return env->ExceptionCheck() ? nullptr : bytes;
}

/* False with a Java exception pending. */
bool read_text(JNIEnv* env, jbyteArray bytes, std::string* text) {
  const jsize size = env->GetArrayLength(bytes);
  try {
    text->resize(static_cast<size_t>(size));
  } catch (...) {
    SWIG_JavaThrowException(env, SWIG_JavaOutOfMemoryError, "no memory for a text");
    return false;
  }
  env->GetByteArrayRegion(bytes, 0, size, reinterpret_cast<jbyte*>(&(*text)[0]));
  return !env->ExceptionCheck();
}

/* The sentence belongs to this thread's last call: it is read here, before Java goes on. */
void throw_status(JNIEnv* env, lethe_status status) {
  if (env->ExceptionCheck()) return;
  jbyteArray message = bytes_of(env, lethe_last_error());
  if (!message) return;
  jobject thrown = env->NewObject(exception_class, exception_constructor, status, message);
  if (!env->ExceptionCheck()) env->Throw(static_cast<jthrowable>(thrown));
}

}  // namespace

extern "C" JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM* vm, void*) {
  void* env_cell = nullptr;
  if (vm->GetEnv(&env_cell, JNI_VERSION_1_8) != JNI_OK) return JNI_ERR;
  JNIEnv* env = static_cast<JNIEnv*>(env_cell);
  jclass found = env->FindClass("io/lethe/LetheException");
  if (!found) return JNI_ERR;
  exception_class = static_cast<jclass>(env->NewGlobalRef(found));
  exception_constructor = env->GetMethodID(found, "<init>", "(I[B)V");
  return exception_class && exception_constructor ? JNI_VERSION_1_8 : JNI_ERR;
}
%}

/* The C functions throw nothing; constructors and the stand-ins may find no memory. */
%exception {
  try {
    $action
  } catch (...) {
    SWIG_JavaThrowException(jenv, SWIG_JavaOutOfMemoryError, "no memory in $name");
    return $null;
  }
}

/* ------------------------------------------------------------------------------------ status
 * `ret` comes last, when outputs are handed over (findings come with a failure) and arrays are
 * released. */
%typemap(jni) lethe_status "jint"
%typemap(jtype) lethe_status "int"
%typemap(jstype) lethe_status "int"
%typemap(javaout) lethe_status { return $jnicall; }
%typemap(out) lethe_status "$result = $1;"
%typemap(ret) lethe_status "if ($1 < 0) throw_status(jenv, $1);"
%typemap(ret) lethe_status error ""  /* a field, not a result */

/* -------------------------------------------------------------------------------------- text
 * As bytes of UTF-8: JNI's own text functions speak another encoding. */
%typemap(jni) const char* "jbyteArray"
%typemap(jtype) const char* "byte[]"
%typemap(jstype) const char* "String"
%typemap(javain) const char* "Text.utf8($javainput, \"$javainput\")"
%typemap(javaout) const char* { return Text.of($jnicall); }
%typemap(in) const char* (std::string text) {
  $1 = nullptr;
  if ($input) {
    if (!read_text(jenv, $input, &text)) return $null;
    $1 = const_cast<char*>(text.c_str());
  }
}
%typemap(freearg) const char* ""
%typemap(out) const char* "$result = $1 ? bytes_of(jenv, $1) : nullptr;"

/* ----------------------------------------------------------------------------------- outputs
 * A cell is an array of one element; null says that the caller does not want it. */
%define LETHE_CELL(CTYPE, JNITYPE, JNIARRAY, JTYPE, JNAME)
%typemap(jni) CTYPE* "JNIARRAY"
%typemap(jtype) CTYPE* "JTYPE[]"
%typemap(jstype) CTYPE* "JTYPE[]"
%typemap(javain) CTYPE* "$javainput"
%typemap(in) CTYPE* (CTYPE value = {}) "$1 = $input ? &value : nullptr;"
%typemap(argout) CTYPE* {
  if ($input && !jenv->ExceptionCheck()) {
    const JNITYPE cell = (JNITYPE)value$argnum;
    jenv->Set##JNAME##ArrayRegion($input, 0, 1, &cell);
    if (jenv->ExceptionCheck()) return $null;
  }
}
%typemap(freearg) CTYPE* ""
%enddef
LETHE_CELL(int32_t, jint, jintArray, int, Int)
LETHE_CELL(int64_t, jlong, jlongArray, long, Long)
LETHE_CELL(double, jdouble, jdoubleArray, double, Double)

/* ----------------------------------------------------------------------------------- handles */
%define LETHE_HANDLE(NAME)
%typemap(jni) lethe_##NAME*, const lethe_##NAME* "jlong"
%typemap(jtype) lethe_##NAME*, const lethe_##NAME* "long"
%typemap(jstype) lethe_##NAME*, const lethe_##NAME* "long"
%typemap(javain) lethe_##NAME*, const lethe_##NAME* "$javainput"
%typemap(in) lethe_##NAME*, const lethe_##NAME* "$1 = reinterpret_cast<$1_ltype>($input);"
LETHE_CELL(lethe_##NAME*, jlong, jlongArray, long, Long)
%enddef

/* ------------------------------------------------------------------------------------ arrays */
%define LETHE_ARRAY(QUALIFIER, CTYPE, DATA, COUNT, JTYPE, JNIARRAY, JNAME, RELEASE)
%typemap(jni) (QUALIFIER CTYPE* DATA, size_t COUNT) "JNIARRAY"
%typemap(jtype) (QUALIFIER CTYPE* DATA, size_t COUNT) "JTYPE[]"
%typemap(jstype) (QUALIFIER CTYPE* DATA, size_t COUNT) "JTYPE[]"
%typemap(javain) (QUALIFIER CTYPE* DATA, size_t COUNT) "$javainput"
%typemap(in) (QUALIFIER CTYPE* DATA, size_t COUNT) {
  $1 = nullptr;
  $2 = 0;
  if ($input) {
    $2 = static_cast<size_t>(jenv->GetArrayLength($input));
    $1 = reinterpret_cast<CTYPE*>(jenv->Get##JNAME##ArrayElements($input, nullptr));
    if (!$1) return $null;
  }
}
%typemap(argout) (QUALIFIER CTYPE* DATA, size_t COUNT) ""
%typemap(freearg) (QUALIFIER CTYPE* DATA, size_t COUNT) {
  if ($1) jenv->Release##JNAME##ArrayElements($input, (j##JTYPE*)$1, RELEASE);
}
%enddef
%define LETHE_INPUT_ARRAY(CTYPE, DATA, COUNT, JTYPE, JNAME)
LETHE_ARRAY(const, CTYPE, DATA, COUNT, JTYPE, j##JTYPE##Array, JNAME, JNI_ABORT)
%enddef
%define LETHE_OUTPUT_ARRAY(CTYPE, DATA, COUNT, JTYPE, JNAME)
LETHE_ARRAY(, CTYPE, DATA, COUNT, JTYPE, j##JTYPE##Array, JNAME, 0)
%enddef
LETHE_INPUT_ARRAY(int64_t, shape, dims, long, Long)
LETHE_INPUT_ARRAY(int64_t, labels, label_count, long, Long)
LETHE_INPUT_ARRAY(float, boxes, box_count, float, Float)
LETHE_INPUT_ARRAY(int64_t, image_of, image_of_count, long, Long)
LETHE_INPUT_ARRAY(int64_t, classes, class_count, long, Long)
LETHE_INPUT_ARRAY(int64_t, values, count, long, Long)
LETHE_INPUT_ARRAY(int64_t, forget_classes, forget_class_count, long, Long)
LETHE_INPUT_ARRAY(int64_t, past_classes, past_class_count, long, Long)
LETHE_INPUT_ARRAY(int64_t, adapters, count, long, Long)
LETHE_INPUT_ARRAY(double, scales, scale_count, double, Double)
LETHE_INPUT_ARRAY(uint8_t, seed, seed_size, byte, Byte)
LETHE_INPUT_ARRAY(uint8_t, key, key_size, byte, Byte)
LETHE_OUTPUT_ARRAY(float, data, count, float, Float)
LETHE_OUTPUT_ARRAY(int64_t, shape, shape_size, long, Long)
LETHE_OUTPUT_ARRAY(uint8_t, base, base_size, byte, Byte)
LETHE_OUTPUT_ARRAY(uint8_t, state, state_size, byte, Byte)
LETHE_OUTPUT_ARRAY(uint8_t, key, key_size, byte, Byte)
LETHE_OUTPUT_ARRAY(void, data, size, byte, Byte)

/* Images and files: a direct buffer in native order, from its first to its last element, is used in
 * place; an array is copied (no critical section, which would hold up the garbage collector). */
%define LETHE_INPUT_DATA(CTYPE, DATA, COUNT, JTYPE, JNAME)
%typemap(jni) (const CTYPE* DATA, size_t COUNT) "jobject"
%typemap(jtype) (const CTYPE* DATA, size_t COUNT) "Object"
%typemap(jstype) (const CTYPE* DATA, size_t COUNT) "Object"
%typemap(javain) (const CTYPE* DATA, size_t COUNT) "$javainput"
%typemap(in) (const CTYPE* DATA, size_t COUNT) (bool copied = false) {
  $1 = static_cast<CTYPE*>($input ? jenv->GetDirectBufferAddress($input) : nullptr);
  $2 = 0;
  if ($1) {
    $2 = static_cast<size_t>(jenv->GetDirectBufferCapacity($input));
  } else if ($input) {
    $2 = static_cast<size_t>(jenv->GetArrayLength((jarray)$input));
    $1 = reinterpret_cast<CTYPE*>(
        jenv->Get##JNAME##ArrayElements((j##JTYPE##Array)$input, nullptr));
    if (!$1) return $null;
    copied = true;
  }
}
%typemap(freearg) (const CTYPE* DATA, size_t COUNT) {
  if (copied$argnum) {
    jenv->Release##JNAME##ArrayElements((j##JTYPE##Array)$input, (j##JTYPE*)$1, JNI_ABORT);
  }
}
%enddef
LETHE_INPUT_DATA(float, data, count, float, Float)
LETHE_INPUT_DATA(uint8_t, data, size, byte, Byte)
