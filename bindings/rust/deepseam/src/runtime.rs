//! The owner of log, threads, plugins and budgets.

use crate::cache::{Cache, CacheOptions};
use crate::callbacks::Callbacks;
use crate::error::{call, Code, Result};
use crate::handle::{nanoseconds, path_text, text, Owned};
use crate::host::{Gifts, Host};
use crate::info::Info;
use crate::job::OpenJob;
use crate::model::{Model, ModelOptions};
use crate::settings::{self, Setting};
use deepseam_sys::*;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much of the log is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Nothing,
    /// Errors only.
    Error,
    /// Warnings and errors.
    Warning,
    /// Also what may be of interest.
    Info,
    /// Also what only developers read.
    Debug,
}

/// How a runtime is made. Everything that is not set has the library's default.
#[derive(Debug, Default)]
pub struct RuntimeOptions {
    /// Idle workers poll for about 50 µs before they park.
    pub spin: bool,
    /// Never ask the system for AMX state.
    pub no_amx: bool,
    /// Search `plugin_dirs` only, not the library's own folder.
    pub no_default_plugins: bool,
    /// None: warnings and errors.
    pub log_level: Option<LogLevel>,
    /// Threads of the library's own pool; 0: one for each usable core.
    pub n_threads: u32,
    /// CPUs that these are pinned to; empty: not pinned.
    pub cpus: Vec<u32>,
    /// "avx2", "avx512", "amx": nothing above it is used; empty: no cap.
    pub isa_cap: String,
    /// Absolute folders, searched before the library's own.
    pub plugin_dirs: Vec<PathBuf>,
    /// Rare settings.
    pub settings: Vec<Setting<'static>>,
    /// What the program gives: memory, threads, closures.
    pub host: Host,
}

impl RuntimeOptions {
    fn flags(&self) -> u32 {
        let flags = [
            (self.spin, DS_RUNTIME_SPIN),
            (self.no_amx, DS_RUNTIME_NO_AMX),
            (self.no_default_plugins, DS_RUNTIME_NO_DEFAULT_PLUGINS),
        ];
        flags.iter().filter(|flag| flag.0).fold(0, |sum, flag| sum | flag.1)
    }
    fn level(&self) -> u32 {
        match self.log_level {
            None => 0,
            Some(LogLevel::Nothing) => DS_LOG_OTHER,
            Some(LogLevel::Error) => DS_LOG_ERROR,
            Some(LogLevel::Warning) => DS_LOG_WARNING,
            Some(LogLevel::Info) => DS_LOG_INFO,
            Some(LogLevel::Debug) => DS_LOG_DEBUG,
        }
    }
}

/// The owner of log, threads, plugins and budgets. Models, caches and jobs keep it alive.
#[derive(Debug)]
pub struct Runtime(pub(crate) Owned<ds_runtime>);

