//! These programs find the library where deepseam-sys found it: the line that a program of yours needs as well, unless the
//! library is where the system looks for it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if let Ok(folder) = std::env::var("DEP_DEEPSEAM_LIBDIR") {
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder);
    }
}
