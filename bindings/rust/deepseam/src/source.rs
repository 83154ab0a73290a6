//! Where a model comes from.

use crate::error::Code;
use crate::handle::{caught, free_gift, path_text, text, Gift};
use deepseam_sys::*;
use std::ffi::CStr;
use std::fmt;
use std::os::raw::{c_char, c_void};
use std::path::PathBuf;
use std::sync::Arc;

/// Where a model comes from.
#[derive(Clone)]
pub enum Source {
    /// A folder with config.json, or a model file. The name "embedded" is the model that ships with the library.
    Path(PathBuf),
    /// A model file in memory. Kept as long as the model is open.
    Memory(Arc<dyn AsRef<[u8]> + Send + Sync>),
    /// The program's own files: archives, encrypted stores.
    Files(Arc<dyn Files>),
}

/// A program's own files.
pub trait Files: Send + Sync {
    /// Opens a file by its relative name, such as "config.json"; the empty name is the model file itself, if it is one
    /// file or a part of a split GGUF model ("-00001-of-00003.gguf" and so on). NOT_FOUND if there is none.
    fn open(&self, name: &str) -> Result<Box<dyn ReadAt>, Code>;
    /// Whether files may be read by several threads at once; else reads come one at a time.
    fn concurrent(&self) -> bool {
        true
    }
}

/// One open file of a [`Files`]. Closed by dropping it.
pub trait ReadAt: Send + Sync {
    /// Its bytes.
    fn size(&self) -> Result<u64, Code>;
    /// Fills all of `into` from an offset, or fails.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<(), Code>;
}

impl Source {
    /// The model that ships with the library, as bytes inside of this program.
    #[cfg(feature = "embedded")]
    pub fn embedded_bytes() -> Source {
        let mut size = 0;
        let data = unsafe { ds_embedded_model(&mut size) };
        let bytes: &'static [u8] = unsafe { crate::handle::slice(data.cast(), size) };
        Source::Memory(Arc::new(bytes))
    }
    pub(crate) fn lower(&self) -> Lowered<'_> {
        match self {
            Source::Path(path) => {
                let record = ds_source_path { path: path_text(path), ..ds_source_path::default() };
                Lowered::Path(Box::new(record), std::marker::PhantomData)
            }
            Source::Memory(memory) => {
                let gift = Gift::new(Arc::clone(memory));
                let view = text((**memory).as_ref());
                let record = ds_source_memory {
                    data: view.data.cast(),
                    size: view.size,
                    user: gift.user(),
                    user_free: Some(free_gift::<Arc<dyn AsRef<[u8]> + Send + Sync>>),
                    ..ds_source_memory::default()
                };
                Lowered::Memory(Box::new(record), gift)
            }
            Source::Files(files) => {
                let gift = Gift::new(Arc::clone(files));
                let record = ds_source_io {
                    flags: if files.concurrent() { DS_IO_CONCURRENT } else { 0 },
                    user: gift.user(),
                    open: Some(open),
                    size: Some(size),
                    read_at: Some(read_at),
                    close: Some(close),
                    user_free: Some(free_gift::<Arc<dyn Files>>),
                    ..ds_source_io::default()
                };
                Lowered::Files(Box::new(record), gift)
            }
        }
    }
}
impl<P: Into<PathBuf>> From<P> for Source {
    fn from(path: P) -> Source {
        Source::Path(path.into())
    }
}
impl fmt::Debug for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Path(path) => write!(out, "Path({:?})", path),
            Source::Memory(memory) => write!(out, "Memory({} bytes)", (**memory).as_ref().len()),
            Source::Files(_) => out.write_str("Files"),
        }
    }
}

/// A source in the form of C, with what the library takes over if the call succeeds.
pub(crate) enum Lowered<'a> {
    Path(Box<ds_source_path>, std::marker::PhantomData<&'a ()>),
    Memory(Box<ds_source_memory>, Gift<Arc<dyn AsRef<[u8]> + Send + Sync>>),
    Files(Box<ds_source_io>, Gift<Arc<dyn Files>>),
}
impl Lowered<'_> {
    pub fn head(&self) -> *const ds_source {
        match self {
            Lowered::Path(record, _) => (&**record as *const ds_source_path).cast(),
            Lowered::Memory(record, _) => (&**record as *const ds_source_memory).cast(),
            Lowered::Files(record, _) => (&**record as *const ds_source_io).cast(),
        }
    }
    /// After a call that took it over.
    pub fn taken(self) {
        match self {
            Lowered::Path(..) => {}
            Lowered::Memory(_, gift) => gift.taken(),
            Lowered::Files(_, gift) => gift.taken(),
        }
    }
}

fn status(outcome: std::thread::Result<Result<(), Code>>) -> ds_status {
    match outcome {
        Ok(Ok(())) => DS_OK,
        Ok(Err(code)) => code.0,
        Err(_) => DS_E_IO, // a panic must not unwind into C
    }
}

unsafe extern "C" fn open(user: *mut c_void, name: *const c_char, file: *mut *mut c_void) -> ds_status {
    status(caught(|| {
        let files = &*user.cast::<Arc<dyn Files>>();
        let name = CStr::from_ptr(name).to_str().map_err(|_| Code::NOT_FOUND)?;
        *file = Box::into_raw(Box::new(files.open(name)?)).cast();
        Ok(())
    }))
}
unsafe extern "C" fn size(_user: *mut c_void, file: *mut c_void, size: *mut u64) -> ds_status {
    status(caught(|| {
        *size = (*file.cast::<Box<dyn ReadAt>>()).size()?;
        Ok(())
    }))
}
unsafe extern "C" fn read_at(_: *mut c_void, file: *mut c_void, at: u64, into: *mut c_void, size: u64) -> ds_status {
    status(caught(|| {
        let into: &mut [u8] =
            if size == 0 { &mut [] } else { std::slice::from_raw_parts_mut(into.cast(), size as usize) };
        (*file.cast::<Box<dyn ReadAt>>()).read_at(at, into)
    }))
}
unsafe extern "C" fn close(_user: *mut c_void, file: *mut c_void) {
    let _ = caught(|| drop(Box::from_raw(file.cast::<Box<dyn ReadAt>>())));
}
