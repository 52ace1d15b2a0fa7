using System;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

[assembly: AssemblyTitle("Lethe")]
[assembly: AssemblyDescription("Pre-trained vision models that forget chosen classes")]
[assembly: CLSCompliant(true)]
/* The native library is opened by src/Library.cs; its name alone then finds it. */
[assembly: DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
[assembly: InternalsVisibleTo("lethe-tests")]
