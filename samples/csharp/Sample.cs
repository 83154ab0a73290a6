// What the samples share, so that each shows only what is new in it: opening a model, and ending the program with the
// library's sentence when a call fails. Output is UTF-8 without a mark, as that of the other languages' samples.
using System;
using System.IO;
using System.Text;
using Deepseam;

internal static class Sample
{
  /// <summary>Runs a sample: `body` gets the model's path, the first argument or "embedded". Its answer is the exit status.
  /// </summary>
  public static int Run(string[] arguments, Func<string, int> body)
  {
    var output = new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { NewLine = "\n" };
    Console.SetOut(output);
    int status = 1;
    try { status = body(arguments.Length > 0 ? arguments[0] : "embedded"); }
    catch (DeepseamException thrown)
    {
      Console.Error.WriteLine(Library.NameOf(thrown.Status) + ": " + thrown.Message);
    }
    output.Flush();
    if (Library.LiveObjects == 0) return status;
    Console.Error.WriteLine(Library.LiveObjects + " native objects are left");
    return 1;
  }
}
