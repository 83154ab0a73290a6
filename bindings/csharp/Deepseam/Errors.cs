// The one way of failing: a status of the library and its sentence, as an exception.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// <summary>What a call answered; include/deepseam/status.h says what each means. A number that this list lacks is
  /// newer than it: the hundreds tell the range.</summary>
  public enum Status
  {
    Ok = DS_OK,
    Argument = DS_E_ARGUMENT,
    Handle = DS_E_HANDLE,
    Struct = DS_E_STRUCT,
    UnknownField = DS_E_UNKNOWN_FIELD,
    Unsupported = DS_E_UNSUPPORTED,
    Abi = DS_E_ABI,
    Buffer = DS_E_BUFFER,
    NotFound = DS_E_NOT_FOUND,
    InputOutput = DS_E_IO,
    Format = DS_E_FORMAT,
    Model = DS_E_MODEL,
    Checksum = DS_E_CHECKSUM,
    Permission = DS_E_PERMISSION,
    Memory = DS_E_MEMORY,
    Budget = DS_E_BUDGET,
    ContextFull = DS_E_CONTEXT_FULL,
    CacheFull = DS_E_CACHE_FULL,
    NoDevice = DS_E_NO_DEVICE,
    Device = DS_E_DEVICE,
    DeviceLost = DS_E_DEVICE_LOST,
    DeviceLostShared = DS_E_DEVICE_LOST_SHARED,
    Plugin = DS_E_PLUGIN,
    Busy = DS_E_BUSY,
    Reentrant = DS_E_REENTRANT,
    Cancelled = DS_E_CANCELLED,
    Timeout = DS_E_TIMEOUT,
    ShutDown = DS_E_SHUT_DOWN,
    Forked = DS_E_FORKED,
    Pending = DS_E_PENDING,
    Stopped = DS_E_STOPPED,
    Internal = DS_E_INTERNAL,
  }

  /// <summary>A call of the library failed. The message is its sentence.</summary>
  public sealed class DeepseamException : Exception
  {
    public Status Status { get; }

    /// <summary>The part of the library that noticed, such as "safetensors".</summary>
    public string Domain { get; } = "";

    /// <summary>The file or object concerned; may be empty, is cut at its front if long.</summary>
    public string Path { get; } = "";

    /// <summary>errno or GetLastError, 0 if none.</summary>
    public int OsCode { get; }

    /// <summary>Where in the file; ulong.MaxValue if that does not apply.</summary>
    public ulong ByteOffset { get; } = ulong.MaxValue;

    public ulong BytesNeeded { get; }

    public ulong BytesAvailable { get; }

    /// <summary>What a generation produced before it failed; null if nothing. Whoever catches this disposes it.</summary>
    public Result Partial { get; internal set; }

    internal DeepseamException(int status, string message) : base(message)
    {
      Status = (Status)status;
    }

    internal unsafe DeepseamException(int status, ds_error* error) : base(Sentence(status, error))
    {
      Status = (Status)status;
      if (error->code == 0) return; // nothing was written
      Domain = Utf8.Read(error->domain);
      Path = Utf8.Read(error->path);
      OsCode = error->os_code;
      ByteOffset = error->byte_offset;
      BytesNeeded = error->bytes_needed;
      BytesAvailable = error->bytes_available;
    }

    private static unsafe string Sentence(int status, ds_error* error)
    {
      string sentence = Utf8.Read(error->message);
      return sentence.Length > 0 ? sentence : Library.NameOf((Status)status);
    }
  }

  internal static unsafe class Errors
  {
    public static ds_error Empty() => new ds_error { struct_size = (uint)sizeof(ds_error) };

    public static void Check(int status, ds_error* error)
    {
      if (status != DS_OK) throw new DeepseamException(status, error);
    }
  }
}
