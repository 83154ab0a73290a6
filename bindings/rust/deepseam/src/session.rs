//! Sequences of tokens, and what runs on them.

use crate::callbacks::{Callbacks, Running};
use crate::cancel::Cancel;
use crate::error::{call, Code, Error, Result};
use crate::generation::Generation;
use crate::handle::{free_gift, slice, text, Gift, Owned};
use crate::info::Info;
use crate::input::{Chat, Fim, Input};
use crate::job::Job;
use crate::model::{Adapter, Model};
use crate::params::Params;
use crate::settings::{self, Setting};
use deepseam_sys::*;
use std::marker::PhantomData;
use std::os::raw::c_void;
use std::ptr::{null, null_mut};
use std::sync::Arc;

/// Who goes first when sessions share a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// In between.
    #[default]
    Balanced,
    /// When nobody else wants it.
    Background,
    /// Before all others: a person waits.
    Interactive,
}

/// How a session is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionOptions<'a> {
    /// Who goes first.
    pub priority: Priority,
    /// Longest uninterrupted device work; 0: no limit.
    pub max_gpu_slice_us: u32,
    /// Tokens it may hold; 0: the model's.
    pub context_length: u32,
    /// Cap on decoding; 0: none.
    pub tokens_per_second: f64,
    /// Rare settings.
    pub settings: &'a [Setting<'a>],
}
impl SessionOptions<'_> {
    pub(crate) fn create<'m>(&self, model: &Model) -> Result<Session<'m>> {
        let settings = settings::lower(self.settings);
        let record = ds_session_options {
            priority: match self.priority {
                Priority::Balanced => DS_PRIORITY_BALANCED,
                Priority::Background => DS_PRIORITY_BACKGROUND,
                Priority::Interactive => DS_PRIORITY_INTERACTIVE,
            },
            max_gpu_slice_us: self.max_gpu_slice_us,
            context_length: self.context_length,
            tokens_per_second: self.tokens_per_second,
            options: settings.data(),
            n_options: settings.size(),
            ..ds_session_options::default()
        };
        let made = Owned::make(|out, error| unsafe { ds_session_create(model.0.get(), &record, out, error) })?;
        Ok(Session { handle: Arc::new(made), _model: PhantomData })
    }
}

/// One sequence of tokens of a model. What runs takes `&mut`, so that two calls at once do not compile:
///
/// ```compile_fail,E0499
/// fn two_at_once(session: &mut deepseam::Session<'_>) {
///     let params = deepseam::Params::default();
///     let one = session.start("a", &params).unwrap();
///     let two = session.start("b", &params).unwrap();
///     one.finish().unwrap();
/// }
/// ```
///
/// Nor does it outlive its model, unless it is an [owned one](Model::owned_session):
///
/// ```compile_fail,E0597
/// fn escapes(runtime: &deepseam::Runtime) -> deepseam::Result<()> {
///     let session = {
///         let model = runtime.open(&deepseam::ModelOptions::path("embedded"))?;
///         model.session()?
///     };
///     session.info()?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Session<'m> {
    handle: Arc<Owned<ds_session>>,
    _model: PhantomData<&'m Model>,
}

/// Settings of a session, also while a job runs on it, from any thread.
#[derive(Clone, Debug)]
pub struct Control(Arc<Owned<ds_session>>);

impl Control {
    /// Keys: "priority", "max_gpu_slice_us", "tokens_per_second", "suspended". Errors: UNKNOWN_FIELD, ARGUMENT.
    pub fn set(&self, settings: &[Setting<'_>]) -> Result<()> {
        let settings = settings::lower(settings);
        call(|error| unsafe { ds_session_set(self.0.get(), settings.data(), settings.size(), error) })
    }
    /// Keys: "length" (tokens held), "context_length", "tokens_computed", "tokens_cached".
    pub fn info(&self) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_session_info(self.0.get(), out, error) })?))
    }
}

/// Of which given tokens logits are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Of the last one.
    #[default]
    Last,
    /// Of each.
    All,
    /// Of none.
    None,
}

