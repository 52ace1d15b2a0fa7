using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Security.Cryptography;
using System.Text;

namespace Lethe.Tests
{
    /* Works tests/bindings/scenario.txt off, which describes itself: one JSON object a command. */
    sealed class Scenario
    {
        readonly string work;
        readonly LetheRuntime runtime = new LetheRuntime();
        readonly Dictionary<string, Model> models = new Dictionary<string, Model>();
        readonly Dictionary<string, Dataset> sets = new Dictionary<string, Dataset>();
        readonly Dictionary<string, Engine> engines = new Dictionary<string, Engine>();

        internal Scenario(string work)
        {
            this.work = work;
            Directory.CreateDirectory(work);
        }

        internal IEnumerable<string> Play(IEnumerable<string> lines)
        {
            int number = 0;
            foreach (string line in lines)
            {
                ++number;
                string[] words = line.Split(new[] { ' ' }, StringSplitOptions.RemoveEmptyEntries);
                if (words.Length == 0 || words[0].StartsWith("#")) continue;
                string told = words[0] == "fail" ? Failing(words.Skip(1).ToArray()) : Run(words);
                yield return "{\"line\":" + number + ",\"command\":\"" + words[0] + "\"" + told
                    + "}";
            }
            foreach (Engine engine in engines.Values) engine.Dispose();
            foreach (Model model in models.Values) model.Dispose();
            foreach (Dataset set in sets.Values) set.Dispose();
            runtime.Dispose();
        }

        string Failing(string[] words)
        {
            try
            {
                Run(words);
            }
            catch (LetheException e)
            {
                return Field("error", LetheRuntime.StatusName(e.Status))
                    + Field("message", e.Message);
            }
            throw new InvalidOperationException(string.Join(" ", words) + " did not fail");
        }

        /* What a command's line says after its name. */
        string Run(string[] words)
        {
            string name = words[1];
            switch (words[0])
            {
                case "model":
                    models[name] = new Model(runtime, words[2]);
                    return Field("tensors", models[name].TensorCount);
                case "weights":
                    models[name].LoadWeights(words[2]);
                    return Field("base", Hex(models[name].BaseFingerprint()));
                case "idx":
                    sets[name] = Dataset.FromIdx(runtime, words[2], words[3], long.Parse(words[4]),
                        words[5]);
                    return Field("size", sets[name].Size);
                case "split":
                    double fraction = double.Parse(words[2], CultureInfo.InvariantCulture);
                    (Dataset first, Dataset second) = sets[name].Split(fraction,
                        long.Parse(words[3]));
                    sets[words[4]] = first;
                    sets[words[5]] = second;
                    return Field("first", first.Size) + Field("second", second.Size);
                case "first":
                    long[] positions = Enumerable.Range(0, int.Parse(words[2])).Select(i => (long)i)
                        .ToArray();
                    sets[words[3]] = sets[name].Select(Select.TakeIndices, positions);
                    return Field("size", sets[words[3]].Size);
                case "engine":
                    engines[name] = new Engine(models[words[2]], new EngineOptions
                    {
                        Threads = int.Parse(words[3]),
                        Folder = words[4] == "-" ? null : Path.Combine(work, words[4])
                    });
                    return Field("jobs", engines[name].JobCount);
                case "enqueue":
                    using (Job job = engines[name].Enqueue(words[2],
                        words[3].Split(',').Select(long.Parse).ToArray(),
                        ForgetConfig.FromJson(words[6]),
                        sets[words[4]], null, sets[words[5]]))
                    {
                        return Field("job", job.Id);
                    }
                case "wait":
                    using (Job job = engines[name].JobFind(words[2]))
                    {
                        JobStatus end = job.Wait();
                        return Field("state", end.State == JobState.AwaitingData ? "awaiting data"
                                : end.State.ToString().ToLowerInvariant())
                            + Field("error", LetheRuntime.StatusName(end.Error))
                            + Metrics(ReportOf(job));
                    }
                case "evaluate":
                    return Metrics(models[name].Evaluate(sets[words[2]],
                        new EvaluateOptions { Threads = 1 }));
                case "scores":
                    Scores scores = models[name].PredictDataset(sets[words[2]], 1);
                    return Hash(scores) + ",\"classes\":[" + string.Join(",",
                        Enumerable.Range(0, Math.Min(10, scores.Rows)).Select(scores.ArgMax)) + "]";
                case "predict":
                    return OnArray(sets[words[2]], models[name].Predict);
                case "embed":
                    return OnArray(sets[words[2]], models[name].Embed);
                case "export":
                    using (Job job = engines[name].JobFind(words[2]))
                    using (Adapter adapter = job.Adapter())
                    using (Report report = job.Report())
                    {
                        adapter.Export(Path.Combine(work, words[3]));
                        return Field("groups_kept", (long)report.Metric("groups_kept"));
                    }
                case "load":
                    using (Adapter adapter = Adapter.Load(runtime, Path.Combine(work, words[2])))
                    {
                        models[name].Attach(adapter);
                    }
                    break;
                case "enable":
                    models[name].Enable(words[2], words[3] == "1");
                    break;
                case "rollback":
                    models[name].RollbackTo(words[2] == "-" ? null : words[2]);
                    break;
                case "merge":
                    models[words[2]] = models[name].Merge();
                    name = words[2];
                    break;
                case "receipts":
                    Receipts.Verify(engines[name].Receipts(), engines[name].PublicKey());
                    return Field("receipts", engines[name].ReceiptCount);
                case "close":
                    engines[name].Close();
                    engines[name].Dispose();
                    engines.Remove(name);
                    return "";
                default:
                    throw new InvalidOperationException("no command " + words[0]);
            }
            return Field("adapters", models[name].AdapterCount);
        }

