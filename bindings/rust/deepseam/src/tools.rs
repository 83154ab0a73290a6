//! Writing and checking model files.

use crate::callbacks::{on_progress, Callbacks, Running};
use crate::cancel::Cancel;
use crate::error::{call, Error, Result};
use crate::handle::{path_text, text, Owned};
use crate::info::Info;
use crate::runtime::Runtime;
use crate::settings::{self, Setting};
use crate::source::Source;
use deepseam_sys::*;
use std::os::raw::c_void;
use std::path::Path;
use std::sync::Arc;

/// How a model is packed.
#[derive(Clone, Debug)]
pub struct PackOptions<'a> {
    /// What is packed.
    pub source: Source,
    /// What to write; files are replaced whole or not at all.
    pub path: &'a Path,
    /// "f32", "f16", "bf16", "fp8", "q8" to "q3", or a block format such as "q4_k"; empty: as the source stores them.
    pub weight_type: &'a str,
    /// Also store this backend's own layout; empty: canonical tensors only.
    pub backend: &'a str,
    /// Stops it.
    pub cancel: Option<&'a Cancel>,
    /// "keep", "card", "form": see ds_model_pack in the C header.
    pub settings: &'a [Setting<'a>],
}

/// How a model with random weights is made.
#[derive(Clone, Copy, Debug)]
pub struct SynthOptions<'a> {
    /// "tiny", "lite", "v2" or "r1".
    pub shape: &'a str,
    /// As for packing; empty: "bf16".
    pub weight_type: &'a str,
    /// The .dsm file to write.
    pub path: &'a Path,
    /// 0 is seed 0.
    pub seed: u64,
    /// Stops it.
    pub cancel: Option<&'a Cancel>,
    /// Rare settings.
    pub settings: &'a [Setting<'a>],
}

/// `user` of a progress callback for the length of one call.
fn user(running: &Arc<Running<'_>>) -> *mut c_void {
    (running as *const Arc<Running<'_>> as *mut Arc<Running<'_>>).cast()
}

impl Runtime {
    /// Writes a model as one file. Of the callbacks only `on_progress` is called. Errors: ARGUMENT (a name that names
    /// nothing), file range, CANCELLED, STOPPED.
    pub fn pack(&self, options: &PackOptions<'_>, callbacks: Callbacks<'_>) -> Result<()> {
        let (source, settings) = (options.source.lower(), settings::lower(options.settings));
        let running = Running::new(callbacks);
        let record = ds_pack_options {
            source: source.head(),
            path: path_text(options.path),
            weight_type: text(options.weight_type),
            backend: text(options.backend),
            cancel: Cancel::raw(options.cancel),
            progress: Some(on_progress),
            progress_user: user(&running),
            options: settings.data(),
            n_options: settings.size(),
            ..ds_pack_options::default()
        };
        let outcome = call(|error| unsafe { ds_model_pack(self.0.get(), &record, error) });
        if outcome.is_ok() {
            source.taken();
        }
        running.check();
        outcome
    }
    /// Writes a model of a known shape with random weights. Errors: as pack.
    pub fn synth(&self, options: &SynthOptions<'_>, callbacks: Callbacks<'_>) -> Result<()> {
        let settings = settings::lower(options.settings);
        let running = Running::new(callbacks);
        let record = ds_synth_options {
            shape: text(options.shape),
            weight_type: text(options.weight_type),
            path: path_text(options.path),
            seed: options.seed,
            cancel: Cancel::raw(options.cancel),
            progress: Some(on_progress),
            progress_user: user(&running),
            options: settings.data(),
            n_options: settings.size(),
            ..ds_synth_options::default()
        };
        let outcome = call(|error| unsafe { ds_model_synth(self.0.get(), &record, error) });
        running.check();
        outcome
    }
    /// Checks a whole model file: every byte is read. Keys: "ok", "findings", "findings.N.name", "findings.N.message",
    /// "bytes". Errors: file range, CANCELLED, STOPPED.
    pub fn verify(&self, source: &Source, cancel: Option<&Cancel>, callbacks: Callbacks<'_>) -> Result<Info> {
        let source = source.lower();
        let running = Running::new(callbacks);
        let record = ds_verify_options {
            source: source.head(),
            cancel: Cancel::raw(cancel),
            progress: Some(on_progress),
            progress_user: user(&running),
            ..ds_verify_options::default()
        };
        let outcome: std::result::Result<_, Error> =
            Owned::make(|out, error| unsafe { ds_model_verify(self.0.get(), &record, out, error) });
        if outcome.is_ok() {
            source.taken();
        }
        running.check();
        Ok(Info(outcome?))
    }
}
