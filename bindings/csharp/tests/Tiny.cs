using System;
using System.IO;

namespace Lethe.Tests
{
    /* A tiny model and tiny images, those of tests/capi/common.c: 1x8x8 pixels, class c has its
     * bright quarter at place c. */
    static class Tiny
    {
        internal const int Classes = 4, Side = 8, Pixels = Side * Side;
        internal const string Spec = "{\"arch\":\"vit\",\"classes\":4,\"image_size\":8,"
            + "\"channels\":1,\"patch_size\":4,\"dim\":16,\"depth\":2,"
            + "\"heads\":2,\"head_dim\":8,\"mlp_dim\":32,\"seed\":1}";

        internal static readonly LetheRuntime Runtime = new LetheRuntime();
        static readonly Lazy<byte[]> weights = new Lazy<byte[]>(Train);

        internal static float[] Images(int count, uint seed)
        {
            var pixels = new float[count * Pixels];
            uint state = seed * 2654435761u + 1;
            for (int i = 0; i < count; ++i)
            {
                for (int p = 0; p < Pixels; ++p)
                {
                    int quarter = (p / Side >= Side / 2 ? 2 : 0) + (p % Side >= Side / 2 ? 1 : 0);
                    state = state * 1664525u + 1013904223u;
                    pixels[i * Pixels + p] = (quarter == i % Classes ? 0.8f : 0)
                        + 0.2f * (float)(state >> 8) / (1u << 24);
                }
            }
            return pixels;
        }

        internal static long[] Shape(int count)
        {
            return new long[] { count, 1, Side, Side };
        }

        internal static long[] Labels(int count)
        {
            var labels = new long[count];
            for (int i = 0; i < count; ++i) labels[i] = i % Classes;
            return labels;
        }

        internal static Dataset Data(int count, uint seed)
        {
            return Dataset.FromTensors(Runtime, Images(count, seed), Shape(count), Labels(count),
                Classes);
        }

        internal static Model Model()
        {
            return new Model(Runtime, Spec);
        }

        /* It tells the four classes apart. */
        internal static Model Trained()
        {
            Model model = Model();
            model.LoadWeights(weights.Value);
            return model;
        }

        static byte[] Train()
        {
            string folder = Folder();
            string path = Path.Combine(folder, "tiny.safetensors");
            using (Model model = Model())
            using (Engine engine = Engine(model))
            using (Dataset data = Data(128, 1))
            {
                var config = new PretrainConfig
                {
                    Batch = 32, Epochs = 40, WarmupEpochs = 1, LearningRate = 1e-2
                };
                using (Job job = engine.EnqueuePretraining("base", config, data)) Succeeds(job);
                model.ExportMerged(path);
            }
            byte[] bytes = File.ReadAllBytes(path);
            Directory.Delete(folder, true);
            return bytes;
        }

        internal static Engine Engine(Model model)
        {
            return new Engine(model, new EngineOptions { Threads = 1 });
        }

        internal static Engine Paused(Model model)
        {
            return new Engine(model, new EngineOptions { Threads = 1, Paused = true });
        }

        /* Under which the trained model forgets one class in an instant. */
        internal static ForgetConfig Quick()
        {
            return new ForgetConfig
            {
                DataRatio = 1, ForgetBatch = 16, RetainBatch = 48, MaxSteps = 60, LoraAlpha = 8,
                ProgressInterval = 1
            };
        }

        internal static void Succeeds(Job job)
        {
            JobStatus end = job.Wait();
            Assert.True(end.State == JobState.Succeeded, end.State + ": " + job.Error);
        }

        /* Two adapters, "first" (class 1) and "second" (class 2). */
        internal static Model Forgetful()
        {
            Model model = Trained();
            using (Dataset data = Data(128, 1))
            using (Engine engine = Engine(model))
            {
                using (Job job = engine.Enqueue("first", new long[] { 1 }, Quick(), data))
                    Succeeds(job);
                using (Job job = engine.Enqueue("second", new long[] { 2 }, Quick(), data))
                    Succeeds(job);
            }
            return model;
        }

        internal static string Folder()
        {
            string path = Path.Combine(Path.GetTempPath(), "lethe-csharp-"
                + Guid.NewGuid().ToString("N"));
            Directory.CreateDirectory(path);
            return path;
        }
    }
}
