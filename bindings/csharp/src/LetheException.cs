using System;

namespace Lethe
{
    /// <summary>A call of the library failed. The message is one sentence that names the value and
    /// the remedy; on failure nothing has changed unless the method says otherwise.</summary>
    /// <remarks>Wrong use of the package itself (a null, an array that does not fit its shape, an
    /// object that was disposed of) is the runtime's own exception instead.</remarks>
    public sealed class LetheException : Exception
    {
        internal LetheException(Status status, string message, string findings = null)
            : base(message)
        {
            Status = status;
            Findings = findings;
        }

        /// <summary>Why it failed. Treat a value without a name as a failure like the
        /// others.</summary>
        public Status Status { get; }

        /// <summary>After a failed <see cref="Adapter.Verify"/> or <see
        /// cref="Receipts.Verify(byte[], byte[])"/> what they found, as JSON; otherwise
        /// null.</summary>
        public string Findings { get; }

        /// <summary>The status, the sentence and the stack.</summary>
        /// <returns>Text for a log.</returns>
        public override string ToString()
        {
            return Status + ": " + base.ToString();
        }
    }
}
