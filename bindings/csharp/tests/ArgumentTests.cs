using System;
using System.Collections.Generic;
using System.IO;
using System.Text;

namespace Lethe.Tests
{
    /* What C# can judge never reaches native code; text crosses as UTF-8. */
    static class ArgumentTests
    {
        public static void NullIsRefused()
        {
            LetheRuntime runtime = Tiny.Runtime;
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(8, 1))
            using (Engine engine = Tiny.Engine(model))
            {
                long[] one = { 1 }, shape = Tiny.Shape(8), labels = Tiny.Labels(8);
                long[] rgb = { 1, 3, 8, 8 };
                float[] box = { 1, 1, 2, 2 };
                float[] images = Tiny.Images(8, 1);
                foreach (Action action in new Action[]
                {
                    () => new LetheRuntime(LogLevel.Debug, null),
                    () => new Model(null, Tiny.Spec), () => new Model(runtime, null),
                    () => model.LoadWeights((string)null), () => model.LoadWeights((byte[])null),
                    () => model.ExportMerged(null), () => model.TensorRead(null),
                    () => model.TensorRead("x", null), () => model.Predict((float[])null, shape),
                    () => model.Predict(images, null), () => model.Embed((float[])null, shape),
                    () => model.Embed(images, null), () => model.PredictDataset(null),
                    () => model.Evaluate(null), () => model.Attach(null),
                    () => model.SetAdapters(null),
                    () => model.SetAdapters(new Adapter[] { null }), () => model.AdapterFind(null),
                    () => model.Enable(null), () => model.Detach(null),
                    () => Dataset.FromTensors(null, images, shape, labels, 4),
                    () => Dataset.FromTensors(runtime, (float[])null, shape, labels, 4),
                    () => Dataset.FromTensors(runtime, (byte[])null, shape, labels, 4),
                    () => Dataset.FromTensors(runtime, images, null, labels, 4),
                    () => Dataset.FromTensors(runtime, images, shape, null, 4),
                    () => Dataset.FromIdx(null, "a", "b"),
                    () => Dataset.FromIdx(runtime, null, "b"),
                    () => Dataset.FromIdx(runtime, "a", null),
                    () => Dataset.FromImageFolder(null, "a"),
                    () => Dataset.FromImageFolder(runtime, null),
                    () => Dataset.FromCoco(null, "a", "b"),
                    () => Dataset.FromCoco(runtime, null, "b"),
                    () => Dataset.FromCoco(runtime, "a", null),
                    () => Dataset.FromCocoIds(null, "a", "b"),
                    () => Dataset.FromCocoIds(runtime, null, "b"),
                    () => Dataset.FromCocoIds(runtime, "a", null),
                    () => Dataset.FromVoc(runtime, "a", null),
                    () => Dataset.FromVoc(runtime, "a", "b", new string[] { null }),
                    () => Dataset.FromBoxes(null, new byte[192], rgb, box, one, one, 4),
                    () => Dataset.FromBoxes(runtime, null, rgb, box, one, one, 4),
                    () => Dataset.FromBoxes(runtime, new byte[192], rgb, null, one, one, 4),
                    () => Dataset.FromBoxes(runtime, new byte[192], rgb, box, null, one, 4),
                    () => Dataset.FromBoxes(runtime, new byte[192], rgb, box, one, null, 4),
                    () => model.Detect((byte[])null, rgb), () => model.Detect(new byte[192], null),
                    () => model.DetectDataset(null),
                    () => data.Select(Select.KeepClasses, null), () => ForgetConfig.FromJson(null),
                    () => new ForgetConfig().Apply(null), () => new Engine(null),
                    () => engine.Enqueue("x", null, null, data),
                    () => engine.Enqueue("x", one, null, null),
                    () => engine.EnqueuePretraining("x", null, null),
                    () => engine.BindDataset(null),
                    () => engine.JobFind(null), () => engine.Receipt(null),
                    () => Adapter.Load(null, "x"),
                    () => Adapter.Load(runtime, null), () => Adapter.LoadMemory(null, new byte[1]),
                    () => Adapter.LoadMemory(runtime, null), () => Adapter.Verify(null),
                    () => Adapter.ImportPeft(null, "f", "r", one),
                    () => Adapter.ImportPeft(model, null, "r", one),
                    () => Adapter.ImportPeft(model, "f", null, one),
                    () => Adapter.ImportPeft(model, "f", "r", null),
                    () => Receipts.Verify((byte[])null), () => Receipts.Verify((string)null),
                    () => Journal.InfoJson(null), () => Journal.Receipts(null),
                    () => LetheRuntime.ArchDefaultSpec(null)
                })
                {
                    Assert.True(Assert.Throws<ArgumentNullException>(action).ParamName != null,
                        "no name");
                }
            }
        }

