//! Rare settings, by key.

use crate::info::name;
use deepseam_sys::*;
use std::ffi::CString;
use std::marker::PhantomData;

/// A setting that has no field: a key and a value. An unknown key is an error unless it is ignorable.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    key: &'a str,
    number: i64,
    text: Option<&'a str>,
    ignorable: bool,
}

impl<'a> Setting<'a> {
    /// An integer, a count or a flag.
    pub fn number(key: &'a str, value: i64) -> Self {
        Setting { key, number: value, text: None, ignorable: false }
    }
    /// A text, or a number with a fraction, written with a decimal point.
    pub fn text(key: &'a str, value: &'a str) -> Self {
        Setting { key, number: 0, text: Some(value), ignorable: false }
    }
    /// Libraries that do not know the key pass over it.
    pub fn ignorable(self) -> Self {
        Setting { ignorable: true, ..self }
    }
}

/// A list of settings in the form of C.
pub(crate) struct Lowered<'a> {
    _keys: Vec<CString>,
    records: Vec<ds_option>,
    _settings: PhantomData<&'a str>,
}

pub(crate) fn lower<'a>(settings: &[Setting<'a>]) -> Lowered<'a> {
    let keys: Vec<CString> = settings.iter().map(|setting| name(setting.key)).collect();
    let one = |(setting, key): (&Setting<'a>, &CString)| ds_option {
        key: key.as_ptr(),
        flags: if setting.ignorable { DS_OPTION_IGNORABLE } else { 0 },
        value: setting.number,
        data: setting.text.map_or(std::ptr::null(), |text| text.as_ptr().cast()),
        size: setting.text.map_or(0, str::len) as u64,
        ..ds_option::default()
    };
    let records = settings.iter().zip(&keys).map(one).collect();
    Lowered { _keys: keys, records, _settings: PhantomData }
}

impl Lowered<'_> {
    pub fn data(&self) -> *const ds_option {
        self.records.as_ptr()
    }
    pub fn size(&self) -> u64 {
        self.records.len() as u64
    }
}
