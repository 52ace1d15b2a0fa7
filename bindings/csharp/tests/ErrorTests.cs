using System;
using System.IO;
using System.Linq;

namespace Lethe.Tests
{
    /* Every failure arrives as what it is. */
    static class ErrorTests
    {
        public static void EveryStatusHasItsName()
        {
            foreach (Status status in Enum.GetValues(typeof(Status)))
            {
                string name = LetheRuntime.StatusName(status);
                Assert.Equal(status.ToString().ToUpperInvariant(), name.Replace("_", ""));
                if (status >= 0) continue;
                var e = new LetheException(status, "x");
                Assert.Equal(status, e.Status);
                Assert.Equal("x", e.Message);
                Assert.Contains(e.ToString(), status + ": ", "LetheException");
            }
            Assert.Equal("UNKNOWN", LetheRuntime.StatusName((Status)(-4711)));
            Assert.Equal((Status)(-4711), new LetheException((Status)(-4711), "x").Status);
        }

        public static void OfModelsAndFiles()
        {
            string folder = Tiny.Folder(), nowhere = Path.Combine(folder, "nowhere");
            LetheRuntime runtime = Tiny.Runtime;
            Assert.Fails(Status.InvalidArgument, "colour",
                () => new Model(runtime, "{\"arch\":\"vit\",\"colour\":1}"));
            Assert.Fails(Status.NotFound, "resnet",
                () => new Model(runtime, "{\"arch\":\"resnet\"}"));
            Assert.Fails(Status.Corrupt, "JSON", () => new Model(runtime, "no JSON at all"));
            Assert.Fails(Status.Device, "", () => new Model(runtime, Tiny.Spec, "cuda:99"));
            using (Model model = Tiny.Model())
            {
                Assert.Fails(Status.NotFound, "nowhere", () => model.LoadWeights(nowhere));
                Assert.Fails(Status.Corrupt, "", () => model.LoadWeights(new byte[] { 1, 2, 3 }));
                Assert.Fails(Status.Io, "", () => model.ExportMerged(Path.Combine(nowhere, "x")));
                Assert.Fails(Status.NotFound, "no such", () => model.TensorRead("no such tensor"));
                Assert.Fails(Status.InvalidArgument, "",
                    () => model.TensorRead("heads.head.bias", new float[3]));
                Assert.Fails(Status.NotFound, "nobody", () => model.AdapterFind("nobody"));
                Assert.Fails(Status.NotFound, "", () => model.AdapterAt(0));
                Assert.Fails(Status.NotFound, "", () => model.TensorInfo(4711));
                Assert.Fails(Status.InvalidArgument, "",
                    () => model.Predict(new float[3], new long[] { 1, 3, 1, 1 }));
                float[] bad = Tiny.Images(1, 1);
                bad[5] = float.NaN;
                Assert.Fails(Status.InvalidArgument, "", () => model.Predict(bad, Tiny.Shape(1)));
            }
            const string face = "{\"arch\":\"face_vit\",\"classes\":4,\"image_size\":8,"
                + "\"patch_size\":4,\"dim\":16,\"depth\":1,"
                + "\"heads\":2,\"head_dim\":8,\"mlp_dim\":32}";
            using (var model = new Model(runtime, face))
            {
                var timm = new ExportOptions { Naming = Naming.Timm };
                Assert.Fails(Status.Unsupported, "face_vit",
                    () => model.ExportMerged(Path.Combine(folder, "x"), timm));
            }
            Assert.Fails(Status.Unsupported, "", () => new ForgetConfig((Method)99));
            Assert.Fails(Status.NotFound, "", () => Dataset.FromImageFolder(runtime, folder));
            Assert.Fails(Status.NotFound, "", () => Dataset.FromIdx(runtime, nowhere, nowhere));
            Assert.Fails(Status.NotFound, "", () => Journal.InfoJson(folder));
            Assert.Fails(Status.NotFound, "", () => Journal.Receipts(folder));
            Assert.Fails(Status.NotFound, "alexnet", () => LetheRuntime.ArchDefaultSpec("alexnet"));
            Assert.Contains(Assert.Fails(Status.Corrupt, "",
                () => Receipts.Verify("nonsense\n")).Findings,
                "\"ok\":false", "\"line\":1");
            Assert.Contains(Assert.Fails(Status.NotFound, "nowhere",
                () => Adapter.Verify(nowhere)).Findings,
                "\"code\":\"NOT_FOUND\"");
            Directory.Delete(folder, true);
        }

