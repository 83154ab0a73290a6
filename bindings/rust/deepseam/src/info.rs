//! Snapshots of named values.

use crate::error::{call, Result};
use crate::handle::{utf8, Owned, NO_TEXT};
use deepseam_sys::*;
use std::ffi::CString;

/// A snapshot: plan, model facts, statistics, findings. Keys are dotted lower-case paths, such as "usage.prompt_tokens";
/// numbers after a dot index lists. The C header lists the keys beside the function that makes the snapshot.
#[derive(Debug)]
pub struct Info(pub(crate) Owned<ds_info>);

impl Info {
    /// A count, size or flag. Errors: NOT_FOUND, ARGUMENT (the value is of another kind).
    pub fn number(&self, key: &str) -> Result<u64> {
        let (key, mut value) = (name(key), 0);
        call(|error| unsafe { ds_info_get_u64(self.0.get(), key.as_ptr(), &mut value, error) })?;
        Ok(value)
    }
    /// A number with a fraction; whole ones too. Errors: NOT_FOUND, ARGUMENT.
    pub fn real(&self, key: &str) -> Result<f64> {
        let (key, mut value) = (name(key), 0.0);
        call(|error| unsafe { ds_info_get_f64(self.0.get(), key.as_ptr(), &mut value, error) })?;
        Ok(value)
    }
    /// A text. Errors: NOT_FOUND, ARGUMENT.
    pub fn text(&self, key: &str) -> Result<&str> {
        let (key, mut view) = (name(key), NO_TEXT);
        call(|error| unsafe { ds_info_get_text(self.0.get(), key.as_ptr(), &mut view, error) })?;
        unsafe { utf8(&view) }
    }
    /// All of it as one JSON object.
    pub fn json(&self) -> Result<&str> {
        let mut view = NO_TEXT;
        call(|error| unsafe { ds_info_json(self.0.get(), &mut view, error) })?;
        unsafe { utf8(&view) }
    }
}

/// No key has a NUL in it, so that what stands before one is not a key either.
pub(crate) fn name(key: &str) -> CString {
    CString::new(key).unwrap_or_default()
}
