// Writing and checking model files.
using System;
using Deepseam.Native;
using static Deepseam.Native.Constants;

namespace Deepseam
{
  /// <summary>As ds_pack_options. Types: "f32", "f16", "bf16", "fp8", "q8" to "q3", block formats ("q4_k").</summary>
  public sealed class PackOptions
  {
    public ModelSource Source;
    /// <summary>What to write; files are replaced whole or not at all.</summary>
    public string Path;
    /// <summary>null: as the source stores them.</summary>
    public string WeightType;
    /// <summary>Also store this backend's own layout; null: canonical tensors only.</summary>
    public string Backend;
    public CancelFlag Cancel;
    public ProgressFunction Progress;
    public Option[] Options;
  }

  /// <summary>A model file with random weights. Shapes: "tiny", "lite", "v2", "r1".</summary>
  public sealed class SynthOptions
  {
    public string Shape;
    /// <summary>null: "bf16".</summary>
    public string WeightType;
    public string Path;
    public ulong Seed;
    public CancelFlag Cancel;
    public ProgressFunction Progress;
    public Option[] Options;
  }

  /// <summary>All may take long; what Progress threw is thrown again. [any-thread]</summary>
  public static unsafe class ModelFiles
  {
    /// <summary>Writes a model as one .dsm file; deepseam.h has the option keys.</summary>
    public static void Pack(Runtime runtime, PackOptions options)
    {
      using (var arena = new Arena())
      {
        var target = new CallbackTarget { Progress = options.Progress };
        var native = new ds_pack_options
        {
          struct_size = (uint)sizeof(ds_pack_options),
          source = options.Source.Fill(arena),
          path = arena.Text(options.Path),
          weight_type = arena.Text(options.WeightType),
          backend = arena.Text(options.Backend),
          cancel = arena.Hold(options.Cancel?.Handle),
          options = arena.Options(options.Options),
          n_options = (ulong)(options.Options?.Length ?? 0),
        };
        if (options.Progress != null)
        {
          native.progress = Callbacks.Progress;
          native.progress_user = arena.Give(target);
          native.progress_free = Callbacks.Free;
        }
        ds_error error = Errors.Empty();
        Finish(arena, target, Functions.ds_model_pack(arena.Hold(runtime.Handle), &native, &error), &error);
      }
    }

    /// <summary>Writes a model of a known shape with random weights.</summary>
    public static void Synth(Runtime runtime, SynthOptions options)
    {
      using (var arena = new Arena())
      {
        var target = new CallbackTarget { Progress = options.Progress };
        var native = new ds_synth_options
        {
          struct_size = (uint)sizeof(ds_synth_options),
          shape = arena.Text(options.Shape),
          weight_type = arena.Text(options.WeightType),
          path = arena.Text(options.Path),
          seed = options.Seed,
          cancel = arena.Hold(options.Cancel?.Handle),
          options = arena.Options(options.Options),
          n_options = (ulong)(options.Options?.Length ?? 0),
        };
        if (options.Progress != null)
        {
          native.progress = Callbacks.Progress;
          native.progress_user = arena.Give(target);
          native.progress_free = Callbacks.Free;
        }
        ds_error error = Errors.Empty();
        Finish(arena, target, Functions.ds_model_synth(arena.Hold(runtime.Handle), &native, &error), &error);
      }
    }

    /// <summary>Reads every byte of a model and checks it; the answer has "ok" and "findings".</summary>
    public static Info Verify(Runtime runtime, ModelSource source, CancelFlag cancel = null,
      ProgressFunction progress = null)
    {
      using (var arena = new Arena())
      {
        var target = new CallbackTarget { Progress = progress };
        var native = new ds_verify_options
        {
          struct_size = (uint)sizeof(ds_verify_options),
          source = source.Fill(arena),
          cancel = arena.Hold(cancel?.Handle),
        };
        if (progress != null)
        {
          native.progress = Callbacks.Progress;
          native.progress_user = arena.Give(target);
          native.progress_free = Callbacks.Free;
        }
        IntPtr findings;
        ds_error error = Errors.Empty();
        int status = Functions.ds_model_verify(arena.Hold(runtime.Handle), &native, &findings, &error);
        Finish(arena, target, status, &error);
        return new Info(findings);
      }
    }

    private static void Finish(Arena arena, CallbackTarget target, int status, ds_error* error)
    {
      if (status == DS_OK) arena.Kept();
      target.Rethrow();
      Errors.Check(status, error);
    }
  }
}