/// Tokens that are appended to the sequence.
#[derive(Clone, Copy, Debug, Default)]
pub struct Eval<'a> {
    /// At least one.
    pub ids: &'a [u32],
    /// Which logits.
    pub want: Want,
    /// Rows in a step; 0: chosen by the scheduler.
    pub chunk: u32,
    /// Keep nothing in the cache.
    pub no_store: bool,
    /// Compute everything even if it is cached.
    pub no_reuse: bool,
    /// Prefixes are shared only under the same salt.
    pub cache_salt: &'a str,
    /// Low-rank weights on top of the model.
    pub adapter: Option<&'a Adapter>,
    /// Stops it; then nothing was appended.
    pub cancel: Option<&'a Cancel>,
}

/// Logits of appended tokens: rows of `vocab` numbers.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'l> {
    /// All rows, one after the other.
    pub values: &'l [f32],
    /// Numbers in a row.
    pub vocab: usize,
    /// Tokens computed now; the rest came from the cache.
    pub n_computed: u64,
}

impl<'m> Session<'m> {
    /// A handle on its settings.
    pub fn control(&self) -> Control {
        Control(Arc::clone(&self.handle))
    }
    /// As [`Control::set`].
    pub fn set(&self, settings: &[Setting<'_>]) -> Result<()> {
        self.control().set(settings)
    }
    /// As [`Control::info`].
    pub fn info(&self) -> Result<Info> {
        self.control().info()
    }
    /// Appends tokens to the sequence and gives logits, in memory of the session. Errors: CONTEXT_FULL, CACHE_FULL,
    /// CANCELLED (nothing was appended), device range.
    pub fn eval(&mut self, eval: &Eval<'_>) -> Result<Logits<'_>> {
        self.eval_at(eval, null_mut(), 0)
    }
    /// The same into an array of the caller. Errors: also BUFFER (told before anything is computed).
    pub fn eval_into<'l>(&mut self, eval: &Eval<'_>, logits: &'l mut [f32]) -> Result<Logits<'l>> {
        self.eval_at(eval, logits.as_mut_ptr(), logits.len() as u64)
    }
    fn eval_at<'l>(&mut self, eval: &Eval<'_>, logits: *mut f32, capacity: u64) -> Result<Logits<'l>> {
        let no_store = if eval.no_store { DS_GEN_NO_STORE } else { 0 };
        let no_reuse = if eval.no_reuse { DS_GEN_NO_REUSE } else { 0 };
        let input = ds_eval_input {
            want: match eval.want {
                Want::Last => DS_WANT_LAST,
                Want::All => DS_WANT_ALL,
                Want::None => DS_WANT_NONE,
            },
            ids: eval.ids.as_ptr(),
            n_ids: eval.ids.len() as u64,
            chunk: eval.chunk,
            flags: no_store | no_reuse,
            logits,
            capacity,
            cache_salt: text(eval.cache_salt),
            cancel: Cancel::raw(eval.cancel),
            adapter: Adapter::raw(eval.adapter),
            ..ds_eval_input::default()
        };
        let mut output = ds_eval_output::default();
        call(|error| unsafe { ds_session_eval(self.handle.get(), &input, &mut output, error) })?;
        let values = unsafe { slice(output.logits, output.rows * output.vocab) };
        Ok(Logits { values, vocab: output.vocab as usize, n_computed: output.n_computed })
    }
    /// Shortens the sequence to `length` tokens; 0 empties it. Errors: ARGUMENT (longer than it is).
    pub fn rewind(&mut self, length: u64) -> Result<()> {
        call(|error| unsafe { ds_session_rewind(self.handle.get(), length, error) })
    }
    /// Generates from any input, which replaces the sequence; what both have in common is not computed again. A
    /// generation that is cancelled, out of time or stopped is no error: [`Generation::finish`] says so. Errors:
    /// ARGUMENT, CONTEXT_FULL, CACHE_FULL, device range.
    pub fn generate<'i>(&mut self, input: impl Into<Input<'i>>, params: &Params<'_>) -> Result<Generation> {
        self.generate_with(input, params, Callbacks::new())
    }
    /// The same with callbacks, which run on this thread.
    pub fn generate_with<'i>(
        &mut self,
        input: impl Into<Input<'i>>,
        params: &Params<'_>,
        callbacks: Callbacks<'_>,
    ) -> Result<Generation> {
        let (input, mut params) = (input.into().lower(), params.lower());
        let running = Running::new(callbacks);
        running.fill(&mut params.record, user(&running));
        let outcome = Generation::make(|out, error| unsafe {
            ds_generate(self.handle.get(), input.head(), &params.record, out, error)
        });
        running.check();
        outcome
    }
    /// Fills in at the cursor.
    pub fn fim(&mut self, fim: &Fim<'_>, params: &Params<'_>) -> Result<Generation> {
        let (input, params) = (fim.lower(), params.lower());
        Generation::make(|out, error| unsafe { ds_fim(self.handle.get(), &*input.record, &params.record, out, error) })
    }
    /// Answers a conversation.
    pub fn chat(&mut self, chat: &Chat<'_>, params: &Params<'_>) -> Result<Generation> {
        let (input, params) = (chat.lower(), params.lower());
        Generation::make(|out, error| unsafe { ds_chat(self.handle.get(), &*input.record, &params.record, out, error) })
    }
    /// Generates in the background.
    pub fn start<'i>(&mut self, input: impl Into<Input<'i>>, params: &Params<'_>) -> Result<Job<'_>> {
        self.start_with(input, params, Callbacks::new(), false)
    }
    /// The same with callbacks. `spontaneous`: they run at once on threads of the library, not inside of the job's methods.
    pub fn start_with<'i>(
        &mut self,
        input: impl Into<Input<'i>>,
        params: &Params<'_>,
        callbacks: Callbacks<'static>,
        spontaneous: bool,
    ) -> Result<Job<'_>> {
        let (input, mut params) = (input.into().lower(), params.lower());
        let delivers = callbacks.any();
        let running = Running::new(callbacks);
        let gift = Gift::new(Arc::clone(&running));
        running.fill(&mut params.record, gift.user());
        params.record.callback_free = Some(free_gift::<Arc<Running<'static>>>);
        let job = Job::start(running, delivers, spontaneous, |options, out, error| unsafe {
            ds_job_start(self.handle.get(), input.head(), &params.record, options, out, error)
        })?;
        gift.taken();
        Ok(job)
    }
}