        public static void ArraysFitTheirShapes()
        {
            LetheRuntime runtime = Tiny.Runtime;
            using (Model model = Tiny.Model())
            using (Dataset data = Tiny.Data(8, 1))
            using (Engine engine = Tiny.Engine(model))
            {
                long[] none = new long[0], one = { 0 }, rgb = { 1, 3, 8, 8 };
                float[] image = Tiny.Images(1, 1);
                foreach (Action action in new Action[]
                {
                    () => model.Predict(new float[0], Tiny.Shape(0)),
                    () => model.Predict(new float[0], Tiny.Shape(1)),
                    () => model.Predict(new float[63], Tiny.Shape(1)),
                    () => model.Predict(new float[65], Tiny.Shape(1)),
                    () => model.Predict(new float[64], new long[] { -1, 1, 8, -8 }),
                    () => model.Predict(new float[64], new[] { long.MaxValue, 4, 8, 8 }),
                    () => model.Embed(new float[63], Tiny.Shape(1)),
                    () => Dataset.FromTensors(runtime, image, Tiny.Shape(2), new long[2], 4),
                    () => Dataset.FromTensors(runtime, image, Tiny.Shape(1), new long[2], 4),
                    () => Dataset.FromTensors(runtime, new byte[64], Tiny.Shape(1), none, 4),
                    () => Dataset.FromTensors(runtime, new byte[0], Tiny.Shape(0), none, 4),
                    () => Dataset.FromBoxes(runtime, new byte[191], rgb, new float[4], one, one, 4),
                    () => Dataset.FromBoxes(runtime, new byte[192], rgb, new float[3], one, one, 4),
                    () => Dataset.FromBoxes(runtime, new byte[192], rgb, new float[4], one, none, 4),
                    () => model.Detect(new byte[193], rgb), () => model.Detect(new byte[0], rgb),
                    () => model.LoadWeights(new byte[0]),
                    () => Adapter.LoadMemory(runtime, new byte[0]),
                    () => Adapter.ImportPeft(model, "f", "r", none),
                    () => data.Select(Select.TakeIndices, none),
                    () => engine.Enqueue("x", none, null, data),
                    () => model.SetAdapters(new Adapter[0], new double[1]),
                    () => model.TensorRead("heads.head.bias", new float[0]),
                    () => Receipts.Verify("", new byte[31]),
                    () => new Engine(model, new EngineOptions { SigningSeed = new byte[33] })
                })
                {
                    Assert.True(Assert.Throws<ArgumentException>(action).ParamName != null,
                        "no name");
                }
                Assert.Contains(Assert.Throws<ArgumentException>(
                    () => model.Predict(new float[63], Tiny.Shape(1))).Message, "63", "[1,1,8,8]",
                    "64");
                data.Select(Select.DropClasses, null).Dispose();
            }
        }

        public static void TextIsUtf8()
        {
            const string name = "Łódź 🙂";
            string folder = Path.Combine(Tiny.Folder(), name);
            Directory.CreateDirectory(folder);
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(128, 1))
            {
                var options = new EngineOptions { Threads = 1, Folder = folder };
                using (var engine = new Engine(model, options))
                using (Job job = engine.Enqueue(name, new long[] { 1 }, Tiny.Quick(), data))
                {
                    Tiny.Succeeds(job);
                    Assert.Equal(name, job.RequestId);
                    Assert.Contains(engine.Receipt(name), name);
                    using (Job again = engine.JobFind(name)) Assert.Equal(job.Id, again.Id);
                    using (Adapter adapter = job.Adapter())
                    {
                        adapter.Export(Path.Combine(folder, name + ".lethe"));
                        Assert.Contains(adapter.InfoJson(), name);
                    }
                }
                Assert.True(File.Exists(Path.Combine(folder, name + ".lethe")),
                    "the file has another name");
                Assert.Contains(Adapter.Verify(Path.Combine(folder, name + ".lethe")), name);
                Assert.Contains(Journal.InfoJson(folder), name);
                Assert.Fails(Status.NotFound, "żółć", () => model.RollbackTo("żółć"));
            }
            Directory.Delete(Path.GetDirectoryName(folder), true);
        }

        public static void TextThatIsNoneIsRefused()
        {
            using (Model model = Tiny.Model())
            {
                foreach (string text in new[] { "a\0b", "\0", "a\ud83d", "\ude42b" })
                {
                    Assert.Equal("path",
                        Assert.Throws<ArgumentException>(() => model.LoadWeights(text)).ParamName);
                    Assert.Equal("requestId",
                        Assert.Throws<ArgumentException>(() => model.RollbackTo(text)).ParamName);
                    Assert.Throws<ArgumentException>(() => LetheRuntime.ArchDefaultSpec(text));
                }
            }
        }

        public static void LongTextCrosses()
        {
            string text = new StringBuilder().Insert(0, "é🙂", 100000).ToString();
            Assert.Fails(Status.NotFound, "", () => LetheRuntime.ArchDefaultSpec(text));
        }
    }
}
