#!/usr/bin/env python3
"""The tests and samples in C call everything: `calls_test.py BUILD PROGRAM...`.

With the recorder in front of the library, every declared function succeeds at least once and every failure that status.h
names is answered at least once, by these programs together; and each of them ends without a handle that is not released.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from recorder import handles_left, never_answered, never_called

ROOT = Path(__file__).resolve().parents[3]
# What a program cannot bring about, since the scheduler waits instead: the test that makes it at the place where it is found.
ELSEWHERE = {"DS_E_CACHE_FULL": "tests/unit/kv/kv_store_test.cpp"}


def not_released(build, program, record, folder):
    """Runs it; yields what is wrong."""
    live = folder / f"{program.name}.live"
    environment = dict(os.environ, LD_PRELOAD=str(build / "recorder/libdeepseam.so"), DS_RECORD=str(record),
                       DS_RECORD_LIVE=str(live))
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    if done.returncode:
        yield f"{program.name}: exit status {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    if handles_left(live) != 0:
        yield f"{program.name}: {handles_left(live)} handles are left"


def main():
    build, programs = Path(sys.argv[1]).resolve(), [Path(name).resolve() for name in sys.argv[2:]]
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "called"
        wrong = [line for program in programs for line in not_released(build, program, record, Path(folder))]
        wrong += [f"never called with success: {name}" for name in never_called(record)]
        wrong += [f"never answered: {name}" for name in never_answered(record) if name not in ELSEWHERE]
    for name, path in ELSEWHERE.items():
        if f"== {name}" not in (ROOT / path).read_text(encoding="utf-8"):
            wrong.append(f"{path}: expects no {name} any more")
    print("\n".join(wrong) or f"{len(programs)} programs call everything, and leave nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
