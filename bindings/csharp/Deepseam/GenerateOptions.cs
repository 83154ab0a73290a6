// How to generate, what callbacks see, and how a text ended.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  public enum FinishReason : uint
  {
    None = DS_FINISH_NONE,
    End = DS_FINISH_END,
    Stop = DS_FINISH_STOP,
    Length = DS_FINISH_LENGTH,
    Context = DS_FINISH_CONTEXT,
    Cancelled = DS_FINISH_CANCELLED,
    Deadline = DS_FINISH_DEADLINE,
    Callback = DS_FINISH_CALLBACK,
    Prefill = DS_FINISH_PREFILL,
    Error = DS_FINISH_ERROR,
    Other = DS_FINISH_OTHER,
  }

  [Flags]
  public enum GenerateFlags : uint
  {
    None = 0,
    RandomSeed = DS_SAMPLING_RANDOM_SEED,
    ModelDefaults = DS_SAMPLING_MODEL_DEFAULTS,
    Logprobs = DS_SAMPLING_LOGPROBS,
    PrefillOnly = DS_GEN_PREFILL_ONLY,
    NoStore = DS_GEN_NO_STORE,
    NoPersist = DS_GEN_NO_PERSIST,
    NoReuse = DS_GEN_NO_REUSE,
    IgnoreEnd = DS_GEN_IGNORE_END,
  }

  /// <summary>New text of one choice; whole characters.</summary>
  public struct TextEvent
  {
    public readonly uint Choice;
    public readonly string Text;
    /// <summary>Tokens since the last event.</summary>
    public readonly uint[] Ids;
    /// <summary>Not None in the last event of a choice.</summary>
    public readonly FinishReason FinishReason;

    internal unsafe TextEvent(ds_text_event* now)
    {
      Choice = now->choice;
      Text = Utf8.Read(now->text);
      Ids = Copies.Ids(now->ids, now->n_ids);
      FinishReason = (FinishReason)now->finish_reason;
    }
  }

  /// <summary>The next token's logits before sampling: edit in place. Valid during the callback.</summary>
  public unsafe struct LogitsEvent
  {
    private readonly ds_logits_event* now;

    internal LogitsEvent(ds_logits_event* now)
    {
      this.now = now;
    }

    public uint Choice => now->choice;
    /// <summary>float [Vocabulary].</summary>
    public IntPtr Address => (IntPtr)now->logits;
    public ulong Vocabulary => now->vocab;
    /// <summary>Prompt and generated tokens so far.</summary>
    public uint[] Ids => Copies.Ids(now->ids, now->n_ids);

    public float this[uint id]
    {
      get => id < now->vocab ? now->logits[id] : throw new ArgumentOutOfRangeException(nameof(id));
      set => now->logits[id < now->vocab ? id : throw new ArgumentOutOfRangeException(nameof(id))] = value;
    }
  }

  /// <summary>Which tokens may come next: all, but what is forbidden. Valid during the callback.</summary>
  public unsafe struct MaskEvent
  {
    private readonly ds_mask_event* now;

    internal MaskEvent(ds_mask_event* now)
    {
      this.now = now;
    }

    public uint Choice => now->choice;
    /// <summary>uint [Words]; bit id % 32 of word id / 32 is a token's.</summary>
    public IntPtr Address => (IntPtr)now->mask;
    public ulong Words => now->n_words;
    /// <summary>Prompt and generated tokens so far.</summary>
    public uint[] Ids => Copies.Ids(now->ids, now->n_ids);

    public void Forbid(uint id)
    {
      if (id / 32 >= now->n_words) throw new ArgumentOutOfRangeException(nameof(id));
      now->mask[id / 32] &= ~(1u << (int)(id % 32));
    }
  }

  /// <summary>All three answer false to stop.</summary>
  public delegate bool TextFunction(TextEvent now);

  public delegate bool LogitsFunction(LogitsEvent now);

  public delegate bool MaskFunction(MaskEvent now);

  /// <summary>Added to the logit of a token; negative infinity is no number here: use a mask.</summary>
  public struct LogitBias
  {
    public uint Id;
    public float Bias;

    public LogitBias(uint id, float bias)
    {
      Id = id;
      Bias = bias;
    }
  }

  /// <summary>As ds_params: zero and null are the defaults, and mean what its fields say. Callbacks of a blocking call run
  /// on the calling thread, those of jobs on threads of the library; they may call [callback-safe] members only.</summary>
  public sealed class GenerateOptions
  {
    public GenerateFlags Flags;
    /// <summary>0: greedy.</summary>
    public float Temperature;
    public float TopP;
    public float MinP;
    public float RepetitionPenalty;
    public float PresencePenalty;
    public float FrequencyPenalty;
    public uint TopK;
    /// <summary>0: one.</summary>
    public uint Choices;
    public ulong Seed;
    /// <summary>0: up to the context's end.</summary>
    public uint MaxTokens;
    /// <summary>Candidates recorded beside each chosen token, at most 20.</summary>
    public uint Logprobs;
    /// <summary>From the call on; zero: none.</summary>
    public TimeSpan Deadline;
    public LogitBias[] LogitBias;
    /// <summary>The text ends before the match.</summary>
    public string[] Stops;
    /// <summary>Besides the model's own.</summary>
    public uint[] StopIds;
    public Adapter Adapter;
    /// <summary>Prefixes are shared only under the same salt; null: the common one.</summary>
    public string CacheSalt;
    public CancelFlag Cancel;
    public TextFunction OnText;
    public LogitsFunction OnLogits;
    public MaskFunction OnMask;
    /// <summary>Prefill and decode, in tokens.</summary>
    public ProgressFunction OnProgress;
    public Option[] Options;

    internal bool HasCallbacks => OnText != null || OnLogits != null || OnMask != null || OnProgress != null;

    internal unsafe ds_params Fill(Arena arena, CallbackTarget target)
    {
      LogitBias[] biases = LogitBias ?? new LogitBias[0];
      var bias = (ds_logit_bias*)arena.Bytes((long)sizeof(ds_logit_bias) * biases.Length);
      for (int i = 0; i < biases.Length; ++i) bias[i] = new ds_logit_bias { id = biases[i].Id, bias = biases[i].Bias };
      var native = new ds_params
      {
        struct_size = (uint)sizeof(ds_params),
        flags = (uint)Flags,
        temperature = Temperature,
        top_p = TopP,
        min_p = MinP,
        repetition_penalty = RepetitionPenalty,
        presence_penalty = PresencePenalty,
        frequency_penalty = FrequencyPenalty,
        top_k = TopK,
        n_choices = Choices,
        seed = Seed,
        max_tokens = MaxTokens,
        n_logprobs = Logprobs,
        deadline_ns = Time.Nanoseconds(Deadline),
        logit_bias = bias,
        n_logit_bias = (ulong)biases.Length,
        stops = arena.Texts(Stops),
        n_stops = (ulong)(Stops?.Length ?? 0),
        stop_ids = arena.Ids(StopIds),
        n_stop_ids = (ulong)(StopIds?.Length ?? 0),
        adapter = arena.Hold(Adapter?.Handle),
        cache_salt = arena.Text(CacheSalt),
        cancel = arena.Hold(Cancel?.Handle),
        options = arena.Options(Options),
        n_options = (ulong)(Options?.Length ?? 0),
      };
      if (!HasCallbacks) return native;
      target.Text = OnText;
      target.Logits = OnLogits;
      target.Mask = OnMask;
      target.Progress = OnProgress;
      if (OnText != null) native.on_text = Callbacks.Text;
      if (OnLogits != null) native.on_logits = Callbacks.Logits;
      if (OnMask != null) native.on_mask = Callbacks.Mask;
      if (OnProgress != null) native.on_progress = Callbacks.Progress;
      native.callback_user = arena.Give(target);
      native.callback_free = Callbacks.Free;
      return native;
    }
  }
}