impl Runtime {
    /// With defaults. Errors: ABI (the library is of another version), MEMORY.
    pub fn new() -> Result<Runtime> {
        Runtime::with(RuntimeOptions::default())
    }
    /// Plugins are found and probed when first needed. Errors: ABI, ARGUMENT, MEMORY.
    pub fn with(options: RuntimeOptions) -> Result<Runtime> {
        let (flags, log_level) = (options.flags(), options.level());
        let width = options.host.width();
        let gifts = Gifts::new(options.host);
        let (allocator, task_runner) = (gifts.allocator(), gifts.task_runner(width));
        let folders: Vec<ds_text> = options.plugin_dirs.iter().map(|folder| path_text(folder)).collect();
        let settings = settings::lower(&options.settings);
        let mut record = ds_runtime_options {
            abi_version: DS_ABI_VERSION,
            flags,
            log_level,
            n_threads: options.n_threads,
            n_cpus: options.cpus.len() as u32,
            cpus: options.cpus.as_ptr(),
            isa_cap: text(&options.isa_cap),
            allocator: allocator.as_ref().map_or(std::ptr::null(), |record| record),
            task_runner: task_runner.as_ref().map_or(std::ptr::null(), |record| record),
            plugin_dirs: folders.as_ptr(),
            n_plugin_dirs: folders.len() as u64,
            options: settings.data(),
            n_options: settings.size(),
            ..ds_runtime_options::default()
        };
        gifts.fill(&mut record);
        let made = Owned::make(|out, error| unsafe { ds_runtime_create(&record, out, error) })?;
        gifts.taken();
        Ok(Runtime(made))
    }
    /// Cancels all jobs and calls under way, ends the library's threads, and frees what callbacks hold. Afterwards no
    /// callback runs, and what came from this runtime answers SHUT_DOWN. Errors: TIMEOUT (it is still under way; call
    /// again).
    pub fn shutdown(&self, timeout: Duration) -> Result<()> {
        // 0 would be the library's default.
        let timeout = nanoseconds(timeout).max(1);
        call(|error| unsafe { ds_runtime_shutdown(self.0.get(), timeout, error) })
    }
    /// Loads one plugin by the absolute path of its manifest. Errors: NOT_FOUND, FORMAT, PLUGIN, ABI.
    pub fn load_plugin(&self, manifest: impl AsRef<Path>) -> Result<()> {
        let path = path_text(manifest.as_ref());
        call(|error| unsafe { ds_runtime_load_plugin(self.0.get(), path.data, path.size, error) })
    }
    /// Registers a backend that is linked into the program. Errors: PLUGIN, ABI, ARGUMENT.
    ///
    /// # Safety
    /// `entry` is a `ds_backend_main` that keeps the contract of `<deepseam/backend.h>`.
    pub unsafe fn register_backend(&self, entry: ds_backend_entry) -> Result<()> {
        call(|error| ds_runtime_register_backend(self.0.get(), entry, error))
    }
    /// Every plugin candidate with its path and, if it is not used, the reason. Keys: "plugins", "plugins.N.name",
    /// ".path", ".state", ".reason", ".version".
    pub fn plugin_report(&self) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_runtime_plugin_report(self.0.get(), out, error) })?))
    }
    /// Devices of all usable backends.
    pub fn device_count(&self) -> Result<u32> {
        let mut count = 0;
        call(|error| unsafe { ds_device_count(self.0.get(), &mut count, error) })?;
        Ok(count)
    }
    /// One device. Keys: "name", "backend", "kind", "uuid", "luid", "pci", "memory.total", "memory.free", "isa".
    pub fn device_info(&self, index: u32) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_device_info(self.0.get(), index, out, error) })?))
    }
    /// Runs waiting callbacks of jobs on this thread, waiting up to `timeout` for the first one. Answers how many ran.
    pub fn process_events(&self, timeout: Duration) -> Result<u64> {
        let mut delivered = 0;
        let timeout = nanoseconds(timeout);
        call(|error| unsafe { ds_process_events(self.0.get(), timeout, &mut delivered, error) })?;
        Ok(delivered)
    }
    /// The oldest waiting log message: its level and "part: sentence". None if none waits.
    pub fn read_log(&self) -> Result<Option<(u32, String)>> {
        let mut level = 0;
        let mut buffer = vec![0u8; 1024];
        loop {
            let mut size = 0;
            let (data, capacity) = (buffer.as_mut_ptr().cast(), buffer.len() as u64);
            match call(|error| unsafe { ds_log_read(self.0.get(), &mut level, data, capacity, &mut size, error) }) {
                Ok(()) => {
                    buffer.truncate(size as usize);
                    return Ok(Some((level, String::from_utf8_lossy(&buffer).into_owned())));
                }
                Err(error) if error.code() == Code::PENDING => return Ok(None),
                Err(error) if error.code() == Code::BUFFER => buffer.resize(size as usize + 1, 0),
                Err(error) => return Err(error),
            }
        }
    }
    /// What opening with these options would take, from headers alone. Keys: "fits", "reason", "context_length",
    /// "bytes.weights", "bytes.kv", "bytes.scratch", "bytes.total", "devices.N.name", "devices.N.bytes",
    /// "tokens_per_second", "backend". A plan that does not fit is an answer, with "fits" 0.
    pub fn plan(&self, options: &ModelOptions<'_>) -> Result<Info> {
        options.plan(self)
    }
    /// Opens a model: reads, loads, compiles. Errors: file, memory and device ranges, CANCELLED.
    pub fn open(&self, options: &ModelOptions<'_>) -> Result<Model> {
        options.open(self, Callbacks::new())
    }
    /// The same, telling how far it is (`on_progress` only). Errors: also STOPPED.
    pub fn open_with(&self, options: &ModelOptions<'_>, callbacks: Callbacks<'_>) -> Result<Model> {
        options.open(self, callbacks)
    }
    /// The same in the background. `on_progress` runs inside of the job's waiting methods.
    pub fn open_start(&self, options: &ModelOptions<'_>, callbacks: Callbacks<'static>) -> Result<OpenJob> {
        options.start(self, callbacks)
    }
    /// A prefix store for [`ModelOptions::cache`]. Errors: UNSUPPORTED (a tier that this library lacks), file range.
    pub fn open_cache(&self, options: &CacheOptions<'_>) -> Result<Cache> {
        options.open(self)
    }
}
