/* C#'s side of lethe.i: how each kind of argument crosses P/Invoke. Nothing made here is public.
 *
 * Arrays cross as in C, a pointer and a count: the hand-written layer pins them for the call, so
 * arrays, spans and pointers take one way and nothing is copied. */

/* SWIG's own helpers carry text in the platform's encoding; ours is below and in src/Failure.cs. */
#if !defined(SWIG_CSHARP_NO_EXCEPTION_HELPER) || !defined(SWIG_CSHARP_NO_STRING_HELPER)
#error "call SWIG with -DSWIG_CSHARP_NO_EXCEPTION_HELPER -DSWIG_CSHARP_NO_STRING_HELPER"
#endif
/* int64_t is C's `long` here, which SWIG takes for 32 bits. */
#ifndef SWIGWORDSIZE64
#error "call SWIG with -DSWIGWORDSIZE64"
#endif
%apply long long { long, const long& };

%pragma(csharp) moduleclassmodifiers="internal static unsafe class"
%pragma(csharp) imclassclassmodifiers="internal static unsafe class"
%typemap(csclassmodifiers) SWIGTYPE "internal class"

/* Structs become internal classes that a using statement frees. */
%warnfilter(314) base;
%warnfilter(844) error;
%rename(NativeLimits) lethe_limits;
%rename(NativeExportOptions) lethe_export_options;
%rename(NativeForgetConfig) lethe_forget_config;
%rename(NativePretrainConfig) lethe_pretrain_config;
%rename(NativeTaskOptions) lethe_task_options;
%rename(NativeProgress) lethe_progress;
%rename(NativeEvent) lethe_event;
%rename(NativeJobStatus) lethe_job_status_info;
%immutable lethe_event::progress;
%immutable lethe_job_status_info::progress;

/* What may be a process's first call must not be compiled into its caller: Mono looks for the
 * library while it compiles a call, and Library.cs opens it before the call. */
%define LETHE_FIRST(FUNCTION)
%csattributes FUNCTION "[System.Runtime.CompilerServices.MethodImpl((short)8)] // NoInlining"
%enddef
LETHE_FIRST(lethe_abi_version)
LETHE_FIRST(lethe_version_string)
LETHE_FIRST(lethe_status_name)
LETHE_FIRST(lethe_build_info_json)
LETHE_FIRST(lethe_arch_count)
LETHE_FIRST(lethe_arch_default_spec)
LETHE_FIRST(lethe_method_info_json)
LETHE_FIRST(lethe_adapter_verify)
LETHE_FIRST(lethe_journal_info_json)
LETHE_FIRST(lethe_journal_receipts)
LETHE_FIRST(runtime_create)
LETHE_FIRST(receipts_verify)
LETHE_FIRST(lethe_limits::lethe_limits)
LETHE_FIRST(lethe_export_options::lethe_export_options)
LETHE_FIRST(lethe_forget_config::lethe_forget_config)
LETHE_FIRST(lethe_pretrain_config::lethe_pretrain_config)
LETHE_FIRST(lethe_task_options::lethe_task_options)

/* Constants are written by write_types.py. */
%rename("$ignore", %$isenum) "";
%rename("$ignore", %$isenumitem) "";
%rename("$ignore", %$isconstant, regextarget=1) "^LETHE_";

/* ------------------------------------------------------------------------------------ status
 * A failure's sentence belongs to the thread's last call, so it is told to C# before the call
 * returns. The name matters: after a function named like this SWIG looks for what is pending. */
