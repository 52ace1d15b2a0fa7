using System;
using System.Threading;

namespace Lethe
{
    /// <summary>A line of the library's log: no newline, no image content, no home paths.</summary>
    public sealed class LogLine
    {
        internal LogLine(LogLevel level, string component, string message)
        {
            Level = level;
            Component = component;
            Message = message;
        }

        /// <summary>How grave it is.</summary>
        public LogLevel Level { get; }

        /// <summary>The part of the library that wrote it.</summary>
        public string Component { get; }

        /// <summary>What it says.</summary>
        public string Message { get; }

        /// <summary>The line as one text.</summary>
        /// <returns>Level, component and message.</returns>
        public override string ToString()
        {
            return Level + " " + Component + ": " + Message;
        }
    }

    /* Takes the lines of one runtime to its listener, on a background thread of its own. The queue
     * has no finaliser: it must outlive the runtime, and finalisers know no order. */
    internal sealed class LogPump
    {
        const int SliceMilliseconds = 250; /* see Waits */
        readonly IntPtr queue;
        readonly Action<LogLine> listener;

        internal LogPump(IntPtr queue, Action<LogLine> listener)
        {
            this.queue = queue;
            this.listener = listener;
            new Thread(Run) { IsBackground = true, Name = "Lethe log" }.Start();
        }

        /* After the runtime is freed. The lines that it left are still delivered. */
        internal void Close()
        {
            lock (this) Native.log_close(queue);
        }

        void Run()
        {
            for (;;)
            {
                int status = Native.log_wait(queue, SliceMilliseconds);
                if (status == (int)Status.End) break;
                if (status == (int)Status.Timeout) continue;
                var line = new LogLine((LogLevel)Native.log_level(queue),
                    Text.Of(Native.log_component(queue)), Text.Of(Native.log_message(queue)));
                try
                {
                    listener(line);
                }
                catch (Exception)
                {
                    /* A listener that fails must not end the process. */
                }
            }
            lock (this) { } /* Close() may still be inside the queue */
            Native.log_free(queue);
        }
    }
}
