#!/usr/bin/env python3
"""What must not stand in any file: `check_words.py [ROOT]`. Exits with 1 on a violation.

Marks of unfinished work, paths of one machine, names of hosts, and what editors leave behind. Looks at the files that
git tracks or would track; test corpora (tests/**/data, tests/fuzz, golden records) may hold any bytes, and so may the
few files that BINARY names.
"""
import re
import subprocess
import sys
from pathlib import Path

# Written so that this file does not contain what it looks for.
BANNED = [
    (re.compile(r"\bT[O]DO\b|\bF[I]XME\b|\bX[X]X\b"), "marks unfinished work"),
    (re.compile(r"\bnot[ ]implemented\b|\bplace[h]older\b|\bfor[ ]now\b", re.IGNORECASE), "marks unfinished work"),
    (re.compile(r"(?<![\w.])/wor[k]/|(?<![\w.$}])/roo[t]/|(?<![\w.$}\"'])/hom[e]/\w"), "is a path of one machine"),
    (re.compile(r"\bissue[ ]?#?[0-9]+\b|\bsandbox[ ]session\b", re.IGNORECASE), "speaks of how this came to be"),
    (re.compile(r"\bdeb\.debia[n]\.org|\bpyp[i]\.org|\bcrate[s]\.io|\bnuge[t]\.org", re.IGNORECASE), "names a host"),
    (re.compile(r"^(<{7} |>{7} |={7}$)"), "is a conflict mark"),
    (re.compile(r"[ \t]+$"), "has blanks at its end"),
]
LARGEST = 1 << 20
# Files that are larger than that, or no text, each with its own limit and reason.
BINARY = {
    "models/embedded.dsm": (24 << 20, "the trained model that ships: a user without weights has something that works"),
}
FREE = re.compile(r"^tests/(.*/)?(data|fuzz|corpus|golden)/|\.npz$")


def tracked(root):
    """Files that git tracks or would track; without git, all files outside of hidden and build folders."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z", "-co", "--exclude-standard"], capture_output=True)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
        return [root / name for name in names if name and (root / name).is_file()]
    return [path for path in sorted(root.rglob("*"))
            if path.is_file() and not re.search(r"(^|/)(\.git|build|__pycache__)/", path.relative_to(root).as_posix())]


def violations_of(path, name):
    data = path.read_bytes()
    largest = BINARY[name][0] if name in BINARY else LARGEST
    if len(data) > largest:
        yield f"{name}: {len(data)} bytes, the limit is {largest}"
    if FREE.search(name) or name in BINARY:
        return
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        yield f"{name}: is not UTF-8"
        return
    if "\0" in text:
        yield f"{name}: holds a zero byte"
        return
    if "\r" in text:
        yield f"{name}: holds a carriage return"
    if text and not text.endswith("\n"):
        yield f"{name}: does not end with a line break"
    tabs = path.suffix not in {".go", ".mod", ".tsv"} and path.name not in {"Makefile", ".gitattributes"}
    for number, line in enumerate(text.split("\n"), 1):
        if tabs and "\t" in line:
            yield f"{name}:{number}: holds a tab"
        for pattern, reason in BANNED:
            found = pattern.search(line)
            if found:
                yield f"{name}:{number}: \"{found[0]}\" {reason}"


def check(root):
    """All violations, one line each."""
    return [line for path in tracked(root) for line in violations_of(path, path.relative_to(root).as_posix())]


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    violations = check(root)
    print("\n".join(violations) or "words: nothing that should not be there")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
