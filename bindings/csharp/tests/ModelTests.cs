using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Lethe.Tests
{
    static class ModelTests
    {
        public static void PredictionsOfEveryForm()
        {
            using (Model model = Tiny.Trained())
            using (Dataset data = Tiny.Data(8, 3))
            {
                float[] images = Tiny.Images(8, 3);
                Scores scores = model.Predict(images, Tiny.Shape(8), 1);
                Assert.Equal(8, scores.Rows);
                Assert.Equal(4, scores.Columns);
                for (int i = 0; i < 8; ++i) Assert.Equal(i % 4, scores.ArgMax(i));
                float[] flat = scores.ToArray();
                Assert.Equal(flat[4 * 3 + 2], scores[3, 2]);
                Assert.Equal(flat.Skip(12).Take(4).ToArray(), scores.Row(3));
                flat[0] = scores.Row(0)[0] = 1e9f;
                Assert.True(scores[0, 0] < 1e9f, "scores do not change");
                Assert.Throws<ArgumentOutOfRangeException>(() => scores.Row(8));
                Assert.Throws<ArgumentOutOfRangeException>(() => scores.ArgMax(-1));
                Assert.Throws<ArgumentOutOfRangeException>(() => Use(scores[0, 4]));
                Assert.Equal(scores.ToArray(), model.PredictDataset(data, 1).ToArray());
                unsafe
                {
                    fixed (float* pixels = images)
                    {
                        Scores again = model.Predict(pixels, Tiny.Shape(8), 1);
                        Assert.Equal(scores.ToArray(), again.ToArray());
                        float* second = pixels + Tiny.Pixels;
                        Assert.Equal(1, model.Predict(second, Tiny.Shape(1), 1).ArgMax(0));
                    }
                }
                Scores features = model.Embed(images, Tiny.Shape(8), 1);
                Assert.Equal(8, features.Rows);
                Assert.Equal(16, features.Columns);
#if NETSTANDARD2_1_OR_GREATER
                var part = new ReadOnlySpan<float>(images, Tiny.Pixels, Tiny.Pixels);
                Assert.Equal(1, model.Predict(part, Tiny.Shape(1), 1).ArgMax(0));
                Scores same = model.Embed(images.AsSpan(), Tiny.Shape(8), 1);
                Assert.Equal(features.ToArray(), same.ToArray());
                Assert.Equal(scores.ToArray(), scores.AsSpan().ToArray());
#endif
            }
        }

        static void Use<T>(T value) { }

        public static void DatasetsOfEveryForm()
        {
            var bytes = new byte[4 * Tiny.Pixels];
            bytes[Tiny.Pixels] = 255;
            using (Dataset data = Dataset.FromTensors(Tiny.Runtime, bytes, Tiny.Shape(4),
                Tiny.Labels(4), 4, "{\"mean\":[0.5],\"std\":[0.5]}"))
            {
                Assert.Equal(4L, data.Size);
                float[] sample = data.Sample(1, out long label);
                Assert.Equal(1L, label);
                Assert.Equal(1f, sample[0]);
                Assert.Equal(-1f, data.Sample(1)[1]);
                Assert.Fails(Status.NotFound, "", () => data.Sample(4));
                Assert.Contains(data.InfoJson(), "\"class_count\":4");
                Assert.Fails(Status.NotFound, "7",
                    () => data.Select(Select.KeepClasses, new long[] { 7 }));
            }
            using (Dataset data = Tiny.Data(100, 1))
            {
                (Dataset first, Dataset second) = data.Split(0.2, 1);
                Assert.Equal(80L, first.Size);
                Assert.Equal(20L, second.Size);
                using (Dataset kept = data.Select(Select.KeepClasses, new long[] { 1, 2 }))
                    Assert.Equal(50L, kept.Size);
                using (Dataset few = data.Select(Select.DropClasses, new long[] { 0 }, 3, 7))
                    Assert.Equal(9L, few.Size);
                using (Dataset taken = data.Select(Select.TakeIndices, new long[] { 5, 4 }))
                {
                    taken.Sample(0, out long label);
                    Assert.Equal(1L, label);
                }
                first.Dispose();
                second.Dispose();
                Assert.Fails(Status.InvalidArgument, "fraction", () => data.Split(2));
            }
        }

        public static void TensorsAndFiles()
        {
            string folder = Tiny.Folder(), path = Path.Combine(folder, "w.safetensors");
            using (Model model = Tiny.Trained())
            using (Model other = Tiny.Model())
            {
                IReadOnlyList<TensorInfo> tensors = model.Tensors();
                Assert.Equal(model.TensorCount, tensors.Count);
                TensorInfo head = tensors.Single(tensor => tensor.Name == "heads.head.weight");
                Assert.Equal(new long[] { 4, 16 }, head.Shape.ToArray());
                Assert.Equal(64L, head.Count);
                float[] values = model.TensorRead(head.Name), again = new float[64];
                model.TensorRead(head.Name, again, true);
                Assert.Equal(values, again);
                Assert.True(!model.BaseFingerprint().SequenceEqual(other.BaseFingerprint()),
                    "one base");
                model.ExportMerged(path);
                other.LoadWeights(path, new Limits());
                Assert.Equal(model.BaseFingerprint(), other.BaseFingerprint());
                Assert.Equal(32, other.StateFingerprint().Length);
                Assert.Contains(model.InfoJson(), "\"vit\"");
            }
            Directory.Delete(folder, true);
        }

        public static void Evaluation()
        {
            using (Model model = Tiny.Forgetful())
            using (Dataset data = Tiny.Data(64, 5))
            {
                using (Report report = model.Evaluate(data))
                {
                    Assert.True(report.Metric("acc_f") < 50, "acc_f");
                    Assert.True(report.Metric("acc_o") < 50, "acc_o");
                    Assert.Equal(64.0, report.Metric("samples"));
                    Assert.True(report.Metrics().ContainsKey("acc_class.3"), "classes");
                }
                var options = new EvaluateOptions { Threads = 1, Batch = 7, Base = true };
                using (Report report = model.Evaluate(data, options))
                    Assert.Equal(100.0, report.Metric("acc"));
                options = new EvaluateOptions
                {
                    ForgetClasses = new long[] { 0 }, PastClasses = new long[0]
                };
                using (Report report = model.Evaluate(data, options))
                {
                    Assert.Equal(report.Metric("acc_class.0"), report.Metric("acc_f"));
                    Assert.Fails(Status.NotFound, "acc_o", () => report.Metric("acc_o"));
                }
                Assert.Fails(Status.InvalidArgument, "batch",
                    () => model.Evaluate(data, new EvaluateOptions { Batch = -1 }));
            }
        }

        public static void TheStack()
        {
            string folder = Tiny.Folder();
            using (Model model = Tiny.Forgetful())
            {
                float[] images = Tiny.Images(8, 3);
                Func<Model, float[]> scores = m => m.Predict(images, Tiny.Shape(8), 1).ToArray();
                float[] both = scores(model);
                Assert.Equal(2, model.AdapterCount);
                model.Enable("second", false);
                float[] firstOnly = scores(model);
                Assert.True(!both.SequenceEqual(firstOnly), "disabled");
                model.Enable("second");
                Assert.Equal(both, scores(model));
                model.Enable("first", false, allowUnverified: true);
                model.Enable("first", true, allowUnverified: true);
                using (Model merged = model.Merge())
                {
                    Assert.Equal(0, merged.AdapterCount);
                    Assert.Equal(both, scores(merged));
                }
                using (Model clone = model.Clone())
                {
                    clone.Seal();
                    Assert.Equal(both, scores(clone));
                    Assert.Fails(Status.NotFound, "first", () => clone.RollbackTo("first"));
                }
                Adapter first = model.Adapters()[0], second = model.AdapterFind("second");
                byte[] bytes = second.ExportMemory(new ExportOptions { Level = 19 });
                first.Export(Path.Combine(folder, "first.lethe"));
                first.ExportPeft(Path.Combine(folder, "peft"));
                model.RollbackTo("first");
                Assert.Equal(firstOnly, scores(model));
                model.RollbackTo(null);
                using (Adapter imported = Adapter.ImportPeft(model, Path.Combine(folder, "peft"),
                    "imported", new long[] { 1 }, new Limits()))
                {
                    model.Attach(imported);
                    Assert.Equal(firstOnly, scores(model));
                    model.Detach("imported");
                }
                using (Adapter loaded = Adapter.Load(Tiny.Runtime,
                    Path.Combine(folder, "first.lethe")))
                using (Adapter read = Adapter.LoadMemory(Tiny.Runtime, bytes))
                {
                    model.Attach(loaded);
                    model.Attach(read);
                    Assert.Equal(both, scores(model));
                    model.SetAdapters(new[] { loaded });
                    Assert.Equal(firstOnly, scores(model));
                    model.SetAdapters(new[] { loaded, read }, new[] { 1.0, 0.0 },
                        allowUnverified: true);
                    Assert.Equal(firstOnly, scores(model));
                    Assert.Fails(Status.BaseMismatch, "",
                        () => model.SetAdapters(new[] { loaded, read }, new[] { 0.5, 1.0 }));
                    model.SetAdapters(new[] { loaded, read }, new[] { 0.5, 1.0 },
                        allowUnverified: true);
                    model.SetAdapters(new Adapter[0]);
                    Assert.Equal(0, model.AdapterCount);
                }
                first.Dispose();
                second.Dispose();
            }
            Directory.Delete(folder, true);
        }

        public static void TheRuntimeTells()
        {
            Assert.Equal(new[] { "vit", "face_vit", "face_vits", "deformable_detr" },
                LetheRuntime.ArchNames.ToArray());
            Assert.Contains(LetheRuntime.ArchDefaultSpec("face_vit"), "\"arch\"");
            Assert.Contains(LetheRuntime.BuildInfoJson(), LetheRuntime.Version, "libtorch");
            Assert.Equal((int)Built.Abi >> 16, LetheRuntime.AbiVersion >> 16);
            Assert.True(Tiny.Runtime.DeviceCount() >= 0, "devices");
        }
    }
}
