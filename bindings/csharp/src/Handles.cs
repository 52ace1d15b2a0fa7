using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;

namespace Lethe
{
    /* What owns a native object. P/Invoke keeps it from being freed during a call; freeing may
     * happen in any order, on the finaliser's thread too. */
    internal abstract class Handle : SafeHandle
    {
        volatile bool disposed;

        protected Handle() : base(IntPtr.Zero, true) { }

        /* At once, where IsClosed waits for the last call that is under way. */
        internal bool IsDisposed => disposed;

        public override bool IsInvalid => handle == IntPtr.Zero;

        protected sealed override void Dispose(bool disposing)
        {
            disposed = true;
            base.Dispose(disposing);
        }

        protected sealed override bool ReleaseHandle()
        {
            Free(handle);
            return true;
        }

        protected abstract void Free(IntPtr owned);
    }

    internal static class Handles
    {
        /* An ObjectDisposedException that names the class. A close in the instant after it is
         * noticed by P/Invoke, or comes after the call. */
        internal static T Open<T>(this T handle, string name) where T : Handle
        {
            if (handle.IsDisposed) throw new ObjectDisposedException(name);
            return handle;
        }

        internal static Held Hold(this Handle handle)
        {
            return new Held(handle);
        }
    }

    /* Keeps a native object from being freed over several calls, whoever closes its handle
     * meanwhile. */
    internal sealed class Held : IDisposable
    {
        readonly Handle handle;
        readonly bool held;

        internal Held(Handle handle)
        {
            this.handle = handle;
            handle.DangerousAddRef(ref held);
            Pointer = handle.DangerousGetHandle();
        }

        internal IntPtr Pointer { get; }

        /* Once. */
        public void Dispose()
        {
            if (held) handle.DangerousRelease();
        }
    }

    internal sealed class RuntimeHandle : Handle
    {
        internal LogPump Log; /* ends after the runtime, which writes to it */

        protected override void Free(IntPtr owned)
        {
            Native.runtime_free(owned);
            Log?.Close();
        }
    }

    internal sealed class ModelHandle : Handle
    {
        protected override void Free(IntPtr owned) { Native.model_free(owned); }
    }

    internal sealed class DatasetHandle : Handle
    {
        static readonly DatasetHandle none = new DatasetHandle();

        /* The handle of a set that may be null. */
        internal static DatasetHandle Of(Dataset dataset)
        {
            return dataset == null ? none : dataset.Handle;
        }

        protected override void Free(IntPtr owned) { Native.dataset_free(owned); }
    }

    internal sealed class EngineHandle : Handle
    {
        const int PatienceMilliseconds = 10000;
        static readonly List<WeakReference<EngineHandle>> all =
            new List<WeakReference<EngineHandle>>();

        static EngineHandle()
        {
            AppDomain.CurrentDomain.ProcessExit += (sender, e) => CloseAll();
        }

        public EngineHandle()
        {
            lock (all)
            {
                all.RemoveAll(engine => !engine.TryGetTarget(out _));
                all.Add(new WeakReference<EngineHandle>(this));
            }
        }

        /* A training must not compute while the process takes its libraries down. */
        static void CloseAll()
        {
            lock (all)
            {
                foreach (WeakReference<EngineHandle> engine in all)
                {
                    if (engine.TryGetTarget(out EngineHandle handle)) handle.CloseNative();
                }
            }
        }

        void CloseNative()
        {
            try
            {
                if (IsInvalid) return;
                using (Held engine = this.Hold())
                {
                    Native.engine_close(engine.Pointer, PatienceMilliseconds);
                }
            }
            catch (Exception e) when (e is ObjectDisposedException || e is LetheException)
            {
                /* It is closed, or what it could not write is in its folder's journal. */
            }
        }

        protected override void Free(IntPtr owned) { Native.engine_free(owned); }
    }

    internal sealed class JobHandle : Handle
    {
        protected override void Free(IntPtr owned) { Native.job_free(owned); }
    }

    internal sealed class AdapterHandle : Handle
    {
        protected override void Free(IntPtr owned) { Native.adapter_free(owned); }
    }

    internal sealed class ReportHandle : Handle
    {
        protected override void Free(IntPtr owned) { Native.report_free(owned); }
    }

    internal sealed class BufferHandle : Handle
    {
        protected override void Free(IntPtr owned) { Native.buffer_free(owned); }

        /* The content, after which the buffer is freed. */

        internal string TakeText()
        {
            return System.Text.Encoding.UTF8.GetString(TakeBytes());
        }

        internal unsafe byte[] TakeBytes()
        {
            using (this)
            {
                var bytes = new byte[Native.buffer_size(this)];
                if (bytes.Length == 0) return bytes;
                fixed (byte* data = bytes) Native.buffer_copy(this, data, bytes.Length);
                return bytes;
            }
        }

        internal unsafe float[] TakeFloats()
        {
            using (this)
            {
                var values = new float[Native.buffer_size(this) / sizeof(float)];
                if (values.Length == 0) return values;
                fixed (float* data = values) Native.buffer_copy_floats(this, data, values.Length);
                return values;
            }
        }
    }
}
