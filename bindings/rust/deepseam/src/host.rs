//! What a program may give a runtime: its memory, its threads, its opinion of plugins, its log.

use crate::error::Code;
use crate::handle::{bytes, caught, free_gift, Gift};
#[cfg(doc)]
use crate::Runtime;
use deepseam_sys::*;
use std::fmt;
use std::os::raw::c_void;
use std::ptr::null_mut;

/// Host memory for large buffers: weights, KV, scratch. Called from any thread, several at once; may call nothing of this
/// crate, and must not panic: a panic is a failed allocation.
///
/// # Safety
/// `allocate` answers NULL or memory of the given size and alignment that nobody else uses until `release`.
pub unsafe trait Allocator: Send + Sync {
    /// `alignment` is a power of two up to 4096; `tag` is `sys::DS_MEMORY_…`.
    fn allocate(&self, size: u64, alignment: u64, tag: u32) -> *mut u8;
    /// Gets the size and tag that `allocate` got.
    ///
    /// # Safety
    /// `memory` is of `allocate`, and not used any more.
    unsafe fn release(&self, memory: *mut u8, size: u64, tag: u32);
}

/// The program's threads, for the library's tasks.
pub trait TaskRunner: Send + Sync {
    /// Tasks worth having at once; at least 1.
    fn width(&self) -> u32;
    /// Whether `width` tasks of one run really run at the same time, so that they may wait for each other.
    fn concurrent(&self) -> bool;
    /// Calls [`Tasks::run`] for each index below [`Tasks::count`], in any order, on threads with at least 64 KiB of stack,
    /// and returns when all are done. Several threads may call it at once. It must not panic: tasks that were not run are
    /// then run here.
    fn run(&self, tasks: Tasks<'_>);
}

/// The tasks of one [`TaskRunner::run`].
#[derive(Clone, Copy)]
pub struct Tasks<'r> {
    count: u32,
    task: ds_task_fn,
    data: *mut c_void,
    done: &'r [std::sync::atomic::AtomicBool],
}
// The library states that tasks may run on any thread, several at once.
unsafe impl Send for Tasks<'_> {}
unsafe impl Sync for Tasks<'_> {}

impl Tasks<'_> {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }
    /// Runs one of them; a second time, or for an index beyond the last, it does nothing.
    pub fn run(&self, index: u32) {
        let first =
            self.done.get(index as usize).map_or(false, |done| !done.swap(true, std::sync::atomic::Ordering::AcqRel));
        if let (true, Some(task)) = (first, self.task) {
            unsafe { task(self.data, index) }
        }
    }
}

/// A plugin about to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct PluginFile<'p> {
    /// Its name.
    pub name: &'p [u8],
    /// Its manifest's or binary's path.
    pub path: &'p [u8],
    /// The very file content that will run.
    pub binary: &'p [u8],
    /// Bytes from the manifest, for the program's own scheme.
    pub signature: &'p [u8],
}

/// What a program may give a runtime.
#[derive(Default)]
pub struct Host {
    log: Option<Log>,
    verify: Option<Verify>,
    wake: Option<Wake>,
    allocator: Option<Box<dyn Allocator>>,
    task_runner: Option<Box<dyn TaskRunner>>,
}

impl Host {
    /// Nothing: the C heap, an own pool, every plugin whose hash is right.
    pub fn new() -> Self {
        Host::default()
    }
    /// Gets (level, part that speaks, sentence). Any thread, several at once; without it messages wait for
    /// [`Runtime::read_log`].
    pub fn log(mut self, function: impl Fn(u32, &str, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Box::new(function));
        self
    }
    /// Decides which plugins may load; an `Err` is reported as the reason.
    pub fn verify_plugin(
        mut self,
        function: impl Fn(&PluginFile<'_>) -> Result<(), Code> + Send + Sync + 'static,
    ) -> Self {
        self.verify = Some(Box::new(function));
        self
    }
    /// Called, from any thread, when [`Runtime::process_events`] has something to deliver. Short, and calls nothing here.
    pub fn wake(mut self, function: impl Fn() + Send + Sync + 'static) -> Self {
        self.wake = Some(Box::new(function));
        self
    }
    /// The program's memory for large buffers.
    pub fn allocator(mut self, allocator: impl Allocator + 'static) -> Self {
        self.allocator = Some(Box::new(allocator));
        self
    }
    /// The program's threads instead of an own pool.
    pub fn task_runner(mut self, runner: impl TaskRunner + 'static) -> Self {
        self.task_runner = Some(Box::new(runner));
        self
    }
    /// (Tasks worth having at once, whether they run at the same time) of the task runner.
    pub(crate) fn width(&self) -> (u32, bool) {
        self.task_runner.as_ref().map_or((0, false), |runner| (runner.width(), runner.concurrent()))
    }
}
impl fmt::Debug for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Host")
            .field("log", &self.log.is_some())
            .field("verify", &self.verify.is_some())
            .finish_non_exhaustive()
    }
}

