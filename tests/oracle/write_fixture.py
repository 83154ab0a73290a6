#!/usr/bin/env python3
"""Writes every tiny checkpoint into a folder, unless it holds exactly them already: `write_fixture.py FOLDER`."""
import sys
from pathlib import Path

import make_tiny

RECORDED = Path(__file__).parent / "golden" / "sha256.txt"


def is_complete(out):
    """Whether every recorded checkpoint is there with the recorded bytes."""
    for line in RECORDED.read_text().splitlines():
        digest, name = line.split()
        if not (out / name).is_dir() or make_tiny.digest(out / name) != digest:
            return False
    return True


def main():
    out = Path(sys.argv[1])
    if is_complete(out):
        return 0
    make_tiny.make(out, [*make_tiny.VARIANTS, *make_tiny.ADAPTERS])
    if is_complete(out):
        return 0
    print(f"{out}: the checkpoints just written do not have the recorded digests", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
