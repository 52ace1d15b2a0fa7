using System;
using System.Collections.Generic;

namespace Lethe
{
    /// <summary>A base model and its stack of adapters.</summary>
    /// <remarks>Predictions run on a complete, immutable state of the model and never wait for
    /// training.</remarks>
    public sealed partial class Model : IDisposable
    {
        readonly ModelHandle handle;

        /// <summary>A model with random weights.</summary>
        /// <param name="runtime">Where it lives.</param>
        /// <param name="specJson">At least {"arch":"vit","classes":10}; the other fields,
        /// image_size, channels, patch_size, dim, depth, heads and so on, default to those of <see
        /// cref="LetheRuntime.ArchDefaultSpec"/>; unknown ones are refused. A detector is
        /// {"arch":"deformable_detr","classes":80}, with the fields backbone, queries, shorter_side
        /// and so on.</param>
        /// <param name="device">"cpu", "cuda" or "cuda:N"; null means "cpu".</param>
        /// <exception cref="LetheException"><see cref="Status.Corrupt"/>: not JSON; <see
        /// cref="Status.NotFound"/>: unknown arch; <see cref="Status.Device"/>: no such device, or
        /// the CUDA part could not be loaded; <see cref="Status.InvalidArgument"/>.</exception>
        public Model(LetheRuntime runtime, string specJson, string device = null)
        {
            Native.model_create(Check.NotNull(runtime, nameof(runtime)).Handle,
                Text.Required(specJson, nameof(specJson)), Text.Optional(device, nameof(device)),
                out handle);
        }

        Model(ModelHandle handle)
        {
            this.handle = handle;
        }

        internal ModelHandle Handle => handle.Open(nameof(Model));

        /// <summary>Replaces the base weights by those of a file: safetensors, or a PyTorch state
        /// dict (.pt, .pth), which is read without running anything in it. All or
        /// nothing.</summary>
        /// <param name="path">Names of torchvision, timm, Hugging Face (vit), the paper's code
        /// (face_vit), and the published code and Hugging Face (deformable_detr) are
        /// understood.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>, <see cref="Status.Io"/>:
        /// the file; <see cref="Status.Corrupt"/>: truncated, contradictory, not finite; <see
        /// cref="Status.InvalidArgument"/>: a tensor is missing, extra or misshapen; <see
        /// cref="Status.Unsupported"/>: a pickle that names code; <see
        /// cref="Status.LimitExceeded"/>; <see cref="Status.State"/>: the model has adapters, or an
        /// engine works on it.</exception>
        public void LoadWeights(string path, Limits limits = null)
        {
            byte[] name = Text.Required(path, nameof(path));
            using (NativeLimits native = limits?.ToNative())
            {
                Native.model_load_weights(Handle, name, native);
            }
        }

        /// <summary>The same from bytes in memory.</summary>
        /// <param name="data">The content of a file.</param>
        /// <param name="limits">Null: the defaults.</param>
        /// <exception cref="LetheException">As <see cref="LoadWeights(string,
        /// Limits)"/>.</exception>
        public unsafe void LoadWeights(byte[] data, Limits limits = null)
        {
            Check.NotEmpty(data, nameof(data));
            fixed (byte* bytes = data)
            using (NativeLimits native = limits?.ToNative())
            {
                Native.model_load_weights_memory(Handle, bytes, data.Length, native);
            }
        }

        /// <summary>An independent model with the same base and stack. Weights are shared until one
        /// changes, so it costs little.</summary>
        /// <returns>A model of the caller's.</returns>
        public Model Clone()
        {
            Native.model_clone(Handle, out ModelHandle clone);
            return new Model(clone);
        }

        /// <summary>Spec, device, parameter count, groups that can carry adapters, the stack,
        /// classes forgotten and fingerprints, as JSON.</summary>
        /// <returns>JSON.</returns>
        public string InfoJson()
        {
            Native.model_info_json(Handle, out BufferHandle json);
            return json.TakeText();
        }

        /// <summary>SHA-256 of the base: names, types, shapes, values and the spec.</summary>
        /// <returns>32 bytes.</returns>
        public unsafe byte[] BaseFingerprint()
        {
            var print = new byte[32];
            fixed (byte* bytes = print) Native.model_fingerprint(Handle, bytes, 32, null, 0);
            return print;
        }

