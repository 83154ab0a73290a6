// A store of computed prefixes that models share, and its options.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// <summary>As ds_cache_options: zero and null are the defaults.</summary>
  public sealed class CacheOptions
  {
    /// <summary>Host memory; 0: 1 GiB.</summary>
    public ulong RamBytes;
    /// <summary>Device memory; 0: what the models' budgets leave.</summary>
    public ulong DeviceBytes;
    /// <summary>Disk tier; null: none.</summary>
    public string Folder;
    public ulong DiskBytes;
    public ulong MinFreeBytes;
    public ulong MaxAgeSeconds;
    public ulong MaxWriteBytesPerDay;
    /// <summary>The host's own store behind memory and disk, as native functions.</summary>
    public ds_cache_tier? External;
    public Option[] Options;
  }

  public enum CacheEventKind : uint
  {
    Stored = DS_CACHE_STORED,
    Hit = DS_CACHE_HIT,
    Evicted = DS_CACHE_EVICTED,
    TierOff = DS_CACHE_TIER_OFF,
    Other = DS_CACHE_OTHER,
  }

  public struct CacheEvent
  {
    public CacheEventKind Kind;
    public ulong Tokens;
    public ulong Bytes;
    /// <summary>Events lost before this one, because nobody read them.</summary>
    public ulong Dropped;
  }

  /// <summary>A prefix store for ModelOptions.Cache. [any-thread]</summary>
  public sealed unsafe class PrefixCache : IDisposable
  {
    public Handle Handle { get; }

    public PrefixCache(Runtime runtime, CacheOptions options = null)
    {
      options = options ?? new CacheOptions();
      using (var arena = new Arena())
      {
        ds_cache_tier external = options.External.GetValueOrDefault();
        var native = new ds_cache_options
        {
          struct_size = (uint)sizeof(ds_cache_options),
          ram_bytes = options.RamBytes,
          device_bytes = options.DeviceBytes,
          directory = arena.Text(options.Folder),
          disk_bytes = options.DiskBytes,
          min_free_bytes = options.MinFreeBytes,
          max_age_s = options.MaxAgeSeconds,
          max_write_bytes_per_day = options.MaxWriteBytesPerDay,
          external = options.External.HasValue ? &external : null,
          options = arena.Options(options.Options),
          n_options = (ulong)(options.Options?.Length ?? 0),
        };
        IntPtr handle;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cache_open(arena.Hold(runtime.Handle), &native, &handle, &error), &error);
        Handle = new Handle(Kind.Cache, handle);
      }
    }

    /// <summary>Returns when what was stored so far survives a power loss, where a tier offers that.</summary>
    public void Flush()
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cache_flush(arena.Hold(Handle), &error), &error);
      }
    }

    /// <summary>Evicts until at most `ramBytes` are used; what running sessions use stays.</summary>
    public void Trim(ulong ramBytes)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cache_trim(arena.Hold(Handle), ramBytes, &error), &error);
      }
    }

    /// <summary>Forgets everything stored under a salt; null and "": under the common one.</summary>
    public void Erase(string salt = null)
    {
      using (var arena = new Arena())
      {
        ds_text text = arena.Text(salt);
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cache_erase(arena.Hold(Handle), text.data, text.size, &error), &error);
      }
    }

    public Info Statistics()
    {
      using (var arena = new Arena())
      {
        IntPtr stats;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_cache_stats(arena.Hold(Handle), &stats, &error), &error);
        return new Info(stats);
      }
    }

    /// <summary>The oldest event that nobody read; false: none waits. [any-thread, callback-safe]</summary>
    public bool TryReadEvent(out CacheEvent next)
    {
      using (var arena = new Arena())
      {
        var native = new ds_cache_event { struct_size = (uint)sizeof(ds_cache_event) };
        ds_error error = Errors.Empty();
        int status = Functions.ds_cache_read_event(arena.Hold(Handle), &native, &error);
        if (status != DS_E_PENDING) Errors.Check(status, &error);
        next = new CacheEvent
        {
          Kind = (CacheEventKind)native.kind,
          Tokens = native.tokens,
          Bytes = native.bytes,
          Dropped = native.dropped,
        };
        return status == DS_OK;
      }
    }

    public void Dispose() => Handle.Dispose();
  }
}
