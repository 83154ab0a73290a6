#!/usr/bin/env python3
"""Runs the Rust binding's tests: `run.py GROUP --build FOLDER --out FOLDER`.

GROUP is all (every test; every function is called with success), layout (against bindings/abi.json), cycles, lint (rustfmt
and clippy without a warning), msrv (compiled by the oldest compiler that the packages name, from /usr/bin),
package (documentation without a warning; makes the crates in OUT/crates, and a program on them as from a registry), or samples
(builds them). cargo writes beside its sources, so that they are copied to OUT first. Exit status 77 and a last line
with the reason: skipped, because a tool is not there. DS_TEST_FULL=1 runs all cycles.
"""
import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))
from recorder import never_called  # noqa: E402

COPIED = ("bindings/abi.json", "bindings/rust", "samples/rust")


def skip(reason):
    print(reason)
    sys.exit(77)


def files_of(name):
    """Sources below a copied folder, without what cargo may have left there."""
    path = ROOT / name
    found = [path] if path.is_file() else sorted(path.rglob("*"))
    return [item.relative_to(ROOT) for item in found if item.is_file() and "target" not in item.parts
            and item.name not in {"Cargo.lock", "run.py"}]


def copy_sources(tree):
    """A copy of the sources with their times, so that cargo sees what changed; what is gone goes there, too."""
    wanted = {name for copied in COPIED for name in files_of(copied)}
    for old in tree.rglob("*"):
        if old.is_file() and old.name != "Cargo.lock" and old.relative_to(tree) not in wanted:
            old.unlink()
    for name in wanted:
        source, target = ROOT / name, tree / name
        if target.exists() and target.stat().st_mtime_ns == source.stat().st_mtime_ns:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


class Cargo:
    """cargo in the copied tree, offline, with the library of a build folder."""

    def __init__(self, build, out, target="target"):
        self.tree, self.program = out / "tree", shutil.which("cargo")
        if not self.program:
            skip("cargo is not installed (package cargo)")
        self.environment = dict(os.environ, DEEPSEAM_DIR=str(build), CARGO_TARGET_DIR=str(out / target),
                                CARGO_NET_OFFLINE="true", CARGO_TERM_COLOR="never", RUSTDOCFLAGS="-D warnings")

    def __call__(self, *arguments, folder="bindings/rust", **environment):
        command = [self.program, *arguments]
        print("+", " ".join(["cargo", *arguments]), flush=True)
        return subprocess.run(command, cwd=self.tree / folder, env={**self.environment, **environment}).returncode


def run_all(cargo, build, out):
    """All tests but the cycles, with the recorder in front of the library, where the build has one."""
    record = out / "called.txt"
    record.unlink(missing_ok=True)
    recorder = build / "recorder"
    extra = {"LD_LIBRARY_PATH": str(recorder), "DS_RECORD": str(record)} if recorder.is_dir() else {}
    tests = [word for path in sorted((ROOT / "bindings/rust/deepseam/tests").glob("*.rs")) if path.stem != "cycles"
             for word in ("--test", path.stem)]
    if cargo("test", "--offline", "-q", "-p", "deepseam", *tests, **extra):
        return 1
    if cargo("test", "--offline", "-q", "-p", "deepseam", "--doc", **extra):
        return 1
    if cargo("test", "--offline", "-q", "-p", "deepseam", "--features", "embedded", "--test", "embedded", **extra):
        return 1
    if extra and (missing := never_called(record)):
        print(f"never called with success: {', '.join(missing)}")
        return 1
    return 0


def lint(cargo, _build, _out):
    if cargo("fmt", "--version"):
        skip("cargo fmt is not installed")
    failed = 0
    for folder in ("bindings/rust", "samples/rust"):
        failed |= cargo("fmt", "--all", "--check", folder=folder)
        failed |= cargo("clippy", "--offline", "-q", "--all-targets", "--", "-D", "warnings", folder=folder)
    return failed


def msrv(build, out):
    """The oldest compiler is Debian's, so that it is tested where that is installed."""
    stated = re.search(r'rust-version = "([\d.]+)"', (ROOT / "bindings/rust/deepseam/Cargo.toml").read_text())[1]
    compiler = Path("/usr/bin/rustc")
    version = compiler.exists() and subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    if not version or not version.startswith(f"rustc {stated}") or not os.access("/usr/bin/cargo", os.X_OK):
        skip(f"/usr/bin/rustc is not {stated} (packages rustc, cargo of Debian 12)")
    cargo = Cargo(build, out, "target-msrv")
    cargo.program = "/usr/bin/cargo"
    failed = 0
    for folder in ("bindings/rust", "samples/rust"):
        lock = cargo.tree / folder / "Cargo.lock"  # of a newer cargo, perhaps
        lock.unlink(missing_ok=True)
        failed |= cargo("build", "--offline", "-q", "--all-targets", folder=folder, RUSTC=str(compiler))
        lock.unlink(missing_ok=True)
    return failed


