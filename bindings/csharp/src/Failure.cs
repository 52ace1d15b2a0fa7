using System;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Lethe
{
    /* What native code calls, on the failing thread and inside the failing call. */
    [UnmanagedFunctionPointer(CallingConvention.StdCall)]
    internal delegate void FailureCallback(int code, IntPtr message);

    /* The failure of the native call that is returning on this thread. The generated code throws
     * it. */
    internal static class Failure
    {
        static readonly FailureCallback callback = Set; /* native code has only a pointer to it */
        static readonly LetheException noMemory =
            new LetheException(Status.OutOfMemory, "no memory to say what failed");
        [ThreadStatic] static LetheException pending;

        [MethodImpl(MethodImplOptions.NoInlining)] /* see LETHE_FIRST in lethe_csharp.i */
        internal static void Listen()
        {
            NativePINVOKE.lethe_csharp_on_failure(callback);
        }

        internal static bool Pending => pending != null;

        internal static LetheException Take()
        {
            LetheException taken = pending;
            pending = null;
            return taken;
        }

        static void Set(int code, IntPtr message)
        {
            try
            {
                pending = new LetheException((Status)code, Text.Of(message));
            }
            catch (OutOfMemoryException) /* no exception may leave towards native code */
            {
                pending = noMemory;
            }
        }
    }
}
