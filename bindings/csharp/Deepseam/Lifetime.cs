// The end of an application domain: the addresses of our callbacks go with it, while the library stays loaded and its
// threads run. So all runtimes that are still up are shut down while that can still be waited for: when a domain is
// unloaded (Unity does that on each reload of scripts) and when the process ends.
using System;
using System.Collections.Generic;
using System.Threading;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  internal static unsafe class Lifetime
  {
    private const ulong Patience = 2000000000;
    private const int Tries = 15;
    private const int PoolPatience = 2000; // ms, for a pool whose threads are all busy
    private static readonly HashSet<Handle> live = new HashSet<Handle>();

    static Lifetime()
    {
      AppDomain.CurrentDomain.DomainUnload += (sender, what) =>
      {
        ShutDownAll();
        PassThroughPool();
      };
      AppDomain.CurrentDomain.ProcessExit += (sender, what) => ShutDownAll();
    }

    public static void Watch(Handle runtime)
    {
      lock (live) live.Add(runtime);
    }

    public static void Forget(Handle runtime)
    {
      lock (live) live.Remove(runtime);
    }

    /// What waited for our jobs has been woken, and goes on in the thread pool. mono unloads a domain when the pool has done
    /// its work, and was seen to wait for that for ever when the pool had no thread left. So that nothing of ours is still
    /// queued then, one more piece goes the same way, and is waited for.
    private static void PassThroughPool()
    {
      var passed = new ManualResetEvent(false); // not disposed: it may be set late
      ThreadPool.QueueUserWorkItem(state => passed.Set());
      passed.WaitOne(PoolPatience);
    }

    private static void ShutDownAll()
    {
      Handle[] handles;
      lock (live)
      {
        handles = new Handle[live.Count];
        live.CopyTo(handles);
        live.Clear();
      }
      foreach (Handle handle in handles)
      {
        if (handle.IsClosed) continue;
        bool added = false;
        handle.DangerousAddRef(ref added);
        int status = DS_E_TIMEOUT;
        for (int i = 0; i < Tries && status == DS_E_TIMEOUT; ++i)
          status = Functions.ds_runtime_shutdown(handle.DangerousGetHandle(), Patience, null);
        if (added) handle.DangerousRelease();
        handle.Dispose();
      }
    }
  }
}
