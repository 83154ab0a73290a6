//! The whole API as a table of functions, for programs that load the library themselves: ds_get_api fills it.

use std::os::raw::c_char;

use crate::*;

/// Slots in the order of api.def. One that is `None` is newer than the library.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_api {
    pub struct_size: u32,
    pub library_abi: u32,
    pub abi_version: Option<unsafe extern "C" fn() -> u32>,
    pub version_string: Option<unsafe extern "C" fn() -> *const c_char>,
    pub status_string: Option<unsafe extern "C" fn(ds_status) -> *const c_char>,
    pub live_objects: Option<unsafe extern "C" fn() -> u64>,
    pub runtime_create:
        Option<unsafe extern "C" fn(*const ds_runtime_options, *mut *mut ds_runtime, *mut ds_error) -> ds_status>,
    pub runtime_shutdown: Option<unsafe extern "C" fn(*mut ds_runtime, u64, *mut ds_error) -> ds_status>,
    pub runtime_release: Option<unsafe extern "C" fn(*mut ds_runtime)>,
    pub runtime_load_plugin:
        Option<unsafe extern "C" fn(*mut ds_runtime, *const c_char, u64, *mut ds_error) -> ds_status>,
    pub runtime_register_backend:
        Option<unsafe extern "C" fn(*mut ds_runtime, ds_backend_entry, *mut ds_error) -> ds_status>,
    pub runtime_plugin_report:
        Option<unsafe extern "C" fn(*mut ds_runtime, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub device_count: Option<unsafe extern "C" fn(*mut ds_runtime, *mut u32, *mut ds_error) -> ds_status>,
    pub device_info: Option<unsafe extern "C" fn(*mut ds_runtime, u32, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub process_events: Option<unsafe extern "C" fn(*mut ds_runtime, u64, *mut u64, *mut ds_error) -> ds_status>,
    pub log_read:
        Option<unsafe extern "C" fn(*mut ds_runtime, *mut u32, *mut c_char, u64, *mut u64, *mut ds_error) -> ds_status>,
    pub cancel_create: Option<unsafe extern "C" fn(*mut *mut ds_cancel, *mut ds_error) -> ds_status>,
    pub cancel_set: Option<unsafe extern "C" fn(*mut ds_cancel, *mut ds_error) -> ds_status>,
    pub cancel_release: Option<unsafe extern "C" fn(*mut ds_cancel)>,
    pub info_get_u64: Option<unsafe extern "C" fn(*const ds_info, *const c_char, *mut u64, *mut ds_error) -> ds_status>,
    pub info_get_f64: Option<unsafe extern "C" fn(*const ds_info, *const c_char, *mut f64, *mut ds_error) -> ds_status>,
    pub info_get_text:
        Option<unsafe extern "C" fn(*const ds_info, *const c_char, *mut ds_text, *mut ds_error) -> ds_status>,
    pub info_json: Option<unsafe extern "C" fn(*const ds_info, *mut ds_text, *mut ds_error) -> ds_status>,
    pub info_release: Option<unsafe extern "C" fn(*mut ds_info)>,
    pub model_plan: Option<
        unsafe extern "C" fn(*mut ds_runtime, *const ds_model_options, *mut *mut ds_info, *mut ds_error) -> ds_status,
    >,
    pub model_open: Option<
        unsafe extern "C" fn(*mut ds_runtime, *const ds_model_options, *mut *mut ds_model, *mut ds_error) -> ds_status,
    >,
    pub model_open_start: Option<
        unsafe extern "C" fn(
            *mut ds_runtime,
            *const ds_model_options,
            *const ds_job_options,
            *mut *mut ds_job,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub model_info: Option<unsafe extern "C" fn(*mut ds_model, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub model_release: Option<unsafe extern "C" fn(*mut ds_model)>,
    pub model_adapter_load: Option<
        unsafe extern "C" fn(*mut ds_model, *const ds_source, *mut *mut ds_model_adapter, *mut ds_error) -> ds_status,
    >,
    pub model_adapter_release: Option<unsafe extern "C" fn(*mut ds_model_adapter)>,
    pub model_pack: Option<unsafe extern "C" fn(*mut ds_runtime, *const ds_pack_options, *mut ds_error) -> ds_status>,
    pub model_synth: Option<unsafe extern "C" fn(*mut ds_runtime, *const ds_synth_options, *mut ds_error) -> ds_status>,
    pub model_verify: Option<
        unsafe extern "C" fn(*mut ds_runtime, *const ds_verify_options, *mut *mut ds_info, *mut ds_error) -> ds_status,
    >,
    pub tokenize: Option<
        unsafe extern "C" fn(
            *mut ds_model,
            *const c_char,
            u64,
            u32,
            *mut ds_cancel,
            *mut u32,
            u64,
            *mut u64,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub detokenize: Option<
        unsafe extern "C" fn(
            *mut ds_model,
            *const u32,
            u64,
            u32,
            *mut c_char,
            u64,
            *mut u64,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub token_text:
        Option<unsafe extern "C" fn(*mut ds_model, u32, *mut c_char, u64, *mut u64, *mut ds_error) -> ds_status>,
    pub chat_prompt: Option<
        unsafe extern "C" fn(*mut ds_model, *const ds_chat_input, *mut u32, u64, *mut u64, *mut ds_error) -> ds_status,
    >,
    pub fim_prompt: Option<
        unsafe extern "C" fn(*mut ds_model, *const ds_fim_input, *mut u32, u64, *mut u64, *mut ds_error) -> ds_status,
    >,
    pub session_create: Option<
        unsafe extern "C" fn(
            *mut ds_model,
            *const ds_session_options,
            *mut *mut ds_session,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub session_set: Option<unsafe extern "C" fn(*mut ds_session, *const ds_option, u64, *mut ds_error) -> ds_status>,
    pub session_info: Option<unsafe extern "C" fn(*mut ds_session, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub session_eval: Option<
        unsafe extern "C" fn(*mut ds_session, *const ds_eval_input, *mut ds_eval_output, *mut ds_error) -> ds_status,
    >,
    pub session_rewind: Option<unsafe extern "C" fn(*mut ds_session, u64, *mut ds_error) -> ds_status>,
    pub session_release: Option<unsafe extern "C" fn(*mut ds_session)>,
    pub generate: Option<
        unsafe extern "C" fn(
            *mut ds_session,
            *const ds_input,
            *const ds_params,
            *mut *mut ds_result,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub fim: Option<
        unsafe extern "C" fn(
            *mut ds_session,
            *const ds_fim_input,
            *const ds_params,
            *mut *mut ds_result,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub chat: Option<
        unsafe extern "C" fn(
            *mut ds_session,
            *const ds_chat_input,
            *const ds_params,
            *mut *mut ds_result,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub generate_batch: Option<unsafe extern "C" fn(*mut ds_batch_item, u64, u64, *mut ds_error) -> ds_status>,
    pub job_start: Option<
        unsafe extern "C" fn(
            *mut ds_session,
            *const ds_input,
            *const ds_params,
            *const ds_job_options,
            *mut *mut ds_job,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub job_poll: Option<unsafe extern "C" fn(*mut ds_job, *mut u32, *mut ds_error) -> ds_status>,
    pub job_read:
        Option<unsafe extern "C" fn(*mut ds_job, u32, *mut c_char, u64, *mut u64, *mut ds_error) -> ds_status>,
    pub job_progress: Option<unsafe extern "C" fn(*mut ds_job, *mut ds_progress, *mut ds_error) -> ds_status>,
    pub job_wait: Option<unsafe extern "C" fn(*mut ds_job, u64, *mut ds_error) -> ds_status>,
    pub job_cancel: Option<unsafe extern "C" fn(*mut ds_job, *mut ds_error) -> ds_status>,
    pub job_take_result: Option<unsafe extern "C" fn(*mut ds_job, *mut *mut ds_result, *mut ds_error) -> ds_status>,
    pub job_take_model: Option<unsafe extern "C" fn(*mut ds_job, *mut *mut ds_model, *mut ds_error) -> ds_status>,
    pub job_release: Option<unsafe extern "C" fn(*mut ds_job)>,
    pub result_text: Option<unsafe extern "C" fn(*const ds_result, u32, *mut ds_text, *mut ds_error) -> ds_status>,
    pub result_ids:
        Option<unsafe extern "C" fn(*const ds_result, u32, *mut *const u32, *mut u64, *mut ds_error) -> ds_status>,
    pub result_finish_reason: Option<unsafe extern "C" fn(*const ds_result, u32, *mut u32, *mut ds_error) -> ds_status>,
    pub result_logprobs: Option<
        unsafe extern "C" fn(
            *const ds_result,
            u32,
            *mut *const ds_token_logprob,
            *mut u64,
            *mut u32,
            *mut ds_error,
        ) -> ds_status,
    >,
    pub result_info: Option<unsafe extern "C" fn(*const ds_result, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub result_release: Option<unsafe extern "C" fn(*mut ds_result)>,
    pub cache_open: Option<
        unsafe extern "C" fn(*mut ds_runtime, *const ds_cache_options, *mut *mut ds_cache, *mut ds_error) -> ds_status,
    >,
    pub cache_flush: Option<unsafe extern "C" fn(*mut ds_cache, *mut ds_error) -> ds_status>,
    pub cache_trim: Option<unsafe extern "C" fn(*mut ds_cache, u64, *mut ds_error) -> ds_status>,
    pub cache_erase: Option<unsafe extern "C" fn(*mut ds_cache, *const c_char, u64, *mut ds_error) -> ds_status>,
    pub cache_stats: Option<unsafe extern "C" fn(*mut ds_cache, *mut *mut ds_info, *mut ds_error) -> ds_status>,
    pub cache_read_event: Option<unsafe extern "C" fn(*mut ds_cache, *mut ds_cache_event, *mut ds_error) -> ds_status>,
    pub cache_release: Option<unsafe extern "C" fn(*mut ds_cache)>,
}
