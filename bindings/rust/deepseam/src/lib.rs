//! Runs the DeepSeek mixture-of-experts family inside your program, in safe Rust over the C library of the same name.
//!
//! ```no_run
//! use deepseam::{ModelOptions, Params, Runtime};
//!
//! fn main() -> deepseam::Result<()> {
//!     let runtime = Runtime::new()?;
//!     let model = runtime.open(&ModelOptions::path("embedded"))?;
//!     let mut session = model.session()?;
//!     let answer = session.generate("int main(void) {", &Params { max_tokens: 32, ..Params::default() })?;
//!     println!("{}", answer.text(0)?);
//!     runtime.shutdown(std::time::Duration::from_secs(1))
//! }
//! ```
//!
//! What holds everywhere:
//!
//! * **Zero is the default.** Every options struct has a `Default` whose fields mean what zero means in C; its comment
//!   says what that is.
//! * **Threads** follow the classes of the C header. A [`Session`] is used by one call at a time: what runs takes `&mut`.
//!   All else takes `&self` from any thread, so every type is `Send` and `Sync`, and a [`Job`] moves between threads.
//! * **Ending.** Dropping never waits and never calls back; any order is fine, children keep what they need of their
//!   parents. [`Runtime::shutdown`] is the one call that waits for the library's threads.
//! * **Callbacks** that panic stop the generation; the panic goes on in the call that they ran for, or for a job in
//!   [`Job::finish`]. Inside of a callback, calls that wait answer [`Code::REENTRANT`].
//! * **Errors** carry a number, a sentence and, where a generation failed half-way, what it had produced.
//!
//! The raw declarations are in [`deepseam_sys`], re-exported as [`sys`]. External cache tiers and sealing hooks, which
//! this version of the library refuses, are reachable only there.
#![warn(missing_docs)]

mod bell;
mod cache;
mod callbacks;
mod cancel;
mod error;
mod generation;
mod handle;
mod host;
mod info;
mod input;
mod job;
mod model;
mod params;
mod runtime;
mod session;
mod settings;
mod source;
mod tools;

pub use cache::{Cache, CacheEvent, CacheOptions};
pub use callbacks::{Callbacks, Flow, LogitsEvent, MaskEvent, Progress, TextEvent};
pub use cancel::Cancel;
pub use deepseam_sys as sys;
pub use error::{Code, Error, Result};
pub use generation::{Finish, Generation, Logprobs};
pub use host::{Allocator, Host, PluginFile, TaskRunner, Tasks};
pub use info::Info;
pub use input::{Chat, Fim, Input, Message, Snippet};
pub use job::{Job, JobState, OpenJob};
pub use model::{Adapter, KvFormat, MapMode, Model, ModelOptions};
pub use params::Params;
pub use runtime::{LogLevel, Runtime, RuntimeOptions};
pub use session::{generate_batch, Control, Eval, Logits, Priority, Request, Session, SessionOptions, Want};
pub use settings::Setting;
pub use source::{Files, ReadAt, Source};
pub use tools::{PackOptions, SynthOptions};

/// The ABI of the loaded library, as [`sys::DS_ABI_VERSION`] has it.
pub fn abi_version() -> u32 {
    unsafe { sys::ds_abi_version() }
}

/// The version of the loaded library, such as "0.1.0".
pub fn version() -> &'static str {
    unsafe { handle::static_text(sys::ds_version_string()) }
}

/// Handles of this process that are not released, for leak tests.
pub fn live_objects() -> u64 {
    unsafe { sys::ds_live_objects() }
}

/// The ABI that the library's function table offers, if it can serve a program of `min_abi`.
pub fn table(min_abi: u32) -> Result<sys::ds_api> {
    let mut table = sys::ds_api::default();
    error::call(|error| unsafe { sys::ds_get_api(min_abi, &mut table, error) })?;
    Ok(table)
}
