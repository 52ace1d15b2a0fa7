/* A trained model forgets trousers and pullovers. In the root folder of the sources, after a build:
 *     mono build/bindings/csharp/first-forget.exe */
using System;
using System.IO;
using System.Linq;
using System.Threading.Tasks;
using Lethe;

static class FirstForget
{
    const string Images = "/usr/share/datasets/fashion-mnist/";
    const string Scale = "{\"mean\":[0.2860],\"std\":[0.3530]}";

    static Dataset Read(LetheRuntime runtime, string part)
    {
        return Dataset.FromIdx(runtime, Images + part + "-images-idx3-ubyte.gz",
            Images + part + "-labels-idx1-ubyte.gz", 10, Scale);
    }

    static async Task Run()
    {
        using (var runtime = new LetheRuntime())
        using (var model = new Model(runtime, File.ReadAllText("examples/quickstart/model.json")))
        using (Dataset train = Read(runtime, "train"), test = Read(runtime, "t10k"))
        {
            model.LoadWeights("examples/quickstart/fashion_vit.safetensors");
            float[] trousers = test.Sample(2);
            long[] shape = { 1, 1, 28, 28 };
            int before = model.Predict(trousers, shape).ArgMax(0);

            using (var engine = new Engine(model))
            using (Job job = engine.Enqueue("req-1", new long[] { 1, 2 },
                new ForgetConfig { MaxSteps = 300, DataRatio = 0.2 }, train))
            {
                Task<JobStatus> end = job.WaitAsync();
                foreach (Event e in engine.Events().TakeWhile(e => e.State <= JobState.Running))
                {
                    Progress at = e.Progress;
                    if (at.TotalSteps == 0) continue; /* an event of its state */
                    Console.Write("\r{0}/{1}  Acc_f {2:F1} %  Acc_r {3:F1} %  {4:F0} s left   ",
                        at.Step, at.TotalSteps, at.AccF, at.AccR, at.EtaSeconds);
                }
                Console.WriteLine("\r{0} {1}".PadRight(70), (await end).State, job.Error);
                using (Adapter adapter = job.Adapter()) adapter?.Export("req-1.lethe");
            }

            int after = model.Predict(trousers, shape).ArgMax(0);
            Console.WriteLine("the model took a picture of trousers (1) for {0}, now for {1}",
                before, after);
            using (Report report = model.Evaluate(test))
            {
                Console.WriteLine("right on the forgotten: {0:F2} %, on the others: {1:F2} %",
                    report.Metric("acc_f"), report.Metric("acc_r"));
            }
        }
    }

    static void Main() { Run().GetAwaiter().GetResult(); }
}