        /// <summary>SHA-256 of base plus enabled adapters.</summary>
        /// <returns>32 bytes.</returns>
        public unsafe byte[] StateFingerprint()
        {
            var print = new byte[32];
            fixed (byte* bytes = print) Native.model_fingerprint(Handle, null, 0, bytes, 32);
            return print;
        }

        /// <summary>Number of base tensors.</summary>
        public int TensorCount => Native.model_tensor_count(Handle);

        /// <summary>Name and shape of a base tensor, in the order of names.</summary>
        /// <param name="index">0..<see cref="TensorCount"/>-1.</param>
        /// <returns>Its description.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside.</exception>
        public unsafe TensorInfo TensorInfo(int index)
        {
            const int room = 8;
            long* extents = stackalloc long[room];
            Native.model_tensor_info(Handle, index, extents, room, out int dims, out long count);
            var shape = new long[dims];
            for (int i = 0; i < dims; ++i) shape[i] = extents[i];
            string name = Text.Lent(Handle, model => Native.tensor_name(model, index));
            return new TensorInfo(Array.AsReadOnly(shape), name, count);
        }

        /// <summary>All base tensors, in the order of names.</summary>
        /// <returns>A list that does not change.</returns>
        public IReadOnlyList<TensorInfo> Tensors()
        {
            return Check.ListOf(TensorCount, TensorInfo);
        }

        /// <summary>A tensor's values.</summary>
        /// <param name="name">As in <see cref="Tensors"/>.</param>
        /// <param name="merged">False: of the base; true: with the enabled adapters added.</param>
        /// <returns>Its elements, row-major.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no such
        /// name.</exception>
        public float[] TensorRead(string name, bool merged = false)
        {
            byte[] text = Text.Required(name, nameof(name));
            foreach (TensorInfo tensor in Tensors())
            {
                if (tensor.Name != name) continue;
                var values = new float[tensor.Count];
                Read(text, values, merged);
                return values;
            }
            Read(text, new float[1], merged); /* the library's sentence */
            throw new InvalidOperationException();
        }

        /// <summary>The same into an array of the caller's.</summary>
        /// <param name="name">As in <see cref="Tensors"/>.</param>
        /// <param name="values">Has as many elements as the tensor.</param>
        /// <param name="merged">False: of the base; true: with the enabled adapters added.</param>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no such name; <see
        /// cref="Status.InvalidArgument"/>: another number of elements.</exception>
        public void TensorRead(string name, float[] values, bool merged = false)
        {
            Read(Text.Required(name, nameof(name)), Check.NotEmpty(values, nameof(values)), merged);
        }

        unsafe void Read(byte[] name, float[] values, bool merged)
        {
            fixed (float* data = values)
            {
                Native.model_tensor_read(Handle, name, merged ? 1 : 0, data, values.Length);
            }
        }

        /// <summary>Writes base plus enabled adapters as one safetensors file, loadable by the
        /// project whose names <paramref name="options"/> choose. Atomic: a crash leaves the old
        /// file or the new one.</summary>
        /// <param name="path">The file.</param>
        /// <param name="options">Null: the defaults.</param>
        /// <exception cref="LetheException"><see cref="Status.Io"/>: folder missing or read-only,
        /// disk full; <see cref="Status.Unsupported"/>: the architecture has no such
        /// names.</exception>
        public void ExportMerged(string path, ExportOptions options = null)
        {
            byte[] name = Text.Required(path, nameof(path));
            using (NativeExportOptions native = options?.ToNative())
            {
                Native.model_export_merged(Handle, name, native);
            }
        }

        /// <summary>A new model whose base is base plus enabled adapters of this one, with an empty
        /// stack; the logits of the two are equal bit for bit. What the adapters forgot counts as
        /// forgotten in the new model too, until it gets other weights.</summary>
        /// <returns>A model of the caller's.</returns>
        public Model Merge()
        {
            Native.model_merge(Handle, out ModelHandle merged);
            return new Model(merged);
        }

        /// <summary>Makes the current state the only state: the enabled adapters are folded into
        /// the base, base and adapters are dropped, and nothing can be rolled back. With an engine
        /// on a folder this is durable, and a receipt is written. Copies made before are not
        /// touched.</summary>
        /// <exception cref="LetheException"><see cref="Status.State"/>: an engine has tasks of this
        /// model queued or running; <see cref="Status.Io"/>.</exception>
        public void Seal()
        {
            Native.model_seal(Handle);
        }

        /// <summary>Lets go of the model. Engines and jobs that work on it go on.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
