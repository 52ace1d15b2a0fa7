using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;

namespace Lethe
{
    /* Finds the native library and sees that its version fits, at the first use of the package.
     *
     * It is opened by its path before the first P/Invoke, which then finds it by its name. (Mono
     * prefers the file beside the assembly when there is one.) */
    internal static class Library
    {
        internal const string Variable = "LETHE_LIBRARY_PATH";
        const string FileName = "liblethe_csharp.so";
        const int Lazy = 1; /* an older liblethe, which lacks functions, can say its version */

        static readonly Func<Exception> failure = Load();

        internal static void Ensure()
        {
            if (failure != null) throw failure();
        }

        static Func<Exception> Load()
        {
            var looked = new List<string>();
            foreach (string folder in Folders())
            {
                string path = Path.Combine(folder, FileName);
                string problem = Open(path);
                if (problem == null) break;
                looked.Add(path + ": " + problem);
            }
            try
            {
                string problem = VersionProblem(Native.abi_version(), Built.Abi);
                if (problem != null) return () => new LetheException(Status.Version, problem);
                Failure.Listen();
                return null;
            }
            catch (Exception e) when (e is DllNotFoundException || e is BadImageFormatException
                                      || e is EntryPointNotFoundException)
            {
                looked.Add("the system's loader: " + e.Message);
                return NotLoaded(looked);
            }
        }

        static Func<Exception> NotLoaded(List<string> looked)
        {
            string places = "\n  " + string.Join("\n  ", looked);
            if (places.Contains("LETHE_1.")) /* a version of symbols that liblethe.so.1 lacks */
            {
                string older = "liblethe.so.1 is older than this package, which was built for ABI "
                    + Version(Built.Abi) + ": install one that has it, or a newer minor version:"
                    + places;
                return () => new LetheException(Status.Version, older);
            }
            string message = "Lethe's native library could not be loaded. Put " + FileName
                + " and liblethe.so.1 into one of these places, or name their folder in the "
                + "environment variable " + Variable + ":" + places;
            return () => new DllNotFoundException(message);
        }

        static IEnumerable<string> Folders()
        {
            string named = Environment.GetEnvironmentVariable(Variable);
            if (!string.IsNullOrEmpty(named)) yield return named;
            string assembly = typeof(Library).Assembly.Location;
            string folder = assembly.Length > 0 ? Path.GetDirectoryName(assembly)
                                                : AppDomain.CurrentDomain.BaseDirectory;
            string machine = RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
            yield return folder;
            yield return Path.Combine(folder, "runtimes", "linux-" + machine, "native");
        }

        /* Null after success. */
        static string Open(string path)
        {
            if (!File.Exists(path)) return "no such file";
            byte[] name = Text.Required(path, nameof(path));
            try
            {
                if (dlopen(name, Lazy) != IntPtr.Zero) return null;
                return Text.Of(dlerror());
            }
            catch (DllNotFoundException)
            {
                return "this system has no dlopen";
            }
        }

        internal static string VersionProblem(uint found, uint built)
        {
            if (found >> 16 == built >> 16 && (found & 0xffff) >= (built & 0xffff)) return null;
            return "liblethe.so.1 has ABI " + Version(found) + ", this package was built for "
                + Version(built) + ": install a liblethe that has it, or a newer minor version";
        }

        static string Version(uint abi)
        {
            return (abi >> 16) + "." + (abi & 0xffff);
        }

        [DllImport("libdl.so.2")] static extern IntPtr dlopen(byte[] path, int flags);
        [DllImport("libdl.so.2")] static extern IntPtr dlerror();
    }
}
