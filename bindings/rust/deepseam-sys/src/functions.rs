//! Every function of deepseam.h, in its order, and of embedded.h. Linking is the build script's business.

use std::os::raw::c_char;
#[cfg(feature = "embedded")]
use std::os::raw::c_void;

use crate::*;

extern "C" {
    // ---- Library
    pub fn ds_abi_version() -> u32;
    pub fn ds_version_string() -> *const c_char;
    pub fn ds_status_string(status: ds_status) -> *const c_char;
    pub fn ds_live_objects() -> u64;

    // ---- Runtime
    pub fn ds_runtime_create(
        options: *const ds_runtime_options,
        runtime: *mut *mut ds_runtime,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_runtime_shutdown(runtime: *mut ds_runtime, timeout_ns: u64, error: *mut ds_error) -> ds_status;
    pub fn ds_runtime_release(runtime: *mut ds_runtime);
    pub fn ds_runtime_load_plugin(
        runtime: *mut ds_runtime,
        path: *const c_char,
        path_size: u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_runtime_register_backend(
        runtime: *mut ds_runtime,
        entry: ds_backend_entry,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_runtime_plugin_report(
        runtime: *mut ds_runtime,
        report: *mut *mut ds_info,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_device_count(runtime: *mut ds_runtime, count: *mut u32, error: *mut ds_error) -> ds_status;
    pub fn ds_device_info(
        runtime: *mut ds_runtime,
        index: u32,
        info: *mut *mut ds_info,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_process_events(
        runtime: *mut ds_runtime,
        timeout_ns: u64,
        n_delivered: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_log_read(
        runtime: *mut ds_runtime,
        level: *mut u32,
        buffer: *mut c_char,
        capacity: u64,
        size: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;

    // ---- Cancel
    pub fn ds_cancel_create(cancel: *mut *mut ds_cancel, error: *mut ds_error) -> ds_status;
    pub fn ds_cancel_set(cancel: *mut ds_cancel, error: *mut ds_error) -> ds_status;
    pub fn ds_cancel_release(cancel: *mut ds_cancel);

    // ---- Infos
    pub fn ds_info_get_u64(
        info: *const ds_info,
        key: *const c_char,
        value: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_info_get_f64(
        info: *const ds_info,
        key: *const c_char,
        value: *mut f64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_info_get_text(
        info: *const ds_info,
        key: *const c_char,
        view: *mut ds_text,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_info_json(info: *const ds_info, view: *mut ds_text, error: *mut ds_error) -> ds_status;
    pub fn ds_info_release(info: *mut ds_info);

    // ---- Models
    pub fn ds_model_plan(
        runtime: *mut ds_runtime,
        options: *const ds_model_options,
        plan: *mut *mut ds_info,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_model_open(
        runtime: *mut ds_runtime,
        options: *const ds_model_options,
        model: *mut *mut ds_model,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_model_open_start(
        runtime: *mut ds_runtime,
        options: *const ds_model_options,
        job_options: *const ds_job_options,
        job: *mut *mut ds_job,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_model_info(model: *mut ds_model, info: *mut *mut ds_info, error: *mut ds_error) -> ds_status;
    pub fn ds_model_release(model: *mut ds_model);
    pub fn ds_model_adapter_load(
        model: *mut ds_model,
        source: *const ds_source,
        adapter: *mut *mut ds_model_adapter,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_model_adapter_release(adapter: *mut ds_model_adapter);
    pub fn ds_model_pack(runtime: *mut ds_runtime, options: *const ds_pack_options, error: *mut ds_error) -> ds_status;
    pub fn ds_model_synth(
        runtime: *mut ds_runtime,
        options: *const ds_synth_options,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_model_verify(
        runtime: *mut ds_runtime,
        options: *const ds_verify_options,
        findings: *mut *mut ds_info,
        error: *mut ds_error,
    ) -> ds_status;

    // ---- Text
    pub fn ds_tokenize(
        model: *mut ds_model,
        text: *const c_char,
        text_size: u64,
        flags: u32,
        cancel: *mut ds_cancel,
        ids: *mut u32,
        capacity: u64,
        n: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_detokenize(
        model: *mut ds_model,
        ids: *const u32,
        n_ids: u64,
        flags: u32,
        buffer: *mut c_char,
        capacity: u64,
        size: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_token_text(
        model: *mut ds_model,
        id: u32,
        buffer: *mut c_char,
        capacity: u64,
        size: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_chat_prompt(
        model: *mut ds_model,
        input: *const ds_chat_input,
        ids: *mut u32,
        capacity: u64,
        n: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_fim_prompt(
        model: *mut ds_model,
        input: *const ds_fim_input,
        ids: *mut u32,
        capacity: u64,
        n: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;

    // ---- Sessions
    pub fn ds_session_create(
        model: *mut ds_model,
        options: *const ds_session_options,
        session: *mut *mut ds_session,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_session_set(
        session: *mut ds_session,
        options: *const ds_option,
        n_options: u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_session_info(session: *mut ds_session, info: *mut *mut ds_info, error: *mut ds_error) -> ds_status;
    pub fn ds_session_eval(
        session: *mut ds_session,
        input: *const ds_eval_input,
        output: *mut ds_eval_output,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_session_rewind(session: *mut ds_session, length: u64, error: *mut ds_error) -> ds_status;
    pub fn ds_session_release(session: *mut ds_session);

    // ---- Run
    pub fn ds_generate(
        session: *mut ds_session,
        input: *const ds_input,
        parameters: *const ds_params,
        result: *mut *mut ds_result,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_fim(
        session: *mut ds_session,
        input: *const ds_fim_input,
        parameters: *const ds_params,
        result: *mut *mut ds_result,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_chat(
        session: *mut ds_session,
        input: *const ds_chat_input,
        parameters: *const ds_params,
        result: *mut *mut ds_result,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_generate_batch(items: *mut ds_batch_item, n: u64, stride: u64, error: *mut ds_error) -> ds_status;

    // ---- Jobs
    pub fn ds_job_start(
        session: *mut ds_session,
        input: *const ds_input,
        parameters: *const ds_params,
        options: *const ds_job_options,
        job: *mut *mut ds_job,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_job_poll(job: *mut ds_job, state: *mut u32, error: *mut ds_error) -> ds_status;
    pub fn ds_job_read(
        job: *mut ds_job,
        choice: u32,
        buffer: *mut c_char,
        capacity: u64,
        size: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_job_progress(job: *mut ds_job, progress: *mut ds_progress, error: *mut ds_error) -> ds_status;
    pub fn ds_job_wait(job: *mut ds_job, timeout_ns: u64, error: *mut ds_error) -> ds_status;
    pub fn ds_job_cancel(job: *mut ds_job, error: *mut ds_error) -> ds_status;
    pub fn ds_job_take_result(job: *mut ds_job, result: *mut *mut ds_result, error: *mut ds_error) -> ds_status;
    pub fn ds_job_take_model(job: *mut ds_job, model: *mut *mut ds_model, error: *mut ds_error) -> ds_status;
    pub fn ds_job_release(job: *mut ds_job);

    // ---- Results
    pub fn ds_result_text(result: *const ds_result, choice: u32, view: *mut ds_text, error: *mut ds_error)
        -> ds_status;
    pub fn ds_result_ids(
        result: *const ds_result,
        choice: u32,
        ids: *mut *const u32,
        n: *mut u64,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_result_finish_reason(
        result: *const ds_result,
        choice: u32,
        reason: *mut u32,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_result_logprobs(
        result: *const ds_result,
        choice: u32,
        entries: *mut *const ds_token_logprob,
        n: *mut u64,
        width: *mut u32,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_result_info(result: *const ds_result, info: *mut *mut ds_info, error: *mut ds_error) -> ds_status;
    pub fn ds_result_release(result: *mut ds_result);

    // ---- Cache
    pub fn ds_cache_open(
        runtime: *mut ds_runtime,
        options: *const ds_cache_options,
        cache: *mut *mut ds_cache,
        error: *mut ds_error,
    ) -> ds_status;
    pub fn ds_cache_flush(cache: *mut ds_cache, error: *mut ds_error) -> ds_status;
    pub fn ds_cache_trim(cache: *mut ds_cache, ram_bytes: u64, error: *mut ds_error) -> ds_status;
    pub fn ds_cache_erase(cache: *mut ds_cache, salt: *const c_char, salt_size: u64, error: *mut ds_error)
        -> ds_status;
    pub fn ds_cache_stats(cache: *mut ds_cache, stats: *mut *mut ds_info, error: *mut ds_error) -> ds_status;
    pub fn ds_cache_read_event(cache: *mut ds_cache, next: *mut ds_cache_event, error: *mut ds_error) -> ds_status;
    pub fn ds_cache_release(cache: *mut ds_cache);

    // ---- The table
    pub fn ds_get_api(min_abi: u32, api: *mut ds_api, error: *mut ds_error) -> ds_status;
}

#[cfg(feature = "embedded")]
#[link(name = "deepseam-embedded")]
extern "C" {
    pub fn ds_embedded_model(size: *mut u64) -> *const c_void;
}
