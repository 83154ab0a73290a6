// Facts about the loaded library, and what its options and constants are called here.
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public static unsafe class Library
  {
    /// <summary>The ABI of the loaded library: major number in the upper half. [any-thread, callback-safe]</summary>
    public static uint AbiVersion => Functions.ds_abi_version();

    /// <summary>Such as "0.1.0". [any-thread, callback-safe]</summary>
    public static string Version => Utf8.Read(Functions.ds_version_string());

    /// <summary>Such as "DS_E_FORMAT". [any-thread, callback-safe]</summary>
    public static string NameOf(Status status) => Utf8.Read(Functions.ds_status_string((int)status));

    /// <summary>Handles of this process that are not released, for leak tests. [any-thread, callback-safe]</summary>
    public static ulong LiveObjects => Functions.ds_live_objects();

    /// <summary>The table of all functions, for code that calls them by pointer. Throws if the library does not offer
    /// ABI `minAbi`. [any-thread, callback-safe]</summary>
    public static ds_api Table(uint minAbi)
    {
      var table = new ds_api { struct_size = (uint)sizeof(ds_api) };
      ds_error error = Errors.Empty();
      Errors.Check(Functions.ds_get_api(minAbi, &table, &error), &error);
      return table;
    }
  }

  /// <summary>A rare setting: a number, or a text. An unknown key is an error unless it is ignorable.</summary>
  public struct Option
  {
    public string Key;
    public long Value;
    public string Text;
    public bool Ignorable;

    public Option(string key, long value)
    {
      Key = key;
      Value = value;
      Text = null;
      Ignorable = false;
    }

    public Option(string key, string text)
    {
      Key = key;
      Value = 0;
      Text = text;
      Ignorable = false;
    }
  }

  public enum LogLevel : uint
  {
    Off = DS_LOG_OFF,
    Error = DS_LOG_ERROR,
    Warning = DS_LOG_WARNING,
    Info = DS_LOG_INFO,
    Debug = DS_LOG_DEBUG,
    Other = DS_LOG_OTHER,
  }

  public enum Stage : uint
  {
    Read = DS_STAGE_READ,
    Load = DS_STAGE_LOAD,
    Compile = DS_STAGE_COMPILE,
    Prefill = DS_STAGE_PREFILL,
    Decode = DS_STAGE_DECODE,
    Write = DS_STAGE_WRITE,
    Verify = DS_STAGE_VERIFY,
    Other = DS_STAGE_OTHER,
  }

  /// <summary>How far a long call is. Total 0: not known.</summary>
  public struct Progress
  {
    public Stage Stage;
    public ulong Done;
    public ulong Total;
  }

  /// <summary>Answers false to stop the call that reports.</summary>
  public delegate bool ProgressFunction(Progress progress);
}
