using System;

namespace Lethe
{
    /// <summary>What a finished forget task leaves: low-rank weights of the groups it needed, or
    /// the change of the weights themselves. Adapters do not change.</summary>
    public sealed class Adapter : IDisposable
    {
        readonly AdapterHandle handle;

        internal Adapter(AdapterHandle handle)
        {
            this.handle = handle;
        }

        internal AdapterHandle Handle => handle.Open(nameof(Adapter));

        /// <summary>The manifest as JSON: ids, parents, method and settings, classes forgotten,
        /// groups with norms and effect, tensors, metrics, data digests, environment.</summary>
        /// <returns>JSON.</returns>
        public string InfoJson()
        {
            Native.adapter_info_json(Handle, out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>Writes an adapter checkpoint (zstd over safetensors). Atomic, and read back
        /// before it counts.</summary>
        /// <param name="path">The file.</param>
        /// <param name="options">Null: the defaults.</param>
        /// <exception cref="LetheException"><see cref="Status.Io"/>; <see
        /// cref="Status.InvalidArgument"/>: an option out of range.</exception>
        public void Export(string path, ExportOptions options = null)
        {
            byte[] name = Text.Required(path, nameof(path));
            using (NativeExportOptions native = options?.ToNative())
            {
                Native.adapter_export(Handle, name, native);
            }
        }

        /// <summary>The same into memory.</summary>
        /// <param name="options">Null: the defaults.</param>
        /// <returns>The content of the file.</returns>
        /// <exception cref="LetheException"><see cref="Status.InvalidArgument"/>: an option out of
        /// range.</exception>
        public byte[] ExportMemory(ExportOptions options = null)
        {
            using (NativeExportOptions native = options?.ToNative())
            {
                Native.adapter_export_memory(Handle, native, out BufferHandle bytes);
                return bytes.TakeBytes();
            }
        }

        /// <summary>Writes the adapter in the format of Hugging Face's PEFT: adapter_config.json
        /// and adapter_model.safetensors. Each file is replaced atomically. What PEFT has no field
        /// for (parents, figures, digests) stays behind.</summary>
        /// <param name="folder">Made when it is missing; its parent is not.</param>
        /// <param name="options">Null: the defaults.</param>
        /// <exception cref="LetheException"><see cref="Status.Unsupported"/>: the architecture has
        /// no such names; <see cref="Status.Io"/>.</exception>
        public void ExportPeft(string folder, ExportOptions options = null)
        {
            byte[] name = Text.Required(folder, nameof(folder));
            using (NativeExportOptions native = options?.ToNative())
            {
                Native.adapter_export_peft(Handle, name, native);
            }
        }

        /// <summary>Reads an adapter checkpoint; no model is needed. Every byte is checked before
        /// anything counts.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="path">The file.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <returns>An adapter of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>, <see cref="Status.Io"/>,
        /// <see cref="Status.Corrupt"/>, <see cref="Status.LimitExceeded"/>, <see
        /// cref="Status.Version"/>.</exception>
        public static Adapter Load(LetheRuntime runtime, string path, Limits limits = null)
        {
            RuntimeHandle owner = Check.NotNull(runtime, nameof(runtime)).Handle;
            byte[] name = Text.Required(path, nameof(path));
            using (NativeLimits native = limits?.ToNative())
            {
                Native.adapter_load(owner, name, native, out AdapterHandle adapter);
                return new Adapter(adapter);
            }
        }

        /// <summary>The same from memory.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="data">The content of a file.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <returns>An adapter of the caller's.</returns>
        /// <exception cref="LetheException">As <see cref="Load"/>.</exception>
        public static unsafe Adapter LoadMemory(LetheRuntime runtime, byte[] data,
            Limits limits = null)
        {
            RuntimeHandle owner = Check.NotNull(runtime, nameof(runtime)).Handle;
            Check.NotEmpty(data, nameof(data));
            fixed (byte* bytes = data)
            using (NativeLimits native = limits?.ToNative())
            {
                Native.adapter_load_memory(owner, bytes, data.Length, native,
                    out AdapterHandle adapter);
                return new Adapter(adapter);
            }
        }

        /// <summary>Reads a folder of PEFT's LoRA format as an adapter for the present state of a
        /// model: its base and the enabled adapters become the adapter's base and parents. Attach
        /// it with <see cref="Model.Attach"/>; nobody has measured what it does, so evaluate before
        /// you rely on it.</summary>
        /// <param name="model">The model it is for.</param>
        /// <param name="folder">Holds adapter_config.json and adapter_model.safetensors.</param>
        /// <param name="requestId">The name it gets, 1..128 bytes.</param>
        /// <param name="classes">What it makes the model forget.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <returns>An adapter of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: the folder or a file in
        /// it, or a class that the model does not have; <see cref="Status.Corrupt"/>: contradictory
        /// or not finite; <see cref="Status.Unsupported"/>: another PEFT method, DoRA, biases,
        /// saved modules; <see cref="Status.BaseMismatch"/>: a module or shape that the model does
        /// not have; <see cref="Status.LimitExceeded"/>; <see cref="Status.Io"/>.</exception>
        public static unsafe Adapter ImportPeft(Model model, string folder, string requestId,
            long[] classes,
            Limits limits = null)
        {
            ModelHandle owner = Check.NotNull(model, nameof(model)).Handle;
            byte[] name = Text.Required(folder, nameof(folder));
            byte[] id = Text.Required(requestId, nameof(requestId));
            Check.NotEmpty(classes, nameof(classes));
            fixed (long* ids = classes)
            using (NativeLimits native = limits?.ToNative())
            {
                Native.adapter_import_peft(owner, name, id, ids, classes.Length, native,
                    out AdapterHandle adapter);
                return new Adapter(adapter);
            }
        }

        /// <summary>Runs every check of <see cref="Load"/> and keeps nothing.</summary>
        /// <param name="path">The file.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <returns>JSON: {"ok", "bytes", "adapter_id", "request_id", "error": null}.</returns>
        /// <exception cref="LetheException">As <see cref="Load"/>; <see
        /// cref="LetheException.Findings"/> has the JSON, in which error is {"code", "message"} and
        /// null is what could not be read.</exception>
        public static string Verify(string path, Limits limits = null)
        {
            Library.Ensure();
            byte[] name = Text.Required(path, nameof(path));
            BufferHandle findings = null;
            using (NativeLimits native = limits?.ToNative())
            {
                try
                {
                    Native.adapter_verify(name, native, out findings);
                }
                catch (LetheException e) when (findings != null && !findings.IsInvalid)
                {
                    throw new LetheException(e.Status, e.Message, findings.TakeText());
                }
                return findings.TakeText();
            }
        }

        /// <summary>Lets go of the adapter. Models that carry it keep it.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
