using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.CompilerServices;
using System.Threading;
using System.Threading.Tasks;

namespace Lethe.Tests
{
    /* Objects close twice, in any order, during calls, and by the collector; memory is
     * not lost. */
    static class HandleTests
    {
        public static void UseAfterCloseIsRefused()
        {
            var runtime = new LetheRuntime();
            var model = new Model(runtime, Tiny.Spec);
            Dataset data = Tiny.Data(8, 1);
            var engine = new Engine(model, new EngineOptions { Paused = true });
            Job job = engine.Enqueue("a", new long[] { 1 }, Tiny.Quick(), data);
            Dataset open = DetectionTests.Squares();
            Model forgetful = Tiny.Forgetful();
            Adapter adapter = forgetful.AdapterAt(0);
            Report report = forgetful.Evaluate(data);
            var disposables = new IDisposable[] { runtime, model, data, engine, job, adapter,
                report };
            foreach (IDisposable each in disposables)
            {
                each.Dispose();
                each.Dispose();
            }
            var uses = new Dictionary<string, Action[]>
            {
                ["LetheRuntime"] = new Action[]
                {
                    () => runtime.DeviceCount(), () => new Model(runtime, Tiny.Spec)
                },
                ["Model"] = new Action[]
                {
                    () => model.Clone(), () => model.InfoJson(), () => Use(model.TensorCount),
                    model.Seal,
                    () => model.Predict(Tiny.Images(1, 1), Tiny.Shape(1)), () => new Engine(model),
                    () => model.BaseFingerprint(), () => model.Tensors(),
                    () => model.LoadWeights("x"), () => model.DetectDataset(open),
                    () => model.Detect(new byte[192], new long[] { 1, 3, 8, 8 })
                },
                ["Dataset"] = new Action[]
                {
                    () => Use(data.Size), () => data.Split(0.5), () => data.Sample(0),
                    () => data.InfoJson(), () => data.Image(0, out _, out _),
                    () => data.Objects(0), () => data.DropObjects(0.5),
                    () => forgetful.Evaluate(data), () => forgetful.DetectDataset(data),
                    () => data.Select(Select.KeepClasses, new long[] { 1 })
                },
                ["Engine"] = new Action[]
                {
                    () => Use(engine.JobCount), engine.Pause, engine.Close, () => engine.WaitIdle(),
                    () => engine.WaitIdleAsync(), () => engine.Events(), () => engine.PublicKey(),
                    () => engine.NextEvent(TimeSpan.Zero, out _), () => engine.Receipts()
                },
                ["Job"] = new Action[]
                {
                    () => Use(job.Id), () => Use(job.RequestId), () => Use(job.Status),
                    () => Use(job.Error),
                    () => job.Wait(), () => job.WaitAsync(), job.Cancel, () => job.Adapter()
                },
                ["Adapter"] = new Action[]
                {
                    () => adapter.InfoJson(), () => adapter.ExportMemory(),
                    () => forgetful.Attach(adapter),
                    () => forgetful.SetAdapters(new[] { adapter })
                },
                ["Report"] = new Action[]
                {
                    () => report.Json(), () => report.Metric("acc"), () => report.Metrics()
                }
            };
            foreach (KeyValuePair<string, Action[]> use in uses)
            {
                foreach (Action action in use.Value)
                {
                    var e = Assert.Throws<ObjectDisposedException>(action);
                    Assert.Equal(use.Key, e.ObjectName);
                }
            }
            forgetful.Dispose();
            open.Dispose();
        }

        static void Use<T>(T value) { }

        /* Each object keeps alive what it needs. */
        public static void AnyOrderOfClosing()
        {
            var runtime = new LetheRuntime();
            var model = new Model(runtime, Tiny.Spec);
            Dataset data = Tiny.Data(128, 1);
            Engine engine = Tiny.Engine(model);
            runtime.Dispose();
            model.Dispose();
            Job job = engine.Enqueue("a", new long[] { 1 }, Gateless(), data);
            data.Dispose();
            Assert.True(engine.WaitIdle(TimeSpan.FromSeconds(60)), "not idle");
            engine.Dispose();
            Assert.Equal(JobState.Succeeded, job.Status.State);
            Adapter adapter = job.Adapter();
            Report report = job.Report();
            job.Dispose();
            Assert.Contains(adapter.InfoJson(), "\"a\"");
            Assert.True(report.Metric("steps") > 0, "steps");
            adapter.Dispose();
            report.Dispose();
        }

        static ForgetConfig Gateless()
        {
            ForgetConfig config = Tiny.Quick();
            config.MaxSteps = 4;
            config.GateMaxAccF = config.GateMaxAccRDrop = -1;
            return config;
        }

