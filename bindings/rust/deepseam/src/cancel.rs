//! Flags that stop calls.

use crate::error::{call, Result};
use crate::handle::Owned;
use deepseam_sys::*;
use std::sync::Arc;

/// A flag for any number of calls, one after another or at once; once set it stays set. Clones are the same flag.
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Owned<ds_cancel>>);

impl Cancel {
    /// A flag that is not set.
    pub fn new() -> Result<Cancel> {
        Ok(Cancel(Arc::new(Owned::make(|out, error| unsafe { ds_cancel_create(out, error) })?)))
    }
    /// Asks all calls with this flag to stop. From any thread, also in a signal handler.
    pub fn set(&self) -> Result<()> {
        call(|error| unsafe { ds_cancel_set(self.0.get(), error) })
    }
    pub(crate) fn raw(flag: Option<&Cancel>) -> *mut ds_cancel {
        flag.map_or(std::ptr::null_mut(), |flag| flag.0.get())
    }
}
