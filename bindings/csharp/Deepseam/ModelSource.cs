// Where a model comes from: a path, memory, or streams of the host. Plain data until a call makes the C struct of it.
using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.InteropServices;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public sealed unsafe class ModelSource
  {
    private string path;
    private byte[] bytes;
    private IntPtr data;
    private ulong size;
    private Func<string, Stream> open;

    /// <summary>The model that ships with the library.</summary>
    public static ModelSource Embedded => FromPath("embedded");

    /// <summary>A folder with config.json, a model file, or "embedded".</summary>
    public static ModelSource FromPath(string path) =>
      new ModelSource { path = path ?? throw new ArgumentNullException(nameof(path)) };

    /// <summary>A single-file model. The array stays where it is until the model is gone; do not change it.</summary>
    public static ModelSource FromBytes(byte[] bytes) =>
      new ModelSource { bytes = bytes ?? throw new ArgumentNullException(nameof(bytes)) };

    /// <summary>A single-file model in memory that outlives the model.</summary>
    public static ModelSource FromMemory(IntPtr data, ulong size) => new ModelSource { data = data, size = size };

    /// <summary>The embedded model inside of the library deepseam-embedded, without a file.</summary>
    public static ModelSource FromEmbeddedLibrary()
    {
      ulong size;
      void* data = Functions.ds_embedded_model(&size);
      return FromMemory((IntPtr)data, size);
    }

    /// <summary>The host's own files. `open` gets a relative name such as "config.json", or "" for the model file itself
    /// or a part of a split GGUF model ("-00001-of-00003.gguf" and so on), and answers a stream that can seek, or null if there is none. Any thread, one call at a time.</summary>
    public static ModelSource FromStreams(Func<string, Stream> open) =>
      new ModelSource { open = open ?? throw new ArgumentNullException(nameof(open)) };

    internal ds_source* Fill(Arena arena)
    {
      if (path != null)
      {
        var source = (ds_source_path*)arena.Bytes(sizeof(ds_source_path));
        source->head.struct_size = (uint)sizeof(ds_source_path);
        source->head.tag = DS_SOURCE_PATH;
        source->path = arena.Text(path);
        return &source->head;
      }
      if (open != null) return StreamFiles.Fill(arena, open);
      var memory = (ds_source_memory*)arena.Bytes(sizeof(ds_source_memory));
      memory->head.struct_size = (uint)sizeof(ds_source_memory);
      memory->head.tag = DS_SOURCE_MEMORY;
      memory->data = (void*)data;
      memory->size = size;
      if (bytes != null)
      {
        GCHandle pinned = GCHandle.Alloc(bytes, GCHandleType.Pinned);
        memory->user = arena.Give(pinned);
        memory->data = (void*)pinned.AddrOfPinnedObject();
        memory->size = (ulong)bytes.LongLength;
        memory->user_free = Callbacks.Free;
      }
      return &memory->head;
    }
  }

  /// The functions of ds_source_io on streams. `user` is the function that opens, `file` an open stream.
  internal static unsafe class StreamFiles
  {
    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int OpenFn(IntPtr user, byte* name, IntPtr* file);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int SizeFn(IntPtr user, IntPtr file, ulong* size);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate int ReadFn(IntPtr user, IntPtr file, ulong offset, byte* into, ulong size);

    [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
    private delegate void CloseFn(IntPtr user, IntPtr file);

    private static readonly OpenFn open = OnOpen;
    private static readonly SizeFn size = OnSize;
    private static readonly ReadFn read = OnRead;
    private static readonly CloseFn close = OnClose;
    private static readonly IntPtr openPointer = Marshal.GetFunctionPointerForDelegate(open);
    private static readonly IntPtr sizePointer = Marshal.GetFunctionPointerForDelegate(size);
    private static readonly IntPtr readPointer = Marshal.GetFunctionPointerForDelegate(read);
    private static readonly IntPtr closePointer = Marshal.GetFunctionPointerForDelegate(close);

    public static ds_source* Fill(Arena arena, Func<string, Stream> opener)
    {
      var source = (ds_source_io*)arena.Bytes(sizeof(ds_source_io));
      source->head.struct_size = (uint)sizeof(ds_source_io);
      source->head.tag = DS_SOURCE_IO;
      source->user = arena.Give(opener);
      source->open = openPointer;
      source->size = sizePointer;
      source->read_at = readPointer;
      source->close = closePointer;
      source->user_free = Callbacks.Free;
      return &source->head;
    }

    [MonoPInvokeCallback(typeof(OpenFn))]
    private static int OnOpen(IntPtr user, byte* name, IntPtr* file)
    {
      try
      {
        Stream stream = Callbacks.Target<Func<string, Stream>>(user)(Utf8.Read(name));
        if (stream == null) return DS_E_NOT_FOUND;
        *file = GCHandle.ToIntPtr(GCHandle.Alloc(stream));
        return DS_OK;
      }
      catch (FileNotFoundException) { return DS_E_NOT_FOUND; }
      catch (UnauthorizedAccessException) { return DS_E_PERMISSION; }
      catch (Exception) { return DS_E_IO; }
    }

    [MonoPInvokeCallback(typeof(SizeFn))]
    private static int OnSize(IntPtr user, IntPtr file, ulong* size)
    {
      try
      {
        *size = (ulong)Callbacks.Target<Stream>(file).Length;
        return DS_OK;
      }
      catch (Exception) { return DS_E_IO; }
    }

    [MonoPInvokeCallback(typeof(ReadFn))]
    private static int OnRead(IntPtr user, IntPtr file, ulong offset, byte* into, ulong size)
    {
      try
      {
        Stream stream = Callbacks.Target<Stream>(file);
        var piece = new byte[Math.Min(size, 1 << 16)];
        stream.Seek(checked((long)offset), SeekOrigin.Begin);
        for (ulong done = 0; done < size;)
        {
          int got = stream.Read(piece, 0, (int)Math.Min(size - done, (ulong)piece.Length));
          if (got <= 0) return DS_E_IO;
          Marshal.Copy(piece, 0, (IntPtr)(into + done), got);
          done += (ulong)got;
        }
        return DS_OK;
      }
      catch (Exception) { return DS_E_IO; }
    }

    [MonoPInvokeCallback(typeof(CloseFn))]
    private static void OnClose(IntPtr user, IntPtr file)
    {
      GCHandle handle = GCHandle.FromIntPtr(file);
      try { ((Stream)handle.Target).Dispose(); }
      catch (Exception) { } // nothing was written that could be lost
      handle.Free();
    }
  }
}
