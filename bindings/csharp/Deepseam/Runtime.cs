// The owner of log, threads, plugins and budgets, and what it is created with.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// <summary>Any thread, several at once; may call [callback-safe] members only.</summary>
  public delegate void LogFunction(LogLevel level, string domain, string sentence);

  /// <summary>A plugin about to be loaded; valid during the callback.</summary>
  public unsafe struct PluginFile
  {
    private readonly ds_plugin_file* file;

    internal PluginFile(ds_plugin_file* file)
    {
      this.file = file;
    }

    public string Name => Utf8.Read(file->name);
    public string Path => Utf8.Read(file->path);

    /// <summary>The very file content that will run.</summary>
    public IntPtr Binary => (IntPtr)file->binary;
    public ulong BinarySize => file->binary_size;

    /// <summary>Bytes from the manifest, for the host's own scheme.</summary>
    public IntPtr Signature => (IntPtr)file->signature;
    public ulong SignatureSize => file->signature_size;
  }

  /// <summary>As ds_runtime_options: zero and null are the defaults.</summary>
  public sealed class RuntimeOptions
  {
    /// <summary>Idle workers poll for about 50 µs before they park.</summary>
    public bool Spin;
    /// <summary>Never ask the system for AMX state.</summary>
    public bool NoAmx;
    /// <summary>Search PluginFolders only, not the library's own folder.</summary>
    public bool NoDefaultPlugins;
    /// <summary>Most verbose level kept; Off: warnings and errors; Other: nothing.</summary>
    public LogLevel LogLevel;
    /// <summary>0: one per usable core.</summary>
    public uint Threads;
    /// <summary>Pins own threads to these CPUs; null: not pinned.</summary>
    public uint[] Cpus;
    /// <summary>"avx2", "avx512" or "amx": nothing above it is used.</summary>
    public string IsaCap;
    /// <summary>null: messages wait for Runtime.ReadLog.</summary>
    public LogFunction Log;
    /// <summary>Absolute; searched before the library's own folder.</summary>
    public string[] PluginFolders;
    /// <summary>Answers whether a plugin may be loaded; null: the manifest's hash alone decides.</summary>
    public Func<PluginFile, bool> VerifyPlugin;
    /// <summary>Called when ProcessEvents has something to deliver. Any thread; must be short, may call nothing.</summary>
    public Action Wake;
    /// <summary>Native functions of the host, such as an engine's; null: the C heap.</summary>
    public ds_allocator? Allocator;
    /// <summary>Native functions of the host; null: an own pool.</summary>
    public ds_task_runner? TaskRunner;
    public Option[] Options;
  }

  /// <summary>Log, threads, plugins, models and caches of one component of a program. Dispose shuts it down first, so that
  /// no callback runs afterwards. The end of the application domain shuts down what is left.</summary>
  public sealed unsafe class Runtime : IDisposable
  {
    /// <summary>What Dispose waits for running work to end.</summary>
    public static readonly TimeSpan DisposePatience = TimeSpan.FromSeconds(10);

    public Handle Handle { get; }

    /// <summary>[any-thread]</summary>
    public Runtime(RuntimeOptions options = null)
    {
      options = options ?? new RuntimeOptions();
      using (var arena = new Arena())
      {
        IntPtr handle;
        ds_error error = Errors.Empty();
        ds_allocator allocator = options.Allocator.GetValueOrDefault();
        ds_task_runner runner = options.TaskRunner.GetValueOrDefault();
        ds_runtime_options native = Fill(arena, options);
        if (options.Allocator.HasValue) native.allocator = &allocator;
        if (options.TaskRunner.HasValue) native.task_runner = &runner;
        Errors.Check(Functions.ds_runtime_create(&native, &handle, &error), &error);
        arena.Kept();
        Handle = new Handle(Kind.Runtime, handle);
        Lifetime.Watch(Handle);
      }
    }

    private static ds_runtime_options Fill(Arena arena, RuntimeOptions options)
    {
      var native = new ds_runtime_options
      {
        struct_size = (uint)sizeof(ds_runtime_options),
        abi_version = DS_ABI_VERSION,
        flags = (options.Spin ? DS_RUNTIME_SPIN : 0) | (options.NoAmx ? DS_RUNTIME_NO_AMX : 0) |
                (options.NoDefaultPlugins ? DS_RUNTIME_NO_DEFAULT_PLUGINS : 0),
        log_level = (uint)options.LogLevel,
        n_threads = options.Threads,
        n_cpus = (uint)(options.Cpus?.Length ?? 0),
        cpus = arena.Ids(options.Cpus),
        isa_cap = arena.Text(options.IsaCap),
        plugin_dirs = arena.Texts(options.PluginFolders),
        n_plugin_dirs = (ulong)(options.PluginFolders?.Length ?? 0),
        options = arena.Options(options.Options),
        n_options = (ulong)(options.Options?.Length ?? 0),
      };
      if (options.Log != null)
      {
        native.log = Callbacks.Log;
        native.log_user = arena.Give(new CallbackTarget { Log = options.Log });
        native.log_free = Callbacks.Free;
      }
      if (options.VerifyPlugin != null)
      {
        native.verify_plugin = Callbacks.Verify;
        native.verify_user = arena.Give(new CallbackTarget { Verify = options.VerifyPlugin });
        native.verify_free = Callbacks.Free;
      }
      if (options.Wake != null)
      {
        native.wake = Callbacks.Wake;
        native.wake_user = arena.Give(new CallbackTarget { Wake = options.Wake });
        native.wake_free = Callbacks.Free;
      }
      return native;
    }

    /// <summary>Cancels all jobs and calls under way, joins the library's threads, quiesces plugins. Throws
    /// Status.Timeout if that takes longer; then call it again. [any-thread]</summary>
    public void Shutdown(TimeSpan timeout)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_runtime_shutdown(arena.Hold(Handle), Time.Nanoseconds(timeout), &error), &error);
      }
      Lifetime.Forget(Handle);
    }

    /// <summary>Shuts down, waiting at most DisposePatience, and releases. [any-thread]</summary>
    public void Dispose()
    {
      if (Handle.IsClosed) return;
      try { Shutdown(DisposePatience); }
      catch (DeepseamException) { } // what still runs ends by itself, once the last child is released
      Handle.Dispose();
    }

    /// <summary>Loads one plugin by the absolute path of its manifest. [any-thread]</summary>
    public void LoadPlugin(string manifest)
    {
      using (var arena = new Arena())
      {
        ds_text path = arena.Text(manifest);
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_runtime_load_plugin(arena.Hold(Handle), path.data, path.size, &error), &error);
      }
    }

    /// <summary>Registers a backend that is linked into the program: the address of its ds_backend_main.
    /// [any-thread]</summary>
    public void RegisterBackend(IntPtr entry)
    {
      using (var arena = new Arena())
      {
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_runtime_register_backend(arena.Hold(Handle), entry, &error), &error);
      }
    }

    /// <summary>Every plugin candidate and, if it is not used, the reason. [any-thread]</summary>
    public Info PluginReport()
    {
      using (var arena = new Arena())
      {
        IntPtr report;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_runtime_plugin_report(arena.Hold(Handle), &report, &error), &error);
        return new Info(report);
      }
    }

    /// <summary>Devices of all usable backends. [any-thread]</summary>
    public uint DeviceCount()
    {
      using (var arena = new Arena())
      {
        uint count;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_device_count(arena.Hold(Handle), &count, &error), &error);
        return count;
      }
    }

    /// <summary>[any-thread]</summary>
    public Info DeviceInfo(uint index)
    {
      using (var arena = new Arena())
      {
        IntPtr info;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_device_info(arena.Hold(Handle), index, &info, &error), &error);
        return new Info(info);
      }
    }

    /// <summary>Delivers waiting callbacks on this thread, waiting up to `timeout` for the first one. Answers how many.
    /// [any-thread]</summary>
    public ulong ProcessEvents(TimeSpan timeout)
    {
      using (var arena = new Arena())
      {
        ulong delivered;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_process_events(arena.Hold(Handle), Time.Nanoseconds(timeout), &delivered, &error),
          &error);
        return delivered;
      }
    }

    /// <summary>The oldest waiting message as "domain: sentence"; null: none waits. Only without RuntimeOptions.Log.
    /// [any-thread, callback-safe]</summary>
    public string ReadLog(out LogLevel level)
    {
      using (var arena = new Arena())
      {
        uint found = 0;
        ulong size = 1024;
        for (;;)
        {
          ulong capacity = size;
          byte* buffer = (byte*)arena.Bytes((long)capacity);
          ds_error error = Errors.Empty();
          int status = Functions.ds_log_read(arena.Hold(Handle), &found, buffer, capacity, &size, &error);
          level = (LogLevel)found;
          if (status == DS_E_PENDING) return null;
          if (status == DS_E_BUFFER) continue;
          Errors.Check(status, &error);
          return Utf8.Read(buffer, size);
        }
      }
    }
  }

  internal static class Time
  {
    /// Negative is without limit, as TimeSpan of Timeout.Infinite.
    public static ulong Nanoseconds(TimeSpan time) =>
      time.Ticks < 0 ? ulong.MaxValue : checked((ulong)time.Ticks * 100);
  }
}