        public static void OfAdapters()
        {
            string folder = Tiny.Folder(), file = Path.Combine(folder, "second.lethe");
            using (Model model = Tiny.Forgetful())
            using (Model other = Tiny.Trained())
            using (Adapter first = model.AdapterFind("first"))
            using (Adapter second = model.AdapterFind("second"))
            {
                second.Export(file);
                Assert.Fails(Status.BaseMismatch, "second", () => other.Attach(second));
                Assert.Fails(Status.Exists, "first", () => model.Attach(first));
                string weights = Path.Combine(folder, "weights.safetensors");
                other.ExportMerged(weights);
                Assert.Fails(Status.State, "adapters", () => model.LoadWeights(weights));
                Assert.Fails(Status.BaseMismatch, "", () => model.Enable("first", false));
                Assert.Fails(Status.BaseMismatch, "", () => model.Detach("first"));
                Assert.Fails(Status.NotFound, "third", () => model.RollbackTo("third"));
                var small = new Limits { MaxFileBytes = 10 };
                Assert.Fails(Status.LimitExceeded, "10",
                    () => Adapter.Load(Tiny.Runtime, file, small));
                Assert.Fails(Status.LimitExceeded, "10", () => Adapter.Verify(file, small));
                Assert.Contains(Adapter.Verify(file), "\"ok\":true", "\"request_id\":\"second\"");
                byte[] bytes = File.ReadAllBytes(file);
                bytes[bytes.Length / 2] ^= 1;
                Assert.Fails(Status.Corrupt, "", () => Adapter.LoadMemory(Tiny.Runtime, bytes));
            }
            Directory.Delete(folder, true);
        }

        public static void OfJobs()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            using (Engine engine = Tiny.Engine(model))
            {
                Func<string, long[], Job> enqueue = (id, classes) =>
                    engine.Enqueue(id, classes, Tiny.Quick(), data);
                Assert.Fails(Status.Busy, "", () => new Engine(model));
                Assert.Fails(Status.NotFound, "77", () => enqueue("a", new long[] { 77 }));
                Assert.Fails(Status.InvalidArgument, "",
                    () => enqueue("a", new long[] { 0, 1, 2, 3 }));
                Assert.Fails(Status.NotFound, "nobody", () => engine.JobFind("nobody"));
                Assert.Fails(Status.NotFound, "nobody", () => engine.Receipt("nobody"));
                Assert.Fails(Status.NotFound, "", () => engine.BindDataset(data));
                engine.Pause();
                using (Job job = enqueue("taken", new long[] { 1 }))
                {
                    Assert.Fails(Status.Exists, "taken", () => enqueue("taken", new long[] { 2 }));
                    Assert.Fails(Status.State, "", () => job.Adapter());
                    Assert.Fails(Status.State, "", () => job.Report());
                    Assert.Fails(Status.State, "", model.Seal);
                    job.Cancel();
                    engine.Resume();
                    JobStatus end = job.Wait();
                    Assert.Equal(JobState.Cancelled, end.State);
                    Assert.Equal(Status.Cancelled, end.Error);
                    Assert.True(job.Error.Length > 0, "a cancelled job says why");
                }
                ForgetConfig strict = Tiny.Quick();
                strict.MaxSteps = 1;
                strict.GateMaxAccF = 0;
                strict.LearningRate = 1e-6;
                strict.MinLearningRate = 0;
                using (Job job = engine.Enqueue("strict", new long[] { 1 }, strict, data))
                {
                    Assert.Equal(Status.Rejected, job.Wait().Error);
                    Assert.True(job.Adapter() == null, "a rejected job left an adapter");
                    using (Report report = job.Report())
                    {
                        Assert.Fails(Status.NotFound, "beauty", () => report.Metric("beauty"));
                    }
                }
                float[] huge = Enumerable.Repeat(float.MaxValue, 8 * Tiny.Pixels).ToArray();
                using (Dataset wild = Dataset.FromTensors(Tiny.Runtime, huge, Tiny.Shape(8),
                    Tiny.Labels(8), 4))
                using (Job job = engine.Enqueue("wild", new long[] { 1 }, Tiny.Quick(), wild))
                {
                    JobStatus end = job.Wait();
                    Assert.Equal(JobState.Failed, end.State);
                    Assert.Equal(Status.Numeric, end.Error);
                }
                Assert.True(engine.Close(TimeSpan.FromSeconds(10)), "the engine did not close");
                Assert.Fails(Status.State, "", () => enqueue("late", new long[] { 1 }));
            }
        }

        /* A folder that a newer library wrote: its journal says so. */
        public static void OfANewerJournal()
        {
            string folder = Tiny.Folder();
            using (Model model = Tiny.Trained())
            {
                new Engine(model, new EngineOptions { Folder = folder }).Dispose();
                string journal = Directory.GetFiles(folder).First(file => IsSqlite(file));
                using (FileStream file = File.Open(journal, FileMode.Open))
                {
                    file.Position = 60; /* user_version, big-endian */
                    file.WriteByte(0x7f);
                }
                Assert.Fails(Status.Version, "schema", () => Journal.InfoJson(folder));
            }
            Directory.Delete(folder, true);
        }

        static bool IsSqlite(string path)
        {
            byte[] bytes = File.ReadAllBytes(path);
            return bytes.Length > 100 && bytes[0] == 'S' && bytes[1] == 'Q';
        }
    }
}
