// Work without blocking: polling, tasks, cancelling, streams, the host's own loop.
using System;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Deepseam.Tests
{
  internal static class JobTests
  {
    private static readonly GenerateOptions Long = new GenerateOptions
      { MaxTokens = 1900, Flags = Deepseam.GenerateFlags.IgnoreEnd }; // seconds, if nobody ends it

    private static void WithSession(Action<Session> use)
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 2048 }))
      using (var session = new Session(model))
        use(session);
    }

    private static readonly GenerateOptions Sixteen = new GenerateOptions { MaxTokens = 16 };

    private static string Expected(Session session)
    {
      using (Result result = session.Generate(Input.Text("int main("), Sixteen)) return result.Text();
    }

    public static void JobsArePolledAndRead() => WithSession(session =>
    {
      string expected = Expected(session);
      var text = new StringBuilder();
      using (Job job = session.Start(Input.Text("int main("), Sixteen))
      {
        for (bool last = false; !last;)
        {
          last = job.Poll() == JobState.Done;
          for (string piece = job.Read(); piece.Length > 0; piece = job.Read()) text.Append(piece);
          Thread.Sleep(1);
        }
        Progress progress = job.Progress();
        Check.That(progress.Done > 0, "no progress");
        using (Result result = job.TakeResult()) Check.Equal(expected, result.Text(), "result");
        Check.Throws(Status.Argument, () => job.TakeResult());
      }
      Check.Equal(expected, text.ToString(), "what was read");
    });

    public static void AJobIsWaitedForAndCancelled() => WithSession(session =>
    {
      using (Job job = session.Start(Input.Text("x"), Long))
      {
        Check.Throws(Status.Pending, () => job.TakeResult());
        Check.Throws(Status.Timeout, () => job.Wait(TimeSpan.FromMilliseconds(1)));
        Check.Throws(Status.Busy, () => session.Generate(Input.Text("y"), Sixteen));
        job.Cancel();
        job.Wait(Timeout.InfiniteTimeSpan);
        using (Result result = job.TakeResult())
          Check.Equal(FinishReason.Cancelled, result.FinishReason(), "finish reason");
      }
    });

    public static void TasksEndWithTheResult() => WithSession(session =>
    {
      string expected = Expected(session);
      for (int i = 0; i < 5; ++i)
        using (Result result = session.GenerateAsync(Input.Text("int main("), Sixteen).Result)
          Check.Equal(expected, result.Text(), "result");
    });

    public static void TasksAreCancelled() => WithSession(session =>
    {
      foreach (int wait in new[] { 0, 5, 30 })
      {
        using (var source = new CancellationTokenSource())
        {
          Task<Result> task = session.GenerateAsync(Input.Text("x"), Long, source.Token);
          Thread.Sleep(wait);
          source.Cancel();
          try
          {
            task.GetAwaiter().GetResult();
            throw new Failure("a cancelled task has a result");
          }
          catch (OperationCanceledException thrown) { Check.Equal(source.Token, thrown.CancellationToken, "token"); }
        }
        for (int i = 0; ; ++i) // free again soon
        {
          try
          {
            session.Generate(Input.Text("y"), new GenerateOptions { MaxTokens = 1 }).Dispose();
            break;
          }
          catch (DeepseamException thrown) when (thrown.Status == Status.Busy && i < 1000) { Thread.Sleep(5); }
        }
      }
    });

    private static async Task<string> ReadAll(TextStream stream, List<string> pieces, CancellationToken cancel)
    {
      var all = new StringBuilder();
      TextStream enumerator = stream.GetAsyncEnumerator(cancel);
      try
      {
        while (await enumerator.MoveNextAsync())
        {
          pieces.Add(enumerator.Current);
          all.Append(enumerator.Current);
        }
        stream.Job.TakeResult().Dispose();
      }
      finally { await enumerator.DisposeAsync(); }
      return all.ToString();
    }

    public static void TextIsPulled() => WithSession(session =>
    {
      string expected = Expected(session);
      var pieces = new List<string>();
      TextStream stream = session.Stream(Input.Text("int main("), Sixteen);
      Check.Equal(expected, ReadAll(stream, pieces, default).Result, "text");
      Check.That(!pieces.Contains(""), "an empty piece");
      using (var source = new CancellationTokenSource(30))
      {
        try
        {
          ReadAll(session.Stream(Input.Text("x"), Long), pieces, source.Token).GetAwaiter().GetResult();
          throw new Failure("a cancelled stream ended");
        }
        catch (OperationCanceledException) { }
      }
    });

    public static void CallbacksOfJobsRunOnOtherThreads() => WithSession(session =>
    {
      int here = Thread.CurrentThread.ManagedThreadId, elsewhere = 0, events = 0;
      var options = new GenerateOptions { MaxTokens = 8 };
      options.OnText = now =>
      {
        ++events;
        if (Thread.CurrentThread.ManagedThreadId != here) ++elsewhere;
        return true;
      };
      session.GenerateAsync(Input.Text("x"), options).Result.Dispose();
      Check.That(events > 0 && events == elsewhere, events + " events, " + elsewhere + " elsewhere");
      options.OnText = now => { throw new InvalidOperationException("from the callback"); };
      try
      {
        session.GenerateAsync(Input.Text("x"), options).GetAwaiter().GetResult();
        throw new Failure("the callback's exception was lost");
      }
      catch (InvalidOperationException thrown) { Check.Equal("from the callback", thrown.Message, "message"); }
    });

    public static void ManySessionsAtOnce()
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 2048 }))
      {
        var tasks = new List<Task<string>>();
        for (int i = 0; i < 8; ++i) tasks.Add(One(model));
        foreach (Task<string> task in tasks) Check.Equal(tasks[0].Result, task.Result, "text");
      }
    }

    private static async Task<string> One(Model model)
    {
      using (var session = new Session(model))
      using (Result result = await session.GenerateAsync(Input.Text("int main("), Sixteen))
        return result.Text();
    }

    public static void ShuttingDownEndsTasks() => WithSession(session =>
    {
      using (var runtime = new Runtime())
      {
        Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 2048 });
        var own = new Session(model);
        Task<Result> task = own.GenerateAsync(Input.Text("x"), Long);
        runtime.Shutdown(TimeSpan.FromSeconds(20));
        try { task.GetAwaiter().GetResult().Dispose(); } // it may just have ended
        catch (DeepseamException thrown) { Check.Equal(Status.ShutDown, thrown.Status, thrown.Message); }
        own.Dispose();
        model.Dispose();
      }
    });
  }
}
