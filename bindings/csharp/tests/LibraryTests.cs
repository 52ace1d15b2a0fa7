using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Threading;

namespace Lethe.Tests
{
    /* The package finds its native library, and says what to do when it does not. */
    static class LibraryTests
    {
        internal const string FirstUse = "--first-use";
        const string FileName = "liblethe_csharp.so";

        static readonly Dictionary<string, Action> uses = new Dictionary<string, Action>
        {
            ["version"] = () => Use(LetheRuntime.Version),
            ["abi"] = () => Use(LetheRuntime.AbiVersion),
            ["status"] = () => LetheRuntime.StatusName(Status.Ok),
            ["archs"] = () => Use(LetheRuntime.ArchNames),
            ["spec"] = () => LetheRuntime.ArchDefaultSpec("vit"),
            ["build"] = () => LetheRuntime.BuildInfoJson(),
            ["methods"] = () => LetheRuntime.MethodInfoJson(),
            ["runtime"] = () => new LetheRuntime().Dispose(),
            ["limits"] = () => new Limits(), ["export"] = () => new ExportOptions(),
            ["forget"] = () => new ForgetConfig(), ["pretrain"] = () => new PretrainConfig(),
            ["task"] = () => new TaskOptions(), ["receipts"] = () => Receipts.Verify(""),
            ["adapter"] = () => Adapter.Verify("/nowhere"),
            ["journal"] = () => Journal.InfoJson("/nowhere"),
            ["journal receipts"] = () => Journal.Receipts("/nowhere"), ["listening"] = Listening
        };

        static void Use<T>(T value) { }

        /* Leaves all threads of the package and a training behind. */
        static void Listening()
        {
            var runtime = new LetheRuntime(LogLevel.Debug, line => { });
            var engine = new Engine(new Model(runtime, Tiny.Spec),
                new EngineOptions { Paused = true });
            Dataset many = Dataset.FromTensors(runtime, Tiny.Images(512, 1), Tiny.Shape(512),
                Tiny.Labels(512), 4);
            Tiny.Engine(new Model(runtime, Tiny.Spec)).EnqueuePretraining("b", new PretrainConfig
            {
                Epochs = 100000
            }, many);
            Dataset data = Dataset.FromTensors(runtime, Tiny.Images(8, 1), Tiny.Shape(8),
                Tiny.Labels(8), 4);
            Job job = engine.Enqueue("a", new long[] { 1 }, Tiny.Quick(), data);
            job.WaitAsync();
            var blocking = new Action[]
            {
                engine.WaitIdle, () => job.Wait(), () => engine.Events().Count()
            };
            foreach (Action wait in blocking)
            {
                new Thread(() => wait()) { IsBackground = true }.Start();
            }
            Thread.Sleep(100);
        }

        /* What a process without anything around it does first. */
        internal static int UseIt(string use)
        {
            foreach (Action action in use == "all" ? uses.Values.ToArray() : new[] { uses[use] })
            {
                try
                {
                    action();
                    Console.WriteLine("good");
                }
                catch (LetheException e) when (e.Status == Status.NotFound)
                {
                    Console.WriteLine("good");
                }
                catch (Exception e)
                {
                    string status = e is LetheException failure ? " " + failure.Status : "";
                    Console.WriteLine("bad " + e.GetType().Name + status + " " + e.Message);
                }
            }
            return 0;
        }

        static string Here => Path.GetDirectoryName(typeof(Runner).Assembly.Location);

        /* A folder with the package and without its library. */
        static string Alone()
        {
            string folder = Tiny.Folder();
            foreach (string file in new[] { "Lethe.dll", "lethe-tests.exe" })
            {
                File.Copy(Path.Combine(Here, file), Path.Combine(folder, file));
            }
            return folder;
        }

        static string Run(string folder, string libraryPath = null, string use = "all",
            string loaderPath = "")
        {
            var start = new ProcessStartInfo(Process.GetCurrentProcess().MainModule.FileName,
                "\"" + Path.Combine(folder, "lethe-tests.exe") + "\" " + FirstUse + " \"" + use
                + "\"")
            {
                UseShellExecute = false, RedirectStandardOutput = true
            };
            start.EnvironmentVariables["LD_LIBRARY_PATH"] = loaderPath;
            start.EnvironmentVariables[Library.Variable] = libraryPath ?? "";
            using (Process child = Process.Start(start))
            {
                string output = child.StandardOutput.ReadToEnd();
                Assert.True(child.WaitForExit(60000) && child.ExitCode == 0,
                    "the child ended badly: " + output);
                return output;
            }
        }