/// `user` of callbacks for the length of one call.
fn user(running: &Arc<Running<'_>>) -> *mut c_void {
    (running as *const Arc<Running<'_>> as *mut Arc<Running<'_>>).cast()
}

/// One request of a batch.
#[derive(Debug)]
pub struct Request<'a, 'm> {
    /// A different one for each request.
    pub session: &'a mut Session<'m>,
    /// What to go on from.
    pub input: Input<'a>,
    /// How to generate.
    pub params: Params<'a>,
    /// Called on this thread.
    pub callbacks: Callbacks<'a>,
}

/// Runs requests in shared steps. Each has an outcome of its own; an error among these has a code and no sentence.
pub fn generate_batch(requests: Vec<Request<'_, '_>>) -> Result<Vec<Result<Generation>>> {
    let mut parts = Vec::with_capacity(requests.len());
    for request in requests {
        let running = Running::new(request.callbacks);
        parts.push((request.session.handle.get(), request.input.lower(), request.params.lower(), running));
    }
    let mut items = Vec::with_capacity(parts.len());
    for (session, input, params, running) in &mut parts {
        running.fill(&mut params.record, user(running));
        items.push(ds_batch_item {
            session: *session,
            input: input.head(),
            parameters: &params.record,
            ..ds_batch_item::default()
        });
    }
    let data = if items.is_empty() { null::<ds_batch_item>() as *mut _ } else { items.as_mut_ptr() };
    let stride = std::mem::size_of::<ds_batch_item>() as u64;
    call(|error| unsafe { ds_generate_batch(data, items.len() as u64, stride, error) })?;
    let outcome = |item: &ds_batch_item| {
        let status = match Code(item.status) {
            Code(DS_OK) => Ok(()),
            code => Err(Error::plain(code, format!("a request of a batch ended with {}", code))),
        };
        Generation::from_raw(status, item.result)
    };
    let outcomes = items.iter().map(outcome).collect();
    parts.iter().for_each(|part| part.3.check());
    Ok(outcomes)
}
