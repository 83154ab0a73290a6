//! Models: opening them, their facts, their words.

use crate::cache::Cache;
use crate::callbacks::{on_progress, Callbacks, Running};
use crate::cancel::Cancel;
use crate::error::{call, Result};
use crate::handle::{free_gift, path_text, sized, text, Gift, Owned};
use crate::info::Info;
use crate::input::{Chat, Fim};
use crate::job::OpenJob;
use crate::runtime::Runtime;
use crate::session::{Session, SessionOptions};
use crate::settings::{self, Setting};
use crate::source::{self, Source};
use deepseam_sys::*;
use std::path::Path;
use std::sync::Arc;

/// Whether files are mapped or read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MapMode {
    /// Map regular files of local, read-only filesystems, read others.
    #[default]
    Auto,
    /// Always read.
    Never,
    /// Map or fail; then truncating a file that is open ends the process with a signal.
    Always,
}

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvFormat {
    /// The backend's best without loss beyond the weights' own type.
    #[default]
    Auto,
    /// 32-bit floats.
    F32,
    /// bfloat16.
    Bf16,
    /// 8-bit floats with a scale per 128, rope part in BF16.
    E4m3,
    /// 8-bit integers with a scale per 64, rope part in BF16.
    Q8,
}

/// How a model is opened.
#[derive(Clone, Debug)]
pub struct ModelOptions<'a> {
    /// Where it comes from.
    pub source: Source,
    /// Plugin name such as "onednn" or "ref"; empty: the best that fits.
    pub backend: &'a str,
    /// Indices below [`Runtime::device_count`]; empty: the backend's first, or any.
    pub devices: &'a [u32],
    /// Whether files are mapped.
    pub map_mode: MapMode,
    /// How keys and values are stored.
    pub kv_format: KvFormat,
    /// Tokens; 0: the model's, as far as the budgets hold it.
    pub context_length: u32,
    /// Rows in a step; 0: chosen by the backend.
    pub max_rows: u32,
    /// Sequences in a step; 0: 8.
    pub max_sequences: u32,
    /// Bytes, hard; 0: what the machine has.
    pub ram_budget: u64,
    /// Bytes for each device, hard; 0: what the device has.
    pub vram_budget: u64,
    /// An existing folder that keeps repacked weights for the next open; empty: none.
    pub pack_cache_dir: &'a Path,
    /// None: an in-memory one of its own.
    pub cache: Option<&'a Cache>,
    /// Stops the opening.
    pub cancel: Option<&'a Cancel>,
    /// The same bits for any chunking, any batch mix, cache on or off.
    pub deterministic: bool,
    /// No prefix is kept or looked up.
    pub no_cache: bool,
    /// Facts and words only: weights are not read, and there are no sessions.
    pub no_weights: bool,
    /// Rare settings: "weight_type", "compute_type", "profile".
    pub settings: &'a [Setting<'a>],
}

impl<'a> ModelOptions<'a> {
    /// Defaults, for a model from anywhere.
    pub fn new(source: Source) -> Self {
        ModelOptions {
            source,
            backend: "",
            devices: &[],
            map_mode: MapMode::Auto,
            kv_format: KvFormat::Auto,
            context_length: 0,
            max_rows: 0,
            max_sequences: 0,
            ram_budget: 0,
            vram_budget: 0,
            pack_cache_dir: Path::new(""),
            cache: None,
            cancel: None,
            deterministic: false,
            no_cache: false,
            no_weights: false,
            settings: &[],
        }
    }
    /// Defaults, for a folder or file; "embedded" is the model that ships with the library.
    pub fn path(path: impl AsRef<Path>) -> Self {
        ModelOptions::new(Source::Path(path.as_ref().to_path_buf()))
    }

