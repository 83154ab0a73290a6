//! What a generation produced.

use crate::error::{call, Error, Result};
use crate::handle::{slice, utf8, Owned, NO_TEXT};
use crate::info::Info;
use deepseam_sys::*;
use std::ptr::{null, null_mut};

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Finish {
    /// Not finished.
    None,
    /// The model ended its text.
    End,
    /// A stop string or stop id of the request.
    Stop,
    /// `max_tokens`.
    Length,
    /// The context is full.
    Context,
    /// Cancelled.
    Cancelled,
    /// The deadline passed.
    Deadline,
    /// A callback answered [`Flow::Stop`](crate::Flow::Stop).
    Callback,
    /// The prompt was computed, as asked.
    Prefill,
    /// It failed; the error says how.
    Error,
    /// A reason that this crate does not know.
    Other,
}

impl Finish {
    pub(crate) fn from_raw(reason: u32) -> Finish {
        match reason {
            DS_FINISH_NONE => Finish::None,
            DS_FINISH_END => Finish::End,
            DS_FINISH_STOP => Finish::Stop,
            DS_FINISH_LENGTH => Finish::Length,
            DS_FINISH_CONTEXT => Finish::Context,
            DS_FINISH_CANCELLED => Finish::Cancelled,
            DS_FINISH_DEADLINE => Finish::Deadline,
            DS_FINISH_CALLBACK => Finish::Callback,
            DS_FINISH_PREFILL => Finish::Prefill,
            DS_FINISH_ERROR => Finish::Error,
            _ => Finish::Other,
        }
    }
}

/// What a generation produced: one text for each choice.
#[derive(Debug)]
pub struct Generation(Owned<ds_result>);

/// Rows of `width` entries (id, natural logarithm of its probability), one row for each generated token: the chosen one,
/// then the most likely ones.
#[derive(Clone, Copy)]
pub struct Logprobs<'g> {
    entries: &'g [ds_token_logprob],
    /// Entries in a row; 0 if none were recorded.
    pub width: usize,
}
impl<'g> Logprobs<'g> {
    /// One row after the other.
    pub fn rows(&self) -> impl Iterator<Item = &'g [ds_token_logprob]> {
        self.entries.chunks(self.width.max(1))
    }
}

impl Generation {
    /// The text of a choice.
    pub fn text(&self, choice: u32) -> Result<&str> {
        let mut view = NO_TEXT;
        call(|error| unsafe { ds_result_text(self.0.get(), choice, &mut view, error) })?;
        unsafe { utf8(&view) }
    }
    /// The generated tokens, without the one that ended the text.
    pub fn ids(&self, choice: u32) -> Result<&[u32]> {
        let (mut ids, mut n) = (null(), 0);
        call(|error| unsafe { ds_result_ids(self.0.get(), choice, &mut ids, &mut n, error) })?;
        Ok(unsafe { slice(ids, n) })
    }
    /// Why the text ended.
    pub fn finish(&self, choice: u32) -> Result<Finish> {
        let mut reason = 0;
        call(|error| unsafe { ds_result_finish_reason(self.0.get(), choice, &mut reason, error) })?;
        Ok(Finish::from_raw(reason))
    }
    /// What was recorded of probabilities.
    pub fn logprobs(&self, choice: u32) -> Result<Logprobs<'_>> {
        let (mut entries, mut n, mut width) = (null(), 0, 0);
        call(|error| unsafe { ds_result_logprobs(self.0.get(), choice, &mut entries, &mut n, &mut width, error) })?;
        Ok(Logprobs { entries: unsafe { slice(entries, n * u64::from(width)) }, width: width as usize })
    }
    /// Counts and timings. Keys: "choices", "seed", "usage.prompt_tokens", "usage.cached_tokens",
    /// "usage.completion_tokens", "timings.prefill_ms", "timings.decode_ms", "timings.ttft_ms",
    /// "timings.tokens_per_second".
    pub fn info(&self) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_result_info(self.0.get(), out, error) })?))
    }
    /// Takes over what a call gave, be it beside a failure.
    pub(crate) fn make(function: impl FnOnce(*mut *mut ds_result, *mut ds_error) -> ds_status) -> Result<Generation> {
        let mut handle = null_mut();
        let outcome = call(|error| function(&mut handle, error));
        Generation::from_raw(outcome, handle)
    }
    pub(crate) fn from_raw(outcome: Result<()>, handle: *mut ds_result) -> Result<Generation> {
        let result = Owned::from_raw(handle).map(Generation);
        match (outcome, result) {
            (Ok(()), Some(result)) => Ok(result),
            (Ok(()), None) => Err(Error::plain(crate::Code::INTERNAL, "a call succeeded without a result".to_string())),
            (Err(error), partial) => Err(error.with_partial(partial)),
        }
    }
}
