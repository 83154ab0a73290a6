// 03: completing code at a cursor. Introduces fill-in-the-middle with what is before and after the cursor, the file's name,
// other files as snippets, stop strings, and the two layouts of the prompt. usage: 03_fill_in_middle [MODEL]
using System;
using Deepseam;

internal static class FillInMiddle
{
  private const string Before = "#include \"vec.h\"\n\nfloat dot(struct vec a, struct vec b) {\n  return ";
  private const string After = ";\n}\n";
  private const string Other = "struct vec { float x, y, z; };\n";

  private static void Complete(Session session, FimLayout layout, string name)
  {
    Input input = Input.Fim(new FimInput
    {
      Prefix = Before,
      Suffix = After,
      FileName = "vec.c",
      Snippets = new[] { new Snippet("vec.h", Other) },
      Layout = layout,
    });
    var options = new GenerateOptions { MaxTokens = 24, Stops = new[] { "\n" } };
    using (Result result = session.Generate(input, options))
    using (Info facts = result.Facts())
      Console.WriteLine("{0} layout, {1} prompt tokens: {2}", name, facts.Number("usage.prompt_tokens"), result.Text());
  }

  private static int Main(string[] arguments) => Sample.Run(arguments, path =>
  {
    using (var runtime = new Runtime())
    using (Model model = Model.Open(runtime, path))
    using (var session = new Session(model))
    {
      Complete(session, FimLayout.Plain, "plain"); // the form the model was trained on
      Complete(session, FimLayout.Anchored, "anchored"); // cheap from keystroke to keystroke
    }
    return 0;
  });
}
