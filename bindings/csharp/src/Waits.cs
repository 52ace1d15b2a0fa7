using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;

namespace Lethe
{
    /* Waits inside the library are done in slices: a runtime that ends does not get a thread back
     * that blocks in native code, and would wait for it. */
    internal sealed class Waits
    {
        internal const int SliceMilliseconds = 50;

        /* Blocks until `ended`, which waits so many milliseconds, says so, or the time is over
         * (negative: for ever). */
        internal static bool Block(TimeSpan timeout, Func<long, bool> ended)
        {
            if (timeout < TimeSpan.Zero)
            {
                while (!ended(SliceMilliseconds)) { }
                return true;
            }
            var watch = Stopwatch.StartNew();
            for (;;)
            {
                double left = Math.Ceiling((timeout - watch.Elapsed).TotalMilliseconds);
                if (left <= SliceMilliseconds) return ended((long)Math.Max(left, 0));
                if (ended(SliceMilliseconds)) return true;
            }
        }

        /* Completes the tasks of those who wait for jobs of one engine. However many wait, one
         * background thread asks for them, and only while somebody does: it sleeps inside the
         * oldest wait and looks at the others between its slices. */
        readonly List<Wait> waits = new List<Wait>();
        bool running;

        /* `held` is let go of when the wait is over. */
        internal Task<T> Add<T>(Held held, Func<long, bool> ended, Func<T> result,
            CancellationToken token)
        {
            Wait<T> wait;
            try
            {
                wait = new Wait<T>(held, ended, result, token);
            }
            catch (ObjectDisposedException) /* the token's source */
            {
                held.Dispose();
                throw;
            }
            if (wait.Ask(0)) return wait.Task;
            lock (waits)
            {
                waits.Add(wait);
                if (!running) new Thread(Run) { IsBackground = true, Name = "Lethe waits" }.Start();
                running = true;
            }
            return wait.Task;
        }

        void Run()
        {
            for (;;)
            {
                Wait[] round;
                lock (waits)
                {
                    running = waits.Count > 0;
                    if (!running) return;
                    round = waits.ToArray();
                }
                var over = new HashSet<Wait>();
                for (int i = 0; i < round.Length; ++i)
                {
                    if (round[i].Ask(i == 0 ? SliceMilliseconds : 0)) over.Add(round[i]);
                }
                lock (waits) waits.RemoveAll(over.Contains);
            }
        }

        abstract class Wait
        {
            /* Whether it is over; after that it is not asked again. */
            internal abstract bool Ask(long milliseconds);
        }

        sealed class Wait<T> : Wait
        {
            /* What goes on after the task does so on another thread than the one that asks. */
            readonly TaskCompletionSource<T> source =
                new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
            readonly Held held;
            readonly Func<long, bool> ended;
            readonly Func<T> result;
            readonly CancellationTokenRegistration registration;

            internal Wait(Held held, Func<long, bool> ended, Func<T> result,
                CancellationToken token)
            {
                this.held = held;
                this.ended = ended;
                this.result = result;
                registration = token.Register(() => source.TrySetCanceled(token));
            }

            internal Task<T> Task => source.Task;

            internal override bool Ask(long milliseconds)
            {
                try
                {
                    if (!Task.IsCompleted) /* not cancelled */
                    {
                        if (!ended(milliseconds)) return false;
                        source.TrySetResult(result());
                    }
                }
                catch (Exception e)
                {
                    source.TrySetException(e);
                }
                registration.Dispose();
                held.Dispose();
                return true;
            }
        }
    }
}
