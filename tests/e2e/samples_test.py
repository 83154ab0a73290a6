#!/usr/bin/env python3
"""The samples of one language say what the C samples say: `samples_test.py LANGUAGE BUILD OUT`.

Every sample 01 to 06 in C is there in the other language, under the same name, and has the same output and exit status, on
the embedded model; none leaves a handle that is not released. The language's run.py builds them; its exit status 77 and a last line with the reason mean: skipped,
because a tool is not there.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))
from recorder import handles_left  # noqa: E402

NAMES = ("01_hello", "02_stream", "03_fill_in_middle", "04_prefix_reuse", "05_batch", "06_errors")


def csharp(machine):
    def command(out, name):
        sys.path.insert(0, str(ROOT / "bindings/csharp"))
        import run as binding  # which knows where the machines are
        return [*binding.machine(machine), str(out / f"{name}.exe")]
    return command


def program(folder):
    return lambda out, name: [str(out / folder / name)]


# language: (binding, what its run.py is told, the command of a sample)
LANGUAGES = {
    "csharp-mono": ("csharp", ["build", "mono"], csharp("mono")),
    "csharp-dotnet": ("csharp", ["build", "mono"], csharp("dotnet")),
    "rust": ("rust", ["samples"], program("target/debug")),
    "go": ("go", ["samples"], program(".")),
}


def output(command, build):
    with tempfile.TemporaryDirectory() as folder:
        live = Path(folder) / "live"
        libraries = ":".join(map(str, [build / "recorder", build / "lib"]))
        environment = dict(os.environ, LD_LIBRARY_PATH=libraries, LC_ALL="C.UTF-8", DS_RECORD_LIVE=str(live))
        done = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        return {"exit status": done.returncode, "output": done.stdout, "messages": done.stderr, "handles left": handles_left(live)}


def main():
    language, build, out = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve()
    binding, arguments, command = LANGUAGES[language]
    script = ROOT / "bindings" / binding / "run.py"
    made = subprocess.run([sys.executable, "-B", str(script), *arguments, "--build", str(build), "--out", str(out)])
    if made.returncode:
        return made.returncode
    wrong = 0
    for name in NAMES:
        expected = output([str(build / "samples/c" / f"sample_{name}")], build) | {"handles left": 0}
        found = output(command(out, name), build)
        for what, text in expected.items():
            if found[what] != text:
                wrong += 1
                print(f"{name}: {what} of {language}:\n{found[what]}\nexpected, as of C:\n{text}")
    print(f"{len(NAMES)} samples of {language}, {wrong} differences")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
