using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Linq;
using System.Reflection;

namespace Lethe.Tests
{
    /* Usage: lethe-tests.exe ROOT [PART...]: the tests whose name contains a PART, or all. ROOT
     * holds the sources.
     *
     * A test is a public static method of a class that ends with "Tests". */
    static class Runner
    {
        internal static string Root { get; private set; }

        static int Main(string[] arguments)
        {
            if (arguments.Length == 2 && arguments[0] == LibraryTests.FirstUse)
            {
                return LibraryTests.UseIt(arguments[1]);
            }
            if (arguments.Length < 1)
            {
                Console.Error.WriteLine("usage: lethe-tests.exe ROOT [PART...]");
                return 2;
            }
            Root = arguments[0];
            string[] parts = arguments.Length > 1 ? arguments.Skip(1).ToArray() : new[] { "" };
            var failed = new List<string>();
            int passed = 0;
            foreach (MethodInfo test in Tests().Where(test => parts.Any(NameOf(test).Contains)))
            {
                var watch = Stopwatch.StartNew();
                try
                {
                    test.Invoke(null, null);
                    ++passed;
                    Console.WriteLine("[       OK ] " + NameOf(test) + " ("
                        + watch.ElapsedMilliseconds + " ms)");
                }
                catch (TargetInvocationException e)
                {
                    failed.Add(NameOf(test));
                    Console.WriteLine("[  FAILED  ] " + NameOf(test) + "\n" + e.InnerException);
                }
                Console.Out.Flush();
            }
            if (failed.Count > 0)
            {
                Console.WriteLine("[  FAILED  ] " + string.Join(", ", failed));
                Console.WriteLine("[  PASSED  ] " + passed + " test(s).");
                Console.WriteLine("[  FAILED  ] " + failed.Count + " test(s).");
                return 1;
            }
            Console.WriteLine("[  PASSED  ] " + passed + " test(s).");
            return 0;
        }

        static IEnumerable<MethodInfo> Tests()
        {
            return from type in typeof(Runner).Assembly.GetTypes()
                   where type.Name.EndsWith("Tests")
                   orderby type.Name
                   from method in type.GetMethods(BindingFlags.Static | BindingFlags.Public
                                                  | BindingFlags.DeclaredOnly)
                   where method.GetParameters().Length == 0
                   select method;
        }

        static string NameOf(MethodInfo test)
        {
            return test.DeclaringType.Name + "." + test.Name;
        }
    }
}
