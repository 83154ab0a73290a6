// 01: the shortest useful program. Introduces runtime, model, session, generate, result, and the one way of failing: an
// exception with a status and a sentence. usage: 01_hello [MODEL]   (default: the model that ships with the library)
using System;
using Deepseam;

internal static class Hello
{
  private static int Main(string[] arguments)
  {
    try
    {
      // `using` disposes in the opposite order; any order is fine. The runtime's waits for the library's threads.
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, arguments.Length > 0 ? arguments[0] : "embedded"))
      using (var session = new Session(model))
      using (Result result = session.Generate(Input.Text("int main(void) {"), new GenerateOptions { MaxTokens = 32 }))
        Console.Write(result.Text() + "\n");
      return 0;
    }
    catch (DeepseamException failure)
    {
      Console.Error.WriteLine(Library.NameOf(failure.Status) + ": " + failure.Message);
      return 1;
    }
  }
}
