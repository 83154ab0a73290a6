// What an editor does on each reload of scripts: an application domain is loaded, generates, has a job under way and a thread
// that asks for it, and is unloaded. The library stays loaded, its threads must not call into what is gone, and threads that
// are aborted in a call must leave no handle behind. Mono only: .NET has no such domains.
using System;
using System.Collections.Generic;
using System.Reflection;
using System.Threading;

namespace Deepseam.Tests
{
  internal static class Reload
  {
    public static int Run(int times)
    {
      string path = Assembly.GetExecutingAssembly().Location;
      for (int i = 0; i < times; ++i)
      {
        AppDomain domain = AppDomain.CreateDomain("scripts " + i);
        int status = domain.ExecuteAssembly(path, new[] { "reload-child", Program.Tiny, i.ToString() });
        if (status != 0) return status;
        AppDomain.Unload(domain);
      }
      for (int i = 0; i < 200 && Library.LiveObjects > 0; ++i)
      {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Thread.Sleep(10);
      }
      Console.WriteLine("{0} domains came and went, {1} native objects left", times, Library.LiveObjects);
      return Library.LiveObjects == 0 ? 0 : 1;
    }
  }

  internal static class ReloadChild
  {
    private static readonly List<object> kept = new List<object>(); // as scripts do: nothing is disposed

    public static int Run(string[] arguments)
    {
      Program.Tiny = arguments[1];
      int turn = int.Parse(arguments[2]), events = 0;
      var runtime = new Runtime(new RuntimeOptions { Log = (level, domain, text) => { }, LogLevel = LogLevel.Debug });
      Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 1024 });
      var first = new Session(model);
      using (Result result = first.Generate(Input.Text("int main("), new GenerateOptions { MaxTokens = 4 }))
        if (result.Ids().Length == 0) return 3;
      var options = new GenerateOptions { MaxTokens = 900, Flags = GenerateFlags.IgnoreEnd };
      options.OnText = now => Interlocked.Increment(ref events) > 0;
      var session = new Session(model);
      Job job = session.Start(Input.Text("int main("), options);
      while (Volatile.Read(ref events) < 1 + turn % 3) Thread.Sleep(1); // it really runs, and calls back
      kept.AddRange(new object[] { runtime, model, first, session, job, job.WaitAsync() });
      int status = job.Poll() == JobState.Running ? 0 : 4;
      new Thread(() => { while (true) job.Poll(); }) { IsBackground = true }.Start();
      return status;
    }
  }
}
