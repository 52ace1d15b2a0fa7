using System;
using System.Threading;
using System.Threading.Tasks;

namespace Lethe
{
    /// <summary>One task or training run of an engine.</summary>
    public sealed class Job : IDisposable
    {
        readonly JobHandle handle;
        readonly Waits waits;

        internal Job(JobHandle handle, Waits waits)
        {
            this.handle = handle;
            this.waits = waits;
        }

        internal JobHandle Handle => handle.Open(nameof(Job));

        /// <summary>1, 2, 3 ... within its engine.</summary>
        public long Id => Status.JobId;

        /// <summary>The host's name for the request.</summary>
        public string RequestId => Text.Lent(Handle, job => Native.job_request_id(job));

        /// <summary>Where the job stands now.</summary>
        public JobStatus Status
        {
            get
            {
                using (Held job = Handle.Hold()) return StatusOf(job);
            }
        }

        /// <summary>The sentence of a job that failed, was rejected or cancelled; ""
        /// otherwise.</summary>
        public string Error => Text.Lent(Handle, job => Native.job_error(job));

        /// <summary>Waits until the job has ended, however it ended.</summary>
        /// <returns>How it ended.</returns>
        /// <exception cref="LetheException"><see cref="Lethe.Status.State"/>: its engine with a
        /// folder was closed; <see cref="Lethe.Status.Io"/>: the folder cannot be written. Either
        /// way the job is kept there and goes on when the folder is opened again.</exception>
        public JobStatus Wait()
        {
            using (Held job = Handle.Hold())
            {
                Waits.Block(Timeout.InfiniteTimeSpan, ms => Ended(job, ms));
                return StatusOf(job);
            }
        }

        /// <summary>Waits a while.</summary>
        /// <param name="timeout">Negative: for ever.</param>
        /// <returns>Whether the job has ended.</returns>
        /// <exception cref="LetheException">As <see cref="Wait()"/>.</exception>
        public bool Wait(TimeSpan timeout)
        {
            using (Held job = Handle.Hold()) return Waits.Block(timeout, ms => Ended(job, ms));
        }

        /// <summary>Waits without a thread of its own, however many jobs are waited for.</summary>
        /// <param name="token">Ends the waiting; the job goes on. <see cref="Cancel"/> stops the
        /// job.</param>
        /// <returns>How it ended. The task fails as <see cref="Wait()"/> does.</returns>
        public Task<JobStatus> WaitAsync(CancellationToken token = default(CancellationToken))
        {
            Held job = Handle.Hold();
            return waits.Add(job, ms => Ended(job, ms), () => StatusOf(job), token);
        }

        /// <summary>Asks the job to stop; returns at once. It takes effect within one optimiser
        /// step and leaves no adapter. A job that is nearly done may still succeed; cancelling an
        /// ended job does nothing.</summary>
        public void Cancel()
        {
            Native.job_cancel(Handle);
        }

        /// <summary>The adapter that a forget task left.</summary>
        /// <returns>An adapter of the caller's; null when there is none, after a rejection or of a
        /// pre-training.</returns>
        /// <exception cref="LetheException"><see cref="Lethe.Status.State"/>: not ended, or it left
        /// nothing because it failed or was cancelled.</exception>
        public Adapter Adapter()
        {
            Native.job_result(Handle, out AdapterHandle adapter, out ReportHandle report);
            report.Dispose();
            return adapter.IsInvalid ? null : new Adapter(adapter);
        }

        /// <summary>The figures of an ended task; a rejected one has them too.</summary>
        /// <returns>A report of the caller's; null when there is none.</returns>
        /// <exception cref="LetheException">As <see cref="Adapter"/>.</exception>
        public Report Report()
        {
            Native.job_result(Handle, out AdapterHandle adapter, out ReportHandle report);
            adapter.Dispose();
            return report.IsInvalid ? null : new Report(report);
        }

        static bool Ended(Held job, long milliseconds)
        {
            return Native.job_wait(job.Pointer, milliseconds) == Lethe.Status.Ok;
        }

        static JobStatus StatusOf(Held job)
        {
            using (var native = new NativeJobStatus())
            {
                Native.job_status(job.Pointer, native);
                return new JobStatus(native);
            }
        }

        /// <summary>Lets go of the job, which goes on.</summary>
        public void Dispose()
        {
            handle.Dispose();
        }
    }
}
