//! Stores of computed prefixes.

use crate::error::{call, Code, Result};
use crate::handle::{path_text, text, Owned};
use crate::info::Info;
use crate::runtime::Runtime;
use crate::settings::{self, Setting};
use deepseam_sys::*;
use std::path::Path;

/// Limits of a prefix store.
#[derive(Clone, Copy, Debug)]
pub struct CacheOptions<'a> {
    /// Host memory; 0: 1 GiB.
    pub ram_bytes: u64,
    /// Device memory; 0: what the models' budgets leave.
    pub device_bytes: u64,
    /// Disk tier; empty: none.
    pub directory: &'a Path,
    /// 0: 16 GiB.
    pub disk_bytes: u64,
    /// Left free on the disk; 0: 1 GiB.
    pub min_free_bytes: u64,
    /// 0: any age.
    pub max_age_s: u64,
    /// 0: no limit.
    pub max_write_bytes_per_day: u64,
    /// Rare settings.
    pub settings: &'a [Setting<'a>],
}
impl Default for CacheOptions<'_> {
    fn default() -> Self {
        CacheOptions {
            ram_bytes: 0,
            device_bytes: 0,
            directory: Path::new(""),
            disk_bytes: 0,
            min_free_bytes: 0,
            max_age_s: 0,
            max_write_bytes_per_day: 0,
            settings: &[],
        }
    }
}
impl CacheOptions<'_> {
    pub(crate) fn open(&self, runtime: &Runtime) -> Result<Cache> {
        let settings = settings::lower(self.settings);
        let record = ds_cache_options {
            ram_bytes: self.ram_bytes,
            device_bytes: self.device_bytes,
            directory: path_text(self.directory),
            disk_bytes: self.disk_bytes,
            min_free_bytes: self.min_free_bytes,
            max_age_s: self.max_age_s,
            max_write_bytes_per_day: self.max_write_bytes_per_day,
            options: settings.data(),
            n_options: settings.size(),
            ..ds_cache_options::default()
        };
        Ok(Cache(Owned::make(|out, error| unsafe { ds_cache_open(runtime.0.get(), &record, out, error) })?))
    }
}

/// Something that happened in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheEvent {
    /// `sys::DS_CACHE_…`; treat what you do not know as `DS_CACHE_OTHER`.
    pub kind: u32,
    /// Tokens concerned.
    pub tokens: u64,
    /// Bytes concerned.
    pub bytes: u64,
    /// Events lost before this one, because nobody read them.
    pub dropped: u64,
}

/// A store of computed prefixes, shared by the models that were opened with it.
#[derive(Debug)]
pub struct Cache(pub(crate) Owned<ds_cache>);

impl Cache {
    /// Returns when what was stored so far survives a power loss, where a tier offers that.
    pub fn flush(&self) -> Result<()> {
        call(|error| unsafe { ds_cache_flush(self.0.get(), error) })
    }
    /// Evicts until at most that much host memory is used; what running sessions use stays.
    pub fn trim(&self, ram_bytes: u64) -> Result<()> {
        call(|error| unsafe { ds_cache_trim(self.0.get(), ram_bytes, error) })
    }
    /// Forgets everything stored under a salt; an empty one: under the common one.
    pub fn erase(&self, salt: &str) -> Result<()> {
        let salt = text(salt);
        call(|error| unsafe { ds_cache_erase(self.0.get(), salt.data, salt.size, error) })
    }
    /// Keys: "ram.bytes", "ram.limit", "blocks", "tokens", "lookups", "hits", "hit_tokens", "evictions".
    pub fn stats(&self) -> Result<Info> {
        Ok(Info(Owned::make(|out, error| unsafe { ds_cache_stats(self.0.get(), out, error) })?))
    }
    /// The oldest event that nobody read; None if none waits.
    pub fn read_event(&self) -> Result<Option<CacheEvent>> {
        let mut next = ds_cache_event::default();
        match call(|error| unsafe { ds_cache_read_event(self.0.get(), &mut next, error) }) {
            Ok(()) => {
                Ok(Some(CacheEvent { kind: next.kind, tokens: next.tokens, bytes: next.bytes, dropped: next.dropped }))
            }
            Err(error) if error.code() == Code::PENDING => Ok(None),
            Err(error) => Err(error),
        }
    }
}
