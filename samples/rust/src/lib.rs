//! What the samples share: the model's path, and ending the program with the library's sentence when a call fails.

use deepseam::{Model, ModelOptions, Runtime};
use std::time::Duration;

/// The first argument, or the model that ships with the library.
pub fn model_path() -> String {
    std::env::args().nth(1).unwrap_or_else(|| "embedded".to_string())
}

pub fn open_model(runtime: &Runtime) -> deepseam::Result<Model> {
    runtime.open(&ModelOptions::path(model_path()))
}

/// Runs a sample; its runtime is ended, and its handles must be gone. Exit status 1 if it fails.
pub fn run(sample: impl FnOnce(&Runtime) -> deepseam::Result<bool>) {
    let outcome = Runtime::new().and_then(|runtime| {
        let good = sample(&runtime)?;
        runtime.shutdown(Duration::from_secs(1))?;
        Ok(good)
    });
    let good = outcome.unwrap_or_else(|error| {
        eprintln!("{}", error);
        false
    });
    let left = deepseam::live_objects();
    if left != 0 {
        eprintln!("{} handles were not released", left);
    }
    std::process::exit(if good && left == 0 { 0 } else { 1 });
}
