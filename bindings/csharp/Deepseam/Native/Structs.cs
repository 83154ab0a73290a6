// The structs of the C headers, field by field and blittable: handles and functions are IntPtr, texts are bytes. The
// test compares sizes and offsets with bindings/abi.json. What the fields mean stands in include/deepseam/types.h.
using System;
using System.Runtime.InteropServices;

namespace Deepseam.Native
{
  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_error
  {
    public uint struct_size;
    public int code;
    public int os_code;
    public uint flags;
    public ulong byte_offset;
    public ulong bytes_needed;
    public ulong bytes_available;
    public fixed byte domain[16];
    public fixed byte path[256];
    public fixed byte message[512];
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_text
  {
    public byte* data;
    public ulong size;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_option
  {
    public byte* key;
    public uint flags;
    public uint reserved;
    public long value;
    public void* data;
    public ulong size;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_log_message
  {
    public uint struct_size;
    public uint level;
    public byte* domain;
    public ds_text text;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_allocator
  {
    public uint struct_size;
    public uint flags;
    public void* user;
    public IntPtr allocate;
    public IntPtr release;
    public IntPtr user_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_task_runner
  {
    public uint struct_size;
    public uint flags;
    public uint width;
    public uint reserved;
    public void* user;
    public IntPtr run;
    public IntPtr user_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_plugin_file
  {
    public uint struct_size;
    public uint reserved;
    public ds_text name;
    public ds_text path;
    public byte* binary;
    public ulong binary_size;
    public byte* signature;
    public ulong signature_size;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_runtime_options
  {
    public uint struct_size;
    public uint abi_version;
    public uint flags;
    public uint log_level;
    public uint n_threads;
    public uint n_cpus;
    public uint* cpus;
    public ds_text isa_cap;
    public IntPtr log;
    public void* log_user;
    public IntPtr log_free;
    public ds_allocator* allocator;
    public ds_task_runner* task_runner;
    public ds_text* plugin_dirs;
    public ulong n_plugin_dirs;
    public IntPtr verify_plugin;
    public void* verify_user;
    public IntPtr verify_free;
    public IntPtr wake;
    public void* wake_user;
    public IntPtr wake_free;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_progress
  {
    public uint struct_size;
    public uint stage;
    public ulong done;
    public ulong total;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_source
  {
    public uint struct_size;
    public uint tag;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_source_path
  {
    public ds_source head;
    public ds_text path;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_source_memory
  {
    public ds_source head;
    public void* data;
    public ulong size;
    public void* user;
    public IntPtr user_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_source_io
  {
    public ds_source head;
    public uint flags;
    public uint reserved;
    public void* user;
    public IntPtr open;
    public IntPtr size;
    public IntPtr read_at;
    public IntPtr close;
    public IntPtr user_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_model_options
  {
    public uint struct_size;
    public uint flags;
    public ds_source* source;
    public ds_text backend;
    public uint* devices;
    public uint n_devices;
    public uint map_mode;
    public uint kv_format;
    public uint context_length;
    public uint max_rows;
    public uint max_sequences;
    public ulong ram_budget;
    public ulong vram_budget;
    public ds_text pack_cache_dir;
    public IntPtr cache;
    public IntPtr cancel;
    public IntPtr progress;
    public void* progress_user;
    public IntPtr progress_free;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_pack_options
  {
    public uint struct_size;
    public uint flags;
    public ds_source* source;
    public ds_text path;
    public ds_text weight_type;
    public ds_text backend;
    public IntPtr cancel;
    public IntPtr progress;
    public void* progress_user;
    public IntPtr progress_free;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_synth_options
  {
    public uint struct_size;
    public uint flags;
    public ds_text shape;
    public ds_text weight_type;
    public ds_text path;
    public ulong seed;
    public IntPtr cancel;
    public IntPtr progress;
    public void* progress_user;
    public IntPtr progress_free;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_verify_options
  {
    public uint struct_size;
    public uint flags;
    public ds_source* source;
    public IntPtr cancel;
    public IntPtr progress;
    public void* progress_user;
    public IntPtr progress_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_session_options
  {
    public uint struct_size;
    public uint flags;
    public uint priority;
    public uint max_gpu_slice_us;
    public uint context_length;
    public uint reserved;
    public double tokens_per_second;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_eval_input
  {
    public uint struct_size;
    public uint want;
    public uint* ids;
    public ulong n_ids;
    public uint chunk;
    public uint flags;
    public float* logits;
    public ulong capacity;
    public ds_text cache_salt;
    public IntPtr cancel;
    public IntPtr adapter;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_eval_output
  {
    public uint struct_size;
    public uint reserved;
    public float* logits;
    public ulong rows;
    public ulong vocab;
    public ulong n_computed;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_input
  {
    public uint struct_size;
    public uint tag;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_text_input
  {
    public ds_input head;
    public ds_text text;
    public uint flags;
    public uint reserved;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_tokens_input
  {
    public ds_input head;
    public uint* ids;
    public ulong n_ids;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_snippet
  {
    public ds_text file_name;
    public ds_text text;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_fim_input
  {
    public ds_input head;
    public ds_text prefix;
    public ds_text suffix;
    public ds_text typed;
    public ds_text file_name;
    public ds_snippet* snippets;
    public ulong n_snippets;
    public uint layout;
    public uint flags;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_message
  {
    public ds_text role;
    public ds_text content;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_chat_input
  {
    public ds_input head;
    public ds_message* messages;
    public ulong n_messages;
    public ds_text chat_template;
    public uint flags;
    public uint reserved;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_text_event
  {
    public uint struct_size;
    public uint choice;
    public ds_text text;
    public uint* ids;
    public ulong n_ids;
    public uint finish_reason;
    public uint reserved;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_logits_event
  {
    public uint struct_size;
    public uint choice;
    public float* logits;
    public ulong vocab;
    public uint* ids;
    public ulong n_ids;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_mask_event
  {
    public uint struct_size;
    public uint choice;
    public uint* mask;
    public ulong n_words;
    public uint* ids;
    public ulong n_ids;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_logit_bias
  {
    public uint id;
    public float bias;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_params
  {
    public uint struct_size;
    public uint flags;
    public float temperature;
    public float top_p;
    public float min_p;
    public float repetition_penalty;
    public float presence_penalty;
    public float frequency_penalty;
    public uint top_k;
    public uint n_choices;
    public ulong seed;
    public uint max_tokens;
    public uint n_logprobs;
    public ulong deadline_ns;
    public ds_logit_bias* logit_bias;
    public ulong n_logit_bias;
    public ds_text* stops;
    public ulong n_stops;
    public uint* stop_ids;
    public ulong n_stop_ids;
    public IntPtr adapter;
    public ds_text cache_salt;
    public IntPtr cancel;
    public IntPtr on_text;
    public IntPtr on_logits;
    public IntPtr on_mask;
    public IntPtr on_progress;
    public void* callback_user;
    public IntPtr callback_free;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_batch_item
  {
    public uint struct_size;
    public int status;
    public IntPtr session;
    public ds_input* input;
    public ds_params* parameters;
    public IntPtr result;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_job_options
  {
    public uint struct_size;
    public uint flags;
    public IntPtr wake;
    public void* wake_user;
    public IntPtr wake_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_token_logprob
  {
    public uint id;
    public float logprob;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_cache_key
  {
    public fixed byte bytes[32];
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_cache_tier
  {
    public uint struct_size;
    public uint flags;
    public void* user;
    public IntPtr exists;
    public IntPtr get;
    public IntPtr put;
    public IntPtr remove;
    public IntPtr health;
    public IntPtr user_free;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_cache_options
  {
    public uint struct_size;
    public uint flags;
    public ulong ram_bytes;
    public ulong device_bytes;
    public ds_text directory;
    public ulong disk_bytes;
    public ulong min_free_bytes;
    public ulong max_age_s;
    public ulong max_write_bytes_per_day;
    public IntPtr seal;
    public IntPtr unseal;
    public void* seal_user;
    public IntPtr seal_free;
    public ds_cache_tier* external;
    public ds_option* options;
    public ulong n_options;
  }

  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_cache_event
  {
    public uint struct_size;
    public uint kind;
    public ulong tokens;
    public ulong bytes;
    public ulong dropped;
  }
}