    fn record(&self, source: &source::Lowered<'_>, settings: &settings::Lowered<'_>) -> ds_model_options {
        let deterministic = if self.deterministic { DS_MODEL_DETERMINISTIC } else { 0 };
        let no_cache = if self.no_cache { DS_MODEL_NO_CACHE } else { 0 };
        let no_weights = if self.no_weights { DS_MODEL_NO_WEIGHTS } else { 0 };
        ds_model_options {
            flags: deterministic | no_cache | no_weights,
            source: source.head(),
            backend: text(self.backend),
            devices: if self.devices.is_empty() { std::ptr::null() } else { self.devices.as_ptr() },
            n_devices: self.devices.len() as u32,
            map_mode: match self.map_mode {
                MapMode::Auto => DS_MAP_AUTO,
                MapMode::Never => DS_MAP_NEVER,
                MapMode::Always => DS_MAP_ALWAYS,
            },
            kv_format: match self.kv_format {
                KvFormat::Auto => DS_KV_AUTO,
                KvFormat::F32 => DS_KV_F32,
                KvFormat::Bf16 => DS_KV_BF16,
                KvFormat::E4m3 => DS_KV_E4M3,
                KvFormat::Q8 => DS_KV_Q8,
            },
            context_length: self.context_length,
            max_rows: self.max_rows,
            max_sequences: self.max_sequences,
            ram_budget: self.ram_budget,
            vram_budget: self.vram_budget,
            pack_cache_dir: path_text(self.pack_cache_dir),
            cache: self.cache.map_or(std::ptr::null_mut(), |cache| cache.0.get()),
            cancel: Cancel::raw(self.cancel),
            options: settings.data(),
            n_options: settings.size(),
            ..ds_model_options::default()
        }
    }
    pub(crate) fn plan(&self, runtime: &Runtime) -> Result<Info> {
        let (source, settings) = (self.source.lower(), settings::lower(self.settings));
        let record = self.record(&source, &settings);
        let plan = Owned::make(|out, error| unsafe { ds_model_plan(runtime.0.get(), &record, out, error) })?;
        source.taken();
        Ok(Info(plan))
    }
    pub(crate) fn open(&self, runtime: &Runtime, callbacks: Callbacks<'_>) -> Result<Model> {
        let (source, settings) = (self.source.lower(), settings::lower(self.settings));
        let mut record = self.record(&source, &settings);
        let running = Running::new(callbacks);
        record.progress = Some(on_progress);
        record.progress_user = (&running as *const Arc<Running<'_>> as *mut Arc<Running<'_>>).cast();
        let opened = Owned::make(|out, error| unsafe { ds_model_open(runtime.0.get(), &record, out, error) });
        if opened.is_ok() {
            source.taken();
        }
        running.check();
        Ok(Model(opened?))
    }
    pub(crate) fn start(&self, runtime: &Runtime, callbacks: Callbacks<'static>) -> Result<OpenJob> {
        let (source, settings) = (self.source.lower(), settings::lower(self.settings));
        let mut record = self.record(&source, &settings);
        let delivers = callbacks.any();
        let running = Running::new(callbacks);
        let gift = Gift::new(Arc::clone(&running));
        if delivers {
            record.progress = Some(on_progress);
            record.progress_user = gift.user();
            record.progress_free = Some(free_gift::<Arc<Running<'static>>>);
        }
        let job = OpenJob::start(running, delivers, |options, out, error| unsafe {
            ds_model_open_start(runtime.0.get(), &record, options, out, error)
        })?;
        source.taken();
        if delivers {
            gift.taken();
        }
        Ok(job)
    }
}

/// An opened model. Any number of sessions may run on it at once.
#[derive(Debug)]
pub struct Model(pub(crate) Owned<ds_model>);

/// Low-rank weights on top of a model.
#[derive(Debug)]
pub struct Adapter(pub(crate) Owned<ds_model_adapter>);

impl Adapter {
    pub(crate) fn raw(adapter: Option<&Adapter>) -> *mut ds_model_adapter {
        adapter.map_or(std::ptr::null_mut(), |adapter| adapter.0.get())
    }
}

impl Model {
    /// Facts. Keys: "architecture", "vocab", "hidden", "layers", "heads", "experts", "experts_per_token", "parameters",
    /// "context_length", "context_limit", "fingerprint", "numerics_id", "backend", "weights.bytes", "weights.type",
    /// "kv.bytes_per_token", "tokens.bos", "tokens.eos", "fim", "chat_template", "load_ms"; "card", if the file has one.
    pub fn info(&self) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_model_info(self.0.get(), out, error) })?))
    }
    /// An empty sequence with default options.
    pub fn session(&self) -> Result<Session<'_>> {
        self.session_with(&SessionOptions::default())
    }
    /// An empty sequence.
    pub fn session_with(&self, options: &SessionOptions<'_>) -> Result<Session<'_>> {
        options.create(self)
    }
    /// An empty sequence that outlives this value, for programs that keep both in one place: the library keeps what a
    /// session needs of its model.
    pub fn owned_session(&self, options: &SessionOptions<'_>) -> Result<Session<'static>> {
        options.create(self)
    }
    /// Loads a low-rank adapter (a PEFT folder). Errors: file range, UNSUPPORTED, MEMORY.
    pub fn load_adapter(&self, source: &Source) -> Result<Adapter> {
        let source = source.lower();
        let head = source.head();
        let adapter = Owned::make(|out, error| unsafe { ds_model_adapter_load(self.0.get(), head, out, error) })?;
        source.taken();
        Ok(Adapter(adapter))
    }
    /// Text to token ids; `flags` are `sys::DS_TEXT_…`. Bytes that are not UTF-8 are tokenised byte by byte.
    pub fn tokenize(&self, content: impl AsRef<[u8]>, flags: u32) -> Result<Vec<u32>> {
        self.tokenize_with(content, flags, None)
    }
    /// The same, with a flag that stops it. Errors: CANCELLED.
    pub fn tokenize_with(&self, content: impl AsRef<[u8]>, flags: u32, cancel: Option<&Cancel>) -> Result<Vec<u32>> {
        let (view, cancel) = (text(&content), Cancel::raw(cancel));
        // There are never more ids than bytes plus one.
        let mut ids = vec![0u32; view.size as usize + 1];
        let (data, mut n) = (ids.as_mut_ptr(), 0);
        let capacity = ids.len() as u64;
        call(|error| unsafe {
            ds_tokenize(self.0.get(), view.data, view.size, flags, cancel, data, capacity, &mut n, error)
        })?;
        ids.truncate(n as usize);
        Ok(ids)
    }
    /// Token ids to text; bytes that form no character become U+FFFD. `flags`: `sys::DS_TEXT_KEEP_SPECIAL`.
    pub fn detokenize(&self, ids: &[u32], flags: u32) -> Result<String> {
        let n = ids.len() as u64;
        let bytes = sized(|buffer: *mut u8, capacity, size, error| unsafe {
            ds_detokenize(self.0.get(), ids.as_ptr(), n, flags, buffer.cast(), capacity, size, error)
        })?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
    /// The bytes of one token, not necessarily UTF-8.
    pub fn token_text(&self, id: u32) -> Result<Vec<u8>> {
        sized(|buffer: *mut u8, capacity, size, error| unsafe {
            ds_token_text(self.0.get(), id, buffer.cast(), capacity, size, error)
        })
    }
    /// The prompt of a conversation, as [`Session::chat`] would build it. Errors: ARGUMENT, UNSUPPORTED.
    pub fn chat_prompt(&self, chat: &Chat<'_>) -> Result<Vec<u32>> {
        let lowered = chat.lower();
        sized(|ids, capacity, n, error| unsafe {
            ds_chat_prompt(self.0.get(), &*lowered.record, ids, capacity, n, error)
        })
    }
    /// The prompt of a cursor, as [`Session::fim`] would build it. Errors: ARGUMENT, UNSUPPORTED.
    pub fn fim_prompt(&self, fim: &Fim<'_>) -> Result<Vec<u32>> {
        let lowered = fim.lower();
        sized(|ids, capacity, n, error| unsafe {
            ds_fim_prompt(self.0.get(), &*lowered.record, ids, capacity, n, error)
        })
    }
}