CRATE_CONTENT = {"Cargo.toml", "Cargo.toml.orig", "LICENSE", "README.md", "build.rs", "src"}
PROGRAM = """[package]
name = "hello"
version = "0.0.0"
edition = "2021"
build = "build.rs"
[dependencies]
deepseam = "{version}"
deepseam-sys = "{version}"
[workspace]
"""


def add_to_registry(crate, registry):
    """Unpacks a crate as cargo keeps those of a registry for work without the network."""
    with tarfile.open(crate) as archive:
        archive.extractall(registry)
    folder = registry / crate.stem
    found = {path.name for path in folder.iterdir()} - {"Cargo.lock"}
    if found != CRATE_CONTENT:
        print(f"{crate.name}: holds {sorted(found)}, expected {sorted(CRATE_CONTENT)}")
        return 1
    checksum = hashlib.sha256(crate.read_bytes()).hexdigest()
    (folder / ".cargo-checksum.json").write_text(json.dumps({"files": {}, "package": checksum}), encoding="utf-8")
    return 0


def package(cargo, _build, out):
    """Each crate is made, compiled from what is in it, and used by a program that knows no path of the sources."""
    if os.access("/usr/bin/cargo", os.X_OK) and os.access("/usr/bin/rustc", os.X_OK):  # the oldest that is stated
        cargo.program = "/usr/bin/cargo"
        cargo.environment.update(RUSTC="/usr/bin/rustc", RUSTDOC="/usr/bin/rustdoc")
    version = re.search(r'^version = "([\d.]+)"', (ROOT / "bindings/rust/deepseam/Cargo.toml").read_text(), re.M)[1]
    registry, crates, program = out / "registry", out / "crates", out / "program"
    for folder in (registry, crates, program):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    cargo.environment.update(CARGO_HOME=str(out / "cargo-home"))
    instead = ["--config", 'source.crates-io.replace-with="made"', "--config", f'source.made.directory="{registry}"']
    (cargo.tree / "bindings/rust/Cargo.lock").unlink(missing_ok=True)
    if cargo("doc", "--offline", "-q", "--no-deps", "--workspace"):
        return 1
    for name in ("deepseam-sys", "deepseam"):
        shutil.copy2(ROOT / "LICENSE", cargo.tree / "bindings/rust" / name / "LICENSE")
        if cargo(*instead, "package", "--offline", "-q", "--allow-dirty", "-p", name):
            return 1
        made = out / "target-package/package" / f"{name}-{version}.crate"
        shutil.copy2(made, crates)
        if add_to_registry(made, registry):
            return 1
    (program / "src").mkdir()
    (program / "Cargo.toml").write_text(PROGRAM.format(version=version), encoding="utf-8")
    shutil.copy2(ROOT / "samples/rust/build.rs", program)
    shutil.copy2(ROOT / "samples/rust/src/bin/01_hello.rs", program / "src/main.rs")
    return cargo(*instead, "run", "--offline", "-q", folder=program)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group", choices=["all", "layout", "cycles", "lint", "msrv", "package", "samples"])
    parser.add_argument("--build", type=Path, required=True, help="the CMake build folder")
    parser.add_argument("--out", type=Path, required=True, help="where sources are copied to and built")
    arguments = parser.parse_args()
    build, out = arguments.build.resolve(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "lock", "w", encoding="utf-8") as lock:  # two tests may want the same folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        copy_sources(out / "tree")
        if arguments.group == "msrv":
            return msrv(build, out)
        cargo = Cargo(build, out, "target-package" if arguments.group == "package" else "target")
        if arguments.group == "package":
            return package(cargo, build, out)
        if arguments.group == "all":
            return run_all(cargo, build, out)
        if arguments.group == "lint":
            return lint(cargo, build, out)
        if arguments.group == "layout":
            return cargo("test", "--offline", "-q", "-p", "abi-test")
        if arguments.group == "samples":
            return cargo("build", "--offline", "-q", "--bins", folder="samples/rust")
        # One arena of malloc: with more, what is measured is how many of them threads came to use.
    return cargo("test", "--offline", "-q", "-p", "deepseam", "--test", "cycles", "--", "--nocapture",
                 MALLOC_ARENA_MAX="1")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
