//! The raw functions: those that the safe crate cannot get wrong, gotten wrong on purpose, and those that it does not use.

mod common;

use common::*;
use deepseam::sys::*;
use std::ptr::{null, null_mut};

#[test]
fn wrong_handles_sizes_and_buffers_have_their_statuses() {
    let _alone = alone();
    let mut error = ds_error::default();
    unsafe {
        let mut cancel = null_mut();
        assert_eq!(ds_cancel_create(&mut cancel, &mut error), DS_OK);
        ds_cancel_release(cancel);
        assert_eq!(ds_cancel_set(cancel, &mut error), DS_E_HANDLE);
        assert!(error.message[0] != 0);
        let mut runtime = null_mut();
        let mut options = ds_runtime_options { abi_version: DS_ABI_VERSION + 1, ..Default::default() };
        assert_eq!(ds_runtime_create(&options, &mut runtime, &mut error), DS_E_ABI);
        options = ds_runtime_options { struct_size: 4, ..options };
        assert_eq!(ds_runtime_create(&options, &mut runtime, &mut error), DS_E_STRUCT);
        options = ds_runtime_options { abi_version: DS_ABI_VERSION, flags: 1 << 20, ..Default::default() };
        assert_eq!(ds_runtime_create(&options, &mut runtime, &mut error), DS_E_UNKNOWN_FIELD);
        options.flags = 0;
        assert_eq!(ds_runtime_create(&options, &mut runtime, &mut error), DS_OK);
        let mut level = 0;
        let mut size = 0;
        assert_eq!(ds_log_read(runtime, &mut level, null_mut(), 0, &mut size, &mut error), DS_E_PENDING);
        assert_eq!(ds_runtime_shutdown(runtime, 0, null_mut()), DS_OK);
        ds_runtime_release(runtime);
        ds_model_adapter_release(null_mut());
    }
}

#[test]
fn jobs_that_are_not_done_say_so() {
    let _alone = alone();
    let mut error = ds_error::default();
    unsafe {
        let mut runtime = null_mut();
        let options = ds_runtime_options { abi_version: DS_ABI_VERSION, ..Default::default() };
        assert_eq!(ds_runtime_create(&options, &mut runtime, &mut error), DS_OK);
        let path = model_path();
        let path = path.to_str().unwrap();
        let source = ds_source_path {
            path: ds_text { data: path.as_ptr().cast(), size: path.len() as u64 },
            ..Default::default()
        };
        let options = ds_model_options { source: (&source as *const ds_source_path).cast(), ..Default::default() };
        let (mut model, mut session, mut job, mut result) = (null_mut(), null_mut(), null_mut(), null_mut());
        assert_eq!(ds_model_open(runtime, &options, &mut model, &mut error), DS_OK);
        assert_eq!(ds_session_create(model, null(), &mut session, &mut error), DS_OK);
        let suspended = ds_option { key: b"suspended\0".as_ptr().cast(), value: 1, ..Default::default() };
        assert_eq!(ds_session_set(session, &suspended, 1, &mut error), DS_OK);
        let ids = [65u32];
        let input = ds_tokens_input { ids: ids.as_ptr(), n_ids: 1, ..Default::default() };
        let head = (&input as *const ds_tokens_input).cast();
        assert_eq!(ds_job_start(session, head, null(), null(), &mut job, &mut error), DS_OK);
        assert_eq!(ds_job_take_result(job, &mut result, &mut error), DS_E_PENDING);
        assert_eq!(ds_generate(session, head, null(), &mut result, &mut error), DS_E_BUSY);
        let mut small = [0u32; 1];
        let mut n = 0;
        let word = b"int main";
        let (text, size) = (word.as_ptr().cast(), word.len() as u64);
        assert_eq!(
            ds_tokenize(model, text, size, 0, null_mut(), small.as_mut_ptr(), 1, &mut n, &mut error),
            DS_E_BUFFER
        );
        assert!(n > 1);
        ds_job_release(job);
        ds_session_release(session);
        ds_model_release(model);
        while ds_runtime_shutdown(runtime, 0, &mut error) != DS_OK {}
        ds_runtime_release(runtime);
    }
}

#[test]
#[cfg(unix)]
fn a_forked_child_is_told_so() {
    extern "C" {
        fn fork() -> i32;
        fn _exit(status: i32) -> !;
        fn waitpid(pid: i32, status: *mut i32, options: i32) -> i32;
    }
    let _alone = alone();
    let mut error = ds_error::default();
    unsafe {
        let mut cancel = null_mut();
        assert_eq!(ds_cancel_create(&mut cancel, &mut error), DS_OK);
        let child = fork();
        if child == 0 {
            let status = ds_cancel_set(cancel, null_mut());
            ds_cancel_release(cancel);
            _exit((status == DS_E_FORKED) as i32);
        }
        let mut status = 0;
        assert_eq!(waitpid(child, &mut status, 0), child);
        assert_eq!(status, 1 << 8, "the child's call did not say that it was forked");
        ds_cancel_release(cancel);
    }
}