%insert(runtime) %{
#include <stdint.h>
typedef void(SWIGSTDCALL* lethe_failure_callback)(int32_t code, const char* message);
static lethe_failure_callback lethe_on_failure = 0;
extern "C" SWIGEXPORT void SWIGSTDCALL lethe_csharp_on_failure(lethe_failure_callback callback) {
  lethe_on_failure = callback;
}
static void SWIG_CSharpSetPendingExceptionLethe(int32_t code, const char* message) {
  if (lethe_on_failure) lethe_on_failure(code, message);
}
%}
%pragma(csharp) imclasscode=%{
  [global::System.Runtime.InteropServices.DllImport("$dllimport")]
  public static extern void lethe_csharp_on_failure(FailureCallback callback);

  public static class SWIGPendingException {
    public static bool Pending { get { return Failure.Pending; } }
    public static global::System.Exception Retrieve() { return Failure.Take(); }
  }
%}
%typemap(ctype) lethe_status "int"
%typemap(imtype) lethe_status "int"
%typemap(cstype) lethe_status "Status"
%typemap(csin) lethe_status "(int)$csinput"
%typemap(csout, excode=SWIGEXCODE) lethe_status {
    Status ret = (Status)$imcall;$excode
    return ret;
  }
%typemap(out, canthrow=1) lethe_status %{
  $result = $1;
  if ($1 < 0) SWIG_CSharpSetPendingExceptionLethe($1, lethe_last_error());
%}
%typemap(out) lethe_status error "$result = $1;"  /* a field, not a result */
%typemap(csvarout, excode="") lethe_status %{
    get { return (Status)$imcall; } %}

/* The C functions throw nothing; what allocates may find no memory. */
%define LETHE_ALLOCATES(FUNCTION)
%exception FUNCTION {
  try {
    $action
  } catch (...) {
    SWIG_CSharpSetPendingExceptionLethe(LETHE_E_OUT_OF_MEMORY, "no memory in $name");
    return $null;
  }
}
%enddef
LETHE_ALLOCATES(runtime_create)
LETHE_ALLOCATES(lethe_limits::lethe_limits)
LETHE_ALLOCATES(lethe_export_options::lethe_export_options)
LETHE_ALLOCATES(lethe_forget_config::lethe_forget_config)
LETHE_ALLOCATES(lethe_pretrain_config::lethe_pretrain_config)
LETHE_ALLOCATES(lethe_task_options::lethe_task_options)
LETHE_ALLOCATES(lethe_progress::lethe_progress)
LETHE_ALLOCATES(lethe_event::lethe_event)
LETHE_ALLOCATES(lethe_job_status_info::lethe_job_status_info)

/* -------------------------------------------------------------------------------------- text
 * In: UTF-8 with its NUL, or null. Out: lent memory, which the hand-written layer reads. */
%typemap(ctype) const char* "char *"
%typemap(imtype, out="global::System.IntPtr") const char* "byte[]"
%typemap(cstype, out="global::System.IntPtr") const char* "byte[]"
%typemap(csin) const char* "$csinput"
%typemap(csout, excode=SWIGEXCODE) const char* {
    global::System.IntPtr ret = $imcall;$excode
    return ret;
  }
%typemap(out) const char* "$result = (char*)$1;"

/* ----------------------------------------------------------------------------------- numbers */
%typemap(ctype) size_t "size_t"
%typemap(imtype) size_t "global::System.UIntPtr"
%typemap(cstype) size_t "long"
%typemap(csin) size_t "(global::System.UIntPtr)(ulong)$csinput"
%typemap(csout, excode=SWIGEXCODE) size_t {
    long ret = (long)$imcall;$excode
    return ret;
  }

%define LETHE_POINTER(CTYPE, CSTYPE)
%typemap(ctype) CTYPE*, const CTYPE* "void *"
%typemap(imtype) CTYPE*, const CTYPE* "CSTYPE*"
%typemap(cstype) CTYPE*, const CTYPE* "CSTYPE*"
%typemap(csin) CTYPE*, const CTYPE* "$csinput"
%typemap(in) CTYPE*, const CTYPE* "$1 = ($1_ltype)$input;"
%enddef
LETHE_POINTER(void, void)
LETHE_POINTER(uint8_t, byte)
LETHE_POINTER(int64_t, long)
LETHE_POINTER(float, float)
LETHE_POINTER(double, double)

