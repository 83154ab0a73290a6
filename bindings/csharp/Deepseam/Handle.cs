// Owning a native handle. One class for all kinds: which function releases it is data.
using System;
using System.Runtime.InteropServices;
using Deepseam.Native;

namespace Deepseam
{
  internal enum Kind { Runtime, Model, Session, Job, Result, Info, Cancel, Cache, Adapter }

  /// <summary>A native handle. Its release never blocks and may happen in any order, so finalizers may do it.</summary>
  public sealed class Handle : SafeHandle
  {
    private readonly Kind kind;

    internal Handle(Kind kind, IntPtr value) : base(IntPtr.Zero, true)
    {
      this.kind = kind;
      SetHandle(value);
    }

    public override bool IsInvalid => handle == IntPtr.Zero;

    protected override bool ReleaseHandle()
    {
      switch (kind)
      {
        case Kind.Runtime: Functions.ds_runtime_release(handle); break;
        case Kind.Model: Functions.ds_model_release(handle); break;
        case Kind.Session: Functions.ds_session_release(handle); break;
        case Kind.Job: Functions.ds_job_release(handle); break;
        case Kind.Result: Functions.ds_result_release(handle); break;
        case Kind.Info: Functions.ds_info_release(handle); break;
        case Kind.Cancel: Functions.ds_cancel_release(handle); break;
        case Kind.Cache: Functions.ds_cache_release(handle); break;
        case Kind.Adapter: Functions.ds_model_adapter_release(handle); break;
      }
      return true;
    }
  }
}
