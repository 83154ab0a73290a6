// Opening models from every kind of source, their facts and text; writing and checking files; the prefix cache.
using System;
using System.IO;
using System.Linq;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace Deepseam.Tests
{
  internal static class ModelTests
  {
    internal static ModelOptions Tiny(ModelSource source = null) => new ModelOptions
    {
      Source = source ?? ModelSource.FromPath(Program.Tiny),
      Backend = "ref",
      ContextLength = 512,
      MaxSequences = 4,
      Deterministic = true,
    };

    private static uint[] Continue(Runtime runtime, ModelSource source)
    {
      using (Model model = Model.Open(runtime, Tiny(source)))
      using (var session = new Session(model))
      using (Result result = session.Generate(Input.Tokens(1, 2, 3), new GenerateOptions { MaxTokens = 4 }))
        return result.Ids();
    }

    public static void EverySourceOpensTheSameModel()
    {
      using (var runtime = new Runtime())
      {
        uint[] expected = Continue(runtime, ModelSource.FromPath(Program.Tiny));
        Check.Equal(4, expected.Length, "tokens");
        byte[] bytes = File.ReadAllBytes(Program.Tiny);
        Check.That(expected.SequenceEqual(Continue(runtime, ModelSource.FromBytes(bytes))), "bytes differ");
        int closed = 0;
        ModelSource streams = ModelSource.FromStreams(name =>
          name == "" ? new Counted(bytes, () => Interlocked.Increment(ref closed)) : null);
        Check.That(expected.SequenceEqual(Continue(runtime, streams)), "streams differ");
        runtime.Shutdown(TimeSpan.FromSeconds(20));
        Check.That(closed > 0, "no stream was closed");
      }
    }

    private sealed class Counted : MemoryStream
    {
      private readonly Action closed;

      public Counted(byte[] bytes, Action closed) : base(bytes, false)
      {
        this.closed = closed;
      }

      protected override void Dispose(bool disposing)
      {
        if (disposing) closed();
        base.Dispose(disposing);
      }
    }

    public static void TheEmbeddedModelIsReadFromItsLibrary()
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.FromEmbeddedLibrary() }))
        Check.That(model.Tokenize("int main").Length > 0, "no tokens");
    }

    public static void WhatIsNotThereIsNamed()
    {
      using (var runtime = new Runtime())
      {
        DeepseamException thrown = Check.Throws(Status.NotFound, () => Model.Open(runtime, "/no/such/model"));
        Check.Equal("/no/such/model", thrown.Path, "path");
        Check.That(thrown.OsCode != 0 && thrown.Domain.Length > 0, "the error has no reason");
        Check.Throws(Status.NotFound, () => Continue(runtime, ModelSource.FromStreams(name => null)));
        Check.Throws(Status.InputOutput, () => Continue(runtime, ModelSource.FromStreams(name =>
        {
          throw new InvalidOperationException("a store that fails");
        })));
      }
    }

    public static void PlansSayWhatOpeningTakes()
    {
      using (var runtime = new Runtime())
      {
        ModelOptions options = Tiny();
        using (Info plan = Model.Plan(runtime, options)) Check.Equal(1ul, plan.Number("fits"), plan.Json());
        options.RamBudget = 4096;
        using (Info plan = Model.Plan(runtime, options)) Check.Equal(0ul, plan.Number("fits"), plan.Json());
        Check.Throws(Status.Budget, () => Model.Open(runtime, options));
      }
    }

    public static void OpeningReportsProgressAndStops()
    {
      using (var runtime = new Runtime())
      {
        int reports = 0;
        ModelOptions options = Tiny();
        options.Progress = progress => ++reports > 0;
        Model.Open(runtime, options).Dispose();
        Check.That(reports > 0, "no progress was reported");
        options.Progress = progress => false;
        Check.Throws(Status.Stopped, () => Model.Open(runtime, options));
        options.Progress = progress => { throw new InvalidOperationException("from the callback"); };
        try
        {
          Model.Open(runtime, options);
          throw new Failure("the callback's exception was lost");
        }
        catch (InvalidOperationException thrown) { Check.Equal("from the callback", thrown.Message, "message"); }
        using (var cancel = new CancelFlag())
        {
          cancel.Set();
          Check.Throws(Status.Cancelled,
            () => Model.Open(runtime, new ModelOptions { Source = ModelSource.FromPath(Program.Tiny), Cancel = cancel }));
        }
      }
    }

    public static void ModelsOpenInTheBackground()
    {
      using (var runtime = new Runtime())
      {
        using (Job job = Model.StartOpen(runtime, Tiny()))
        {
          job.Wait(TimeSpan.FromSeconds(60));
          Check.Equal(JobState.Done, job.Poll(), "state");
          job.TakeModel().Dispose();
          Check.Throws(Status.Argument, () => job.TakeModel());
        }
        using (Model model = Model.OpenAsync(runtime, Tiny()).Result)
        using (Info facts = model.Facts())
          Check.Equal("ref", facts.Text("backend"), "backend");
        Task<Model> missing = Model.OpenAsync(runtime, new ModelOptions { Source = ModelSource.FromPath("/no/such") });
        Check.Throws(Status.NotFound, () => missing.GetAwaiter().GetResult());
      }
    }

    public static void TextBecomesTokensAndBack()
    {
      using (var runtime = new Runtime())
      using (Model model = Model.Open(runtime, new ModelOptions { Source = ModelSource.Embedded, ContextLength = 256 }))
      {
        const string text = "int sum(int a) { return a + 1; } // ünï→";
        uint[] ids = model.Tokenize(text, TextFlags.NoBos);
        Check.Equal(text, model.Detokenize(ids), "text");
        byte[] bytes = ids.SelectMany(model.TokenBytes).ToArray();
        Check.Equal(text, Encoding.UTF8.GetString(bytes), "bytes");
        Check.Equal("", model.Detokenize(new uint[0]), "no tokens");
        uint[] fim = model.Prompt(Input.Fim(new FimInput { Prefix = "a", Suffix = "b", FileName = "c.c",
          Snippets = new[] { new Snippet("d.c", "int d;") } }));
        Check.That(fim.Length > 3, "a prompt of " + fim.Length);
        Check.That(model.Prompt(Input.Chat(new Message("user", "hello"))).Length > 1, "the chat prompt is empty");
        Check.Throws(Status.Argument, () => model.Detokenize(new[] { uint.MaxValue }));
      }
    }

    /// A PEFT folder that moves the logit of token i by i times the sum of what lm_head sees.
    private static void WriteAdapter(Model model, string folder)
    {
      int hidden, vocab;
      using (Info facts = model.Facts())
      {
        hidden = (int)facts.Number("hidden");
        vocab = (int)facts.Number("vocab");
      }
      Func<string, int, int, int, string> half = (name, rows, cols, begin) =>
        "\"base_model.model.lm_head.lora_" + name + ".weight\":{\"dtype\":\"F32\",\"shape\":[" + rows + "," + cols +
        "],\"data_offsets\":[" + begin + "," + (begin + 4 * rows * cols) + "]}";
      byte[] header = Encoding.ASCII.GetBytes("{" + half("A", 1, hidden, 0) + "," + half("B", vocab, 1, 4 * hidden) + "}");
      using (var file = new BinaryWriter(File.Create(Path.Combine(folder, "adapter_model.safetensors"))))
      {
        file.Write((ulong)header.Length);
        file.Write(header);
        for (int i = 0; i < hidden; ++i) file.Write(1f);
        for (int i = 0; i < vocab; ++i) file.Write((float)i);
      }
      File.WriteAllText(Path.Combine(folder, "adapter_config.json"), "{\"peft_type\": \"LORA\", \"r\": 1, \"lora_alpha\": 1}");
    }

    private static string IdsWith(Session session, Adapter adapter)
    {
      using (Result result = session.Generate(Input.Tokens(3, 4, 5), new GenerateOptions { MaxTokens = 4, Adapter = adapter }))
        return string.Join(",", result.Ids());
    }

    private static float[] LogitsWith(Session session, Adapter adapter)
    {
      session.Rewind(0);
      return session.Eval(new EvalInput { Ids = new uint[] { 3, 4, 5 }, Adapter = adapter }).Logits;
    }

    public static void AnAdapterChangesWhatIsGeneratedWithIt()
    {
      string folder = Path.Combine(Path.GetTempPath(), "deepseam-" + Guid.NewGuid().ToString("N"));
      Directory.CreateDirectory(folder);
      try
      {
        using (var runtime = new Runtime())
        using (Model model = Model.Open(runtime, Tiny()))
        using (var session = new Session(model))
        {
          Check.Throws(Status.NotFound, () => model.LoadAdapter(ModelSource.FromPath("/no/adapter")));
          WriteAdapter(model, folder);
          using (Adapter adapter = model.LoadAdapter(ModelSource.FromPath(folder)))
          {
            string plain = IdsWith(session, null);
            Check.That(plain != IdsWith(session, adapter), "the adapter does nothing: " + plain);
            Check.Equal(plain, IdsWith(session, null), "without it again");
            float[] before = LogitsWith(session, null), after = LogitsWith(session, adapter);
            Check.Equal(before[0], after[0], "token 0, which is moved by nothing");
            Check.That(before[9] != after[9], "the adapter moves nothing");
          }
        }
      }
      finally { Directory.Delete(folder, true); }
    }

    public static void FilesAreWrittenPackedAndChecked()
    {
      string folder = Path.Combine(Path.GetTempPath(), "deepseam-" + Guid.NewGuid().ToString("N"));
      Directory.CreateDirectory(folder);
      try
      {
        string made = Path.Combine(folder, "made ö.dsm"), packed = Path.Combine(folder, "packed.dsm");
        using (var runtime = new Runtime())
        {
          int reports = 0;
          ModelFiles.Synth(runtime, new SynthOptions { Shape = "tiny", Path = made, Seed = 3, WeightType = "f32" });
          ModelFiles.Pack(runtime, new PackOptions
          {
            Source = ModelSource.FromPath(made),
            Path = packed,
            WeightType = "q8",
            Options = new[] { new Option("card", "a card") },
            Progress = progress => ++reports > 0,
          });
          Check.That(reports > 0 && new FileInfo(packed).Length < new FileInfo(made).Length, "packing does not pack");
          using (Info findings = ModelFiles.Verify(runtime, ModelSource.FromPath(packed), null, progress => true))
            Check.Equal(1ul, findings.Number("ok"), findings.Json());
          using (Model model = Model.Open(runtime, packed))
          using (Info facts = model.Facts())
            Check.Equal("a card", facts.Text("card"), "card");
          Check.Throws(Status.Argument, () => ModelFiles.Synth(runtime, new SynthOptions { Shape = "round", Path = made }));
        }
      }
      finally { Directory.Delete(folder, true); }
    }

    public static void APrefixIsComputedOnce()
    {
      using (var runtime = new Runtime())
      using (var cache = new PrefixCache(runtime, new CacheOptions { RamBytes = 64 << 20 }))
      {
        ModelOptions options = Tiny();
        options.Cache = cache;
        var prompt = Enumerable.Range(1, 100).Select(i => (uint)i % 50 + 1).ToArray();
        using (Model model = Model.Open(runtime, options))
        using (Session first = new Session(model), second = new Session(model))
        {
          var one = new GenerateOptions { MaxTokens = 1 };
          first.Generate(Input.Tokens(prompt), one).Dispose();
          using (Result result = second.Generate(Input.Tokens(prompt), one))
          using (Info facts = result.Facts())
            Check.That(facts.Number("usage.cached_tokens") > 0, facts.Json());
          using (Info stats = cache.Statistics()) Check.That(stats.Number("hits") > 0, stats.Json());
          bool any = false;
          while (cache.TryReadEvent(out CacheEvent next)) any |= next.Kind == CacheEventKind.Hit && next.Tokens > 0;
          Check.That(any, "no hit was told");
          cache.Flush();
          cache.Erase("a salt");
          cache.Erase();
          cache.Trim(0);
        }
        Check.Throws(Status.Unsupported, () => new PrefixCache(runtime, new CacheOptions { Folder = "/tmp" }));
      }
    }
  }
}
