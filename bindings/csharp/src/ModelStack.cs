using System;
using System.Collections.Generic;
using System.Linq;

namespace Lethe
{
    /* The stack of adapters. */
    public sealed partial class Model
    {
        const int AllowUnverified = 1; /* LETHE_ALLOW_UNVERIFIED */

        /// <summary>Number of adapters in the stack, enabled or not.</summary>
        public int AdapterCount => Native.model_adapter_count(Handle);

        /// <summary>An adapter of the stack, oldest first.</summary>
        /// <param name="index">0..<see cref="AdapterCount"/>-1.</param>
        /// <returns>An adapter of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside.</exception>
        public Adapter AdapterAt(int index)
        {
            Native.model_adapter_at(Handle, index, out AdapterHandle adapter);
            return new Adapter(adapter);
        }

        /// <summary>All adapters of the stack, oldest first.</summary>
        /// <returns>Adapters of the caller's.</returns>
        public IReadOnlyList<Adapter> Adapters()
        {
            return Check.ListOf(AdapterCount, AdapterAt);
        }

        /// <summary>The adapter of a request.</summary>
        /// <param name="requestId">Its name.</param>
        /// <returns>An adapter of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>.</exception>
        public Adapter AdapterFind(string requestId)
        {
            Native.model_adapter_find(Handle, Text.Required(requestId, nameof(requestId)),
                out AdapterHandle adapter);
            return new Adapter(adapter);
        }

        /// <summary>Puts an adapter on top of the stack.</summary>
        /// <param name="adapter">It may be disposed of afterwards.</param>
        /// <exception cref="LetheException"><see cref="Status.BaseMismatch"/>: made for another
        /// base, or on other adapters than those now enabled; <see cref="Status.Exists"/>: already
        /// there; <see cref="Status.State"/>: an engine has tasks of this model queued or
        /// running.</exception>
        public void Attach(Adapter adapter)
        {
            Native.model_attach(Handle, Check.NotNull(adapter, nameof(adapter)).Handle);
        }

        /// <summary>Replaces the whole stack at once.</summary>
        /// <param name="adapters">Oldest first; none: an empty stack.</param>
        /// <param name="scales">One for each adapter, 0 keeps it listed but disabled; null: all
        /// 1.</param>
        /// <param name="allowUnverified">Accept a stack that no task was trained on; without it
        /// each adapter's parents must be exactly those before it, all with scale 1.</param>
        /// <exception cref="LetheException">As <see cref="Attach"/>.</exception>
        public unsafe void SetAdapters(IReadOnlyList<Adapter> adapters, double[] scales = null,
            bool allowUnverified = false)
        {
            int count = Check.NotNull(adapters, nameof(adapters)).Count;
            if (scales != null && scales.Length != count)
            {
                throw new ArgumentException("there are " + scales.Length + " scales for " + count
                    + " adapters", nameof(scales));
            }
            AdapterHandle[] owners = adapters
                .Select(adapter => Check.NotNull(adapter, nameof(adapters)).Handle).ToArray();
            var pointers = new long[count];
            int held = 0;
            try
            {
                for (; held < count; ++held)
                {
                    bool added = false;
                    owners[held].DangerousAddRef(ref added);
                    pointers[held] = (long)owners[held].DangerousGetHandle();
                }
                fixed (long* list = pointers)
                fixed (double* factors = scales)
                {
                    Native.model_set_adapters(Handle, list, count, factors,
                        factors == null ? 0 : count, allowUnverified ? AllowUnverified : 0);
                }
            }
            finally
            {
                for (int i = 0; i < held; ++i) owners[i].DangerousRelease();
            }
        }

        /// <summary>Back to the state after a task; later adapters leave the stack. The logits are
        /// those of that state bit for bit.</summary>
        /// <param name="requestId">The task; null: before the first.</param>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no such adapter in the
        /// stack; <see cref="Status.State"/> as <see cref="Attach"/>.</exception>
        public void RollbackTo(string requestId)
        {
            Native.model_rollback_to(Handle, Text.Optional(requestId, nameof(requestId)));
        }

        /// <summary>Enables or disables the adapter of a request, which stays in its place; nothing
        /// happens when it is so already. Enabling gives it scale 1.</summary>
        /// <param name="requestId">Its name.</param>
        /// <param name="enabled">Whether it shall act.</param>
        /// <param name="allowUnverified">Accept a state that no task was trained on; without it
        /// only the topmost enabled adapter can be disabled, and enabled again.</param>
        /// <exception cref="LetheException"><see cref="Status.BaseMismatch"/>: such a state; <see
        /// cref="Status.NotFound"/>: no such adapter in the stack; <see cref="Status.State"/> as
        /// <see cref="Attach"/>.</exception>
        public void Enable(string requestId, bool enabled = true, bool allowUnverified = false)
        {
            Native.model_enable(Handle, Text.Required(requestId, nameof(requestId)),
                enabled ? 1 : 0, allowUnverified ? AllowUnverified : 0);
        }

        /// <summary>Takes the adapter of a request out of the stack.</summary>
        /// <param name="requestId">Its name.</param>
        /// <param name="allowUnverified">As for disabling it with <see cref="Enable"/>.</param>
        /// <exception cref="LetheException">As <see cref="Enable"/>.</exception>
        public void Detach(string requestId, bool allowUnverified = false)
        {
            Native.model_detach(Handle, Text.Required(requestId, nameof(requestId)),
                allowUnverified ? AllowUnverified : 0);
        }
    }
}
