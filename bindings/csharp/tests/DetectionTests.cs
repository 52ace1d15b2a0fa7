using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace Lethe.Tests
{
    /* Detectors, and datasets with boxes. */
    static class DetectionTests
    {
        const int Side = 64, Count = 6, Pixels = 3 * Side * Side;
        const string Spec = "{\"arch\":\"deformable_detr\",\"classes\":3,\"backbone\":\"resnet18\","
            + "\"backbone_width\":8,\"feature_levels\":2,\"dim\":32,\"heads\":2,"
            + "\"encoder_layers\":1,\"decoder_layers\":1,\"ffn_dim\":32,\"points\":2,"
            + "\"queries\":10,\"shorter_side\":0,\"dropout\":0}";
        static readonly long[] shape = { Count, 3, Side, Side };

        static Model Detector()
        {
            return new Model(Tiny.Runtime, Spec);
        }

        /* Image i has a square of the class i % 3, and all but the last a second one of the next. */
        static DetectedObject[] ObjectsOf(int i)
        {
            var first = new DetectedObject(4 + i, 5, 24 + i, 25.5f, 1, i % 3);
            var second = new DetectedObject(30, 30 + i, 60, 50 + i, 1, (i + 1) % 3);
            return i + 1 < Count ? new[] { first, second } : new[] { first };
        }

        static byte[] Images()
        {
            byte[] pixels = Enumerable.Repeat((byte)90, Count * Pixels).ToArray();
            for (int i = 0; i < Count; ++i)
            {
                foreach (DetectedObject o in ObjectsOf(i))
                {
                    int plane = (int)(i * 3 + o.Label) * Side * Side;
                    for (int y = (int)o.Top; y < o.Bottom; ++y)
                    {
                        for (int x = (int)o.Left; x < o.Right; ++x)
                            pixels[plane + y * Side + x] = 255;
                    }
                }
            }
            return pixels;
        }

        /* Six images with eleven objects of three classes. */
        internal static Dataset Squares()
        {
            var all = Enumerable.Range(0, Count)
                .SelectMany(i => ObjectsOf(i).Select(o => (Image: (long)i, Object: o))).ToArray();
            return Dataset.FromBoxes(Tiny.Runtime, Images(), shape,
                all.SelectMany(a => new[]
                {
                    a.Object.Left, a.Object.Top, a.Object.Right, a.Object.Bottom
                }).ToArray(),
                all.Select(a => a.Object.Label).ToArray(), all.Select(a => a.Image).ToArray(), 3);
        }

        static int CountOf(Dataset data)
        {
            return Enumerable.Range(0, (int)data.Size).Sum(i => data.Objects(i).Count);
        }

        static Dataset One(float[] box, long label, long image)
        {
            return Dataset.FromBoxes(Tiny.Runtime, new byte[192], new long[] { 1, 3, 8, 8 }, box,
                new[] { label }, new[] { image }, 1);
        }

        public static void DatasetsFromBoxes()
        {
            byte[] pixels = Images();
            using (Dataset data = Squares())
            {
                Assert.Equal((long)Count, data.Size);
                for (int i = 0; i < Count; ++i)
                {
                    byte[] image = data.Image(i, out int height, out int width);
                    Assert.Equal(Side, height);
                    Assert.Equal(Side, width);
                    Assert.True(image.SequenceEqual(pixels.Skip(i * Pixels).Take(Pixels)),
                        "other pixels");
                    Assert.Equal(ObjectsOf(i), data.Objects(i));
                }
                Assert.Contains(data.InfoJson(), "\"class_count\":3");
                Assert.Fails(Status.NotFound, "6", () => data.Image(Count, out _, out _));
                Assert.Fails(Status.NotFound, "-1", () => data.Objects(-1));
            }
            Assert.Fails(Status.InvalidArgument, "inside the image",
                () => One(new float[] { 1, 1, 9, 2 }, 0, 0));
            Assert.Fails(Status.InvalidArgument, "image 7",
                () => One(new float[] { 1, 1, 8, 2 }, 0, 7));
            Assert.Fails(Status.InvalidArgument, "label 1",
                () => One(new float[] { 1, 1, 8, 2 }, 1, 0));
            using (Dataset empty = Dataset.FromBoxes(Tiny.Runtime, new byte[192],
                new long[] { 1, 3, 8, 8 }, new float[0], new long[0], new long[0], 2))
            {
                Assert.Equal(0, empty.Objects(0).Count);
            }
        }

        public static void PartsOfDatasetsWithBoxes()
        {
            using (Dataset data = Squares())
            {
                Assert.Equal(11, CountOf(data));
                using (Dataset kept = data.Select(Select.KeepClasses, new long[] { 1 }))
                {
                    Assert.True(kept.Size < Count && CountOf(kept) == kept.Size, "one an image");
                    Assert.Equal(1L, kept.Objects(0)[0].Label);
                }
                using (Dataset half = data.DropObjects(0.5, 7))
                using (Dataset again = data.DropObjects(0.5, 7))
                {
                    Assert.True(CountOf(half) == 5 || CountOf(half) == 6, "half of 11");
                    for (int i = 0; i < Count; ++i) Assert.Equal(half.Objects(i), again.Objects(i));
                }
                using (Dataset none = data.DropObjects(1))
                {
                    Assert.Equal((long)Count, none.Size);
                    Assert.Equal(0, CountOf(none));
                }
                Assert.Fails(Status.InvalidArgument, "share", () => data.DropObjects(1.5));
            }
        }

        public static void DatasetsFromFiles()
        {
            LetheRuntime runtime = Tiny.Runtime;
            string folder = Tiny.Folder();
            string photo = Path.Combine(folder, "a.pgm"), coco = Path.Combine(folder, "c.json");
            File.WriteAllText(photo, "P5 4 2 255\n12345678");
            File.WriteAllText(coco, "{\"categories\":[{\"id\":9,\"name\":\"dog\"},{\"id\":3,"
                + "\"name\":\"cat\"}],\"images\":[{\"id\":5,\"file_name\":\"a.pgm\",\"width\":4,"
                + "\"height\":2}],\"annotations\":[{\"id\":1,\"image_id\":5,\"category_id\":9,"
                + "\"bbox\":[1,0.5,2,1]},{\"id\":2,\"image_id\":5,\"category_id\":3,"
                + "\"bbox\":[0,0,4,2],\"iscrowd\":1}]}");
            using (Dataset data = Dataset.FromCoco(runtime, coco, folder))
            {
                Assert.Equal(new[]
                {
                    new DetectedObject(1, 0.5f, 3, 1.5f, 1, 1), new DetectedObject(0, 0, 4, 2, 0, 0)
                }, data.Objects(0));
                byte[] image = data.Image(0, out int height, out int width);
                Assert.Equal(2, height);
                Assert.Equal(4, width);
                Assert.Equal("123456781234567812345678",
                    System.Text.Encoding.ASCII.GetString(image));
                File.Delete(photo);
                Assert.Fails(Status.NotFound, "a.pgm", () => data.Image(0, out _, out _));
            }
            Assert.Fails(Status.NotFound, "a.pgm", () => Dataset.FromCoco(runtime, coco, folder));
            Assert.Fails(Status.NotFound, "a.pgm",
                () => Dataset.FromCocoIds(runtime, coco, folder));

            const string name = "a \"big\" \\ dog";
            File.WriteAllText(photo, "P5 4 2 255\n12345678");
            using (Dataset data = Dataset.FromCocoIds(runtime, coco, folder))
            {
                Assert.Equal(9L, data.Objects(0)[0].Label);
                Assert.Equal(3L, data.Objects(0)[1].Label);
                Assert.Contains(data.InfoJson(), "\"class_count\":10");
            }
            File.WriteAllText(Path.Combine(folder, "a.xml"), "<annotation><filename>a.pgm</filename>"
                + "<size><width>4</width><height>2</height><depth>1</depth></size><object><name>"
                + name + "</name><bndbox><xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax>"
                + "</bndbox></object></annotation>");
            using (Dataset named = Dataset.FromVoc(runtime, folder, folder, new[] { "cat", name }))
                Assert.Equal(new[] { new DetectedObject(1, 0, 3, 2, 1, 1) }, named.Objects(0));
            foreach (string[] all in new[] { null, new string[0] })
            {
                using (Dataset found = Dataset.FromVoc(runtime, folder, folder, all))
                    Assert.Equal(0L, found.Objects(0)[0].Label);
            }
            Assert.Fails(Status.InvalidArgument, "dog",
                () => Dataset.FromVoc(runtime, folder, folder, new[] { "cat\n" }));
            Assert.Throws<ArgumentException>(
                () => Dataset.FromVoc(runtime, folder, folder, new[] { "a\0b" }));
            Directory.Delete(folder, true);
        }

        public static void ADetectorFindsObjects()
        {
            byte[] images = Images();
            using (Model model = Detector())
            using (Dataset data = Squares())
            {
                IReadOnlyList<IReadOnlyList<DetectedObject>> found =
                    model.Detect(images, shape, 5, 1);
                IReadOnlyList<IReadOnlyList<DetectedObject>> again =
                    model.DetectDataset(data, 5, 1);
                Assert.Equal(Count, found.Count);
                Assert.Equal(Count, again.Count);
                for (int i = 0; i < Count; ++i)
                {
                    Assert.Equal(5, found[i].Count);
                    Assert.Equal(found[i], again[i]);
                    Assert.Equal(found[i].OrderByDescending(o => o.Score).ToArray(), found[i]);
                    Assert.True(found[i].All(o => o.Score >= 0 && o.Score <= 1 && o.Label >= 0
                        && o.Label < 3 && o.Left <= o.Right && o.Top <= o.Bottom), "objects");
                }
                unsafe
                {
                    fixed (byte* pixels = images)
                        Assert.Equal(found[0], model.Detect(pixels, shape, 5, 1)[0]);
                }
#if NETSTANDARD2_1_OR_GREATER
                Assert.Equal(found[0], model.Detect(images.AsSpan(), shape, 5, 1)[0]);
#endif
                byte[] image = data.Image(2, out int height, out int width);
                using (Dataset same = data.Select(Select.TakeIndices, new long[] { 2 }))
                {
                    IReadOnlyList<IReadOnlyList<DetectedObject>> all =
                        model.Detect(image, new long[] { 1, 3, height, width });
                    Assert.Equal(1, all.Count);
                    Assert.Equal(30, all[0].Count); /* of three classes; 70 rows hold nothing */
                    Assert.Equal(all[0], model.DetectDataset(same)[0]);
                }
                using (Report report = model.Evaluate(data, new EvaluateOptions { Threads = 1 }))
                {
                    Assert.True(report.Metric("ap") >= 0, "ap");
                    Assert.True(report.Metrics().ContainsKey("ap50"), "ap50");
                }
                Assert.Fails(Status.InvalidArgument, "most", () => model.Detect(images, shape, 0));
                Assert.Fails(Status.InvalidArgument, "channels",
                    () => model.Detect(new byte[64], new long[] { 1, 1, 8, 8 }));
            }
        }

        public static void TheOtherKindIsRefused()
        {
            using (Model detector = Detector())
            using (Model classifier = Tiny.Model())
            using (Dataset boxes = Squares())
            using (Dataset labels = Dataset.FromTensors(Tiny.Runtime, Tiny.Images(3, 1),
                Tiny.Shape(3), Tiny.Labels(3), 3))
            using (Engine engine = Tiny.Engine(detector))
            {
                foreach (Action action in new Action[]
                {
                    () => boxes.Sample(0), () => classifier.PredictDataset(boxes)
                })
                {
                    Assert.Fails(Status.Unsupported, "has boxes", action);
                }
                foreach (Action action in new Action[]
                {
                    () => labels.Image(0, out _, out _), () => labels.Objects(0),
                    () => labels.DropObjects(0.5), () => detector.DetectDataset(labels)
                })
                {
                    Assert.Fails(Status.Unsupported, "labels alone", action);
                }
                foreach (Action action in new Action[]
                {
                    () => classifier.Detect(Images(), shape), () => classifier.DetectDataset(boxes),
                    () => detector.Predict(Tiny.Images(2, 1), Tiny.Shape(2)),
                    () => engine.Enqueue("x", new long[] { 1 }, null, labels)
                })
                {
                    Assert.Fails(Status.Unsupported, "", action);
                }
            }
        }

        public static void ADetectorForgets()
        {
            var config = new ForgetConfig(Method.GsLoraPp, Head.Detection)
            {
                MaxSteps = 2, DataRatio = 1, ForgetBatch = 2, RetainBatch = 2, ZeroThreshold = 0,
                GateMaxAccF = -1, GateMaxAccRDrop = -1
            };
            using (Model model = Detector())
            using (Dataset data = Squares())
            using (Engine engine = Tiny.Engine(model))
            {
                using (Job job = engine.Enqueue("boxes", new long[] { 1 }, config, data))
                {
                    Tiny.Succeeds(job);
                    using (Report report = job.Report())
                    {
                        SortedDictionary<string, double> metrics = report.Metrics();
                        Assert.True(metrics.ContainsKey("ap_f") && metrics.ContainsKey("ap50_r")
                            && !metrics.ContainsKey("acc_f"), report.Json());
                        Assert.Equal(2.0, metrics["steps"]);
                    }
                }
                Assert.Equal(1, model.AdapterCount);
                config.Audits = Audits.Membership;
                Assert.Fails(Status.Unsupported, "audits",
                    () => engine.Enqueue("audited", new long[] { 2 }, config, data));
            }
        }
    }
}
