// The table of all functions (ds_get_api), for hosts that load the library themselves. Slots are C function pointers; a
// slot that is zero is newer than the library.
using System;
using System.Runtime.InteropServices;

namespace Deepseam.Native
{
  [StructLayout(LayoutKind.Sequential)]
  public unsafe struct ds_api
  {
    public uint struct_size;
    public uint library_abi;
    public IntPtr abi_version;
    public IntPtr version_string;
    public IntPtr status_string;
    public IntPtr live_objects;
    public IntPtr runtime_create;
    public IntPtr runtime_shutdown;
    public IntPtr runtime_release;
    public IntPtr runtime_load_plugin;
    public IntPtr runtime_register_backend;
    public IntPtr runtime_plugin_report;
    public IntPtr device_count;
    public IntPtr device_info;
    public IntPtr process_events;
    public IntPtr log_read;
    public IntPtr cancel_create;
    public IntPtr cancel_set;
    public IntPtr cancel_release;
    public IntPtr info_get_u64;
    public IntPtr info_get_f64;
    public IntPtr info_get_text;
    public IntPtr info_json;
    public IntPtr info_release;
    public IntPtr model_plan;
    public IntPtr model_open;
    public IntPtr model_open_start;
    public IntPtr model_info;
    public IntPtr model_release;
    public IntPtr model_adapter_load;
    public IntPtr model_adapter_release;
    public IntPtr model_pack;
    public IntPtr model_synth;
    public IntPtr model_verify;
    public IntPtr tokenize;
    public IntPtr detokenize;
    public IntPtr token_text;
    public IntPtr chat_prompt;
    public IntPtr fim_prompt;
    public IntPtr session_create;
    public IntPtr session_set;
    public IntPtr session_info;
    public IntPtr session_eval;
    public IntPtr session_rewind;
    public IntPtr session_release;
    public IntPtr generate;
    public IntPtr fim;
    public IntPtr chat;
    public IntPtr generate_batch;
    public IntPtr job_start;
    public IntPtr job_poll;
    public IntPtr job_read;
    public IntPtr job_progress;
    public IntPtr job_wait;
    public IntPtr job_cancel;
    public IntPtr job_take_result;
    public IntPtr job_take_model;
    public IntPtr job_release;
    public IntPtr result_text;
    public IntPtr result_ids;
    public IntPtr result_finish_reason;
    public IntPtr result_logprobs;
    public IntPtr result_info;
    public IntPtr result_release;
    public IntPtr cache_open;
    public IntPtr cache_flush;
    public IntPtr cache_trim;
    public IntPtr cache_erase;
    public IntPtr cache_stats;
    public IntPtr cache_read_event;
    public IntPtr cache_release;
  }
}
