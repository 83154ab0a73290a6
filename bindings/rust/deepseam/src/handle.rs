//! Owning handles and passing texts and values through C. Every handle is released once, when its owner is dropped; the
//! library refuses what does not fit, so a handle is never more dangerous than a number.

use crate::error::{Code, Error, Result};
use deepseam_sys::*;
use std::any::Any;
use std::ffi::CStr;
use std::os::raw::{c_char, c_void};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::Path;
use std::ptr::{null, null_mut};

pub(crate) trait Released {
    fn release(handle: *mut Self);
}
macro_rules! released {
    ($($name:ident $function:ident)*) => { $(
        impl Released for $name {
            fn release(handle: *mut Self) {
                unsafe { $function(handle) }
            }
        }
    )* };
}
released! {
    ds_runtime ds_runtime_release
    ds_model ds_model_release
    ds_session ds_session_release
    ds_job ds_job_release
    ds_result ds_result_release
    ds_info ds_info_release
    ds_cancel ds_cancel_release
    ds_cache ds_cache_release
    ds_model_adapter ds_model_adapter_release
}

/// A handle that is released when dropped.
pub(crate) struct Owned<T: Released>(*mut T);

impl<T: Released> std::fmt::Debug for Owned<T> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(out)
    }
}

// Handles are numbers that the library checks, and each function states from which threads it may be called. What is
// [session-serial] is behind &mut.
unsafe impl<T: Released> Send for Owned<T> {}
unsafe impl<T: Released> Sync for Owned<T> {}

impl<T: Released> Owned<T> {
    pub fn get(&self) -> *mut T {
        self.0
    }
    /// Takes over what a call put into its output argument; None for NULL.
    pub fn from_raw(handle: *mut T) -> Option<Self> {
        if handle.is_null() {
            None
        } else {
            Some(Owned(handle))
        }
    }
    /// Runs a call with such an argument.
    pub fn make(function: impl FnOnce(*mut *mut T, *mut ds_error) -> ds_status) -> Result<Self> {
        let mut handle = null_mut();
        crate::error::call(|error| function(&mut handle, error))?;
        Owned::from_raw(handle).ok_or_else(|| Error::plain(Code::INTERNAL, "a call gave no handle".to_string()))
    }
}
impl<T: Released> Drop for Owned<T> {
    fn drop(&mut self) {
        T::release(self.0);
    }
}

/// A text for the duration of a call.
pub(crate) fn text(bytes: impl AsRef<[u8]>) -> ds_text {
    let bytes = bytes.as_ref();
    ds_text { data: bytes.as_ptr().cast(), size: bytes.len() as u64 }
}

pub(crate) const NO_TEXT: ds_text = ds_text { data: null(), size: 0 };

/// A path's own bytes, where the system has such.
#[cfg(unix)]
pub(crate) fn path_text(path: &Path) -> ds_text {
    use std::os::unix::ffi::OsStrExt;
    text(path.as_os_str().as_bytes())
}
#[cfg(not(unix))]
pub(crate) fn path_text(path: &Path) -> ds_text {
    // A path that is no Unicode cannot be said in this API; the library then finds no file of an empty name.
    text(path.to_str().unwrap_or(""))
}

/// The bytes of a text of the library.
///
/// # Safety
/// The view must be valid for `'a`.
pub(crate) unsafe fn bytes<'a>(view: &ds_text) -> &'a [u8] {
    slice(view.data.cast(), view.size)
}

/// An array of the library; NULL is an empty one.
///
/// # Safety
/// The array must be valid for `'a`.
pub(crate) unsafe fn slice<'a, T>(data: *const T, size: u64) -> &'a [T] {
    if data.is_null() || size == 0 {
        return &[];
    }
    std::slice::from_raw_parts(data, size as usize)
}

/// The same where the library promises UTF-8.
///
/// # Safety
/// The view must be valid for `'a`.
pub(crate) unsafe fn utf8<'a>(view: &ds_text) -> Result<&'a str> {
    std::str::from_utf8(bytes(view))
        .map_err(|why| Error::plain(Code::INTERNAL, format!("the library gave a text that is not UTF-8: {}", why)))
}

/// # Safety
/// `text` must be static and NUL-terminated.
pub(crate) unsafe fn static_text(text: *const c_char) -> &'static str {
    CStr::from_ptr(text).to_str().unwrap_or("?")
}

/// Two-call sizing: asks for the size, then for the content; again if that grew in between.
pub(crate) fn sized<T: Copy + Default>(
    mut function: impl FnMut(*mut T, u64, *mut u64, *mut ds_error) -> ds_status,
) -> Result<Vec<T>> {
    let mut size = 0;
    crate::error::call(|error| function(null_mut(), 0, &mut size, error))?;
    loop {
        // Space for the NUL behind a text, and never NULL, which would ask for the size again.
        let mut buffer = vec![T::default(); size as usize + 1];
        let capacity = buffer.len() as u64;
        match crate::error::call(|error| function(buffer.as_mut_ptr(), capacity, &mut size, error)) {
            Err(error) if error.code() == Code::BUFFER => continue,
            Err(error) => return Err(error),
            Ok(()) => {
                buffer.truncate(size as usize);
                return Ok(buffer);
            }
        }
    }
}

/// A value whose ownership a call may take over: freed here unless the library took it, then by `free_gift`.
pub(crate) struct Gift<T>(*mut T);

impl<T> Gift<T> {
    pub fn new(value: T) -> Self {
        Gift(Box::into_raw(Box::new(value)))
    }
    pub fn user(&self) -> *mut c_void {
        self.0.cast()
    }
    /// After a call that took it over (convention 9).
    pub fn taken(self) {
        std::mem::forget(self);
    }
    pub fn taken_if(gift: Option<Self>) {
        if let Some(gift) = gift {
            gift.taken();
        }
    }
}
impl<T> Drop for Gift<T> {
    fn drop(&mut self) {
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// The user_free of a Gift. A value whose destructor panics must not unwind into C: the panic ends here.
pub(crate) unsafe extern "C" fn free_gift<T>(user: *mut c_void) {
    let _ = caught(|| drop(Box::from_raw(user.cast::<T>())));
}

/// Runs host code that must not unwind into C.
pub(crate) fn caught<R>(function: impl FnOnce() -> R) -> std::result::Result<R, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(function))
}

pub(crate) fn nanoseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
