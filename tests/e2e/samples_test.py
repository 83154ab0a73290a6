#!/usr/bin/env python3
"""The samples of one language say what the C samples say: `samples_test.py LANGUAGE BUILD OUT`.

Every sample 01 to 06 that there is in C is there in the other language, under the same name, and has the same output and
exit status, on the embedded model. Exit status 77 and a last line with the reason: skipped, because a tool or the folder is
not there. A language is a line of LANGUAGES: how its samples are built, and the command of one of them.
"""
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("01_hello", "02_stream", "03_fill_in_middle", "04_prefix_reuse", "05_batch", "06_errors")


class Place:
    """Folders of one run."""

    def __init__(self, build, out):
        self.build, self.out = build, out
        self.library = build / "lib"

    def environment(self):
        include, library = ROOT / "include", self.library
        return dict(os.environ, LD_LIBRARY_PATH=str(library), LC_ALL="C.UTF-8", DEEPSEAM_DIR=str(self.build),
                    DEEPSEAM_LIB_DIR=str(library), DEEPSEAM_INCLUDE_DIR=str(include), CGO_CFLAGS=f"-I{include}",
                    CGO_LDFLAGS=f"-L{library} -ldeepseam", GOFLAGS="-mod=mod", GOPROXY="off", GOTOOLCHAIN="local",
                    GOCACHE=str(self.out / "go-cache"), CARGO_NET_OFFLINE="true")


def need(tool, package):
    found = shutil.which(tool)
    if not found:
        skip(f"{tool} is not installed ({package})")
    return found


def skip(reason):
    print(reason)
    sys.exit(77)


def run(command, place, **options):
    subprocess.run(command, env=place.environment(), check=True, **options)


def build_nothing(place):
    """CMake has built them."""


def build_csharp(place):
    done = subprocess.run([sys.executable, "-B", str(ROOT / "bindings/csharp/run.py"), "build", "mono",
                           "--build", str(place.build), "--out", str(place.out)])
    if done.returncode:
        sys.exit(done.returncode)


def build_rust(place):
    done = subprocess.run([sys.executable, "-B", str(ROOT / "bindings/rust/run.py"), "samples",
                           "--build", str(place.build), "--out", str(place.out)])
    if done.returncode:
        sys.exit(done.returncode)


def build_go(place):
    done = subprocess.run([sys.executable, "-B", str(ROOT / "bindings/go/run.py"), "samples",
                           "--build", str(place.build), "--out", str(place.out)])
    if done.returncode:
        sys.exit(done.returncode)


def program(*folders):
    """The command that runs a sample: the program of its name in the first of `folders` below OUT that has it."""
    def command(place, name):
        for folder in folders:
            for spelled in (name, f"sample_{name}", name.replace("_", "-")):
                if os.access(path := place.out / folder / spelled, os.X_OK):
                    return [str(path)]
        raise SystemExit(f"no program {name} in {place.out}")
    return command


def csharp(machine):
    def command(place, name):
        sys.path.insert(0, str(ROOT / "bindings/csharp"))
        import run as binding  # which knows where the machines are
        return [*binding.machine(machine), str(place.out / f"{name}.exe")]
    return command


# language: (folder of its sources, how to build, the command of a sample)
LANGUAGES = {
    "csharp-mono": ("csharp", build_csharp, csharp("mono")),
    "csharp-dotnet": ("csharp", build_csharp, csharp("dotnet")),
    "rust": ("rust", build_rust, program("target/debug")),
    "go": ("go", build_go, program(".")),
}


def output(command, place):
    done = subprocess.run(command, env=place.environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=120)
    return {"exit status": done.returncode, "output": done.stdout, "messages": done.stderr}


def main():
    language, build, out = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    folder, make, command = LANGUAGES[language]
    if not (ROOT / "samples" / folder).is_dir():
        skip(f"there is no samples/{folder}")
    out.mkdir(parents=True, exist_ok=True)
    place = Place(build, out)
    make(place)
    wrong = 0
    for name in NAMES:
        expected = output([str(build / "samples/c" / f"sample_{name}")], place)
        found = output(command(place, name), place)
        for what, text in expected.items():
            if found[what] != text:
                wrong += 1
                print(f"{name}: {what} of {language}:\n{found[what]}\nexpected, as of C:\n{text}")
    print(f"{len(NAMES)} samples of {language}, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
