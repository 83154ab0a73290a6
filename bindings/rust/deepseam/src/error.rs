//! The one way of failing: a number of status.h, a sentence, and what a failed generation had produced.

use crate::generation::Generation;
use crate::handle::static_text;
use deepseam_sys::*;
use std::fmt;
use std::os::raw::c_char;

/// A status of the library. Numbers come in ranges (argument, file, memory, device, state, internal), and a later library
/// may have new ones.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub i32);

macro_rules! codes {
    ($($(#[$what:meta])* $name:ident $value:ident)*) => {
        impl Code {
            $($(#[$what])* pub const $name: Code = Code($value);)*
        }
    };
}
codes! {
    /// A value out of range, or not a number.
    ARGUMENT DS_E_ARGUMENT
    /// A handle of another kind, or a released one.
    HANDLE DS_E_HANDLE
    /// A struct of a size that no version has.
    STRUCT DS_E_STRUCT
    /// An option that this library does not know.
    UNKNOWN_FIELD DS_E_UNKNOWN_FIELD
    /// Understood, but not offered by this library, backend or model.
    UNSUPPORTED DS_E_UNSUPPORTED
    /// Program and library are of different ABIs.
    ABI DS_E_ABI
    /// The given buffer is too small.
    BUFFER DS_E_BUFFER
    /// No such file, key or name.
    NOT_FOUND DS_E_NOT_FOUND
    /// Reading or writing failed.
    IO DS_E_IO
    /// Not a file of any known kind, or damaged.
    FORMAT DS_E_FORMAT
    /// A readable file whose model is not in the family, or not consistent.
    MODEL DS_E_MODEL
    /// A checksum differs.
    CHECKSUM DS_E_CHECKSUM
    /// The system does not permit it.
    PERMISSION DS_E_PERMISSION
    /// An allocation failed.
    MEMORY DS_E_MEMORY
    /// A budget does not hold what was asked.
    BUDGET DS_E_BUDGET
    /// The prompt does not fit into the context.
    CONTEXT_FULL DS_E_CONTEXT_FULL
    /// No block of the KV pool is free.
    CACHE_FULL DS_E_CACHE_FULL
    /// No device fits the request.
    NO_DEVICE DS_E_NO_DEVICE
    /// A device reported a failure.
    DEVICE DS_E_DEVICE
    /// The device is gone; reopen the model.
    DEVICE_LOST DS_E_DEVICE_LOST
    /// As above, on a context that the host shares.
    DEVICE_LOST_SHARED DS_E_DEVICE_LOST_SHARED
    /// A plugin broke its contract or was refused.
    PLUGIN DS_E_PLUGIN
    /// The session runs another call; after a job was dropped half-way, for a moment.
    BUSY DS_E_BUSY
    /// A call that waits, inside of a callback.
    REENTRANT DS_E_REENTRANT
    /// Cancelled before there was a result.
    CANCELLED DS_E_CANCELLED
    /// Not done in time.
    TIMEOUT DS_E_TIMEOUT
    /// The runtime was shut down.
    SHUT_DOWN DS_E_SHUT_DOWN
    /// Called in a forked child.
    FORKED DS_E_FORKED
    /// Not finished yet.
    PENDING DS_E_PENDING
    /// A callback asked to stop before there was a result.
    STOPPED DS_E_STOPPED
    /// The library's own fault.
    INTERNAL DS_E_INTERNAL
}

impl Code {
    /// Its name in C, such as "DS_E_FORMAT"; "DS_E_?" for one that the library does not know.
    pub fn name(self) -> &'static str {
        unsafe { static_text(ds_status_string(self.0)) }
    }
}
impl fmt::Debug for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.name(), self.0)
    }
}
impl fmt::Display for Code {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// What went wrong.
#[derive(Debug)]
pub struct Error {
    code: Code,
    facts: Box<Facts>,
    partial: Option<Box<Generation>>,
}
#[derive(Debug, Default)]
struct Facts {
    os_code: i32,
    byte_offset: Option<u64>,
    bytes_needed: u64,
    bytes_available: u64,
    domain: String,
    path: String,
    message: String,
}

/// `std::result::Result` with the library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The status.
    pub fn code(&self) -> Code {
        self.code
    }
    /// One English sentence.
    pub fn message(&self) -> &str {
        &self.facts.message
    }
    /// The part of the library that noticed, such as "safetensors".
    pub fn domain(&self) -> &str {
        &self.facts.domain
    }
    /// The file or object concerned; may be empty.
    pub fn path(&self) -> &str {
        &self.facts.path
    }
    /// errno or GetLastError; 0 if none.
    pub fn os_code(&self) -> i32 {
        self.facts.os_code
    }
    /// Where in the file.
    pub fn byte_offset(&self) -> Option<u64> {
        self.facts.byte_offset
    }
    /// Bytes that a buffer, a budget or a file would have needed; 0 if that is not the matter.
    pub fn bytes_needed(&self) -> u64 {
        self.facts.bytes_needed
    }
    /// Bytes that there were.
    pub fn bytes_available(&self) -> u64 {
        self.facts.bytes_available
    }
    /// What a generation had produced before it failed.
    pub fn partial(&self) -> Option<&Generation> {
        self.partial.as_deref()
    }
    pub(crate) fn with_partial(mut self, partial: Option<Generation>) -> Error {
        self.partial = partial.map(Box::new);
        self
    }
    /// A failure that this crate notices itself, or one of a batch's items, which have a status only.
    pub(crate) fn plain(code: Code, message: String) -> Error {
        Error { code, facts: Box::new(Facts { message, ..Facts::default() }), partial: None }
    }
    fn from_record(status: ds_status, record: &ds_error) -> Error {
        let facts = Facts {
            os_code: record.os_code,
            byte_offset: if record.byte_offset == u64::MAX { None } else { Some(record.byte_offset) },
            bytes_needed: record.bytes_needed,
            bytes_available: record.bytes_available,
            domain: field(&record.domain),
            path: field(&record.path),
            message: field(&record.message),
        };
        Error { code: Code(status), facts: Box::new(facts), partial: None }
    }
}
impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.facts.message)
    }
}
impl std::error::Error for Error {}

/// A NUL-terminated text in a field of fixed size.
fn field(bytes: &[c_char]) -> String {
    let bytes: Vec<u8> = bytes.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a function of the library that takes an error record.
pub(crate) fn call(function: impl FnOnce(*mut ds_error) -> ds_status) -> Result<()> {
    let mut record = ds_error::default();
    match function(&mut record) {
        DS_OK => Ok(()),
        status => Err(Error::from_record(status, &record)),
    }
}
