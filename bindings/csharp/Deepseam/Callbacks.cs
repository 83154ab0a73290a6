// Every function pointer that the library gets. They are static methods, because code compiled ahead of time (Unity's
// IL2CPP, .NET's NativeAOT) can hand out no others; `user` is a GCHandle of the object concerned. No exception passes
// through native code: it is kept, the call is asked to stop, and whoever started it throws it again.
using System;
using System.IO;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// Known by its name to compilers ahead of time, in whatever namespace it is.
  [AttributeUsage(AttributeTargets.Method)]
  internal sealed class MonoPInvokeCallbackAttribute : Attribute
  {
    public MonoPInvokeCallbackAttribute(Type type) { }
  }

  /// What one call's callbacks need. `Failure` is what the first one threw.
  internal sealed class CallbackTarget
  {
    public ProgressFunction Progress;
    public TextFunction Text;
    public LogitsFunction Logits;
    public MaskFunction Mask;
    public LogFunction Log;
    public Func<PluginFile, bool> Verify;
    public Action Wake;
    public ExceptionDispatchInfo Failure;

    public int Keep(Exception thrown)
    {
      Failure = Failure ?? ExceptionDispatchInfo.Capture(thrown);
      return DS_STOP;
    }

    public void Rethrow()
    {
      ExceptionDispatchInfo failure = Failure;
      Failure = null;
      failure?.Throw();
    }
  }

  internal static unsafe class Callbacks
  {
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void UserFn(IntPtr user);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void LogFn(IntPtr user, ds_log_message* message);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int VerifyFn(IntPtr user, ds_plugin_file* plugin);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int ProgressFn(IntPtr user, ds_progress* progress);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int TextFn(IntPtr user, ds_text_event* now);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int LogitsFn(IntPtr user, ds_logits_event* now);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int MaskFn(IntPtr user, ds_mask_event* now);

    // Held here, so that the pointers stay good as long as the domain.
    private static readonly UserFn free = OnFree;
    private static readonly UserFn wake = OnWake;
    private static readonly LogFn log = OnLog;
    private static readonly VerifyFn verify = OnVerify;
    private static readonly ProgressFn progress = OnProgress;
    private static readonly TextFn text = OnText;
    private static readonly LogitsFn logits = OnLogits;
    private static readonly MaskFn mask = OnMask;

    public static readonly IntPtr Free = Marshal.GetFunctionPointerForDelegate(free);
    public static readonly IntPtr Wake = Marshal.GetFunctionPointerForDelegate(wake);
    public static readonly IntPtr Log = Marshal.GetFunctionPointerForDelegate(log);
    public static readonly IntPtr Verify = Marshal.GetFunctionPointerForDelegate(verify);
    public static readonly IntPtr Progress = Marshal.GetFunctionPointerForDelegate(progress);
    public static readonly IntPtr Text = Marshal.GetFunctionPointerForDelegate(text);
    public static readonly IntPtr Logits = Marshal.GetFunctionPointerForDelegate(logits);
    public static readonly IntPtr Mask = Marshal.GetFunctionPointerForDelegate(mask);

    public static T Target<T>(IntPtr user) where T : class => (T)GCHandle.FromIntPtr(user).Target;

    private static int Answer(bool goOn) => goOn ? DS_CONTINUE : DS_STOP;

    [MonoPInvokeCallback(typeof(UserFn))]
    private static void OnFree(IntPtr user) => GCHandle.FromIntPtr(user).Free();

    [MonoPInvokeCallback(typeof(UserFn))]
    private static void OnWake(IntPtr user)
    {
      var target = Target<CallbackTarget>(user);
      try { target.Wake(); }
      catch (Exception thrown) { target.Keep(thrown); }
    }

    [MonoPInvokeCallback(typeof(LogFn))]
    private static void OnLog(IntPtr user, ds_log_message* message)
    {
      var target = Target<CallbackTarget>(user);
      try { target.Log((LogLevel)message->level, Utf8.Read(message->domain), Utf8.Read(message->text)); }
      catch (Exception thrown) { target.Keep(thrown); }
    }

    [MonoPInvokeCallback(typeof(VerifyFn))]
    private static int OnVerify(IntPtr user, ds_plugin_file* plugin)
    {
      var target = Target<CallbackTarget>(user);
      try { return target.Verify(new PluginFile(plugin)) ? DS_OK : DS_E_PERMISSION; }
      catch (Exception thrown)
      {
        target.Keep(thrown);
        return DS_E_PERMISSION;
      }
    }

    [MonoPInvokeCallback(typeof(ProgressFn))]
    private static int OnProgress(IntPtr user, ds_progress* progress)
    {
      var target = Target<CallbackTarget>(user);
      try
      {
        return Answer(target.Progress(new Progress
          { Stage = (Stage)progress->stage, Done = progress->done, Total = progress->total }));
      }
      catch (Exception thrown) { return target.Keep(thrown); }
    }

    [MonoPInvokeCallback(typeof(TextFn))]
    private static int OnText(IntPtr user, ds_text_event* now)
    {
      var target = Target<CallbackTarget>(user);
      try { return Answer(target.Text(new TextEvent(now))); }
      catch (Exception thrown) { return target.Keep(thrown); }
    }

    [MonoPInvokeCallback(typeof(LogitsFn))]
    private static int OnLogits(IntPtr user, ds_logits_event* now)
    {
      var target = Target<CallbackTarget>(user);
      try { return Answer(target.Logits(new LogitsEvent(now))); }
      catch (Exception thrown) { return target.Keep(thrown); }
    }

    [MonoPInvokeCallback(typeof(MaskFn))]
    private static int OnMask(IntPtr user, ds_mask_event* now)
    {
      var target = Target<CallbackTarget>(user);
      try { return Answer(target.Mask(new MaskEvent(now))); }
      catch (Exception thrown) { return target.Keep(thrown); }
    }
  }
}
