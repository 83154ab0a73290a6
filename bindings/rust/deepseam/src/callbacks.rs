//! Closures that the library calls, and how they are called: one at a time for each generation, never unwinding into C.

use crate::generation::Finish;
use crate::handle::{bytes, caught, slice};
use deepseam_sys::*;
use std::any::Any;
use std::fmt;
use std::os::raw::c_void;
use std::sync::{Arc, Mutex, PoisonError};

/// What a callback answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// Go on.
    Continue,
    /// Stop the call that runs this callback: a generation ends with [`Finish::Callback`], others with `STOPPED`.
    Stop,
}

/// New text of one choice.
#[derive(Clone, Copy, Debug)]
pub struct TextEvent<'e> {
    /// Which choice.
    pub choice: u32,
    /// Whole characters; may be empty in the last event.
    pub text: &'e str,
    /// Tokens since the last event.
    pub ids: &'e [u32],
    /// Not [`Finish::None`] in the last event of a choice.
    pub finish: Finish,
}

/// The next token's logits before sampling, to be edited in place.
#[derive(Debug)]
pub struct LogitsEvent<'e> {
    /// Which choice.
    pub choice: u32,
    /// One for each id of the vocabulary.
    pub logits: &'e mut [f32],
    /// Prompt and generated tokens so far.
    pub ids: &'e [u32],
}

/// Which tokens may come next: all, unless forbidden here.
#[derive(Debug)]
pub struct MaskEvent<'e> {
    /// Which choice.
    pub choice: u32,
    /// Bit id % 32 of word id / 32; a clear bit forbids.
    pub words: &'e mut [u32],
    /// Prompt and generated tokens so far.
    pub ids: &'e [u32],
}
impl MaskEvent<'_> {
    /// Forbids all but these; ids beyond the vocabulary are passed over.
    pub fn allow_only(&mut self, ids: &[u32]) {
        self.words.iter_mut().for_each(|word| *word = 0);
        for id in ids {
            if let Some(word) = self.words.get_mut(*id as usize / 32) {
                *word |= 1 << (id % 32);
            }
        }
    }
    /// Forbids one.
    pub fn forbid(&mut self, id: u32) {
        if let Some(word) = self.words.get_mut(id as usize / 32) {
            *word &= !(1 << (id % 32));
        }
    }
}

/// How far a long call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `sys::DS_STAGE_…`; treat what you do not know as `DS_STAGE_OTHER`.
    pub stage: u32,
    /// In units of the stage: bytes, tokens.
    pub done: u64,
    /// 0: not known.
    pub total: u64,
}

type OnText<'a> = Box<dyn FnMut(&TextEvent<'_>) -> Flow + Send + 'a>;
type OnLogits<'a> = Box<dyn FnMut(&mut LogitsEvent<'_>) -> Flow + Send + 'a>;
type OnMask<'a> = Box<dyn FnMut(&mut MaskEvent<'_>) -> Flow + Send + 'a>;
type OnProgress<'a> = Box<dyn FnMut(Progress) -> Flow + Send + 'a>;

/// The callbacks of a generation. They run one at a time: in a blocking call on the calling thread; for a job inside of its
/// waiting methods, or, if it is spontaneous, on threads of the library.
#[derive(Default)]
pub struct Callbacks<'a> {
    text: Option<OnText<'a>>,
    logits: Option<OnLogits<'a>>,
    mask: Option<OnMask<'a>>,
    progress: Option<OnProgress<'a>>,
}

impl<'a> Callbacks<'a> {
    /// None.
    pub fn new() -> Self {
        Callbacks::default()
    }
    /// Text as it comes.
    pub fn on_text(mut self, function: impl FnMut(&TextEvent<'_>) -> Flow + Send + 'a) -> Self {
        self.text = Some(Box::new(function));
        self
    }
    /// Logits before each token.
    pub fn on_logits(mut self, function: impl FnMut(&mut LogitsEvent<'_>) -> Flow + Send + 'a) -> Self {
        self.logits = Some(Box::new(function));
        self
    }
    /// Which tokens may come, before each.
    pub fn on_mask(mut self, function: impl FnMut(&mut MaskEvent<'_>) -> Flow + Send + 'a) -> Self {
        self.mask = Some(Box::new(function));
        self
    }
    /// How far prefill and decoding are, in tokens.
    pub fn on_progress(mut self, function: impl FnMut(Progress) -> Flow + Send + 'a) -> Self {
        self.progress = Some(Box::new(function));
        self
    }
    pub(crate) fn any(&self) -> bool {
        self.text.is_some() || self.logits.is_some() || self.mask.is_some() || self.progress.is_some()
    }
}
impl fmt::Debug for Callbacks<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = (self.text.is_some(), self.logits.is_some(), self.mask.is_some(), self.progress.is_some());
        write!(out, "Callbacks {{ text, logits, mask, progress: {:?} }}", state)
    }
}

/// Callbacks at work. `user` of the C side points to an Arc of this.
pub(crate) struct Running<'a> {
    callbacks: Mutex<Callbacks<'a>>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
}

