// Generating on the calling thread: inputs, options, callbacks, batches, logits.
using System;
using System.Collections.Generic;
using System.Linq;
using System.Text;

namespace Deepseam.Tests
{
  internal static class RunTests
  {
    private static readonly GenerateOptions Four = new GenerateOptions { MaxTokens = 4 };

    private static void WithTiny(Action<Model, Session> use)
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, ModelTests.Tiny()))
      using (var session = new Session(model, new SessionOptions { Priority = Priority.Interactive }))
        use(model, session);
    }

    private static void WithEmbedded(Action<Model, Session> use)
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 512 }))
      using (var session = new Session(model))
        use(model, session);
    }

    public static void EveryInputGenerates() => WithEmbedded((model, session) =>
    {
      foreach (Input input in new[]
      {
        Input.Text("int main("), Input.Tokens(model.Tokenize("int main(")),
        Input.Fim(new FimInput { Prefix = "int a", Suffix = ";\n", Typed = "" }),
        Input.Chat(new ChatInput { Messages = new[] { new Message("user", "hi") }, Template = "v2" }),
      })
      {
        using (Result result = session.Generate(input, Four))
          Check.That(result.FinishReason() != FinishReason.None && result.Ids().Length <= 4, "not finished");
      }
      using (Info facts = session.Facts()) Check.That(facts.Number("length") > 0, facts.Json());
    });

    public static void TextIsToldAsItComes() => WithEmbedded((model, session) =>
    {
      var text = new StringBuilder();
      int progress = 0;
      var options = new GenerateOptions { MaxTokens = 12, OnProgress = now => ++progress > 0 };
      options.OnText = now =>
      {
        text.Append(now.Text);
        return true;
      };
      using (Result result = session.Generate(Input.Text("def f():"), options))
        Check.Equal(result.Text(), text.ToString(), "text");
      options.OnText = now => false;
      using (Result result = session.Generate(Input.Text("def f():"), options))
        Check.Equal(FinishReason.Callback, result.FinishReason(), "finish reason");
      options.OnText = now => { throw new InvalidOperationException("from the callback"); };
      try
      {
        session.Generate(Input.Text("def f():"), options);
        throw new Failure("the callback's exception was lost");
      }
      catch (InvalidOperationException thrown) { Check.Equal("from the callback", thrown.Message, "message"); }
    });

    public static void LogitsAndMasksAreEdited() => WithTiny((model, session) =>
    {
      var options = new GenerateOptions { MaxTokens = 3, Flags = Deepseam.GenerateFlags.IgnoreEnd };
      options.OnLogits = now =>
      {
        now[7] = 1e6f;
        return now[7] == 1e6f && now.Vocabulary > 7 && now.Ids.Length >= 2;
      };
      using (Result result = session.Generate(Input.Tokens(1, 2), options))
        Check.That(result.Ids().SequenceEqual(new uint[] { 7, 7, 7 }), "the edited logit was not drawn");
      options.OnMask = now =>
      {
        now.Forbid(7);
        return now.Words > 0 && now.Address != IntPtr.Zero;
      };
      using (Result result = session.Generate(Input.Tokens(1, 2), options))
        Check.That(result.Ids().Length == 3 && !result.Ids().Contains(7u), "the forbidden token was drawn");
      using (var cancel = new CancelFlag())
      {
        options = new GenerateOptions { MaxTokens = 100, Cancel = cancel };
        options.OnText = now =>
        {
          cancel.Set();
          return true;
        };
        using (Result result = session.Generate(Input.Tokens(1, 2), options))
          Check.Equal(FinishReason.Cancelled, result.FinishReason(), "finish reason");
      }
    });

    public static void OptionsReachTheSampler() => WithTiny((model, session) =>
    {
      var options = new GenerateOptions
      {
        MaxTokens = 5, Temperature = 1, TopK = 20, TopP = 0.9f, MinP = 0.01f, Seed = 4, Choices = 2, Logprobs = 3,
        RepetitionPenalty = 1.1f, PresencePenalty = 0.1f, FrequencyPenalty = 0.1f, StopIds = new uint[] { 3 },
        LogitBias = new[] { new LogitBias(9, 30) }, CacheSalt = "salt", Flags = Deepseam.GenerateFlags.IgnoreEnd,
        Deadline = TimeSpan.FromMinutes(5),
      };
      using (Result result = session.Generate(Input.Tokens(1, 2), options))
      {
        TokenLogprob[][] rows = result.Logprobs(1);
        Check.Equal(result.Ids(1).Length, rows.Length, "rows");
        Check.That(rows.All(row => row.Length == 4 && row[0].Logprob <= 0), "four candidates in a row");
        Check.That(result.Ids().Contains(9u), "the favoured token was not drawn");
        Check.Throws(Status.Argument, () => result.Text(2));
      }
      Check.Throws(Status.Argument, () => session.Generate(Input.Tokens(1), new GenerateOptions { Temperature = -1 }));
      Check.Throws(Status.ContextFull, () => session.Generate(Input.Tokens(new uint[600])));
      var stop = new GenerateOptions { MaxTokens = 20, Flags = Deepseam.GenerateFlags.NoReuse };
      using (Result result = session.Generate(Input.Tokens(1, 2), stop))
        Check.That(result.Logprobs().Length == 0, "log probabilities that nobody asked for");
    });

    public static void BatchesShareTheirSteps() => WithTiny((model, session) =>
    {
      uint[] expected;
      using (Result alone = session.Generate(Input.Tokens(1, 2), Four)) expected = alone.Ids();
      using (var other = new Session(model))
      {
        BatchItem[] items =
        {
          new BatchItem { Session = session, Input = Input.Tokens(1, 2), Options = Four },
          new BatchItem { Session = other, Input = Input.Tokens(5), Options = new GenerateOptions { TopP = -1, OnText = n => true } },
        };
        Session.GenerateBatch(items);
        Check.Equal(Status.Ok, items[0].Status, "first");
        Check.That(items[0].Result.Ids().SequenceEqual(expected), "a batch changes numbers");
        Check.Equal(Status.Argument, items[1].Status, "second");
        Check.That(items[1].Result == null, "a result of nothing");
        items[0].Result.Dispose();
      }
    });

    public static void LogitsAreComputed() => WithTiny((model, session) =>
    {
      EvalOutput last = session.Eval(new EvalInput { Ids = new uint[] { 1, 2, 3 } });
      Check.That(last.Rows == 1 && (ulong)last.Logits.Length == last.Vocabulary && last.Computed == 3, "one row");
      session.Rewind(2);
      EvalOutput again = session.Eval(new EvalInput { Ids = new uint[] { 3 }, Want = WantLogits.All });
      Check.That(again.Logits.SequenceEqual(last.Logits), "rewinding changes numbers");
      Check.Equal(0, session.Eval(new EvalInput { Ids = new uint[] { 4 }, Want = WantLogits.None }).Logits.Length, "none");
      Check.Throws(Status.Argument, () => session.Rewind(100));
      session.Rewind(0);
      session.Set(new Option("priority", 1), new Option("tokens_per_second", "1000.0"));
      Check.Throws(Status.UnknownField, () => session.Set(new Option("colour", 1)));
    });

    public static void OddTextIsNoTrouble() => WithEmbedded((model, session) =>
    {
      foreach (string text in new[] { "\ud800", "a\0b", "\u4f60\u597d", "\ud83d\ude00", "\r\n\t" })
        session.Generate(Input.Text(text), Four).Dispose();
      Check.That(model.Detokenize(model.Tokenize("a\0b", TextFlags.NoBos)) == "a\0b", "a NUL inside of a text");
    });
  }
}
