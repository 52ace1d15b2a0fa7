using System;
using System.Collections.Generic;
using System.Threading;
using System.Threading.Tasks;

namespace Lethe
{
    /// <summary>A queue of tasks for one model and the thread that works them off.</summary>
    public sealed partial class Engine : IDisposable
    {
        readonly EngineHandle handle;
        readonly Waits waits = new Waits();

        /// <summary>An engine, whose thread starts at once. A model has at most one.</summary>
        /// <param name="model">It may be disposed of afterwards.</param>
        /// <param name="options">Null: the defaults. With a folder nothing accepted is lost,
        /// whenever the process dies: to go on, load the same base weights into a model without
        /// adapters and make an engine on the same folder. The model gets its stack back, and
        /// unfinished tasks go on from their last checkpoint.</param>
        /// <exception cref="ArgumentException">The signing seed has not 32 bytes.</exception>
        /// <exception cref="LetheException"><see cref="Status.Busy"/>: the model or the folder has
        /// an engine already; <see cref="Status.BaseMismatch"/>: the folder belongs to another
        /// base; <see cref="Status.State"/>: the model carries other adapters than the folder; <see
        /// cref="Status.Corrupt"/>: the folder's journal or an adapter in it is damaged; <see
        /// cref="Status.Version"/>: a newer library wrote the folder; <see
        /// cref="Status.Io"/>.</exception>
        public unsafe Engine(Model model, EngineOptions options = null)
        {
            ModelHandle owner = Check.NotNull(model, nameof(model)).Handle;
            EngineOptions o = options ?? new EngineOptions();
            byte[] folder = Text.Optional(o.Folder, nameof(options));
            fixed (byte* seed = Check.Key(o.SigningSeed, nameof(options)))
            {
                Native.engine_create(owner, o.Threads, o.EventCapacity ?? 0, folder,
                    o.CheckpointSeconds ?? double.NaN, seed, seed == null ? 0 : 32,
                    o.Paused ? 1 : 0, out handle);
            }
        }

        internal EngineHandle Handle => handle.Open(nameof(Engine));

        /// <summary>Queues a forget task. The sets are shared, not copied, and may be disposed of
        /// at once; their pixels are read once, for a digest.</summary>
        /// <param name="requestId">The host's name for the request, 1..128 bytes; the adapter bears
        /// it. Null: one is made. The same id with the same request gives the same job
        /// again.</param>
        /// <param name="classes">What to forget: ids of the model's head, each once.</param>
        /// <param name="config">Null: the defaults of GS-LoRA++ for the model's head.</param>
        /// <param name="forgetSet">Training samples.</param>
        /// <param name="retainSet">More of them; null: <paramref name="forgetSet"/> holds both
        /// kinds and is divided by <paramref name="classes"/>. Samples of classes that earlier
        /// tasks forgot are left out.</param>
        /// <param name="validationSet">Held-out samples of all classes, for the quality gate and
        /// the report; null: both use the training samples.</param>
        /// <param name="options">When it runs, and how long it may; null: the defaults. Not part of
        /// what a request id stands for.</param>
        /// <returns>A job of the caller's.</returns>
        /// <exception cref="ArgumentException">No classes.</exception>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: a class the model does
        /// not have, or that has no sample; <see cref="Status.InvalidArgument"/>: all classes, a
        /// class named twice, an empty set, sets whose labels contradict the classes, images of
        /// another shape, a setting out of range; <see cref="Status.State"/>: the engine is closed;
        /// <see cref="Status.Exists"/>: the id is taken by a different request; <see
        /// cref="Status.Io"/>: it could not be made durable.</exception>
        public unsafe Job Enqueue(string requestId, long[] classes, ForgetConfig config,
            Dataset forgetSet, Dataset retainSet = null, Dataset validationSet = null,
            TaskOptions options = null)
        {
            byte[] id = Text.Optional(requestId, nameof(requestId));
            Check.NotEmpty(classes, nameof(classes));
            DatasetHandle forget = Check.NotNull(forgetSet, nameof(forgetSet)).Handle;
            DatasetHandle retain = DatasetHandle.Of(retainSet);
            DatasetHandle validation = DatasetHandle.Of(validationSet);
            JobHandle job;
            fixed (long* ids = classes)
            using (NativeForgetConfig settings = config?.ToNative())
            using (NativeTaskOptions timing = options?.ToNative())
            {
                if (timing == null)
                {
                    Native.engine_enqueue(Handle, id, ids, classes.Length, settings, forget, retain,
                        validation, out job);
                }
                else
                {
                    Native.engine_enqueue_with(Handle, id, ids, classes.Length, settings, forget,
                        retain, validation, timing, out job);
                }
            }
            return new Job(job, waits);
        }