        public static void FinalisersInAnyOrder()
        {
            for (int i = 0; i < 12; ++i)
            {
                List<object> chain = Chain();
                if (i % 2 == 1) chain.Reverse();
                while (chain.Count > 0) /* from one end to the other */
                {
                    chain.RemoveAt(chain.Count - 1);
                    if (i % 3 == 0) Collect();
                }
                Collect();
            }
            using (Model model = Tiny.Model()) Use(model.InfoJson());
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        static List<object> Chain()
        {
            var runtime = new LetheRuntime(LogLevel.Debug, line => { });
            var model = new Model(runtime, Tiny.Spec);
            Dataset data = Tiny.Data(8, 1);
            Engine engine = Tiny.Engine(model);
            Job job = engine.Enqueue(null, new long[] { 1 }, Gateless(), data);
            return new List<object> { runtime, model, data, engine, job, model.Clone(),
                model.Evaluate(data) };
        }

        static void Collect()
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        /* The collector does not take an object whose call is under way. */
        public static void ObjectsLiveDuringTheirCalls()
        {
            bool over = false;
            var collector = new Thread(() => { while (!Volatile.Read(ref over)) Collect(); });
            collector.Start();
            float[] images = Tiny.Images(64, 1);
            for (int i = 0; i < 100; ++i)
            {
                Assert.Equal(64, Tiny.Model().Predict(images, Tiny.Shape(64), 1).Rows);
                Assert.Equal(8L, Tiny.Data(8, 1).Size);
            }
            Volatile.Write(ref over, true);
            collector.Join();
        }

        /* A close waits for nobody; calls under way end, later ones are refused. */
        public static void ClosingDuringCalls()
        {
            float[] images = Tiny.Images(16, 1);
            for (int round = 0; round < 30; ++round)
            {
                Model model = Tiny.Model();
                int refused = 0;
                Task[] callers = Enumerable.Range(0, 4).Select(i => Task.Factory.StartNew(() =>
                {
                    try
                    {
                        for (;;)
                        {
                            if (i % 2 == 0) model.Predict(images, Tiny.Shape(16), 1);
                            else Assert.Equal(32, model.Tensors().Count);
                        }
                    }
                    catch (ObjectDisposedException)
                    {
                        Interlocked.Increment(ref refused);
                    }
                }, TaskCreationOptions.LongRunning)).ToArray();
                Thread.Sleep(round % 4);
                Parallel.Invoke(model.Dispose, model.Dispose);
                Task.WaitAll(callers);
                Assert.Equal(4, refused);
            }
        }

        /* Waits that are under way are not disturbed by the end of their job's handle. */
        public static void ClosingDuringWaits()
        {
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(128, 1))
            {
                Engine engine = Tiny.Engine(model);
                engine.Pause();
                Job job = engine.Enqueue("a", new long[] { 1 }, Gateless(), data);
                var begun = new CountdownEvent(3);
                Task<JobStatus> blocked = Begin(begun, () => job.Wait()), asked = job.WaitAsync();
                Task events = Begin(begun, () => engine.Events().Count());
                Task idle = engine.WaitIdleAsync();
                Task idleToo = Begin(begun, () => { engine.WaitIdle(); return true; });
                begun.Wait();
                Thread.Sleep(100);
                job.Dispose();
                engine.Dispose();
                Assert.True(Task.WaitAll(new[] { blocked, asked, events, idle, idleToo }, 10000),
                    "still waiting");
                Assert.Equal(JobState.Cancelled, blocked.Result.State);
                Assert.Equal(JobState.Cancelled, asked.Result.State);
            }
        }

        /* On a thread of its own: the pool's come one after the other. */
        static Task<T> Begin<T>(CountdownEvent begun, Func<T> wait)
        {
            return Task.Factory.StartNew(() => { begun.Signal(); return wait(); },
                TaskCreationOptions.LongRunning);
        }

        public static void MemoryStaysFlat()
        {
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(8, 1))
            using (Dataset boxes = DetectionTests.Squares())
            {
                float[] images = Tiny.Images(8, 1);
                Action once = () =>
                {
                    boxes.Image(0, out _, out _);
                    boxes.Objects(0);
                    boxes.DropObjects(0.5).Dispose();
                    model.Predict(images, Tiny.Shape(8), 1);
                    model.InfoJson();
                    model.Clone().Dispose();
                    data.Select(Select.KeepClasses, new long[] { 1 }).Dispose();
                    new ForgetConfig().ToJson();
                    Assert.Throws<LetheException>(() => model.AdapterFind("Łódź"));
                };
                for (int i = 0; i < 1500; ++i) once();
                long before = Resident();
                for (int i = 0; i < 10000 / 6; ++i) once();
                long grown = Resident() - before;
                Assert.True(grown < 8 << 20, grown + " bytes more after 10,000 calls");
            }
        }

        static long Resident()
        {
            Collect();
            return long.Parse(File.ReadAllText("/proc/self/statm").Split(' ')[1]) * 4096;
        }
    }
}
