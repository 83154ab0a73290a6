//! Opening and generating without blocking: poll them, iterate over their text, wait for them, or await them.

use crate::bell::{ring, Bell};
use crate::callbacks::{Progress, Running};
use crate::error::{call, Code, Error, Result};
use crate::generation::Generation;
use crate::handle::{free_gift, nanoseconds, Gift, Owned};
use crate::model::Model;
use deepseam_sys::*;
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::null_mut;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobState {
    /// It has not begun.
    Queued,
    /// It is under way.
    Running,
    /// It ended, well or not.
    Done,
    /// A state that this crate does not know.
    Other,
}

/// What both kinds of jobs share.
struct Work {
    handle: Owned<ds_job>,
    bell: Arc<Bell>,
    running: Arc<Running<'static>>,
    delivers: bool, // has callbacks that run inside of the waiting methods
}

impl Work {
    fn start(
        running: Arc<Running<'static>>,
        delivers: bool,
        spontaneous: bool,
        function: impl FnOnce(*const ds_job_options, *mut *mut ds_job, *mut ds_error) -> ds_status,
    ) -> Result<Work> {
        let bell = Arc::new(Bell::default());
        let gift = Gift::new(Arc::clone(&bell));
        let options = ds_job_options {
            flags: if spontaneous { DS_JOB_SPONTANEOUS } else { 0 },
            wake: Some(ring),
            wake_user: gift.user(),
            wake_free: Some(free_gift::<Arc<Bell>>),
            ..ds_job_options::default()
        };
        let handle = Owned::make(|out, error| function(&options, out, error))?;
        gift.taken();
        Ok(Work { handle, bell, running, delivers: delivers && !spontaneous })
    }
    fn state(&self) -> Result<JobState> {
        let mut state = 0;
        call(|error| unsafe { ds_job_poll(self.handle.get(), &mut state, error) })?;
        Ok(match state {
            DS_JOB_QUEUED => JobState::Queued,
            DS_JOB_RUNNING => JobState::Running,
            DS_JOB_DONE => JobState::Done,
            _ => JobState::Other,
        })
    }
    fn progress(&self) -> Result<Progress> {
        let mut progress = ds_progress::default();
        call(|error| unsafe { ds_job_progress(self.handle.get(), &mut progress, error) })?;
        Ok(Progress { stage: progress.stage, done: progress.done, total: progress.total })
    }
    fn wait(&self, timeout_ns: u64) -> Result<()> {
        call(|error| unsafe { ds_job_wait(self.handle.get(), timeout_ns, error) })
    }
    /// Runs waiting callbacks here; answers whether the job is done and all of them ran.
    fn deliver(&self) -> Result<bool> {
        if !self.delivers {
            return Ok(self.state()? == JobState::Done);
        }
        self.state()?; // so that it rings again
        match self.wait(0) {
            Ok(()) => Ok(true),
            // It may be done while the bell is still ringing on another thread, and will not ring for that again.
            Err(error) if error.code() == Code::TIMEOUT => match self.state()? {
                JobState::Done => self.wait(u64::MAX).map(|()| true),
                _ => Ok(false),
            },
            Err(error) => Err(error),
        }
    }
    fn poll_done(&self, context: &mut Context<'_>) -> Poll<Result<()>> {
        self.bell.set_waker(context.waker());
        match self.deliver() {
            Ok(false) => Poll::Pending,
            Ok(true) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
    fn cancel(&self) -> Result<()> {
        call(|error| unsafe { ds_job_cancel(self.handle.get(), error) })
    }
}
impl fmt::Debug for Work {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.handle.fmt(out)
    }
}

/// A generation under way. It has its session until it is dropped.
///
/// * As an **iterator** it gives the text of the first choice, piece by piece, waiting for each; then [`Job::finish`] has the
///   outcome.
/// * As a **future** it becomes the outcome, and wakes its task by itself; no executor is needed in particular.
/// * In a loop of one's own: [`Job::state`], [`Job::read`].
///
/// Callbacks that are not spontaneous run inside of `next`, `poll` and `finish`. Dropping a job that is not done cancels
/// it; its session may answer BUSY for a moment then, which [`Job::cancel`] and [`Job::finish`] avoid.
#[derive(Debug)]
#[must_use = "a job that is dropped is cancelled"]
pub struct Job<'s> {
    work: Work,
    _session: PhantomData<&'s mut ()>,
}