%define LETHE_OUT(CTYPE, CSTYPE, NAME)
%typemap(ctype) CTYPE* NAME "void *"
%typemap(imtype) CTYPE* NAME "out CSTYPE"
%typemap(cstype) CTYPE* NAME "out CSTYPE"
%typemap(csin) CTYPE* NAME "out $csinput"
%typemap(in) CTYPE* NAME "$1 = ($1_ltype)$input;"
%enddef
LETHE_OUT(int32_t, int, out_count)
LETHE_OUT(int32_t, int, out_jobs)
LETHE_OUT(int32_t, int, out_ndim)
LETHE_OUT(int64_t, long, out_count)
LETHE_OUT(int64_t, long, out_label)
LETHE_OUT(int64_t, long, out_height)
LETHE_OUT(int64_t, long, out_width)
LETHE_OUT(double, double, out_value)

/* ----------------------------------------------------------------------------------- handles
 * As SafeHandle, which the runtime keeps from being freed while a call is under way; as a bare
 * pointer where the hand-written layer holds the handle over several calls, or frees it: such
 * functions are declared before lethe.h declares them, and the first declaration counts. */
%define LETHE_SAFE_HANDLE(NAME, CLASS)
%warnfilter(322) lethe_##NAME##_free;
%typemap(ctype) lethe_##NAME*, const lethe_##NAME* "void *"
%typemap(imtype) lethe_##NAME*, const lethe_##NAME* "CLASS"
%typemap(cstype) lethe_##NAME*, const lethe_##NAME* "CLASS"
%typemap(csin) lethe_##NAME*, const lethe_##NAME* "$csinput"
LETHE_OUT(lethe_##NAME*, CLASS, )
LETHE_BARE(lethe_##NAME, bare)
void lethe_##NAME##_free(lethe_##NAME* bare);
%enddef
%define LETHE_BARE(TYPE, NAME)
%typemap(ctype) TYPE* NAME, const TYPE* NAME "void *"
%typemap(imtype) TYPE* NAME, const TYPE* NAME "global::System.IntPtr"
%typemap(cstype) TYPE* NAME, const TYPE* NAME "global::System.IntPtr"
%typemap(csin) TYPE* NAME, const TYPE* NAME "$csinput"
%enddef
%define LETHE_HANDLE_runtime LETHE_SAFE_HANDLE(runtime, RuntimeHandle) %enddef
%define LETHE_HANDLE_model LETHE_SAFE_HANDLE(model, ModelHandle) %enddef
%define LETHE_HANDLE_dataset LETHE_SAFE_HANDLE(dataset, DatasetHandle) %enddef
%define LETHE_HANDLE_engine LETHE_SAFE_HANDLE(engine, EngineHandle) %enddef
%define LETHE_HANDLE_job LETHE_SAFE_HANDLE(job, JobHandle) %enddef
%define LETHE_HANDLE_adapter LETHE_SAFE_HANDLE(adapter, AdapterHandle) %enddef
%define LETHE_HANDLE_report LETHE_SAFE_HANDLE(report, ReportHandle) %enddef
%define LETHE_HANDLE_buffer LETHE_SAFE_HANDLE(buffer, BufferHandle) %enddef
/* Never freed by a finaliser, whose order nobody knows: see src/Log.cs. */
%define LETHE_HANDLE_log_queue
LETHE_BARE(lethe_log_queue, )
LETHE_OUT(lethe_log_queue*, global::System.IntPtr, )
%enddef
%define LETHE_HANDLE(NAME) LETHE_HANDLE_##NAME %enddef

LETHE_BARE(lethe_engine, bare)
LETHE_BARE(lethe_job, bare)
%warnfilter(322) lethe_engine_next_event;
%warnfilter(322) lethe_engine_wait_idle;
%warnfilter(322) lethe_engine_close;
%warnfilter(322) lethe_job_status;
%warnfilter(322) lethe_job_wait;
lethe_status lethe_engine_next_event(lethe_engine* bare, int64_t timeout_ms,
                                     lethe_event* out_event);
lethe_status lethe_engine_wait_idle(lethe_engine* bare, int64_t timeout_ms);
lethe_status lethe_engine_close(lethe_engine* bare, int64_t timeout_ms);
lethe_status lethe_job_status(const lethe_job* bare, lethe_job_status_info* out_info);
lethe_status lethe_job_wait(const lethe_job* bare, int64_t timeout_ms);
