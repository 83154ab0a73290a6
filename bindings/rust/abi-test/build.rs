//! Writes the test that compares deepseam-sys with the description of the headers, bindings/abi.json: for every struct its
//! size, alignment, and each field's offset and type; for every constant its value and type; for every function and
//! callback its signature. A name that deepseam-sys lacks does not compile.

mod json;

use json::Value;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = Path::new(&root).join("../../abi.json");
    println!("cargo:rerun-if-changed={}", path.display());
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=json.rs");
    let text = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {}", path.display(), why));
    let description = json::parse(&text);
    let user = description.get("user");
    let mut out = String::new();
    for item in user.get("structs").list() {
        structure(item, &mut out);
    }
    for item in user.get("constants").list() {
        constant(item, &mut out);
    }
    let abi = user.get("abi");
    let abi = ["major", "minor", "version"].map(|part| abi.get(part).number());
    writeln!(
        out,
        "#[test]\nfn value_of_abi() {{ assert_eq!([DS_ABI_MAJOR, DS_ABI_MINOR, DS_ABI_VERSION as i32], {:?}); }}",
        abi
    )
    .unwrap();
    let callbacks = user.get("callbacks").list();
    out.push_str("#[test]\nfn callbacks() {\n");
    for item in callbacks {
        let arguments: Vec<&str> = item.get("arguments").list().iter().map(Value::text).collect();
        let signature = function(item.get("returns").text(), &arguments);
        writeln!(out, "same::<Option<{}>, {}>();", signature, item.get("name").text()).unwrap();
    }
    out.push_str("}\n#[test]\nfn functions() {\n");
    for item in user.get("functions").list() {
        let arguments: Vec<&str> = item.get("arguments").list().iter().map(|one| one.get("type").text()).collect();
        let signature = function(item.get("returns").text(), &arguments);
        writeln!(out, "let _: {} = {};", signature, item.get("name").text()).unwrap();
    }
    out.push_str("}\n");
    let names = ["structs", "constants", "callbacks", "functions", "aliases"]
        .iter()
        .flat_map(|kind| user.get(kind).list().iter().map(|item| item.get("name").text()));
    let handles = user.get("handles").list().iter().map(Value::text);
    let names: Vec<&str> = names.chain(handles).collect();
    writeln!(out, "const NAMES: &[&str] = &{:?};", names).unwrap();
    fs::write(Path::new(&env::var("OUT_DIR").unwrap()).join("layout.rs"), out).unwrap();
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", env::var("DEP_DEEPSEAM_LIBDIR").unwrap());
}

fn structure(item: &Value, out: &mut String) {
    let name = item.get("name").text();
    writeln!(out, "#[test]\nfn layout_of_{}() {{", name).unwrap();
    writeln!(out, "assert_eq!(size_of::<{}>(), {});", name, item.get("size").number()).unwrap();
    writeln!(out, "assert_eq!(align_of::<{}>(), {});", name, item.get("alignment").number()).unwrap();
    let fields = item.get("fields").list();
    for field in fields {
        let (at, kind) = (field.get("name").text(), field.get("type").text());
        let offset = field.get("offset").number();
        writeln!(out, "assert_eq!(offset_of!({}, {}), {}, \"{}\");", name, at, offset, at).unwrap();
        if name != "ds_api" || !kind.contains("(*)") {
            writeln!(out, "let _: fn(&{}) -> &{} = |record| &record.{};", name, rust_type(kind), at).unwrap();
        } else {
            writeln!(out, "same_slot(|table: &ds_api| table.{}, ds_{} as {});", at, at, pointer(kind)).unwrap();
        }
    }
    // All fields and no other.
    let names: Vec<&str> = fields.iter().map(|field| field.get("name").text()).collect();
    let named: Vec<String> = names.iter().map(|field| format!("{}: _", field)).collect();
    writeln!(out, "let _ = |{} {{ {} }}: {}| ();\n}}", name, named.join(", "), name).unwrap();
}

fn constant(item: &Value, out: &mut String) {
    let (name, kind) = (item.get("name").text(), rust_type(item.get("type").text()));
    let value = item.get("value").literal();
    writeln!(
        out,
        "#[test]\nfn value_of_{}() {{ let value: {} = {}; assert_eq!({}, value); }}",
        name, kind, value, name
    )
    .unwrap();
}

/// `unsafe extern "C" fn(…) -> …` for types as C spells them.
fn function(returns: &str, arguments: &[&str]) -> String {
    let arguments: Vec<String> = arguments.iter().map(|kind| rust_type(kind)).collect();
    let result = if returns == "void" { String::new() } else { format!(" -> {}", rust_type(returns)) };
    format!("unsafe extern \"C\" fn({}){}", arguments.join(", "), result)
}

/// The same for a pointer to a function.
fn pointer(kind: &str) -> String {
    let at = kind.find("(*)").unwrap();
    let arguments = &kind[at + 4..kind.len() - 1];
    let list: Vec<&str> = if arguments == "void" { vec![] } else { arguments.split(", ").collect() };
    function(kind[..at].trim(), &list)
}

/// A C type, as clang spells it, in Rust.
fn rust_type(kind: &str) -> String {
    if kind.contains("(*)") {
        return format!("Option<{}>", pointer(kind));
    }
    if let Some(inner) = kind.strip_suffix('*') {
        let inner = inner.trim();
        return match inner.strip_prefix("const ") {
            Some(target) if !target.ends_with('*') => format!("*const {}", rust_type(target)),
            _ => format!("*mut {}", rust_type(inner)),
        };
    }
    if let Some(at) = kind.find('[') {
        return format!("[{}; {}]", rust_type(&kind[..at]), &kind[at + 1..kind.len() - 1]);
    }
    match kind.trim() {
        "uint8_t" => "u8",
        "int32_t" => "i32",
        "uint32_t" => "u32",
        "int64_t" => "i64",
        "uint64_t" => "u64",
        "float" => "f32",
        "double" => "f64",
        "char" => "c_char",
        "void" => "c_void",
        other => other.trim_start_matches("struct "),
    }
    .to_string()
}
