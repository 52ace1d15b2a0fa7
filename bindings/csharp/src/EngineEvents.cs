using System;
using System.Collections.Generic;
using System.Threading;

namespace Lethe
{
    /* What an engine tells: events and receipts. */
    public sealed partial class Engine
    {
        /// <summary>The events of the engine, as they come, until it is closed and all were taken.
        /// Any number of threads may take events; each goes to one of them.</summary>
        /// <param name="token">Ends the iteration with an <see
        /// cref="OperationCanceledException"/>.</param>
        /// <returns>Each iteration takes the events that come from then on. It also ends when the
        /// engine is disposed of.</returns>
        public IEnumerable<Event> Events(CancellationToken token = default(CancellationToken))
        {
            return Take(Handle, token);
        }

        static IEnumerable<Event> Take(EngineHandle handle, CancellationToken token)
        {
            for (;;)
            {
                token.ThrowIfCancellationRequested();
                if (handle.IsDisposed) yield break;
                Status status = Next(handle, Waits.SliceMilliseconds, out Event next);
                if (status == Status.End) yield break;
                if (status == Status.Ok) yield return next;
            }
        }

        /* A handle that is closed between two events ends them. */
        static Status Next(EngineHandle handle, long milliseconds, out Event next)
        {
            next = null;
            try
            {
                using (Held engine = handle.Hold()) return Next(engine, milliseconds, out next);
            }
            catch (ObjectDisposedException)
            {
                return Status.End;
            }
        }

        static Status Next(Held engine, long milliseconds, out Event next)
        {
            using (var native = new NativeEvent())
            {
                Status status = Native.engine_next_event(engine.Pointer, milliseconds, native);
                next = status == Status.Ok ? new Event(native) : null;
                return status;
            }
        }

        /// <summary>Takes the next event.</summary>
        /// <param name="timeout">How long to wait for it; zero: not at all; negative: for
        /// ever.</param>
        /// <param name="next">The event, or null.</param>
        /// <returns><see cref="Status.Ok"/>, <see cref="Status.Timeout"/>: none came, <see
        /// cref="Status.End"/>: the engine is closed and all events were taken.</returns>
        public Status NextEvent(TimeSpan timeout, out Event next)
        {
            Status status = Status.Timeout;
            Event taken = null;
            using (Held engine = Handle.Hold())
            {
                Waits.Block(timeout, ms =>
                {
                    status = Next(engine, ms, out taken);
                    return status != Status.Timeout;
                });
            }
            next = taken;
            return status;
        }

        /// <summary>Number of receipts.</summary>
        public int ReceiptCount => Native.engine_receipt_count(Handle);

        /// <summary>The receipt of a request.</summary>
        /// <param name="requestId">Its name.</param>
        /// <returns>One line without its end.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no such request has
        /// ended.</exception>
        public string Receipt(string requestId)
        {
            Native.engine_receipt(Handle, Text.Required(requestId, nameof(requestId)),
                out BufferHandle line);
            return line.TakeText();
        }

        /// <summary>All receipts, oldest first: what <see cref="Lethe.Receipts.Verify(string,
        /// byte[])"/> reads.</summary>
        /// <returns>Lines, each ended by a newline.</returns>
        public string Receipts()
        {
            Native.engine_receipts(Handle, out BufferHandle lines);
            return lines.TakeText();
        }

        /// <summary>The Ed25519 public key that this engine's receipts are signed with. Publish it
        /// where those who verify receipts trust it.</summary>
        /// <returns>32 bytes.</returns>
        public unsafe byte[] PublicKey()
        {
            var key = new byte[32];
            fixed (byte* bytes = key) Native.engine_public_key(Handle, bytes, 32);
            return key;
        }
    }
}