        static int Count(string text, string part)
        {
            return text.Split(new[] { part }, StringSplitOptions.None).Length - 1;
        }

        public static void AMissingLibraryIsNamed()
        {
            string folder = Alone();
            string output = Run(folder, folder + "/nowhere");
            Assert.Contains(output, "DllNotFoundException Lethe's native library could not be",
                Library.Variable, folder + "/nowhere/" + FileName + ": no such file",
                folder + "/" + FileName + ": no such file",
                folder + "/runtimes/linux-x64/native/" + FileName + ": no such file",
                "the system's loader");
            Assert.Equal(uses.Count, Count(output, "bad DllNotFoundException"));
            Directory.Delete(folder, true);
        }

        public static void AWrongLibraryIsNamed()
        {
            string folder = Alone();
            File.WriteAllText(Path.Combine(folder, FileName), new string('x', 1000));
            string output = Run(folder);
            Assert.Contains(output, "DllNotFoundException", folder + "/" + FileName + ": ",
                "invalid ELF header");
            Directory.Delete(folder, true);
        }

        public static void TheLibraryIsFoundInEachPlace()
        {
            string folder = Alone(), native = Path.Combine(folder, "runtimes/linux-x64/native");
            string[] first = { "version", "status", "archs", "runtime", "forget", "receipts" };
            foreach (string use in first)
            {
                Assert.Equal("good\n", Run(folder, Here, use));
            }
            /* Of liblethe.so.1. */
            string lethe = Environment.GetEnvironmentVariable("LETHE_FOLDER");
            Directory.CreateDirectory(native);
            File.Copy(Path.Combine(Here, FileName), Path.Combine(native, FileName));
            Assert.Equal("good\n", Run(folder, null, "version", lethe));
            File.Move(Path.Combine(native, FileName), Path.Combine(folder, FileName));
            Assert.Equal("good\n", Run(folder, null, "version", lethe));
            Directory.Delete(folder, true);
        }

        /* LETHE_FAKE_1_0 and LETHE_FAKE_2_0 name liblethes of these versions. */
        public static void OtherVersionsAreRefused()
        {
            string folder = Alone();
            foreach (string version in new[] { "1_0", "2_0" })
            {
                string fake = Environment.GetEnvironmentVariable("LETHE_FAKE_" + version);
                Assert.True(fake != null, "LETHE_FAKE_" + version + " is not set");
                string lethe = Path.Combine(folder, "liblethe.so.1");
                File.Copy(fake, lethe, true);
                string output = Run(folder, Here, "all", folder);
                Assert.Equal(uses.Count, Count(output, "bad LetheException Version"));
                Assert.Contains(output, "built for", "install",
                    version == "1_0" ? "older than this package" : "has ABI 2.0");
            }
            Directory.Delete(folder, true);
        }

        public static void VersionsThatFit()
        {
            Assert.True(Library.VersionProblem(0x10001, 0x10001) == null, "the same");
            Assert.True(Library.VersionProblem(0x10005, 0x10001) == null, "a newer minor");
            Assert.Contains(Library.VersionProblem(0x10000, 0x10001), "ABI 1.0", "built for 1.1",
                "install");
            Assert.Contains(Library.VersionProblem(0x20001, 0x10001), "ABI 2.1", "built for 1.1",
                "install");
        }

        public static void TheLogIsTold()
        {
            string folder = Tiny.Folder();
            var lines = new List<LogLine>();
            using (var ended = new ManualResetEventSlim())
            {
                using (var runtime = new LetheRuntime(LogLevel.Debug, line =>
                {
                    lock (lines) lines.Add(line);
                    ended.Set();
                    throw new InvalidOperationException("a listener that fails");
                }))
                using (var model = new Model(runtime, Tiny.Spec))
                using (var engine = new Engine(model, new EngineOptions { Folder = folder }))
                using (Dataset data = Tiny.Data(128, 1))
                using (Job job = engine.Enqueue("a", new long[] { 1 }, Tiny.Quick(), data))
                {
                    job.Wait();
                    Assert.True(ended.Wait(10000), "no line came");
                }
            }
            lock (lines)
            {
                Assert.True(lines.All(line => line.Component.Length > 0 && line.Message.Length > 0
                    && Enum.IsDefined(typeof(LogLevel), line.Level)), "a line without content");
                Assert.Contains(lines[0].ToString(), lines[0].Message);
            }
            Directory.Delete(folder, true);
        }

        /* Threads of the package do not keep a process from ending: see Waits. */
        public static void AProcessEnds()
        {
            Assert.Equal("good\n", Run(Here, Here, "listening"));
        }
    }
}