        /// <summary>Queues the training of the base weights, which replace the old ones when it
        /// succeeds.</summary>
        /// <param name="requestId">As for <see cref="Enqueue"/>.</param>
        /// <param name="config">Null: the defaults.</param>
        /// <param name="trainSet">Training samples.</param>
        /// <param name="validationSet">For the report; null: none.</param>
        /// <returns>A job of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.State"/>: the model has adapters, or
        /// the engine is closed; otherwise as <see cref="Enqueue"/>.</exception>
        public Job EnqueuePretraining(string requestId, PretrainConfig config, Dataset trainSet,
            Dataset validationSet = null)
        {
            byte[] id = Text.Optional(requestId, nameof(requestId));
            DatasetHandle train = Check.NotNull(trainSet, nameof(trainSet)).Handle;
            using (NativePretrainConfig settings = config?.ToNative())
            {
                Native.engine_enqueue_pretraining(Handle, id, settings, train,
                    DatasetHandle.Of(validationSet), out JobHandle job);
                return new Job(job, waits);
            }
        }

        /// <summary>Stops training after the current step until <see cref="Resume"/>; queued tasks
        /// wait. Predictions never notice.</summary>
        public void Pause()
        {
            Native.engine_pause(Handle);
        }

        /// <summary>Goes on after <see cref="Pause"/>.</summary>
        public void Resume()
        {
            Native.engine_resume(Handle);
        }

        /// <summary>Gives data back to jobs in <see cref="JobState.AwaitingData"/>: every set of
        /// theirs with the content digest of <paramref name="dataset"/> is found in it, and a job
        /// that lacks no other is queued again.</summary>
        /// <param name="dataset">The data.</param>
        /// <returns>How many jobs were queued.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: no job waits for this
        /// content.</exception>
        public int BindDataset(Dataset dataset)
        {
            Native.engine_bind_dataset(Handle, Check.NotNull(dataset, nameof(dataset)).Handle,
                out int jobs);
            return jobs;
        }

        /// <summary>Waits until no job is queued or running. Jobs awaiting data do not
        /// count.</summary>
        /// <exception cref="LetheException"><see cref="Status.Io"/>: the engine stopped because its
        /// folder cannot be written.</exception>
        public void WaitIdle()
        {
            WaitIdle(Timeout.InfiniteTimeSpan);
        }

        /// <summary>Waits a while.</summary>
        /// <param name="timeout">Negative: for ever.</param>
        /// <returns>Whether no job is queued or running.</returns>
        /// <exception cref="LetheException">As <see cref="WaitIdle()"/>.</exception>
        public bool WaitIdle(TimeSpan timeout)
        {
            using (Held engine = Handle.Hold()) return Waits.Block(timeout, ms => Idle(engine, ms));
        }

        /// <summary>Waits without a thread of its own.</summary>
        /// <param name="token">Ends the waiting; the jobs go on.</param>
        /// <returns>A task that completes when no job is queued or running. It fails as <see
        /// cref="WaitIdle()"/> does.</returns>
        public Task WaitIdleAsync(CancellationToken token = default(CancellationToken))
        {
            Held engine = Handle.Hold();
            return waits.Add(engine, ms => Idle(engine, ms), () => true, token);
        }

        static bool Idle(Held engine, long milliseconds)
        {
            return Native.engine_wait_idle(engine.Pointer, milliseconds) == Status.Ok;
        }

        /// <summary>Number of jobs ever queued in this engine.</summary>
        public int JobCount => Native.engine_job_count(Handle);

        /// <summary>A job, in order of arrival.</summary>
        /// <param name="index">0..<see cref="JobCount"/>-1.</param>
        /// <returns>A job of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>: outside.</exception>
        public Job JobAt(int index)
        {
            Native.engine_job_at(Handle, index, out JobHandle job);
            return new Job(job, waits);
        }

        /// <summary>All jobs, in order of arrival.</summary>
        /// <returns>Jobs of the caller's.</returns>
        public IReadOnlyList<Job> Jobs()
        {
            return Check.ListOf(JobCount, JobAt);
        }

        /// <summary>The job of a request.</summary>
        /// <param name="requestId">Its name.</param>
        /// <returns>A job of the caller's.</returns>
        /// <exception cref="LetheException"><see cref="Status.NotFound"/>.</exception>
        public Job JobFind(string requestId)
        {
            Native.engine_job_find(Handle, Text.Required(requestId, nameof(requestId)),
                out JobHandle job);
            return new Job(job, waits);
        }

        /// <summary>Takes no more jobs, cancels those that are queued or running (with a folder:
        /// keeps them) and waits for the thread. Closing again is fine.</summary>
        public void Close()
        {
            Close(Timeout.InfiniteTimeSpan);
        }

        /// <summary>The same, waiting only a while.</summary>
        /// <param name="timeout">Negative: for ever.</param>
        /// <returns>Whether the thread has ended; if not, call again.</returns>
        public bool Close(TimeSpan timeout)
        {
            using (Held engine = Handle.Hold())
            {
                return Waits.Block(timeout, ms => Closed(engine, ms));
            }
        }

        static bool Closed(Held engine, long milliseconds)
        {
            return Native.engine_close(engine.Pointer, milliseconds) == Status.Ok;
        }

        /// <summary>Closes the engine, waiting for the current step, not for the task. Jobs stay
        /// valid.</summary>
        public void Dispose()
        {
            try
            {
                /* Ends other threads' waits, the last of which would otherwise put off the end. */
                if (!handle.IsDisposed) Close(TimeSpan.Zero);
            }
            catch (ObjectDisposedException)
            {
                /* Another thread was quicker. */
            }
            handle.Dispose();
        }
    }
}
