// One sequence of tokens of a model: generating, logits, batches.
using System;
using System.Threading;
using System.Threading.Tasks;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public enum Priority : uint
  {
    Balanced = DS_PRIORITY_BALANCED,
    Background = DS_PRIORITY_BACKGROUND,
    Interactive = DS_PRIORITY_INTERACTIVE,
  }

  /// <summary>As ds_session_options: zero and null are the defaults.</summary>
  public sealed class SessionOptions
  {
    public Priority Priority;
    /// <summary>Longest uninterrupted device work in microseconds; 0: no limit.</summary>
    public uint MaxGpuSliceMicroseconds;
    /// <summary>Tokens this session may hold; 0: the model's.</summary>
    public uint ContextLength;
    /// <summary>Cap on decoding; 0: none.</summary>
    public double TokensPerSecond;
    public Option[] Options;
  }

  public enum WantLogits : uint { Last = DS_WANT_LAST, All = DS_WANT_ALL, None = DS_WANT_NONE }

  /// <summary>Tokens to append to a session's sequence.</summary>
  public sealed class EvalInput
  {
    public uint[] Ids;
    public WantLogits Want;
    /// <summary>Rows in a step; 0: chosen by the scheduler.</summary>
    public uint Chunk;
    /// <summary>NoStore and NoReuse only.</summary>
    public GenerateFlags Flags;
    public string CacheSalt;
    public CancelFlag Cancel;
    public Adapter Adapter;
  }

  /// <summary>Logits [Rows, Vocabulary], row-major.</summary>
  public struct EvalOutput
  {
    public float[] Logits;
    public ulong Rows;
    public ulong Vocabulary;
    /// <summary>Tokens computed now; the rest came from the cache.</summary>
    public ulong Computed;
  }

  /// <summary>One request of Session.GenerateBatch; every item has a session of its own.</summary>
  public sealed class BatchItem
  {
    public Session Session;
    public Input Input;
    public GenerateOptions Options;
    /// <summary>Written: what Generate would have answered.</summary>
    public Status Status { get; internal set; }
    /// <summary>Written: may be null; whoever made the item disposes it.</summary>
    public Result Result { get; internal set; }
  }

  /// <summary>An input replaces the session's sequence; what both have in common is not computed again. Generate, Eval,
  /// Rewind and starting a job are [session-serial]: a second call at the same time gets Status.Busy.</summary>
  public sealed unsafe class Session : IDisposable
  {
    public Handle Handle { get; }

    /// <summary>[any-thread]</summary>
    public Session(Model model, SessionOptions options = null)
    {
      options = options ?? new SessionOptions();
      using (var arena = new Arena())
      {
        var native = new ds_session_options
        {
          struct_size = (uint)sizeof(ds_session_options),
          priority = (uint)options.Priority,
          max_gpu_slice_us = options.MaxGpuSliceMicroseconds,
          context_length = options.ContextLength,
          tokens_per_second = options.TokensPerSecond,
          options = arena.Options(options.Options),
          n_options = (ulong)(options.Options?.Length ?? 0),
        };
        IntPtr handle;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_session_create(arena.Hold(model.Handle), &native, &handle, &error), &error);
        Handle = new Handle(Kind.Session, handle);
      }
    }

    /// <summary>Changes settings, also while a job runs: "priority", "max_gpu_slice_us", "tokens_per_second",
    /// "suspended". [any-thread, callback-safe]</summary>
    public void Set(params Option[] options)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        int status = Functions.ds_session_set(arena.Hold(Handle), arena.Options(options), (ulong)options.Length, &error);
        Errors.Check(status, &error);
      }
    }

    /// <summary>"length", "context_length", "tokens_computed", "tokens_cached". [any-thread, callback-safe]</summary>
    public Info Facts()
    {
      using (var arena = new Arena())
      {
        IntPtr info;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_session_info(arena.Hold(Handle), &info, &error), &error);
        return new Info(info);
      }
    }

    /// <summary>Appends tokens to the sequence and gives logits.</summary>
    public EvalOutput Eval(EvalInput input)
    {
      using (var arena = new Arena())
      {
        var native = new ds_eval_input
        {
          struct_size = (uint)sizeof(ds_eval_input),
          want = (uint)input.Want,
          ids = arena.Ids(input.Ids),
          n_ids = (ulong)(input.Ids?.Length ?? 0),
          chunk = input.Chunk,
          flags = (uint)input.Flags,
          cache_salt = arena.Text(input.CacheSalt),
          cancel = arena.Hold(input.Cancel?.Handle),
          adapter = arena.Hold(input.Adapter?.Handle),
        };
        var output = new ds_eval_output { struct_size = (uint)sizeof(ds_eval_output) };
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_session_eval(arena.Hold(Handle), &native, &output, &error), &error);
        var logits = new float[output.logits == null ? 0 : checked(output.rows * output.vocab)];
        for (long i = 0; i < logits.LongLength; ++i) logits[i] = output.logits[i];
        return new EvalOutput
        {
          Logits = logits,
          Rows = output.rows,
          Vocabulary = output.vocab,
          Computed = output.n_computed,
        };
      }
    }

    /// <summary>Shortens the sequence to `length` tokens; 0 empties it.</summary>
    public void Rewind(ulong length)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_session_rewind(arena.Hold(Handle), length, &error), &error);
      }
    }

    /// <summary>Generates from any input, on this thread. What a callback threw is thrown again. A failure after the start
    /// has what was produced in DeepseamException.Partial.</summary>
    public Result Generate(Input input, GenerateOptions options = null)
    {
      options = options ?? new GenerateOptions();
      using (var arena = new Arena())
      {
        var target = new CallbackTarget();
        ds_params parameters = options.Fill(arena, target);
        ds_input* native = input.Fill(arena);
        IntPtr session = arena.Hold(Handle), result = IntPtr.Zero;
        ds_error error = Errors.Empty();
        int status;
        if (native->tag == DS_INPUT_FIM)
          status = Functions.ds_fim(session, (ds_fim_input*)native, &parameters, &result, &error);
        else if (native->tag == DS_INPUT_CHAT)
          status = Functions.ds_chat(session, (ds_chat_input*)native, &parameters, &result, &error);
        else
          status = Functions.ds_generate(session, native, &parameters, &result, &error);
        if (status == DS_OK || result != IntPtr.Zero) arena.Kept();
        return Answer(status, result, target, &error);
      }
    }

    internal static Result Answer(int status, IntPtr result, CallbackTarget target, ds_error* error)
    {
      var produced = result == IntPtr.Zero ? null : new Result(result);
      if (target.Failure != null)
      {
        produced?.Dispose();
        target.Rethrow();
      }
      if (status != DS_OK) throw new DeepseamException(status, error) { Partial = produced };
      return produced;
    }

    /// <summary>Runs requests in shared steps. Every item gets a status and a result of its own; what a callback threw is
    /// thrown again after all of them ended.</summary>
    public static void GenerateBatch(params BatchItem[] items)
    {
      using (var arena = new Arena())
      {
        var native = (ds_batch_item*)arena.Bytes((long)sizeof(ds_batch_item) * items.Length);
        var targets = new CallbackTarget[items.Length];
        for (int i = 0; i < items.Length; ++i)
        {
          var parameters = (ds_params*)arena.Bytes(sizeof(ds_params));
          targets[i] = new CallbackTarget();
          *parameters = (items[i].Options ?? new GenerateOptions()).Fill(arena, targets[i]);
          native[i].struct_size = (uint)sizeof(ds_batch_item);
          native[i].session = arena.Hold(items[i].Session.Handle);
          native[i].input = items[i].Input.Fill(arena);
          native[i].parameters = parameters;
        }
        ds_error error = Errors.Empty();
        int status = Functions.ds_generate_batch(native, (ulong)items.Length, (ulong)sizeof(ds_batch_item), &error);
        Errors.Check(status, &error);
        arena.Kept();
        for (int i = 0; i < items.Length; ++i)
        {
          items[i].Status = (Status)native[i].status;
          items[i].Result = native[i].result == IntPtr.Zero ? null : new Result(native[i].result);
          if (items[i].Result == null && items[i].Status != Status.Ok && native[i].parameters->callback_user != null)
            System.Runtime.InteropServices.GCHandle.FromIntPtr((IntPtr)native[i].parameters->callback_user).Free();
        }
        foreach (CallbackTarget target in targets) target.Rethrow();
      }
    }

    /// <summary>Starts a generation; it goes on without this thread. `options` callbacks come at once on threads of the
    /// library. [session-serial, callback-safe]</summary>
    public Job Start(Input input, GenerateOptions options = null)
    {
      options = options ?? new GenerateOptions();
      using (var arena = new Arena())
      {
        var target = new CallbackTarget();
        var signal = new Signal();
        ds_params parameters = options.Fill(arena, target);
        ds_job_options job = signal.Fill(arena, options.HasCallbacks);
        IntPtr handle;
        ds_error error = Errors.Empty();
        int status = Functions.ds_job_start(arena.Hold(Handle), input.Fill(arena), &parameters, &job, &handle, &error);
        Errors.Check(status, &error);
        arena.Kept();
        return new Job(handle, signal, target);
      }
    }

    /// <summary>Generates without blocking a thread. Cancelling ends it with OperationCanceledException; to keep the text
    /// so far, Start a job and call its Cancel.</summary>
    public Task<Result> GenerateAsync(Input input, GenerateOptions options = null, CancellationToken cancel = default)
    {
      cancel.ThrowIfCancellationRequested();
      return Start(input, options).FinishAsync(job => job.TakeResult(), cancel);
    }

    /// <summary>Text as it comes, pulled by the reader: `await foreach` reads it where the language has that.</summary>
    public TextStream Stream(Input input, GenerateOptions options = null) => new TextStream(Start(input, options));

    /// <summary>A job that runs goes on until it is disposed itself.</summary>
    public void Dispose() => Handle.Dispose();
  }
}