        static string OnArray(Dataset set, Func<float[], long[], int, Scores> say)
        {
            int count = (int)set.Size, pixels = set.Sample(0).Length, side = (int)Math.Sqrt(pixels);
            var images = new float[count * pixels];
            for (int i = 0; i < count; ++i) set.Sample(i).CopyTo(images, i * pixels);
            return Hash(say(images, new long[] { count, 1, side, side }, 1));
        }

        static Report ReportOf(Job job)
        {
            try
            {
                return job.Report();
            }
            catch (LetheException e) when (e.Status == Status.State)
            {
                return null; /* it left nothing */
            }
        }

        static string Field(string name, long value)
        {
            return ",\"" + name + "\":" + value;
        }

        static string Field(string name, string value)
        {
            return ",\"" + name + "\":" + Quoted(value);
        }

        static string Metrics(Report report)
        {
            using (report)
            {
                IEnumerable<KeyValuePair<string, double>> metrics =
                    report?.Metrics() ?? new SortedDictionary<string, double>();
                IEnumerable<string> fields = metrics
                    .Where(metric => metric.Key != "seconds" && metric.Key != "peak_memory_mib")
                    .Select(metric => Quoted(metric.Key) + ":\"" + Fixed(metric.Value) + "\"");
                return ",\"metrics\":{" + string.Join(",", fields) + "}";
            }
        }

        /* As C's "%.6f", which rounds the exact value; ToString("F6") rounds fifteen of its
         * digits. */
        static string Fixed(double value)
        {
            long bits = BitConverter.DoubleToInt64Bits(value);
            int exponent = (int)(bits >> 52 & 0x7ff) - 1075;
            decimal exact = bits & 0xfffffffffffff | 0x10000000000000;
            if (value == 0 || exponent < -1022) exact = 0;
            else if (exponent > -150 && exponent < 0) for (; exponent < 0; ++exponent) exact /= 2;
            else for (; exponent > 0; --exponent) exact *= 2;
            string text = Math.Round(exact, 6, MidpointRounding.ToEven)
                .ToString("F6", CultureInfo.InvariantCulture);
            return bits < 0 ? "-" + text : text;
        }

        static string Hash(Scores scores)
        {
            float[] values = scores.ToArray();
            var bytes = new byte[4 * values.Length];
            Buffer.BlockCopy(values, 0, bytes, 0, bytes.Length);
            using (SHA256 sha = SHA256.Create()) return Field("hash", Hex(sha.ComputeHash(bytes)));
        }

        static string Hex(byte[] bytes)
        {
            return string.Concat(bytes.Select(b => b.ToString("x2")));
        }

        static string Quoted(string text)
        {
            var json = new StringBuilder("\"");
            foreach (char c in text)
            {
                int known = "\"\\\b\f\n\r\t".IndexOf(c);
                if (known >= 0) json.Append('\\').Append("\"\\bfnrt"[known]);
                else if (c < ' ') json.Append("\\u").Append(((int)c).ToString("x4"));
                else json.Append(c);
            }
            return json.Append('"').ToString();
        }
    }
}
