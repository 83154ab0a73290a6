// Library, runtime, infos, logs, plugins.
using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using System.Threading;
using Deepseam.Native;

namespace Deepseam.Tests
{
  internal static class RuntimeTests
  {
    [DllImport("libc.so.6", CallingConvention = CallingConvention.Cdecl)]
    private static extern unsafe IntPtr dlopen(byte* path, int flags);

    [DllImport("libc.so.6", CallingConvention = CallingConvention.Cdecl)]
    private static extern unsafe IntPtr dlsym(IntPtr library, byte* name);

    public static void TheLibrarySaysWhatItIs()
    {
      Check.Equal(Constants.DS_ABI_VERSION, Library.AbiVersion, "ABI");
      Check.That(Library.Version.Contains("."), "a version is written with dots: " + Library.Version);
      Check.Equal("DS_E_FORMAT", Library.NameOf(Status.Format), "name");
      Check.That(Library.Table(Library.AbiVersion).generate != IntPtr.Zero, "the table has no generate");
      Check.Throws(Status.Abi, () => Library.Table(0x7fff0000));
    }

    public static void PluginsAndDevicesAreReported()
    {
      using (var runtime = new Runtime(new RuntimeOptions { Threads = 2 }))
      using (Info report = runtime.PluginReport())
      {
        Check.That(report.Json().StartsWith("{\"plugins\":["), report.Json());
        Check.That(report.Text("plugins.0.name").Length > 0, "the first plugin has no name");
        Check.That(runtime.DeviceCount() > 0, "no device");
        using (Info device = runtime.DeviceInfo(0))
        {
          Check.That(device.Number("memory.total") > 0, "a device has memory");
          Check.Equal((double)device.Number("memory.total"), device.Real("memory.total"), "as a real number");
          DeepseamException thrown = Check.Throws(Status.NotFound, () => device.Number("no.such.key"));
          Check.That(thrown.Message.Contains("no.such.key"), thrown.Message);
        }
      }
    }

    public static void APluginIsLoadedByItsManifest()
    {
      using (var runtime = new Runtime(new RuntimeOptions { NoDefaultPlugins = true }))
      {
        Check.Equal(0u, runtime.DeviceCount(), "devices without plugins");
        runtime.LoadPlugin(Path.Combine(Program.Plugins, "deepseam-ref.dsplugin"));
        Check.That(runtime.DeviceCount() > 0, "the plugin has no device");
        Check.Throws(Status.NotFound, () => runtime.LoadPlugin("/no/such.dsplugin"));
      }
    }

    private static unsafe IntPtr BackendOf(string library)
    {
      using (var arena = new Arena())
      {
        IntPtr handle = dlopen(arena.Terminated(library), 2);
        Check.That(handle != IntPtr.Zero, library + " cannot be loaded");
        return dlsym(handle, arena.Terminated("ds_backend_main"));
      }
    }

    public static void ABackendIsRegistered()
    {
      using (var runtime = new Runtime(new RuntimeOptions { NoDefaultPlugins = true }))
      {
        runtime.RegisterBackend(BackendOf(Path.Combine(Program.Plugins, "deepseam-ref.so")));
        Check.That(runtime.DeviceCount() > 0, "the backend has no device");
        Check.Throws(Status.Argument, () => runtime.RegisterBackend(IntPtr.Zero));
      }
    }

    public static void TheHostDecidesAboutPlugins()
    {
      var seen = new List<string>();
      var options = new RuntimeOptions
      {
        NoDefaultPlugins = true,
        PluginFolders = new[] { Program.Plugins },
        VerifyPlugin = file =>
        {
          lock (seen) seen.Add(file.Name);
          return file.Name == "ref" && file.BinarySize > 0 && file.Path.Length > 0;
        },
      };
      using (var runtime = new Runtime(options))
      using (Info report = runtime.PluginReport())
      {
        Check.Equal(1u, runtime.DeviceCount(), "devices of " + report.Json());
        Check.That(seen.Contains("ref"), "ref was not asked about");
      }
    }

    public static void LogsArePulledOrPushed()
    {
      var quiet = new RuntimeOptions { NoDefaultPlugins = true };
      using (var runtime = new Runtime(quiet))
      {
        Check.That(runtime.ReadLog(out LogLevel none) == null, "a message of nothing");
        Check.Throws(Status.Unsupported, () => runtime.RegisterBackend(BackendOf(Program.Talking)));
        string sentence = runtime.ReadLog(out LogLevel level);
        Check.Equal("talking: this backend only talks", sentence, "message");
        Check.Equal(LogLevel.Warning, level, "level");
        Check.That(runtime.ReadLog(out level) == null, "it waits twice");
      }
      var pushed = new List<string>();
      var options = new RuntimeOptions
      {
        NoDefaultPlugins = true,
        Log = (level, domain, text) =>
        {
          lock (pushed) pushed.Add(level + " " + domain + " " + text);
        },
      };
      using (var runtime = new Runtime(options))
        Check.Throws(Status.Unsupported, () => runtime.RegisterBackend(BackendOf(Program.Talking)));
      Check.Equal("Warning talking this backend only talks", string.Join("|", pushed), "pushed");
    }

    public static void EventsAreDeliveredWhereTheHostAsks()
    {
      using (var runtime = new Runtime())
      {
        Check.Equal(0ul, runtime.ProcessEvents(TimeSpan.Zero), "events of an idle runtime");
      }
    }

    public static void AfterTheShutdownChildrenStayReleasable()
    {
      var runtime = new Runtime();
      Info report = runtime.PluginReport();
      runtime.Shutdown(TimeSpan.FromSeconds(20));
      runtime.Shutdown(TimeSpan.FromSeconds(20));
      Check.Throws(Status.ShutDown, () => runtime.DeviceCount());
      report.Dispose();
      runtime.Dispose();
      runtime.Dispose();
      try
      {
        runtime.DeviceCount();
        throw new Failure("a disposed runtime answers");
      }
      catch (ObjectDisposedException) { }
    }

    public static void OptionsAreChecked()
    {
      var unknown = new RuntimeOptions { Options = new[] { new Option("no_such_key", 1) } };
      Check.Throws(Status.UnknownField, () => new Runtime(unknown));
      unknown.Options[0].Ignorable = true;
      new Runtime(unknown).Dispose();
      Check.Throws(Status.Argument, () => new Runtime(new RuntimeOptions { IsaCap = "no such set" }));
    }

    public static void FinalizersReleaseWhatWasForgotten()
    {
      Forget();
      for (int i = 0; i < 200 && Library.LiveObjects > 0; ++i)
      {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Thread.Sleep(10);
      }
    }

    private static void Forget()
    {
      var thread = new Thread(() =>
      {
        for (int i = 0; i < 10; ++i) new CancelFlag().Set();
      });
      thread.Start();
      thread.Join();
      Check.That(Library.LiveObjects <= 10, "more than were made");
    }
  }
}
