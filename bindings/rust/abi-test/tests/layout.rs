//! deepseam-sys against bindings/abi.json. The build script writes the cases; here stands what they use, and the one
//! question that they cannot ask: whether deepseam-sys declares anything that the headers do not.
#![allow(non_snake_case, unused_variables, clippy::type_complexity)]

use deepseam_sys::*;
use std::mem::{align_of, size_of};
use std::os::raw::{c_char, c_void};

// std's own offset_of is younger than the oldest compiler that these packages support.
macro_rules! offset_of {
    ($record:ty, $field:ident) => {{
        let place = std::mem::MaybeUninit::<$record>::uninit();
        let base = place.as_ptr();
        unsafe { std::ptr::addr_of!((*base).$field) as usize - base as usize }
    }};
}

// The version, which the description has in a form of its own, and the function of embedded.h.
const OTHERS: [&str; 4] = ["DS_ABI_MAJOR", "DS_ABI_MINOR", "DS_ABI_VERSION", "ds_embedded_model"];

trait Is<T> {}
impl<T> Is<T> for T {}
fn same<A: Is<B>, B>() {}
fn same_slot<F>(_slot: fn(&ds_api) -> Option<F>, _function: F) {}

include!(concat!(env!("OUT_DIR"), "/layout.rs"));

#[test]
fn nothing_else_is_declared() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/../deepseam-sys/src/");
    let mut declared = 0;
    for file in ["constants.rs", "types.rs", "functions.rs", "table.rs"] {
        let text = std::fs::read_to_string(format!("{}{}", sources, file)).unwrap();
        for line in text.lines() {
            let words: Vec<&str> =
                line.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
            if let ["pub", "const" | "fn" | "struct" | "type", name, ..] = words[..] {
                assert!(NAMES.contains(&name) || OTHERS.contains(&name), "{} is in no header", name);
                declared += 1;
            }
        }
    }
    assert!(declared >= NAMES.len() - 9, "{} declarations, {} names of which 9 are handles", declared, NAMES.len());
}
