// What a native call needs for as long as it takes: copies of texts and arrays, handles that must stay, and objects given
// away as the `user` of callbacks. Everything goes on Dispose, but what the library has taken over (Kept). A domain that ends
// aborts its threads wherever they are, though not in a `finally`: there the lists are written, so that Dispose finds them
// whole.
using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  internal static unsafe class Utf8
  {
    private static readonly UTF8Encoding encoding = new UTF8Encoding(false);

    public static byte[] Bytes(string text) => encoding.GetBytes(text);

    public static string Read(byte* terminated)
    {
      int size = 0;
      while (terminated[size] != 0) ++size;
      return Read(terminated, (ulong)size);
    }

    public static string Read(byte* data, ulong size) =>
      size == 0 ? "" : encoding.GetString(data, checked((int)size));

    public static string Read(ds_text text) => Read(text.data, text.size);
  }

  internal sealed unsafe class Arena : IDisposable
  {
    private List<IntPtr> blocks;
    private List<GCHandle> given;
    private List<Handle> held;

    public void* Bytes(long size)
    {
      IntPtr block = IntPtr.Zero;
      blocks = blocks ?? new List<IntPtr>();
      try { }
      finally
      {
        block = Marshal.AllocHGlobal((IntPtr)Math.Max(size, 1));
        blocks.Add(block);
      }
      byte* bytes = (byte*)block;
      for (long i = 0; i < size; ++i) bytes[i] = 0;
      return bytes;
    }

    /// null is no text; an empty string is one, with an address.
    public ds_text Text(string text)
    {
      if (text == null) return new ds_text();
      byte[] bytes = Utf8.Bytes(text);
      byte* copy = (byte*)Bytes(bytes.Length + 1L);
      Marshal.Copy(bytes, 0, (IntPtr)copy, bytes.Length);
      return new ds_text { data = copy, size = (ulong)bytes.Length };
    }

    /// Text with a NUL behind it, for arguments without a size. A NUL inside would end it early.
    public byte* Terminated(string text)
    {
      if (text == null) throw new ArgumentNullException(nameof(text));
      if (text.IndexOf('\0') >= 0) throw new ArgumentException("the text holds a NUL", nameof(text));
      return Text(text).data;
    }

    public uint* Ids(uint[] ids)
    {
      if (ids == null || ids.Length == 0) return null;
      uint* copy = (uint*)Bytes(4L * ids.Length);
      for (int i = 0; i < ids.Length; ++i) copy[i] = ids[i];
      return copy;
    }

    public ds_text* Texts(string[] texts)
    {
      if (texts == null || texts.Length == 0) return null;
      ds_text* copy = (ds_text*)Bytes((long)sizeof(ds_text) * texts.Length);
      for (int i = 0; i < texts.Length; ++i) copy[i] = Text(texts[i] ?? "");
      return copy;
    }

    public ds_option* Options(Option[] options)
    {
      if (options == null || options.Length == 0) return null;
      ds_option* copy = (ds_option*)Bytes((long)sizeof(ds_option) * options.Length);
      for (int i = 0; i < options.Length; ++i)
      {
        ds_text text = Text(options[i].Text);
        copy[i].key = Terminated(options[i].Key);
        copy[i].flags = options[i].Ignorable ? DS_OPTION_IGNORABLE : 0;
        copy[i].value = options[i].Value;
        copy[i].data = text.data;
        copy[i].size = text.size;
      }
      return copy;
    }

    /// The native handle, which cannot be released before Dispose. null is none.
    public IntPtr Hold(Handle handle)
    {
      if (handle == null) return IntPtr.Zero;
      bool added = false;
      held = held ?? new List<Handle>();
      try { }
      finally
      {
        handle.DangerousAddRef(ref added);
        if (added) held.Add(handle);
      }
      return handle.DangerousGetHandle();
    }

    /// `user` of a callback; Callbacks.Free ends it.
    public void* Give(object target) => Give(GCHandle.Alloc(target));

    public void* Give(GCHandle handle)
    {
      given = given ?? new List<GCHandle>();
      try { }
      finally { given.Add(handle); }
      return (void*)GCHandle.ToIntPtr(handle);
    }

    /// The library has taken over what was given: it calls the matching free.
    public void Kept() => given = null;

    public void Dispose()
    {
      if (blocks != null) foreach (IntPtr block in blocks) Marshal.FreeHGlobal(block);
      if (given != null) foreach (GCHandle handle in given) handle.Free();
      if (held != null) foreach (Handle handle in held) handle.DangerousRelease();
      blocks = null;
      given = null;
      held = null;
    }
  }
}