impl<'s> Job<'s> {
    pub(crate) fn start(
        running: Arc<Running<'static>>,
        delivers: bool,
        spontaneous: bool,
        function: impl FnOnce(*const ds_job_options, *mut *mut ds_job, *mut ds_error) -> ds_status,
    ) -> Result<Job<'s>> {
        Ok(Job { work: Work::start(running, delivers, spontaneous, function)?, _session: PhantomData })
    }
    /// Where it is.
    pub fn state(&self) -> Result<JobState> {
        self.work.state()
    }
    /// How far it is.
    pub fn progress(&self) -> Result<Progress> {
        self.work.progress()
    }
    /// Text of a choice that was not read before: whole characters, empty if there is nothing new. Never waits.
    pub fn read(&mut self, choice: u32) -> Result<String> {
        let mut all = Vec::new();
        loop {
            let mut piece = [0u8; 4096];
            let (data, mut size) = (piece.as_mut_ptr().cast(), 0);
            call(|error| unsafe {
                ds_job_read(self.work.handle.get(), choice, data, piece.len() as u64, &mut size, error)
            })?;
            if size == 0 {
                return Ok(String::from_utf8_lossy(&all).into_owned());
            }
            all.extend_from_slice(&piece[..size as usize]);
        }
    }
    /// Until it is done, or for at most that long: whether it is done.
    pub fn wait(&self, timeout: Duration) -> Result<bool> {
        match self.work.wait(nanoseconds(timeout)) {
            Ok(()) => Ok(true),
            Err(error) if error.code() == Code::TIMEOUT => Ok(false),
            Err(error) => Err(error),
        }
    }
    /// Asks it to stop; what there is by then is its outcome.
    pub fn cancel(&self) -> Result<()> {
        self.work.cancel()
    }
    /// Waits for the outcome: what [`Session::generate`](crate::Session::generate) would have answered.
    pub fn finish(self) -> Result<Generation> {
        self.work.wait(u64::MAX)?;
        self.take_outcome()
    }
    fn take_outcome(&self) -> Result<Generation> {
        let mut result = null_mut();
        let outcome = call(|error| unsafe { ds_job_take_result(self.work.handle.get(), &mut result, error) });
        let outcome = Generation::from_raw(outcome, result);
        self.work.running.check();
        outcome
    }
    fn next_piece(&mut self) -> Result<Option<String>> {
        loop {
            let done = self.work.deliver()?;
            let piece = self.read(0)?;
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
            if done {
                return Ok(None);
            }
            self.work.bell.wait();
        }
    }
}

/// Ends when the job does, however that was: the outcome is [`Job::finish`]'s to tell.
impl Iterator for Job<'_> {
    type Item = String;
    fn next(&mut self) -> Option<String> {
        self.next_piece().unwrap_or(None)
    }
}

impl Future for Job<'_> {
    type Output = Result<Generation>;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.work.poll_done(context).map(|outcome| outcome.and_then(|()| self.take_outcome()))
    }
}

/// A model that is being opened; a future, too.
#[derive(Debug)]
#[must_use = "a job that is dropped is cancelled"]
pub struct OpenJob(Work);

impl OpenJob {
    pub(crate) fn start(
        running: Arc<Running<'static>>,
        delivers: bool,
        function: impl FnOnce(*const ds_job_options, *mut *mut ds_job, *mut ds_error) -> ds_status,
    ) -> Result<OpenJob> {
        Ok(OpenJob(Work::start(running, delivers, false, function)?))
    }
    /// Where it is.
    pub fn state(&self) -> Result<JobState> {
        self.0.state()
    }
    /// How far it is.
    pub fn progress(&self) -> Result<Progress> {
        self.0.progress()
    }
    /// Asks it to stop: it then ends with CANCELLED, unless it is done already.
    pub fn cancel(&self) -> Result<()> {
        self.0.cancel()
    }
    /// Waits for the outcome: what [`Runtime::open`](crate::Runtime::open) would have answered.
    pub fn finish(self) -> Result<Model> {
        self.0.wait(u64::MAX)?;
        self.take_outcome()
    }
    fn take_outcome(&self) -> std::result::Result<Model, Error> {
        let outcome = Owned::make(|out, error| unsafe { ds_job_take_model(self.0.handle.get(), out, error) });
        self.0.running.check();
        Ok(Model(outcome?))
    }
}

impl Future for OpenJob {
    type Output = Result<Model>;
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_done(context).map(|outcome| outcome.and_then(|()| self.take_outcome()))
    }
}
