using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using Lethe;

/* What crossing costs. Usage, in the root of the sources: bench.exe
 *
 *   empty_ns    the cheapest call, median of 200 samples of 20,000
 *   predict_ms  32 images of the quickstart's model on one thread, median of 100 */
static class Bench
{
    static void Main()
    {
        Console.WriteLine("empty_ns " + Median(200, 10, () =>
        {
            for (int i = 0; i < 20000; ++i) Use(LetheRuntime.AbiVersion);
        }, 1e9 / 20000).ToString("F1", CultureInfo.InvariantCulture));

        const string folder = "examples/quickstart";
        using (var runtime = new LetheRuntime())
        using (var model = new Model(runtime, File.ReadAllText(Path.Combine(folder, "model.json"))))
        {
            model.LoadWeights(Path.Combine(folder, "fashion_vit.safetensors"));
            var images = new float[32 * 28 * 28];
            for (int i = 0; i < images.Length; ++i) images[i] = i % 255 / 255f - 0.5f;
            long[] shape = { 32, 1, 28, 28 };
            double predict = Median(100, 20, () => Use(model.Predict(images, shape, 1).Rows), 1e3);
            Console.WriteLine("predict_ms " + predict.ToString("F3", CultureInfo.InvariantCulture));
        }
    }

    internal static int used;

    static void Use(int value)
    {
        used = value;
    }

    static double Median(int samples, int warmUps, Action once, double unit)
    {
        var times = new List<double>();
        for (int i = 0; i < warmUps + samples; ++i)
        {
            long start = Stopwatch.GetTimestamp();
            once();
            double seconds = (double)(Stopwatch.GetTimestamp() - start) / Stopwatch.Frequency;
            if (i >= warmUps) times.Add(seconds * unit);
        }
        times.Sort();
        return times[times.Count / 2];
    }
}
