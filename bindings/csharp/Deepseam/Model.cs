// Opening models, and what a model can do without a session: facts, text to tokens and back, prompts, adapters.
using System;
using System.Threading;
using System.Threading.Tasks;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public enum MapMode : uint { Auto = DS_MAP_AUTO, Never = DS_MAP_NEVER, Always = DS_MAP_ALWAYS }

  public enum KvFormat : uint { Auto = DS_KV_AUTO, F32 = DS_KV_F32, Bf16 = DS_KV_BF16, E4M3 = DS_KV_E4M3, Q8 = DS_KV_Q8 }

  /// <summary>As ds_model_options: zero and null are the defaults. Only Source is needed.</summary>
  public sealed class ModelOptions
  {
    public ModelSource Source;
    /// <summary>Plugin name such as "onednn" or "ref"; null: the best that fits.</summary>
    public string Backend;
    /// <summary>Indices below Runtime.DeviceCount; null: the backend's first, or any.</summary>
    public uint[] Devices;
    /// <summary>The same bits for any chunking, any batch mix, cache on or off.</summary>
    public bool Deterministic;
    /// <summary>No prefix is kept or looked up.</summary>
    public bool NoCache;
    /// <summary>Facts and text only: weights are not read, sessions are DS_E_UNSUPPORTED.</summary>
    public bool NoWeights;
    public MapMode MapMode;
    public KvFormat KvFormat;
    /// <summary>Tokens; 0: the model's, as far as the budgets hold it.</summary>
    public uint ContextLength;
    public uint MaxRows;
    public uint MaxSequences;
    /// <summary>Bytes, hard; 0: what the machine has.</summary>
    public ulong RamBudget;
    /// <summary>Bytes per device, hard; 0: what the device has.</summary>
    public ulong VramBudget;
    /// <summary>An existing folder that keeps repacked weights for the next open; null: none.</summary>
    public string PackCacheFolder;
    /// <summary>null: an in-memory one of its own.</summary>
    public PrefixCache Cache;
    public CancelFlag Cancel;
    public ProgressFunction Progress;
    public Option[] Options;

    internal unsafe ds_model_options Fill(Arena arena, out CallbackTarget target)
    {
      if (Source == null) throw new ArgumentException("ModelOptions.Source is null");
      target = new CallbackTarget { Progress = Progress };
      var native = new ds_model_options
      {
        struct_size = (uint)sizeof(ds_model_options),
        flags = (Deterministic ? DS_MODEL_DETERMINISTIC : 0) | (NoCache ? DS_MODEL_NO_CACHE : 0) |
                (NoWeights ? DS_MODEL_NO_WEIGHTS : 0),
        source = Source.Fill(arena),
        backend = arena.Text(Backend),
        devices = arena.Ids(Devices),
        n_devices = (uint)(Devices?.Length ?? 0),
        map_mode = (uint)MapMode,
        kv_format = (uint)KvFormat,
        context_length = ContextLength,
        max_rows = MaxRows,
        max_sequences = MaxSequences,
        ram_budget = RamBudget,
        vram_budget = VramBudget,
        pack_cache_dir = arena.Text(PackCacheFolder),
        cache = arena.Hold(Cache?.Handle),
        cancel = arena.Hold(Cancel?.Handle),
        options = arena.Options(Options),
        n_options = (ulong)(Options?.Length ?? 0),
      };
      if (Progress != null)
      {
        native.progress = Callbacks.Progress;
        native.progress_user = arena.Give(target);
        native.progress_free = Callbacks.Free;
      }
      return native;
    }
  }

  /// <summary>How text is read and shown: DS_TEXT_*.</summary>
  [Flags]
  public enum TextFlags : uint
  {
    None = 0,
    ParseSpecial = DS_TEXT_PARSE_SPECIAL,
    NoBos = DS_TEXT_NO_BOS,
    KeepSpecial = DS_TEXT_KEEP_SPECIAL,
  }

  /// <summary>An opened model. Sessions and results keep what they need of it. [any-thread]</summary>
  public sealed unsafe class Model : IDisposable
  {
    public Handle Handle { get; }

    internal Model(IntPtr handle)
    {
      Handle = new Handle(Kind.Model, handle);
    }

    /// <summary>Reads, loads and compiles a model. What `options.Progress` threw is thrown again.</summary>
    public static Model Open(Runtime runtime, ModelOptions options)
    {
      using (var arena = new Arena())
      {
        IntPtr handle;
        ds_error error = Errors.Empty();
        ds_model_options native = options.Fill(arena, out CallbackTarget target);
        int status = Functions.ds_model_open(arena.Hold(runtime.Handle), &native, &handle, &error);
        if (status != DS_OK) target.Rethrow();
        Errors.Check(status, &error);
        arena.Kept();
        return new Model(handle);
      }
    }

    public static Model Open(Runtime runtime, string path) =>
      Open(runtime, new ModelOptions { Source = ModelSource.FromPath(path) });

    /// <summary>The same in the background; Job.TakeModel has the answer. Progress comes from threads of the library.
    /// [any-thread, callback-safe]</summary>
    public static Job StartOpen(Runtime runtime, ModelOptions options)
    {
      using (var arena = new Arena())
      {
        IntPtr handle;
        ds_error error = Errors.Empty();
        ds_model_options native = options.Fill(arena, out CallbackTarget target);
        var signal = new Signal();
        ds_job_options job = signal.Fill(arena, options.Progress != null);
        int status = Functions.ds_model_open_start(arena.Hold(runtime.Handle), &native, &job, &handle, &error);
        Errors.Check(status, &error);
        arena.Kept();
        return new Job(handle, signal, target);
      }
    }

    /// <summary>Opens in the background. Cancelling ends it with OperationCanceledException.</summary>
    public static Task<Model> OpenAsync(Runtime runtime, ModelOptions options, CancellationToken cancel = default) =>
      StartOpen(runtime, options).FinishAsync(job => job.TakeModel(), cancel);

    /// <summary>What opening would take, from headers alone. A plan that does not fit has "fits" 0.</summary>
    public static Info Plan(Runtime runtime, ModelOptions options)
    {
      using (var arena = new Arena())
      {
        IntPtr plan;
        ds_error error = Errors.Empty();
        ds_model_options native = options.Fill(arena, out CallbackTarget target);
        int status = Functions.ds_model_plan(arena.Hold(runtime.Handle), &native, &plan, &error);
        Errors.Check(status, &error);
        arena.Kept();
        return new Info(plan);
      }
    }

    public Info Facts()
    {
      using (var arena = new Arena())
      {
        IntPtr info;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_model_info(arena.Hold(Handle), &info, &error), &error);
        return new Info(info);
      }
    }

    /// <summary>Low-rank weights on top of this model, for GenerateOptions.Adapter.</summary>
    public Adapter LoadAdapter(ModelSource source)
    {
      using (var arena = new Arena())
      {
        IntPtr adapter;
        ds_error error = Errors.Empty();
        int status = Functions.ds_model_adapter_load(arena.Hold(Handle), source.Fill(arena), &adapter, &error);
        Errors.Check(status, &error);
        arena.Kept();
        return new Adapter(adapter);
      }
    }

    /// <summary>[any-thread, callback-safe]</summary>
    public uint[] Tokenize(string text, TextFlags flags = TextFlags.None, CancelFlag cancel = null)
    {
      using (var arena = new Arena())
      {
        ds_text bytes = arena.Text(text ?? throw new ArgumentNullException(nameof(text)));
        ulong n, capacity = bytes.size + 1; // never more ids than bytes plus one
        uint* ids = (uint*)arena.Bytes(checked((long)capacity * 4));
        ds_error error = Errors.Empty();
        int status = Functions.ds_tokenize(arena.Hold(Handle), bytes.data, bytes.size, (uint)flags,
          arena.Hold(cancel?.Handle), ids, capacity, &n, &error);
        Errors.Check(status, &error);
        return Copies.Ids(ids, n);
      }
    }

    /// <summary>Bytes that form no character become U+FFFD. [any-thread, callback-safe]</summary>
    public string Detokenize(uint[] ids, TextFlags flags = TextFlags.None)
    {
      using (var arena = new Arena())
      {
        IntPtr model = arena.Hold(Handle);
        uint* native = arena.Ids(ids);
        ulong size, n = (ulong)(ids?.Length ?? 0);
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_detokenize(model, native, n, (uint)flags, null, 0, &size, &error), &error);
        if (size == 0) return "";
        byte* buffer = (byte*)arena.Bytes((long)size);
        Errors.Check(Functions.ds_detokenize(model, native, n, (uint)flags, buffer, size, &size, &error), &error);
        return Utf8.Read(buffer, size);
      }
    }

    /// <summary>The bytes of one token, not necessarily whole characters. [any-thread, callback-safe]</summary>
    public byte[] TokenBytes(uint id)
    {
      using (var arena = new Arena())
      {
        IntPtr model = arena.Hold(Handle);
        ulong size;
        ds_error error = Errors.Empty();
        Errors.Check(Functions.ds_token_text(model, id, null, 0, &size, &error), &error);
        byte* buffer = (byte*)arena.Bytes((long)size);
        Errors.Check(Functions.ds_token_text(model, id, buffer, size, &size, &error), &error);
        var bytes = new byte[size];
        for (int i = 0; i < bytes.Length; ++i) bytes[i] = buffer[i];
        return bytes;
      }
    }

    /// <summary>The prompt of a conversation or of a fill-in-the-middle, as the run functions would build it.
    /// [any-thread, callback-safe]</summary>
    public uint[] Prompt(Input input)
    {
      using (var arena = new Arena())
      {
        IntPtr model = arena.Hold(Handle);
        ds_input* native = input.Fill(arena);
        ulong n = 0;
        uint* ids = null;
        for (ulong capacity = 0; ; capacity = n)
        {
          if (capacity > 0) ids = (uint*)arena.Bytes(checked((long)capacity * 4));
          ds_error error = Errors.Empty();
          int status;
          if (native->tag == DS_INPUT_CHAT)
            status = Functions.ds_chat_prompt(model, (ds_chat_input*)native, ids, capacity, &n, &error);
          else if (native->tag == DS_INPUT_FIM)
            status = Functions.ds_fim_prompt(model, (ds_fim_input*)native, ids, capacity, &n, &error);
          else
            throw new ArgumentException("expected an input of Input.Chat or Input.Fim", nameof(input));
          Errors.Check(status, &error);
          if (n <= capacity) return Copies.Ids(ids, n);
        }
      }
    }

    public void Dispose() => Handle.Dispose();
  }

  /// <summary>Low-rank weights on top of a model.</summary>
  public sealed class Adapter : IDisposable
  {
    public Handle Handle { get; }

    internal Adapter(IntPtr handle)
    {
      Handle = new Handle(Kind.Adapter, handle);
    }

    public void Dispose() => Handle.Dispose();
  }

  internal static unsafe class Copies
  {
    public static uint[] Ids(uint* from, ulong n)
    {
      var ids = new uint[n];
      for (int i = 0; i < ids.Length; ++i) ids[i] = from[i];
      return ids;
    }
  }
}
