using System;
using System.IO;
using System.Text;

namespace Lethe.Tests
{
    /* Usage, in the root of the sources: scenario.exe SCENARIO WORK_FOLDER */
    static class ScenarioMain
    {
        static void Main(string[] arguments)
        {
            using (var output = new StreamWriter(Console.OpenStandardOutput(),
                new UTF8Encoding(false)))
            {
                foreach (string line in new Scenario(arguments[1]).Play(
                    File.ReadAllLines(arguments[0])))
                {
                    output.Write(line + "\n");
                    output.Flush();
                }
            }
        }
    }
}