/// Closures of a runtime that the library takes over when it was made.
pub(crate) struct Gifts {
    log: Option<Gift<Log>>,
    verify: Option<Gift<Verify>>,
    wake: Option<Gift<Wake>>,
    allocator: Option<Gift<Box<dyn Allocator>>>,
    task_runner: Option<Gift<Box<dyn TaskRunner>>>,
}
impl Gifts {
    pub fn new(host: Host) -> Self {
        Gifts {
            log: host.log.map(Gift::new),
            verify: host.verify.map(Gift::new),
            wake: host.wake.map(Gift::new),
            allocator: host.allocator.map(Gift::new),
            task_runner: host.task_runner.map(Gift::new),
        }
    }
    pub fn fill(&self, record: &mut ds_runtime_options) {
        if let Some(gift) = &self.log {
            record.log = Some(log);
            record.log_user = gift.user();
            record.log_free = Some(free_gift::<Log>);
        }
        if let Some(gift) = &self.verify {
            record.verify_plugin = Some(verify);
            record.verify_user = gift.user();
            record.verify_free = Some(free_gift::<Verify>);
        }
        if let Some(gift) = &self.wake {
            record.wake = Some(wake);
            record.wake_user = gift.user();
            record.wake_free = Some(free_gift::<Wake>);
        }
    }
    pub fn allocator(&self) -> Option<ds_allocator> {
        self.allocator.as_ref().map(|gift| ds_allocator {
            user: gift.user(),
            allocate: Some(allocate),
            release: Some(release),
            user_free: Some(free_gift::<Box<dyn Allocator>>),
            ..ds_allocator::default()
        })
    }
    pub fn task_runner(&self, (width, concurrent): (u32, bool)) -> Option<ds_task_runner> {
        self.task_runner.as_ref().map(|gift| ds_task_runner {
            flags: if concurrent { DS_TASKS_CONCURRENT } else { 0 },
            width,
            user: gift.user(),
            run: Some(run_tasks),
            user_free: Some(free_gift::<Box<dyn TaskRunner>>),
            ..ds_task_runner::default()
        })
    }
    pub fn taken(self) {
        Gift::taken_if(self.log);
        Gift::taken_if(self.verify);
        Gift::taken_if(self.wake);
        Gift::taken_if(self.allocator);
        Gift::taken_if(self.task_runner);
    }
}

type Log = Box<dyn Fn(u32, &str, &str) + Send + Sync>;
type Verify = Box<dyn Fn(&PluginFile<'_>) -> Result<(), Code> + Send + Sync>;
type Wake = Box<dyn Fn() + Send + Sync>;

unsafe extern "C" fn log(user: *mut c_void, message: *const ds_log_message) {
    let _ = caught(|| {
        let message = &*message;
        let text = String::from_utf8_lossy(bytes(&message.text));
        (*user.cast::<Log>())(message.level, crate::handle::static_text(message.domain), &text);
    });
}

unsafe extern "C" fn verify(user: *mut c_void, plugin: *const ds_plugin_file) -> ds_status {
    let answer = caught(|| {
        let plugin = &*plugin;
        let file = PluginFile {
            name: bytes(&plugin.name),
            path: bytes(&plugin.path),
            binary: crate::handle::slice(plugin.binary, plugin.binary_size),
            signature: crate::handle::slice(plugin.signature, plugin.signature_size),
        };
        (*user.cast::<Verify>())(&file)
    });
    match answer {
        Ok(Ok(())) => DS_OK,
        Ok(Err(code)) => code.0,
        Err(_) => DS_E_PLUGIN, // a check that panics has not passed
    }
}

unsafe extern "C" fn wake(user: *mut c_void) {
    let _ = caught(|| (*user.cast::<Wake>())());
}

unsafe extern "C" fn allocate(user: *mut c_void, size: u64, alignment: u64, tag: u32) -> *mut c_void {
    let allocator = &*user.cast::<Box<dyn Allocator>>();
    caught(|| allocator.allocate(size, alignment, tag)).map_or(null_mut(), <*mut u8>::cast)
}

unsafe extern "C" fn release(user: *mut c_void, memory: *mut c_void, size: u64, tag: u32) {
    let allocator = &*user.cast::<Box<dyn Allocator>>();
    let _ = caught(|| allocator.release(memory.cast(), size, tag));
}

unsafe extern "C" fn run_tasks(user: *mut c_void, n: u32, task: ds_task_fn, data: *mut c_void) {
    let runner = &*user.cast::<Box<dyn TaskRunner>>();
    let done: Vec<_> = (0..n).map(|_| std::sync::atomic::AtomicBool::new(false)).collect();
    let tasks = Tasks { count: n, task, data, done: &done };
    let _ = caught(|| runner.run(tasks));
    (0..n).for_each(|index| tasks.run(index)); // what a runner left out; the library counts on all of them
}
