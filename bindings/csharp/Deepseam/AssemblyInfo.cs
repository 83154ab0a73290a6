// What the assembly says about itself. Its version is the library's.
using System.Reflection;
using System.Runtime.CompilerServices;

[assembly: AssemblyTitle("Deepseam")]
[assembly: AssemblyDescription("DeepSeek MoE code models inside other programs")]
[assembly: AssemblyVersion("0.1.0.0")]
[assembly: AssemblyFileVersion("0.1.0.0")]
[assembly: AssemblyInformationalVersion("0.1.0")]
[assembly: InternalsVisibleTo("Deepseam.Tests")]
