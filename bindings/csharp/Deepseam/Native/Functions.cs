// The functions of the C headers. Only blittable arguments, so that turning them into LibraryImport changes nothing but
// the attribute. The classes of this package call them; a host that needs what those do not offer may, too. What they do
// stands in include/deepseam/deepseam.h.
using System;
using System.Runtime.InteropServices;

namespace Deepseam.Native
{
  public static unsafe class Functions
  {
#if DEEPSEAM_INTERNAL
    // Linked into the program itself, where loading code is forbidden (iOS).
    public const string Name = "__Internal";
    public const string EmbeddedName = "__Internal";
#else
    public const string Name = "deepseam";
    public const string EmbeddedName = "deepseam-embedded";
#endif

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern uint ds_abi_version();

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern byte* ds_version_string();

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern byte* ds_status_string(int status);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern ulong ds_live_objects();

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_runtime_create(ds_runtime_options* options, IntPtr* runtime, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_runtime_shutdown(IntPtr runtime, ulong timeout_ns, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_runtime_release(IntPtr runtime);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_runtime_load_plugin(IntPtr runtime, byte* path, ulong path_size, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_runtime_register_backend(IntPtr runtime, IntPtr entry, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_runtime_plugin_report(IntPtr runtime, IntPtr* report, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_device_count(IntPtr runtime, uint* count, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_device_info(IntPtr runtime, uint index, IntPtr* info, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_process_events(IntPtr runtime, ulong timeout_ns, ulong* n_delivered, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_log_read(IntPtr runtime, uint* level, byte* buffer, ulong capacity, ulong* size,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cancel_create(IntPtr* cancel, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cancel_set(IntPtr cancel, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_cancel_release(IntPtr cancel);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_info_get_u64(IntPtr info, byte* key, ulong* value, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_info_get_f64(IntPtr info, byte* key, double* value, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_info_get_text(IntPtr info, byte* key, ds_text* view, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_info_json(IntPtr info, ds_text* view, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_info_release(IntPtr info);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_plan(IntPtr runtime, ds_model_options* options, IntPtr* plan, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_open(IntPtr runtime, ds_model_options* options, IntPtr* model, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_open_start(IntPtr runtime, ds_model_options* options,
        ds_job_options* job_options, IntPtr* job, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_info(IntPtr model, IntPtr* info, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_model_release(IntPtr model);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_adapter_load(IntPtr model, ds_source* source, IntPtr* adapter, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_model_adapter_release(IntPtr adapter);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_pack(IntPtr runtime, ds_pack_options* options, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_synth(IntPtr runtime, ds_synth_options* options, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_model_verify(IntPtr runtime, ds_verify_options* options, IntPtr* findings,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_tokenize(IntPtr model, byte* text, ulong text_size, uint flags, IntPtr cancel,
        uint* ids, ulong capacity, ulong* n, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_detokenize(IntPtr model, uint* ids, ulong n_ids, uint flags, byte* buffer,
        ulong capacity, ulong* size, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_token_text(IntPtr model, uint id, byte* buffer, ulong capacity, ulong* size,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_chat_prompt(IntPtr model, ds_chat_input* input, uint* ids, ulong capacity, ulong* n,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_fim_prompt(IntPtr model, ds_fim_input* input, uint* ids, ulong capacity, ulong* n,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_session_create(IntPtr model, ds_session_options* options, IntPtr* session,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_session_set(IntPtr session, ds_option* options, ulong n_options, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_session_info(IntPtr session, IntPtr* info, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_session_eval(IntPtr session, ds_eval_input* input, ds_eval_output* output,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_session_rewind(IntPtr session, ulong length, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_session_release(IntPtr session);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_generate(IntPtr session, ds_input* input, ds_params* parameters, IntPtr* result,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_fim(IntPtr session, ds_fim_input* input, ds_params* parameters, IntPtr* result,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_chat(IntPtr session, ds_chat_input* input, ds_params* parameters, IntPtr* result,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_generate_batch(ds_batch_item* items, ulong n, ulong stride, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_start(IntPtr session, ds_input* input, ds_params* parameters,
        ds_job_options* options, IntPtr* job, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_poll(IntPtr job, uint* state, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_read(IntPtr job, uint choice, byte* buffer, ulong capacity, ulong* size,
        ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_progress(IntPtr job, ds_progress* progress, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_wait(IntPtr job, ulong timeout_ns, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_cancel(IntPtr job, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_take_result(IntPtr job, IntPtr* result, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_job_take_model(IntPtr job, IntPtr* model, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_job_release(IntPtr job);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_result_text(IntPtr result, uint choice, ds_text* view, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_result_ids(IntPtr result, uint choice, uint** ids, ulong* n, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_result_finish_reason(IntPtr result, uint choice, uint* reason, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_result_logprobs(IntPtr result, uint choice, ds_token_logprob** entries, ulong* n,
        uint* width, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_result_info(IntPtr result, IntPtr* info, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_result_release(IntPtr result);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_open(IntPtr runtime, ds_cache_options* options, IntPtr* cache, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_flush(IntPtr cache, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_trim(IntPtr cache, ulong ram_bytes, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_erase(IntPtr cache, byte* salt, ulong salt_size, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_stats(IntPtr cache, IntPtr* stats, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_cache_read_event(IntPtr cache, ds_cache_event* next, ds_error* error);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern void ds_cache_release(IntPtr cache);

    [DllImport(Name, CallingConvention = CallingConvention.Cdecl)]
    public static extern int ds_get_api(uint min_abi, ds_api* api, ds_error* error);

    [DllImport(EmbeddedName, CallingConvention = CallingConvention.Cdecl)]
    public static extern void* ds_embedded_model(ulong* size);
  }
}
