//! Structs and callback types of types.h and status.h. Pointers, sizes and meanings are the header's; `Default` gives the
//! zero of everything, with struct_size (and the tag of a head) filled in, which is what every call takes as its default.

use std::mem::size_of;
use std::os::raw::{c_char, c_void};

use crate::constants::*;
use crate::*;

/// What a status is: `DS_OK` or one of `DS_E_…`.
pub type ds_status = i32;

pub type ds_free_fn = Option<unsafe extern "C" fn(*mut c_void)>;
pub type ds_wake_fn = Option<unsafe extern "C" fn(*mut c_void)>;
pub type ds_log_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_log_message)>;
pub type ds_task_fn = Option<unsafe extern "C" fn(*mut c_void, u32)>;
pub type ds_verify_plugin_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_plugin_file) -> ds_status>;
pub type ds_progress_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_progress) -> i32>;
pub type ds_text_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_text_event) -> i32>;
pub type ds_logits_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_logits_event) -> i32>;
pub type ds_mask_fn = Option<unsafe extern "C" fn(*mut c_void, *const ds_mask_event) -> i32>;
pub type ds_seal_fn =
    Option<unsafe extern "C" fn(*mut c_void, *const c_void, u64, *mut c_void, u64, *mut u64) -> ds_status>;
/// A `ds_backend_main`. What it answers is described in `<deepseam/backend.h>`, for those who write backends.
pub type ds_backend_entry = Option<unsafe extern "C" fn() -> *const dsb_root>;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_error {
    pub struct_size: u32,
    pub code: i32,
    pub os_code: i32,
    pub flags: u32,
    pub byte_offset: u64,
    pub bytes_needed: u64,
    pub bytes_available: u64,
    pub domain: [c_char; 16],
    pub path: [c_char; 256],
    pub message: [c_char; 512],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_text {
    pub data: *const c_char,
    pub size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_option {
    pub key: *const c_char,
    pub flags: u32,
    pub reserved: u32,
    pub value: i64,
    pub data: *const c_void,
    pub size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_log_message {
    pub struct_size: u32,
    pub level: u32,
    pub domain: *const c_char,
    pub text: ds_text,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_allocator {
    pub struct_size: u32,
    pub flags: u32,
    pub user: *mut c_void,
    pub allocate: Option<unsafe extern "C" fn(*mut c_void, u64, u64, u32) -> *mut c_void>,
    pub release: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u64, u32)>,
    pub user_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_task_runner {
    pub struct_size: u32,
    pub flags: u32,
    pub width: u32,
    pub reserved: u32,
    pub user: *mut c_void,
    pub run: Option<unsafe extern "C" fn(*mut c_void, u32, ds_task_fn, *mut c_void)>,
    pub user_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_plugin_file {
    pub struct_size: u32,
    pub reserved: u32,
    pub name: ds_text,
    pub path: ds_text,
    pub binary: *const u8,
    pub binary_size: u64,
    pub signature: *const u8,
    pub signature_size: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_runtime_options {
    pub struct_size: u32,
    pub abi_version: u32,
    pub flags: u32,
    pub log_level: u32,
    pub n_threads: u32,
    pub n_cpus: u32,
    pub cpus: *const u32,
    pub isa_cap: ds_text,
    pub log: ds_log_fn,
    pub log_user: *mut c_void,
    pub log_free: ds_free_fn,
    pub allocator: *const ds_allocator,
    pub task_runner: *const ds_task_runner,
    pub plugin_dirs: *const ds_text,
    pub n_plugin_dirs: u64,
    pub verify_plugin: ds_verify_plugin_fn,
    pub verify_user: *mut c_void,
    pub verify_free: ds_free_fn,
    pub wake: ds_wake_fn,
    pub wake_user: *mut c_void,
    pub wake_free: ds_free_fn,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_progress {
    pub struct_size: u32,
    pub stage: u32,
    pub done: u64,
    pub total: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_source {
    pub struct_size: u32,
    pub tag: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_source_path {
    pub head: ds_source,
    pub path: ds_text,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_source_memory {
    pub head: ds_source,
    pub data: *const c_void,
    pub size: u64,
    pub user: *mut c_void,
    pub user_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_source_io {
    pub head: ds_source,
    pub flags: u32,
    pub reserved: u32,
    pub user: *mut c_void,
    pub open: Option<unsafe extern "C" fn(*mut c_void, *const c_char, *mut *mut c_void) -> ds_status>,
    pub size: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, *mut u64) -> ds_status>,
    pub read_at: Option<unsafe extern "C" fn(*mut c_void, *mut c_void, u64, *mut c_void, u64) -> ds_status>,
    pub close: Option<unsafe extern "C" fn(*mut c_void, *mut c_void)>,
    pub user_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_model_options {
    pub struct_size: u32,
    pub flags: u32,
    pub source: *const ds_source,
    pub backend: ds_text,
    pub devices: *const u32,
    pub n_devices: u32,
    pub map_mode: u32,
    pub kv_format: u32,
    pub context_length: u32,
    pub max_rows: u32,
    pub max_sequences: u32,
    pub ram_budget: u64,
    pub vram_budget: u64,
    pub pack_cache_dir: ds_text,
    pub cache: *mut ds_cache,
    pub cancel: *mut ds_cancel,
    pub progress: ds_progress_fn,
    pub progress_user: *mut c_void,
    pub progress_free: ds_free_fn,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_pack_options {
    pub struct_size: u32,
    pub flags: u32,
    pub source: *const ds_source,
    pub path: ds_text,
    pub weight_type: ds_text,
    pub backend: ds_text,
    pub cancel: *mut ds_cancel,
    pub progress: ds_progress_fn,
    pub progress_user: *mut c_void,
    pub progress_free: ds_free_fn,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_synth_options {
    pub struct_size: u32,
    pub flags: u32,
    pub shape: ds_text,
    pub weight_type: ds_text,
    pub path: ds_text,
    pub seed: u64,
    pub cancel: *mut ds_cancel,
    pub progress: ds_progress_fn,
    pub progress_user: *mut c_void,
    pub progress_free: ds_free_fn,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_verify_options {
    pub struct_size: u32,
    pub flags: u32,
    pub source: *const ds_source,
    pub cancel: *mut ds_cancel,
    pub progress: ds_progress_fn,
    pub progress_user: *mut c_void,
    pub progress_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_session_options {
    pub struct_size: u32,
    pub flags: u32,
    pub priority: u32,
    pub max_gpu_slice_us: u32,
    pub context_length: u32,
    pub reserved: u32,
    pub tokens_per_second: f64,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_eval_input {
    pub struct_size: u32,
    pub want: u32,
    pub ids: *const u32,
    pub n_ids: u64,
    pub chunk: u32,
    pub flags: u32,
    pub logits: *mut f32,
    pub capacity: u64,
    pub cache_salt: ds_text,
    pub cancel: *mut ds_cancel,
    pub adapter: *mut ds_model_adapter,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_eval_output {
    pub struct_size: u32,
    pub reserved: u32,
    pub logits: *const f32,
    pub rows: u64,
    pub vocab: u64,
    pub n_computed: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_input {
    pub struct_size: u32,
    pub tag: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_text_input {
    pub head: ds_input,
    pub text: ds_text,
    pub flags: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_tokens_input {
    pub head: ds_input,
    pub ids: *const u32,
    pub n_ids: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_snippet {
    pub file_name: ds_text,
    pub text: ds_text,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_fim_input {
    pub head: ds_input,
    pub prefix: ds_text,
    pub suffix: ds_text,
    pub typed: ds_text,
    pub file_name: ds_text,
    pub snippets: *const ds_snippet,
    pub n_snippets: u64,
    pub layout: u32,
    pub flags: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_message {
    pub role: ds_text,
    pub content: ds_text,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_chat_input {
    pub head: ds_input,
    pub messages: *const ds_message,
    pub n_messages: u64,
    pub chat_template: ds_text,
    pub flags: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_text_event {
    pub struct_size: u32,
    pub choice: u32,
    pub text: ds_text,
    pub ids: *const u32,
    pub n_ids: u64,
    pub finish_reason: u32,
    pub reserved: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_logits_event {
    pub struct_size: u32,
    pub choice: u32,
    pub logits: *mut f32,
    pub vocab: u64,
    pub ids: *const u32,
    pub n_ids: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_mask_event {
    pub struct_size: u32,
    pub choice: u32,
    pub mask: *mut u32,
    pub n_words: u64,
    pub ids: *const u32,
    pub n_ids: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_logit_bias {
    pub id: u32,
    pub bias: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_params {
    pub struct_size: u32,
    pub flags: u32,
    pub temperature: f32,
    pub top_p: f32,
    pub min_p: f32,
    pub repetition_penalty: f32,
    pub presence_penalty: f32,
    pub frequency_penalty: f32,
    pub top_k: u32,
    pub n_choices: u32,
    pub seed: u64,
    pub max_tokens: u32,
    pub n_logprobs: u32,
    pub deadline_ns: u64,
    pub logit_bias: *const ds_logit_bias,
    pub n_logit_bias: u64,
    pub stops: *const ds_text,
    pub n_stops: u64,
    pub stop_ids: *const u32,
    pub n_stop_ids: u64,
    pub adapter: *mut ds_model_adapter,
    pub cache_salt: ds_text,
    pub cancel: *mut ds_cancel,
    pub on_text: ds_text_fn,
    pub on_logits: ds_logits_fn,
    pub on_mask: ds_mask_fn,
    pub on_progress: ds_progress_fn,
    pub callback_user: *mut c_void,
    pub callback_free: ds_free_fn,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_batch_item {
    pub struct_size: u32,
    pub status: ds_status,
    pub session: *mut ds_session,
    pub input: *const ds_input,
    pub parameters: *const ds_params,
    pub result: *mut ds_result,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_job_options {
    pub struct_size: u32,
    pub flags: u32,
    pub wake: ds_wake_fn,
    pub wake_user: *mut c_void,
    pub wake_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_token_logprob {
    pub id: u32,
    pub logprob: f32,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_cache_key {
    pub bytes: [u8; 32],
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_cache_tier {
    pub struct_size: u32,
    pub flags: u32,
    pub user: *mut c_void,
    pub exists: Option<unsafe extern "C" fn(*mut c_void, *const ds_cache_key, u64, *mut u8) -> ds_status>,
    pub get: Option<unsafe extern "C" fn(*mut c_void, *const ds_cache_key, *mut c_void, u64, *mut u64) -> ds_status>,
    pub put: Option<unsafe extern "C" fn(*mut c_void, *const ds_cache_key, *const c_void, u64) -> ds_status>,
    pub remove: Option<unsafe extern "C" fn(*mut c_void, *const ds_cache_key, u64) -> ds_status>,
    pub health: Option<unsafe extern "C" fn(*mut c_void) -> ds_status>,
    pub user_free: ds_free_fn,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_cache_options {
    pub struct_size: u32,
    pub flags: u32,
    pub ram_bytes: u64,
    pub device_bytes: u64,
    pub directory: ds_text,
    pub disk_bytes: u64,
    pub min_free_bytes: u64,
    pub max_age_s: u64,
    pub max_write_bytes_per_day: u64,
    pub seal: ds_seal_fn,
    pub unseal: ds_seal_fn,
    pub seal_user: *mut c_void,
    pub seal_free: ds_free_fn,
    pub external: *const ds_cache_tier,
    pub options: *const ds_option,
    pub n_options: u64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct ds_cache_event {
    pub struct_size: u32,
    pub kind: u32,
    pub tokens: u64,
    pub bytes: u64,
    pub dropped: u64,
}

// Zero is a value of every struct here: they hold numbers, pointers, and functions that may be absent.
macro_rules! zeroed {
    ($($name:ident)*) => { $(
        impl Default for $name {
            fn default() -> Self {
                unsafe { std::mem::zeroed() }
            }
        }
    )* };
}
macro_rules! sized {
    ($($name:ident)*) => { $(
        impl Default for $name {
            fn default() -> Self {
                let mut record: Self = unsafe { std::mem::zeroed() };
                record.struct_size = size_of::<Self>() as u32;
                record
            }
        }
    )* };
}
macro_rules! headed {
    ($($name:ident $tag:ident)*) => { $(
        impl Default for $name {
            fn default() -> Self {
                let mut record: Self = unsafe { std::mem::zeroed() };
                record.head.struct_size = size_of::<Self>() as u32;
                record.head.tag = $tag;
                record
            }
        }
    )* };
}

zeroed! {
    ds_text
    ds_option
    ds_source
    ds_input
    ds_snippet
    ds_message
    ds_logit_bias
    ds_token_logprob
    ds_cache_key
}
sized! {
    ds_error
    ds_log_message
    ds_allocator
    ds_task_runner
    ds_plugin_file
    ds_runtime_options
    ds_progress
    ds_model_options
    ds_pack_options
    ds_synth_options
    ds_verify_options
    ds_session_options
    ds_eval_input
    ds_eval_output
    ds_text_event
    ds_logits_event
    ds_mask_event
    ds_params
    ds_batch_item
    ds_job_options
    ds_cache_tier
    ds_cache_options
    ds_cache_event
    ds_api
}
headed! {
    ds_source_path DS_SOURCE_PATH
    ds_source_memory DS_SOURCE_MEMORY
    ds_source_io DS_SOURCE_IO
    ds_text_input DS_INPUT_TEXT
    ds_tokens_input DS_INPUT_TOKENS
    ds_fim_input DS_INPUT_FIM
    ds_chat_input DS_INPUT_CHAT
}
