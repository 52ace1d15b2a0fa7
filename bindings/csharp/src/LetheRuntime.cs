using System;
using System.Collections.Generic;

namespace Lethe
{
    /// <summary>The surroundings of models and datasets. Many may coexist.</summary>
    /// <remarks>
    /// <para>All classes of this package may be used from any thread at any time. Disposing of an
    /// object twice is fine, and in any order: each keeps alive what it needs. Using it afterwards
    /// is an <see cref="ObjectDisposedException"/>; calls that other threads have under way end
    /// undisturbed.</para>
    /// <para>The native library liblethe_csharp.so is looked for in the folder that the environment
    /// variable LETHE_LIBRARY_PATH names, beside this assembly, in runtimes/linux-x64/native beside
    /// it, and where the system's loader looks. Without one the first use of the package is a <see
    /// cref="DllNotFoundException"/> that lists the places; with one that does not fit, a <see
    /// cref="LetheException"/> with <see cref="Status.Version"/>.</para>
    /// </remarks>
    public sealed class LetheRuntime : IDisposable
    {
        readonly RuntimeHandle handle;

        /// <summary>A runtime that keeps its log to itself.</summary>
        public LetheRuntime() : this(0, null) { }

        /// <summary>A runtime that tells its log.</summary>
        /// <param name="level">Lines below it are not formed.</param>
        /// <param name="listener">Gets the lines, one at a time, on a background thread. What it
        /// throws is ignored. When it is slow, the newest 1024 lines wait for it.</param>
        public LetheRuntime(LogLevel level, Action<LogLine> listener)
        {
            Library.Ensure();
            if (level != 0) Check.NotNull(listener, nameof(listener));
            Native.runtime_create((int)level, out handle, out IntPtr log);
            if (log != IntPtr.Zero) handle.Log = new LogPump(log, listener);
        }

        internal RuntimeHandle Handle => handle.Open(nameof(LetheRuntime));

        /// <summary>Number of CUDA devices. Loads the CUDA part on first use; 0 when it or a device
        /// is missing.</summary>
        /// <returns>0 or more.</returns>
        public int DeviceCount()
        {
            Native.runtime_device_count(Handle, out int count);
            return count;
        }

        /// <summary>Ends the runtime and its log. Objects made from it go on working.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }

        /// <summary>Semantic version of the native library, for example "0.5.0".</summary>
        public static string Version
        {
            get
            {
                Library.Ensure();
                return Text.Of(Native.version_string());
            }
        }

        /// <summary>ABI version of the native library: major &lt;&lt; 16 | minor.</summary>
        public static int AbiVersion
        {
            get
            {
                Library.Ensure();
                return (int)Native.abi_version();
            }
        }

        /// <summary>Stable name of a status in every language, for example
        /// "BASE_MISMATCH".</summary>
        /// <param name="status">Any value.</param>
        /// <returns>The name; "UNKNOWN" for a value that the library does not know.</returns>
        public static string StatusName(Status status)
        {
            Library.Ensure();
            return Text.Of(Native.status_name(status));
        }

        /// <summary>About this build, as JSON: version, abi, compiler, libtorch, zstd, sodium,
        /// sqlite, cpu, threads, cuda (whether the CUDA part could be loaded, and why
        /// not).</summary>
        /// <returns>JSON.</returns>
        public static string BuildInfoJson()
        {
            Library.Ensure();
            Native.build_info_json(out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>Names of the built-in architectures: "vit", "face_vit", "face_vits",
        /// "deformable_detr".</summary>
        public static IReadOnlyList<string> ArchNames
        {
            get
            {
                Library.Ensure();
                return Check.ListOf(Native.arch_count(), i => Text.Of(Native.arch_name(i)));
            }
        }

        /// <summary>The JSON spec of an architecture with every field at its default.</summary>
        /// <param name="arch">One of <see cref="ArchNames"/>.</param>
        /// <returns>JSON.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: unknown
        /// name.</exception>
        public static string ArchDefaultSpec(string arch)
        {
            Library.Ensure();
            Native.arch_default_spec(Text.Required(arch, nameof(arch)), out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>Every method of forgetting (name, number, meaning) and every setting (type,
        /// range, default, meaning), and the defaults by method and head, as JSON.</summary>
        /// <returns>JSON.</returns>
        public static string MethodInfoJson()
        {
            Library.Ensure();
            Native.method_info_json(out BufferHandle json);
            return json.TakeText();
        }
    }
}
