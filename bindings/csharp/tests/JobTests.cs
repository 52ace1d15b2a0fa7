using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace Lethe.Tests
{
    static class JobTests
    {
        static readonly long[] one = { 1 };

        public static void ATaskFromEndToEnd()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Dataset valid = Tiny.Data(64, 2))
            using (Engine engine = Tiny.Engine(model))
            using (Job job = engine.Enqueue("first", one, Tiny.Quick(), data, null, valid))
            {
                Assert.Equal(1L, job.Id);
                Assert.Equal("first", job.RequestId);
                Assert.True(!job.Wait(TimeSpan.Zero) || job.Status.State == JobState.Succeeded,
                    "a wait");
                JobStatus end = job.Wait();
                Assert.Equal(JobState.Succeeded, end.State);
                Assert.Equal(Status.Ok, end.Error);
                Assert.Equal("", job.Error);
                Assert.Equal(60L, end.Progress.Step);
                Assert.Equal(60L, end.Progress.TotalSteps);
                Assert.True(end.Progress.AccF <= 100 && end.Progress.GroupsTotal > 0, "figures");
                using (Report report = job.Report())
                {
                    SortedDictionary<string, double> metrics = report.Metrics();
                    Assert.Equal(report.Metric("acc_f"), metrics["acc_f"]);
                    Assert.True(metrics["acc_f"] < metrics["acc_f_before"], "it did not forget");
                    Assert.Equal(metrics.Keys.OrderBy(n => n, StringComparer.Ordinal).ToArray(),
                        metrics.Keys.ToArray());
                    Assert.Contains(report.Json(), "acc_f");
                }
                using (Adapter adapter = job.Adapter())
                    Assert.Contains(adapter.InfoJson(), "\"first\"");
                Assert.Equal(1, engine.JobCount);
                using (Job same = engine.Enqueue("first", one, Tiny.Quick(), data, null, valid))
                {
                    Assert.Equal(1L, same.Id);
                }
                Assert.Equal(1, engine.Jobs().Count);
                using (Job made = engine.Enqueue(null, new long[] { 2 }, Tiny.Quick(), data))
                {
                    Assert.True(made.RequestId.Length > 0, "an id is made");
                    Tiny.Succeeds(made);
                }
                Assert.Equal(2, model.AdapterCount);
            }
        }

        /* A method that trains the weights themselves: its adapter is a change of them. */
        public static void ABaselineFromEndToEnd()
        {
            string folder = Tiny.Folder(), path = Path.Combine(folder, "first.lethe");
            float[] scores;
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Dataset valid = Tiny.Data(64, 2))
            using (Engine engine = Tiny.Engine(model))
            {
                var config = new ForgetConfig(Method.L2)
                {
                    DataRatio = 1, ForgetBatch = 16, RetainBatch = 48, MaxSteps = 60,
                    LearningRate = 1e-2, GateMaxAccRDrop = -1
                };
                using (Job job = engine.Enqueue("first", one, config, data, null, valid))
                {
                    Tiny.Succeeds(job);
                    using (Report report = job.Report())
                    {
                        SortedDictionary<string, double> metrics = report.Metrics();
                        Assert.True(metrics["acc_f"] < metrics["acc_f_before"], "it did not forget");
                        /* All but the head's 4 x 16 weights and 4 biases of 4916 parameters. */
                        Assert.Equal(98.6168, Math.Round(metrics["tunable_ratio"], 4));
                        Assert.True(metrics["mia_loss_auc"] >= 0 && metrics["mia_loss_auc"] <= 1,
                            "an area under a curve");
                        Assert.True(!metrics.ContainsKey("groups_total"), "it has no groups");
                    }
                    using (Adapter adapter = job.Adapter())
                    {
                        Assert.Contains(adapter.InfoJson(), "\"kind\":\"delta\"",
                            "\"method\":\"l2\"");
                        adapter.Export(path);
                    }
                }
                scores = Scores(model);
            }
            using (Model model = Tiny.Trained())
            using (Adapter loaded = Adapter.Load(Tiny.Runtime, path))
            {
                model.Attach(loaded);
                Assert.Equal(1, model.AdapterCount);
                Assert.True(scores.SequenceEqual(Scores(model)), "another state");
                model.RollbackTo(null);
                Assert.True(!scores.SequenceEqual(Scores(model)), "the base");
            }
            Directory.Delete(folder, true);
        }

        static float[] Scores(Model model)
        {
            return model.Predict(Tiny.Images(8, 3), Tiny.Shape(8), 1).ToArray();
        }

        public static void EventsTellTheStory()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Engine engine = Tiny.Engine(model))
            using (Job job = engine.Enqueue("first", one, Tiny.Quick(), data))
            {
                var states = new List<JobState>();
                long step = 0;
                foreach (Event e in engine.Events())
                {
                    Assert.Equal(job.Id, e.JobId);
                    if (e.Kind == EventKind.Progress)
                    {
                        Assert.True(e.Progress.Step >= step, "steps go on");
                        step = e.Progress.Step;
                        continue;
                    }
                    states.Add(e.State);
                    if (e.State == JobState.Succeeded) break;
                }
                Assert.Equal(60L, step);
                Assert.Equal(JobState.Queued, states.First());
                Assert.True(states.Contains(JobState.Running), "it ran");
                Assert.Equal(Status.Timeout, engine.NextEvent(TimeSpan.FromMilliseconds(60),
                    out Event none));
                Assert.True(none == null, "no event");
                using (var source = new CancellationTokenSource(80))
                {
                    Assert.Throws<OperationCanceledException>(
                        () => engine.Events(source.Token).Count());
                }
                engine.Close();
                Assert.Equal(0, engine.Events().Count());
                Assert.Equal(Status.End, engine.NextEvent(TimeSpan.FromSeconds(1), out none));
            }
        }

        /* However many wait: no thread for each, and every task completes. */
        public static void AThousandJobsAreCancelled()
        {
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(8, 1))
            using (Engine engine = Tiny.Paused(model))
            {
                Job[] jobs = Enumerable.Range(0, 1000)
                    .Select(i => engine.Enqueue("r" + i, one, Tiny.Quick(), data)).ToArray();
                int threads = Threads();
                Task<JobStatus>[] waits = jobs.Select(job => job.WaitAsync()).ToArray();
                Thread.Sleep(100);
                Assert.True(Threads() <= threads + 3, Threads() + " threads, before " + threads);
                Assert.True(waits.All(wait => !wait.IsCompleted), "one is over");
                foreach (Job job in jobs) job.Cancel();
                engine.Resume();
                Assert.True(Task.WaitAll(waits, 30000), "some still wait");
                Assert.True(waits.All(wait => wait.Result.State == JobState.Cancelled),
                    "not all are cancelled");
                Assert.Equal(1000, engine.JobCount);
                foreach (Job job in jobs) job.Dispose();
            }
        }

        static int Threads()
        {
            return Directory.GetDirectories("/proc/self/task").Length;
        }

        public static void ATokenEndsTheWaitNotTheJob()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Engine engine = Tiny.Paused(model))
            using (Job job = engine.Enqueue("a", one, Tiny.Quick(), data))
            using (var source = new CancellationTokenSource())
            {
                Task<JobStatus> wait = job.WaitAsync(source.Token);
                Task idle = engine.WaitIdleAsync(source.Token), other = job.WaitAsync();
                source.Cancel();
                Assert.True(wait.IsCanceled && idle.IsCanceled, "at once");
                Assert.True(job.WaitAsync(source.Token).IsCanceled, "before it began");
                Assert.Equal(JobState.Queued, job.Status.State);
                CancellationToken late = source.Token;
                source.Dispose();
                Assert.True(job.WaitAsync(late).IsCanceled, "after its source");
                engine.Resume();
                Assert.True(other.Wait(60000), "not over");
                Assert.Equal(JobState.Succeeded, job.Status.State);
                Assert.True(job.WaitAsync().IsCompleted, "over already");
                Assert.True(engine.WaitIdleAsync().Wait(10000), "idle");
            }
        }

        /* What follows an await does not hold up the thread that waits for the others. */
        public static void ContinuationsDoNotBlockOtherWaits()
        {
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(8, 1))
            using (Engine engine = Tiny.Paused(model))
            using (Job first = engine.Enqueue("a", one, Tiny.Quick(), data))
            using (Job second = engine.Enqueue("b", one, Tiny.Quick(), data))
            using (var gate = new ManualResetEventSlim())
            {
                Task stuck = first.WaitAsync().ContinueWith(t => gate.Wait(),
                    TaskContinuationOptions.ExecuteSynchronously);
                Task<JobStatus> wait = second.WaitAsync();
                first.Cancel();
                second.Cancel();
                Assert.True(wait.Wait(10000), "the second waits for the first's continuation");
                gate.Set();
                stuck.Wait();
            }
        }

        public static void PredictionsWhileATaskRuns()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Engine engine = Tiny.Engine(model))
            {
                float[] images = Tiny.Images(8, 3);
                string before = Bits(model.Predict(images, Tiny.Shape(8), 1));
                using (Job job = engine.Enqueue("a", one, Tiny.Quick(), data))
                {
                    Func<HashSet<string>> call = () =>
                    {
                        var seen = new HashSet<string>();
                        do seen.Add(Bits(model.Predict(images, Tiny.Shape(8), 1)));
                        while (!job.Wait(TimeSpan.Zero));
                        return seen;
                    };
                    Task<HashSet<string>>[] callers =
                        Enumerable.Range(0, 8).Select(i => Task.Run(call)).ToArray();
                    Tiny.Succeeds(job);
                    string after = Bits(model.Predict(images, Tiny.Shape(8), 1));
                    Assert.True(before != after, "nothing was forgotten");
                    foreach (Task<HashSet<string>> caller in callers)
                    {
                        Assert.True(caller.Result.All(bits => bits == before || bits == after),
                            "a prediction on half a state");
                    }
                }
            }
        }

        static string Bits(Scores scores)
        {
            var bytes = new byte[4 * scores.Rows * scores.Columns];
            Buffer.BlockCopy(scores.ToArray(), 0, bytes, 0, bytes.Length);
            return Convert.ToBase64String(bytes);
        }

        public static void OptionsOfTasksAct()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Engine engine = Tiny.Paused(model))
            {
                var soon = new TaskOptions { Priority = 10 };
                var late = new TaskOptions { Deadline = DateTimeOffset.UtcNow.AddSeconds(-1) };
                var few = new TaskOptions { MaxSteps = 2 };
                using (Job low = engine.Enqueue("low", one, Tiny.Quick(), data))
                using (Job high = engine.Enqueue("high", new long[] { 2 }, Tiny.Quick(), data,
                    options: soon))
                using (Job never = engine.Enqueue("never", new long[] { 3 }, Tiny.Quick(), data,
                    options: late))
                using (Job limited = engine.Enqueue("limited", new long[] { 3 }, Tiny.Quick(), data,
                    options: few))
                {
                    engine.Resume();
                    engine.WaitIdle();
                    Assert.Equal(Status.LimitExceeded, never.Status.Error);
                    Assert.Equal(Status.LimitExceeded, limited.Status.Error);
                    Assert.Equal(JobState.Succeeded, low.Status.State);
                    using (Adapter oldest = model.AdapterAt(0))
                        Assert.Contains(oldest.InfoJson(), "\"high\"");
                }
            }
        }

        public static void AFolderOutlivesItsEngine()
        {
            string folder = Tiny.Folder();
            var options = new EngineOptions
            {
                Threads = 1, Folder = folder, SigningSeed = new byte[32], CheckpointSeconds = 0,
                Paused = true, EventCapacity = 16
            };
            using (Dataset data = Tiny.Data(128, 1))
            {
                Task<JobStatus> wait;
                using (Model model = Tiny.Trained())
                using (var engine = new Engine(model, options))
                {
                    wait = engine.Enqueue("kept", one, Tiny.Quick(), data).WaitAsync();
                }
                var e = Assert.Throws<AggregateException>(() => wait.Wait(10000));
                Assert.Equal(Status.State, ((LetheException)e.InnerException).Status);
                Assert.Contains(Journal.InfoJson(folder), "\"kept\"", "\"queued\"");
                using (Model model = Tiny.Trained())
                using (var engine = new Engine(model, options))
                using (Job job = engine.JobFind("kept"))
                {
                    engine.Resume();
                    Tiny.Succeeds(job);
                    Assert.Equal(1, engine.ReceiptCount);
                    string lines = engine.Receipts();
                    byte[] key = engine.PublicKey();
                    Assert.Equal(lines, engine.Receipt("kept") + "\n");
                    Assert.Equal(lines, Journal.Receipts(folder));
                    Assert.Contains(Receipts.Verify(lines, key), "\"receipts\":1", "\"ok\":true");
                    Assert.Contains(Receipts.Verify(lines), "\"ok\":true");
                    Assert.Contains(Receipts.Verify(""), "\"receipts\":0");
                    key[0] ^= 1;
                    Assert.Contains(Assert.Fails(Status.Corrupt, "",
                        () => Receipts.Verify(lines, key)).Findings,
                        "first_break", "kept");
                }
            }
            Directory.Delete(folder, true);
        }
    }
}
