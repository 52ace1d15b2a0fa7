using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text.RegularExpressions;

namespace Lethe.Tests
{
    static class ScenarioTests
    {
        /* That it equals C's is seen by the project's tests. */
        public static void TheScenarioEndsAsItShould()
        {
            string work = Tiny.Folder();
            Directory.SetCurrentDirectory(Runner.Root);
            var hashes = new HashSet<string>();
            int ends = 0;
            foreach (string line in new Scenario(work).Play(
                File.ReadAllLines("tests/bindings/scenario.txt")))
            {
                if (line.Contains("\"command\":\"wait\""))
                {
                    ++ends;
                    Assert.True(line.Contains("\"state\":\"succeeded\"")
                        || line.Contains("\"error\":\"REJECTED\""),
                        line);
                }
                if (line.Contains("\"command\":\"scores\""))
                {
                    hashes.Add(Regex.Match(line, "\"hash\":\"(\\w+)\"").Groups[1].Value);
                }
            }
            Assert.Equal(3, ends);
            /* The base, one task, both: every other state is one of them. */
            Assert.Equal(3, hashes.Count);
            Directory.Delete(work, true);
        }
    }
}
