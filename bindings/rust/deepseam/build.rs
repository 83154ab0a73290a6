//! Tests and examples of this package find the library where deepseam-sys found it. A program of yours needs the same
//! line in its own build script, or a library that the system's loader finds.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_DEEPSEAM_LIBDIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder);
    }
}
