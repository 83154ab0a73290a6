// 05: several requests at once. Introduces GenerateBatch, whose requests share the steps of the device, several choices of
// one request, and the token counts that every result has. usage: 05_batch [MODEL]
using System;
using System.Linq;
using Deepseam;

internal static class Batch
{
  private static readonly string[] prompts = { "int main(void) {", "def hello():", "fn main() {", "package main\n" };

  private static int Show(string prompt, BatchItem item)
  {
    Console.WriteLine("--- {0}", prompt);
    if (item.Status != Status.Ok) // each request has a status of its own
    {
      Console.WriteLine("failed: {0}", Library.NameOf(item.Status));
      return 1;
    }
    using (Info facts = item.Result.Facts())
    {
      for (uint choice = 0; choice < 2; ++choice) Console.WriteLine("{0}: {1}", choice, item.Result.Text(choice));
      Console.WriteLine("   {0} tokens in, {1} out", facts.Number("usage.prompt_tokens"),
        facts.Number("usage.completion_tokens"));
    }
    return 0;
  }

  private static int Main(string[] arguments) => Sample.Run(arguments, path =>
  {
    var options = new GenerateOptions { MaxTokens = 16, Temperature = 0.7f, TopP = 0.9f, Seed = 1, Choices = 2 };
    using (var runtime = new Runtime())
    using (Model model = Model.Open(runtime, path))
    {
      BatchItem[] items = prompts.Select(prompt => new BatchItem
      {
        Session = new Session(model), // one sequence of tokens each
        Input = Input.Text(prompt),
        Options = options,
      }).ToArray();
      Session.GenerateBatch(items);
      int failed = prompts.Zip(items, Show).Sum();
      foreach (BatchItem item in items)
      {
        item.Result?.Dispose();
        item.Session.Dispose();
      }
      return failed;
    }
  });
}
