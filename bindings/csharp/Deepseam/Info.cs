// Snapshots of named values, and the flag that asks calls to stop.
using System;
using Deepseam.Native;

namespace Deepseam
{
  /// <summary>A snapshot of named values; the keys stand beside the functions of deepseam.h that give one out.
  /// [any-thread, callback-safe]</summary>
  public sealed unsafe class Info : IDisposable
  {
    public Handle Handle { get; }

    internal Info(IntPtr handle)
    {
      Handle = new Handle(Kind.Info, handle);
    }

    public ulong Number(string key)
    {
      using (var arena = new Arena())
      {
        ulong value;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_info_get_u64(arena.Hold(Handle), arena.Terminated(key), &value, &error), &error);
        return value;
      }
    }

    /// <summary>A number with a fraction; whole ones are readable by this, too.</summary>
    public double Real(string key)
    {
      using (var arena = new Arena())
      {
        double value;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_info_get_f64(arena.Hold(Handle), arena.Terminated(key), &value, &error), &error);
        return value;
      }
    }

    public string Text(string key)
    {
      using (var arena = new Arena())
      {
        ds_text view;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_info_get_text(arena.Hold(Handle), arena.Terminated(key), &view, &error), &error);
        return Utf8.Read(view);
      }
    }

    /// <summary>All of it as one JSON object.</summary>
    public string Json()
    {
      using (var arena = new Arena())
      {
        ds_text view;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_info_json(arena.Hold(Handle), &view, &error), &error);
        return Utf8.Read(view);
      }
    }

    public void Dispose() => Handle.Dispose();
  }

  /// <summary>A flag for any number of calls, one after another or at once; once set it stays set.
  /// [any-thread, callback-safe]</summary>
  public sealed unsafe class CancelFlag : IDisposable
  {
    public Handle Handle { get; }

    public CancelFlag()
    {
      IntPtr handle;
      ds_error error = Errors.Empty();
      Errors.Check(Functions.ds_cancel_create(&handle, &error), &error);
      Handle = new Handle(Kind.Cancel, handle);
    }

    public void Set()
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cancel_set(arena.Hold(Handle), &error), &error);
      }
    }

    public void Dispose() => Handle.Dispose();
  }
}
