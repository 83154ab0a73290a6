//! The C API of deepseam as Rust declarations: every function, struct and constant of its public headers for programs.
//!
//! Names are those of the headers, and so is what they mean: `<deepseam/deepseam.h>` says it, conventions first. A test
//! compares sizes, offsets, constants and signatures with `bindings/abi.json`, the description of the headers. The
//! library must be of the same version while its ABI is 0.x; `ds_runtime_create` checks that. For safe Rust use the
//! crate `deepseam`.
#![allow(non_camel_case_types)]

mod constants;
mod functions;
mod table;
mod types;

pub use constants::*;
pub use functions::*;
pub use table::*;
pub use types::*;

macro_rules! handles {
    ($($(#[$what:meta])* $name:ident)*) => { $(
        $(#[$what])*
        #[repr(C)]
        pub struct $name {
            _opaque: [u8; 0],
            // Neither Send nor Sync nor Unpin by itself: what a handle allows, its functions say.
            _marker: std::marker::PhantomData<(*mut u8, std::marker::PhantomPinned)>,
        }
    )* };
}

handles! {
    /// Log, allocator, threads, plugins, models and caches of one host component.
    ds_runtime
    /// An opened model.
    ds_model
    /// One sequence of tokens of a model.
    ds_session
    /// An open or a generation under way.
    ds_job
    /// What a generation produced.
    ds_result
    /// A snapshot of named values.
    ds_info
    /// A flag that asks running calls to stop.
    ds_cancel
    /// A store of computed prefixes.
    ds_cache
    /// Low-rank weights on top of a model.
    ds_model_adapter
    /// What a backend's entry answers, see `<deepseam/backend.h>`.
    dsb_root
}
