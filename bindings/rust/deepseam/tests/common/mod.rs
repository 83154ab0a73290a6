//! What the tests share: a tiny model that they write themselves, and a guard that lets them run one at a time, so that
//! each can say that it left no handle behind.
#![allow(dead_code)]

use deepseam::*;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

pub const PROMPT: &str = "int main(void) {";

static ALONE: Mutex<()> = Mutex::new(());
static MODEL: Once = Once::new();

pub struct Alone(MutexGuard<'static, ()>);

/// Holds off the other tests of this program; checks the count of handles when the test ends.
pub fn alone() -> Alone {
    Alone(ALONE.lock().unwrap_or_else(PoisonError::into_inner))
}
impl Drop for Alone {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(live_objects(), 0, "handles were left behind");
        }
    }
}

/// A file of this test run.
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{}", std::process::id(), name))
}

/// The tiny model, written once.
pub fn model_path() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!(env!("CARGO_CRATE_NAME"), ".dsm"));
    MODEL.call_once(|| {
        let runtime = Runtime::new().unwrap();
        let options =
            SynthOptions { shape: "tiny", weight_type: "f32", path: &path, seed: 1, cancel: None, settings: &[] };
        runtime.synth(&options, Callbacks::new()).unwrap();
        end(runtime);
    });
    path
}

pub fn options() -> ModelOptions<'static> {
    ModelOptions {
        backend: "ref",
        deterministic: true,
        context_length: 2048,
        max_sequences: 4,
        ..ModelOptions::path(model_path())
    }
}

pub fn runtime() -> Runtime {
    model_path();
    Runtime::with(RuntimeOptions { n_threads: 2, ..RuntimeOptions::default() }).unwrap()
}

pub fn greedy(max_tokens: u32) -> Params<'static> {
    Params { max_tokens, ..Params::default() }
}

/// The code of a failure that must be one.
pub fn code<T>(outcome: Result<T>) -> Code {
    match outcome {
        Ok(_) => panic!("a call succeeded that must not"),
        Err(error) => {
            assert!(!error.message().is_empty(), "{:?} has no sentence", error.code());
            error.code()
        }
    }
}

pub fn end(runtime: Runtime) {
    runtime.shutdown(Duration::from_secs(20)).unwrap();
}

/// The folder of the plugins, as the library itself found it.
pub fn plugin_folder(runtime: &Runtime) -> PathBuf {
    runtime.device_count().unwrap();
    let report = runtime.plugin_report().unwrap();
    assert!(report.number("plugins").unwrap() >= 1);
    Path::new(report.text("plugins.0.path").unwrap()).parent().unwrap().to_path_buf()
}
