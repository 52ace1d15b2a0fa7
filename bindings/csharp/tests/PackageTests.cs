using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Xml;

namespace Lethe.Tests
{
    /* What is published. After a wanted change of bindings/csharp/surface.txt:
     * LETHE_RENEW_SURFACE=1 mono lethe-tests.exe ROOT Package */
    static class PackageTests
    {
        public static void TheSurfaceIsTheRecordedOne()
        {
            string path = Path.Combine(Runner.Root, "bindings/csharp/surface.txt");
            string[] found = typeof(LetheRuntime).Assembly.GetExportedTypes().SelectMany(Lines)
                .OrderBy(line => line, StringComparer.Ordinal).ToArray();
            if (Environment.GetEnvironmentVariable("LETHE_RENEW_SURFACE") == "1")
            {
                File.WriteAllText(path, string.Join("\n", found) + "\n");
            }
            string[] recorded = File.ReadAllLines(path);
            Assert.True(found.SequenceEqual(recorded), "gone: "
                + string.Join("; ", recorded.Except(found))
                + "; new: " + string.Join("; ", found.Except(recorded)));
        }

        /* The descriptions for the .NET SDK and NuGet name the files that are here. */
        public static void TheDescriptionsNameTheFiles()
        {
            string folder = Path.Combine(Runner.Root, "bindings/csharp");
            string build = Path.GetDirectoryName(typeof(Runner).Assembly.Location);
            var project = new XmlDocument();
            project.Load(Path.Combine(folder, "Lethe.csproj"));
            foreach (XmlElement compiled in project.GetElementsByTagName("Compile"))
            {
                string files = Path.Combine(folder,
                    compiled.GetAttribute("Include").Replace("$(LetheBuild)", build));
                Assert.True(Directory.GetFiles(Path.GetDirectoryName(files),
                    Path.GetFileName(files)).Length > 0,
                    files + " does not exist");
            }
            var package = new XmlDocument();
            package.Load(Path.Combine(folder, "Lethe.nuspec"));
            int count = 0;
            foreach (XmlElement file in package.GetElementsByTagName("file"))
            {
                string source = file.GetAttribute("src");
                string name = Path.GetFileName(source);
                string found = source.Replace("$build$", Path.Combine(build, "../.."));
                Assert.True(source.StartsWith("bin/Release/netstandard2.") /* the SDK's */
                    ? name == "Lethe.dll" || name == "Lethe.xml" : File.Exists(found),
                    source + " does not exist");
                ++count;
            }
            Assert.Equal(6, count);
        }

        static IEnumerable<string> Lines(Type type)
        {
            string name = type.FullName.Replace("Lethe.", "");
            bool isStatic = type.IsAbstract && type.IsSealed;
            string kind = type.IsEnum ? "enum" : type.IsValueType ? "struct"
                : isStatic ? "static class" : "class";
            bool isPlain = type.IsValueType || type.BaseType == typeof(object);
            string bases = isPlain ? "" : " : " + NameOf(type.BaseType);
            IEnumerable<Type> interfaces = type.IsEnum ? new Type[0] : type.GetInterfaces();
            yield return name + " " + kind + bases
                + string.Concat(interfaces.Select(i => ", " + NameOf(i)));
            const BindingFlags own = BindingFlags.Public | BindingFlags.NonPublic
                | BindingFlags.Static | BindingFlags.Instance | BindingFlags.DeclaredOnly;
            if (type.IsEnum)
            {
                foreach (string value in Enum.GetNames(type))
                {
                    yield return name + "." + value + " = " + (int)Enum.Parse(type, value);
                }
                yield break;
            }
            foreach (ConstructorInfo made in type.GetConstructors(own)
                .Where(m => m.IsPublic || m.IsFamily))
            {
                yield return "new " + name + Arguments(made);
            }
            foreach (PropertyInfo property in type.GetProperties(own)
                .Where(p => p.GetMethod.IsPublic))
            {
                string index = property.GetIndexParameters().Length == 0 ? ""
                    : "[" + string.Join(", ", property.GetIndexParameters().Select(Describe)) + "]";
                yield return name + "." + property.Name + index + " : "
                    + NameOf(property.PropertyType) + " { get;"
                    + (property.SetMethod?.IsPublic == true ? " set; }" : " }");
            }
            foreach (MethodInfo method in type.GetMethods(own)
                .Where(m => (m.IsPublic || m.IsFamily) && !m.IsSpecialName))
            {
                yield return (method.IsStatic ? "static " : "") + name + "." + method.Name
                    + Arguments(method)
                    + " : " + NameOf(method.ReturnType);
            }
        }

        static string Arguments(MethodBase method)
        {
            return "(" + string.Join(", ", method.GetParameters().Select(Describe)) + ")";
        }

        static string Describe(ParameterInfo parameter)
        {
            string value = parameter.HasDefaultValue
                ? " = " + (parameter.DefaultValue ?? "default") : "";
            return (parameter.IsOut ? "out " : "") + NameOf(parameter.ParameterType).TrimEnd('&')
                + " " + parameter.Name + value;
        }

        static string NameOf(Type type)
        {
            string name = type.Name.Split('`')[0];
            if (!type.IsGenericType) return name;
            return name + "<" + string.Join(", ", type.GetGenericArguments().Select(NameOf)) + ">";
        }
    }
}
