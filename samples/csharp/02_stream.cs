// 02: text as it comes, in the ways there are. Introduces the text callback of a blocking call, which may stop the
// generation, and pulling pieces from a stream without blocking a thread; a program with a loop of its own asks a Job
// (session.Start, then Poll and Read) each turn instead. usage: 02_stream [MODEL]
using System;
using System.Text;
using System.Threading.Tasks;
using Deepseam;

internal static class Streaming
{
  private static void ByCallback(Session session, Input input)
  {
    int wanted = 40;
    var options = new GenerateOptions();
    options.OnText = now => // runs on the thread that called Generate; how much comes at once depends on who is faster
    {
      string piece = now.Text.Substring(0, Math.Min(wanted, now.Text.Length));
      Console.Write(piece);
      wanted -= piece.Length;
      return wanted > 0;
    };
    using (Result result = session.Generate(input, options))
    {
      bool stopped = result.FinishReason() == FinishReason.Callback;
      Console.WriteLine("\n[{0}]", stopped ? "stopped by the callback" : "finished");
    }
  }

  private static async Task ByPulling(Session session, Input input)
  {
    var options = new GenerateOptions { MaxTokens = 48, Temperature = 0.8f, Seed = 7 };
    int total = 0;
    using (TextStream stream = session.Stream(input, options))
    {
      while (await stream.MoveNextAsync()) // newer compilers: await foreach (string piece in stream)
      {
        Console.Write(stream.Current);
        total += Encoding.UTF8.GetByteCount(stream.Current);
        if (total > 2000) stream.Job.Cancel();
      }
      stream.Job.TakeResult().Dispose();
    }
    Console.WriteLine("\n[{0} bytes]", total);
  }

  private static int Main(string[] arguments) => Sample.Run(arguments, path =>
  {
    using (var runtime = new Runtime())
    using (Model model = Model.Open(runtime, path))
    using (var session = new Session(model))
    {
      Input input = Input.Text("def quicksort(items):");
      ByCallback(session, input);
      ByPulling(session, input).GetAwaiter().GetResult();
    }
    return 0;
  });
}
