// What a generation produced. Texts and arrays are copies.
using System;
using Deepseam.Native;

namespace Deepseam
{
  public struct TokenLogprob
  {
    public uint Id;
    /// <summary>Natural logarithm.</summary>
    public float Logprob;
  }

  /// <summary>[any-thread, callback-safe]</summary>
  public sealed unsafe class Result : IDisposable
  {
    public Handle Handle { get; }

    internal Result(IntPtr handle)
    {
      Handle = new Handle(Kind.Result, handle);
    }

    public string Text(uint choice = 0)
    {
      using (var arena = new Arena())
      {
        ds_text view;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_result_text(arena.Hold(Handle), choice, &view, &error), &error);
        return Utf8.Read(view);
      }
    }

    /// <summary>The generated tokens, without the one that ended the text.</summary>
    public uint[] Ids(uint choice = 0)
    {
      using (var arena = new Arena())
      {
        uint* ids;
        ulong n;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_result_ids(arena.Hold(Handle), choice, &ids, &n, &error), &error);
        return Copies.Ids(ids, n);
      }
    }

    public FinishReason FinishReason(uint choice = 0)
    {
      using (var arena = new Arena())
      {
        uint reason;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_result_finish_reason(arena.Hold(Handle), choice, &reason, &error), &error);
        return (FinishReason)reason;
      }
    }

    /// <summary>One row per generated token: the chosen one, then the most likely. No rows if none were asked for.
    /// </summary>
    public TokenLogprob[][] Logprobs(uint choice = 0)
    {
      using (var arena = new Arena())
      {
        ds_token_logprob* entries;
        ulong n;
        uint width;
        ds_error error = Errors.Empty();
        int status = Functions.ds_result_logprobs(arena.Hold(Handle), choice, &entries, &n, &width, &error);
        Errors.Check(status, &error);
        var rows = new TokenLogprob[width == 0 ? 0 : n][];
        for (int row = 0; row < rows.Length; ++row)
        {
          rows[row] = new TokenLogprob[width];
          for (int i = 0; i < rows[row].Length; ++i, ++entries)
            rows[row][i] = new TokenLogprob { Id = entries->id, Logprob = entries->logprob };
        }
        return rows;
      }
    }

    /// <summary>"choices", "seed", "usage.…", "timings.…".</summary>
    public Info Facts()
    {
      using (var arena = new Arena())
      {
        IntPtr info;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_result_info(arena.Hold(Handle), &info, &error), &error);
        return new Info(info);
      }
    }

    public void Dispose() => Handle.Dispose();
  }
}
