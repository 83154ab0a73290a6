// Work that goes on without the thread that started it: asked now and then, awaited, or read piece by piece.
using System;
using System.Threading;
using System.Threading.Tasks;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public enum JobState : uint
  {
    Queued = DS_JOB_QUEUED,
    Running = DS_JOB_RUNNING,
    Done = DS_JOB_DONE,
    Other = DS_JOB_OTHER,
  }

  /// Turns the library's wake into something to await. A wake is never lost: it waits for the next waiter.
  internal sealed class Signal
  {
    private readonly object gate = new object();
    private TaskCompletionSource<bool> waiter;
    private bool woken;

    public unsafe ds_job_options Fill(Arena arena, bool spontaneous) => new ds_job_options
    {
      struct_size = (uint)sizeof(ds_job_options),
      flags = spontaneous ? DS_JOB_SPONTANEOUS : 0,
      wake = Callbacks.Wake,
      wake_user = arena.Give(new CallbackTarget { Wake = Set }),
      wake_free = Callbacks.Free,
    };

    /// On a thread of the library; what waits goes on elsewhere.
    public void Set()
    {
      TaskCompletionSource<bool> waiting;
      lock (gate)
      {
        waiting = waiter;
        waiter = null;
        woken = waiting == null;
      }
      waiting?.TrySetResult(true);
    }

    public Task Wait()
    {
      lock (gate)
      {
        if (woken)
        {
          woken = false;
          return Task.CompletedTask;
        }
        waiter = waiter ?? new TaskCompletionSource<bool>(TaskCreationOptions.RunContinuationsAsynchronously);
        return waiter.Task;
      }
    }
  }

  /// <summary>An open or a generation under way. [any-thread]</summary>
  public sealed class Job : IDisposable
  {
    private readonly Signal signal;
    private readonly CallbackTarget target;
    private byte[] piece;

    public Handle Handle { get; }

    internal Job(IntPtr handle, Signal signal, CallbackTarget target)
    {
      Handle = new Handle(Kind.Job, handle);
      this.signal = signal;
      this.target = target;
    }

    /// <summary>[any-thread, callback-safe]</summary>
    public unsafe JobState Poll()
    {
      using (var arena = new Arena())
      {
        uint state;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_job_poll(arena.Hold(Handle), &state, &error), &error);
        return (JobState)state;
      }
    }

    /// <summary>Text of a choice that was not read before; "": nothing new. One reader per job at a time.
    /// [callback-safe]</summary>
    public unsafe string Read(uint choice = 0)
    {
      piece = piece ?? new byte[4096];
      using (var arena = new Arena())
      fixed (byte* buffer = piece)
      {
        ulong size;
        ds_error error = Errors.Empty();
        int status = Functions.ds_job_read(arena.Hold(Handle), choice, buffer, (ulong)piece.Length, &size, &error);
        Errors.Check(status, &error);
        return Utf8.Read(buffer, size);
      }
    }

    /// <summary>[any-thread, callback-safe]</summary>
    public unsafe Progress Progress()
    {
      using (var arena = new Arena())
      {
        var native = new ds_progress { struct_size = (uint)sizeof(ds_progress) };
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_job_progress(arena.Hold(Handle), &native, &error), &error);
        return new Progress { Stage = (Stage)native.stage, Done = native.done, Total = native.total };
      }
    }

    /// <summary>Blocks until the job is done; throws Status.Timeout. Timeout.InfiniteTimeSpan: without limit.</summary>
    public unsafe void Wait(TimeSpan timeout)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_job_wait(arena.Hold(Handle), Time.Nanoseconds(timeout), &error), &error);
      }
    }

    /// <summary>[any-thread, callback-safe]</summary>
    public unsafe void Cancel()
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_job_cancel(arena.Hold(Handle), &error), &error);
      }
    }

    /// For tokens, whose Cancel must not fail because a runtime has just been shut down.
    internal void CancelQuietly()
    {
      try { Cancel(); }
      catch (DeepseamException) { }
    }

    /// <summary>The result, once: what Session.Generate would have answered. [any-thread, callback-safe]</summary>
    public unsafe Result TakeResult()
    {
      using (var arena = new Arena())
      {
        IntPtr result = IntPtr.Zero;
        ds_error error = Errors.Empty();
        int status = Functions.ds_job_take_result(arena.Hold(Handle), &result, &error);
        return Session.Answer(status, result, target, &error);
      }
    }

    /// <summary>The model of a Model.StartOpen, once. [any-thread, callback-safe]</summary>
    public unsafe Model TakeModel()
    {
      using (var arena = new Arena())
      {
        IntPtr model;
        ds_error error = Errors.Empty();
        int status = Functions.ds_job_take_model(arena.Hold(Handle), &model, &error);
        if (status != DS_OK) target.Rethrow();
        Errors.Check(status, &error);
        return new Model(model);
      }
    }

    /// <summary>Ends when the job is done, in whatever way. One waiter per job at a time.</summary>
    public async Task WaitAsync()
    {
      while (Poll() != JobState.Done) await Changed().ConfigureAwait(false);
    }

    /// Ends when there may be something new since the last Poll or Read.
    internal Task Changed() => signal.Wait();

    internal async Task<T> FinishAsync<T>(Func<Job, T> take, CancellationToken cancel)
    {
      using (this)
      using (cancel.Register(CancelQuietly))
      {
        await WaitAsync().ConfigureAwait(false);
        if (!cancel.IsCancellationRequested) return take(this);
      }
      throw new OperationCanceledException(cancel);
    }

    /// <summary>A job that is not done is cancelled; its session is free again soon after.</summary>
    public void Dispose() => Handle.Dispose();
  }

  /// <summary>The text of one generation, piece by piece. It is its own enumerator and is read once, by one reader.
  /// </summary>
  public sealed class TextStream : IDisposable
  {
    private CancellationToken cancel;
    private bool done;

    /// <summary>The job behind it, for progress and the result.</summary>
    public Job Job { get; }

    internal TextStream(Job job)
    {
      Job = job;
    }

    /// <summary>The last piece: whole characters, never empty.</summary>
    public string Current { get; private set; } = "";

    public TextStream GetAsyncEnumerator(CancellationToken cancel = default)
    {
      this.cancel = cancel;
      return this;
    }

    /// <summary>True: Current is new. False: the text has ended; Job.TakeResult says how. A failure is thrown, a cancelled
    /// token is OperationCanceledException.</summary>
    public async Task<bool> MoveNextAsync()
    {
      using (cancel.Register(Job.CancelQuietly))
      {
        while (!cancel.IsCancellationRequested)
        {
          bool last = done || Job.Poll() == JobState.Done; // asked before reading: nothing comes after it
          Current = Job.Read();
          if (Current.Length > 0) return true;
          done = last;
          if (done) return false;
          await Job.Changed().ConfigureAwait(false);
        }
      }
      throw new OperationCanceledException(cancel);
    }

    public Task DisposeAsync()
    {
      Dispose();
      return Task.CompletedTask;
    }

    public void Dispose() => Job.Dispose();
  }
}
