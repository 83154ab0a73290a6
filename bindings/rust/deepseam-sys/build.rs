//! Finds libdeepseam: below `DEEPSEAM_DIR` (an installation, or a build folder of deepseam) if that is set, else by
//! pkg-config. Tells dependents where it is as `DEP_DEEPSEAM_LIBDIR`; tests and examples of this package get it as rpath.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{exit, Command};

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["DEEPSEAM_DIR", "PKG_CONFIG", "PKG_CONFIG_PATH"] {
        println!("cargo:rerun-if-env-changed={}", name);
    }
    let found = match env::var_os("DEEPSEAM_DIR") {
        Some(folder) => in_folder(Path::new(&folder)),
        None => by_pkg_config(),
    };
    match found {
        Ok(folder) => link(&folder),
        Err(why) => {
            eprintln!("deepseam-sys: {}", why);
            exit(1);
        }
    }
}

fn link(folder: &Path) {
    let folder = folder.display();
    println!("cargo:rustc-link-search=native={}", folder);
    println!("cargo:rustc-link-lib=dylib=deepseam");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{}", folder);
    println!("cargo:libdir={}", folder);
}

/// The folder of an installation that holds the library.
fn in_folder(prefix: &Path) -> Result<PathBuf, String> {
    let multiarch = format!("lib/{}-linux-gnu", env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default());
    for name in ["lib", "lib64", &multiarch] {
        let folder = prefix.join(name);
        if ["libdeepseam.so", "libdeepseam.dylib", "deepseam.lib", "libdeepseam.dll.a"]
            .iter()
            .any(|file| folder.join(file).exists())
        {
            // Linkers and programs run elsewhere: a relative path would be another one there.
            return folder.canonicalize().map_err(|why| format!("{}: {}", folder.display(), why));
        }
    }
    Err(format!("DEEPSEAM_DIR is {}, and no lib folder in it has libdeepseam.so", prefix.display()))
}

fn by_pkg_config() -> Result<PathBuf, String> {
    let program = env::var("PKG_CONFIG").unwrap_or_else(|_| "pkg-config".to_string());
    let done = Command::new(&program).args(["--variable=libdir", "deepseam"]).output().map_err(|why| {
        format!("{} does not run ({}); set DEEPSEAM_DIR to an installation of deepseam", program, why)
    })?;
    // It writes a blank as a shell would read it.
    let folder = String::from_utf8_lossy(&done.stdout).trim().replace("\\ ", " ");
    if !done.status.success() || folder.is_empty() {
        let why = String::from_utf8_lossy(&done.stderr).trim().to_string();
        return Err(format!("pkg-config knows no deepseam ({}); set DEEPSEAM_DIR to an installation of deepseam", why));
    }
    Ok(PathBuf::from(folder))
}