impl<'a> Running<'a> {
    pub fn new(callbacks: Callbacks<'a>) -> Arc<Self> {
        Arc::new(Running { callbacks: Mutex::new(callbacks), panic: Mutex::new(None) })
    }
    pub fn fill(&self, record: &mut ds_params, user: *mut c_void) {
        let callbacks = self.callbacks.lock().unwrap_or_else(PoisonError::into_inner);
        record.on_text = callbacks.text.as_ref().map(|_| on_text as unsafe extern "C" fn(_, _) -> _);
        record.on_logits = callbacks.logits.as_ref().map(|_| on_logits as unsafe extern "C" fn(_, _) -> _);
        record.on_mask = callbacks.mask.as_ref().map(|_| on_mask as unsafe extern "C" fn(_, _) -> _);
        record.on_progress = callbacks.progress.as_ref().map(|_| on_progress as unsafe extern "C" fn(_, _) -> _);
        record.callback_user = user;
    }
    /// Lets a panic of a callback go on.
    pub fn check(&self) {
        let panic = self.panic.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(panic) = panic {
            std::panic::resume_unwind(panic);
        }
    }
    fn run(&self, one: impl FnOnce(&mut Callbacks<'a>) -> Flow) -> i32 {
        let flow = caught(|| one(&mut self.callbacks.lock().unwrap_or_else(PoisonError::into_inner)));
        match flow {
            Ok(Flow::Continue) => DS_CONTINUE,
            Ok(Flow::Stop) => DS_STOP,
            Err(panic) => {
                *self.panic.lock().unwrap_or_else(PoisonError::into_inner) = Some(panic);
                DS_STOP
            }
        }
    }
}

unsafe fn running<'u>(user: *mut c_void) -> &'u Running<'u> {
    &*user.cast::<Arc<Running<'u>>>()
}

unsafe extern "C" fn on_text(user: *mut c_void, now: *const ds_text_event) -> i32 {
    let now = &*now;
    running(user).run(|callbacks| {
        let text = std::str::from_utf8(bytes(&now.text)).unwrap_or("\u{fffd}");
        let finish = Finish::from_raw(now.finish_reason);
        let event = TextEvent { choice: now.choice, text, ids: slice(now.ids, now.n_ids), finish };
        callbacks.text.as_mut().map_or(Flow::Continue, |function| function(&event))
    })
}

unsafe extern "C" fn on_logits(user: *mut c_void, now: *const ds_logits_event) -> i32 {
    let now = &*now;
    running(user).run(|callbacks| {
        let logits = std::slice::from_raw_parts_mut(now.logits, now.vocab as usize);
        let mut event = LogitsEvent { choice: now.choice, logits, ids: slice(now.ids, now.n_ids) };
        callbacks.logits.as_mut().map_or(Flow::Continue, |function| function(&mut event))
    })
}

unsafe extern "C" fn on_mask(user: *mut c_void, now: *const ds_mask_event) -> i32 {
    let now = &*now;
    running(user).run(|callbacks| {
        let words = std::slice::from_raw_parts_mut(now.mask, now.n_words as usize);
        let mut event = MaskEvent { choice: now.choice, words, ids: slice(now.ids, now.n_ids) };
        callbacks.mask.as_mut().map_or(Flow::Continue, |function| function(&mut event))
    })
}

pub(crate) unsafe extern "C" fn on_progress(user: *mut c_void, now: *const ds_progress) -> i32 {
    let now = &*now;
    running(user).run(|callbacks| {
        let progress = Progress { stage: now.stage, done: now.done, total: now.total };
        callbacks.progress.as_mut().map_or(Flow::Continue, |function| function(progress))
    })
}
