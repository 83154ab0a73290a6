// 06: everything that can go wrong comes back as a status and a sentence, and the next call works. Introduces the ranges of
// statuses, what an exception tells, plans (what does not fit is said before loading), cancelling, the report on plugins,
// and the raw layer, in which also mistakes can be made that the classes do not allow. usage: 06_errors [MODEL]
using System;
using Deepseam;
using Deepseam.Native;

internal static unsafe class ErrorsSample
{
  private static int mistakes;

  private static void Say(Status expected, Status status, string sentence)
  {
    Console.WriteLine("{0,-22} {1}", Library.NameOf(status), sentence);
    if (status != expected) ++mistakes;
  }

  /// Prints a failure and remembers if it was not the expected one.
  private static DeepseamException Expect(Status expected, Action call)
  {
    try { call(); }
    catch (DeepseamException failure)
    {
      Say(expected, failure.Status, failure.Message);
      return failure;
    }
    Say(expected, Status.Ok, "");
    return null;
  }

  private static void OpenWhatIsNotThere(Runtime runtime)
  {
    DeepseamException failure = Expect(Status.NotFound, () => Model.Open(runtime, "/no/such/model"));
    if (failure?.Path != "/no/such/model") Console.WriteLine("(the error names {0})", failure?.Path);
  }

  private static void PlanWithTooLittle(Runtime runtime, string path)
  {
    var options = new ModelOptions { Source = ModelSource.FromPath(path), RamBudget = 4096 };
    using (Info plan = Model.Plan(runtime, options)) // a plan that does not fit is an answer, not an error
    {
      bool fits = plan.Number("fits") != 0;
      Console.WriteLine("{0,-22} {1}", "(plan)", fits ? "" : plan.Text("reason"));
      if (fits) ++mistakes;
    }
  }

  private static void RawMistakes(Session session, Model model)
  {
    byte x = (byte)'x';
    var input = new ds_text_input();
    input.head.struct_size = (uint)sizeof(ds_text_input);
    input.head.tag = Constants.DS_INPUT_TEXT;
    input.text = new ds_text { data = &x, size = 1 };
    var parameters = new ds_params { struct_size = 4 };
    var error = new ds_error { struct_size = (uint)sizeof(ds_error) };
    IntPtr result;
    int status = Functions.ds_generate(session.Handle.DangerousGetHandle(), &input.head, &parameters, &result, &error);
    Say(Status.Struct, (Status)status, new string((sbyte*)error.message));
    status = Functions.ds_generate(model.Handle.DangerousGetHandle(), &input.head, null, &result, &error);
    Say(Status.Handle, (Status)status, new string((sbyte*)error.message));
  }

  private static void CancelBeforeItBegins(Session session)
  {
    using (var cancel = new CancelFlag())
    {
      cancel.Set(); // from any thread
      using (Result result = session.Generate(Input.Text("x"), new GenerateOptions { MaxTokens = 1000, Cancel = cancel }))
      {
        Console.WriteLine("{0,-22} finish reason {1}", "(cancelled)", (uint)result.FinishReason());
        if (result.FinishReason() != FinishReason.Cancelled) ++mistakes;
      }
    }
  }

  private static int Main(string[] arguments) => Sample.Run(arguments, path =>
  {
    using (var runtime = new Runtime())
    {
      OpenWhatIsNotThere(runtime);
      PlanWithTooLittle(runtime, path);
      using (Model model = Model.Open(runtime, path))
      using (var session = new Session(model))
      {
        Expect(Status.Argument, () => session.Generate(Input.Text("x"), new GenerateOptions { Temperature = -1 }));
        RawMistakes(session, model);
        CancelBeforeItBegins(session);
        using (Info report = runtime.PluginReport()) // why each backend is there, or is not
          Console.WriteLine(report.Json());
      }
    }
    return mistakes;
  });
}
