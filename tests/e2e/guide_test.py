#!/usr/bin/env python3
"""The code in docs/guides/embedding.md compiles and runs: `guide_test.py BUILD`.

Its C blocks in their order are one program, compiled as C99 and C11 without a warning, its C++ blocks another; both are
linked, run with the embedded model, and leave no handle behind. CMake lines are checked where the library is installed
(tests/house/install_test.sh, which asks for them: `guide_test.py --cmake`). A block of another language is an error.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/abi/recorder"))
from recorder import handles_left  # noqa: E402

GUIDE = ROOT / "docs/guides/embedding.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"c", "cpp", "cmake"}
# suffix, standards, compilers
PROGRAMS = {"c": (".c", ("c99", "c11"), ("gcc", "clang")), "cpp": (".cpp", ("c++11", "c++17", "c++20"), ("g++", "clang++"))}
WARNINGS = ("-Wall", "-Wextra", "-pedantic", "-Werror")


def code(language, text):
    """All blocks of a language as one text; line numbers are those of the guide, so that a compiler's words fit."""
    parts = []
    for block in BLOCK.finditer(text):
        if block[1] == language:
            line = text.count("\n", 0, block.start(2)) + 1
            parts.append(f'#line {line} "embedding.md"\n{block[2]}' if language in PROGRAMS else block[2])
    return "".join(parts)


def compile_with(compiler, standard, source, *more):
    """None, or what the compiler says."""
    made = subprocess.run([compiler, f"-std={standard}", *WARNINGS, "-I", str(ROOT / "include"), str(source), *more],
                          capture_output=True, text=True)
    return f"{compiler} -std={standard}: {made.stderr}" if made.returncode else None


def run(program, build, live):
    """None, or what went wrong."""
    libraries = ":".join(map(str, [build / "recorder", build / "lib"]))
    environment = dict(os.environ, LD_LIBRARY_PATH=libraries, DS_RECORD_LIVE=str(live))
    done = subprocess.run([str(program), str(build / "lib")], env=environment, capture_output=True, text=True, timeout=120)
    left = handles_left(live)
    if done.returncode or not done.stdout.strip() or left != 0:
        return f"exit status {done.returncode}, handles left: {left}\n{done.stdout}{done.stderr}"
    return None


def try_language(language, build, folder):
    """What is wrong with its program: every compiler and standard looks at it, what the first one makes is run."""
    suffix, standards, compilers = PROGRAMS[language]
    source, program = folder / f"guide{suffix}", folder / f"guide-{language}"
    source.write_text(code(language, GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
    pairs = [(compiler, standard) for compiler in compilers if shutil.which(compiler) for standard in standards]
    wrong = [compile_with(*pair, source, "-fsyntax-only") for pair in pairs[1:]]
    wrong.append(compile_with(*pairs[0], source, "-o", str(program), f"-L{build / 'lib'}", "-ldeepseam", "-ldl"))
    print(f"{language}: {len(pairs)} ways to compile it")
    return list(filter(None, wrong)) or list(filter(None, [run(program, build, folder / f"live-{language}")]))


def main():
    text = GUIDE.read_text(encoding="utf-8")
    if sys.argv[1] == "--cmake":
        print(code("cmake", text), end="")
        return 0
    failed = [f"a block of \"{block[1]}\": no test compiles that" for block in BLOCK.finditer(text) if block[1] not in LANGUAGES]
    failed += [f"there is no block of {language}" for language in LANGUAGES if not code(language, text)]
    with tempfile.TemporaryDirectory() as folder:
        for language in PROGRAMS:
            failed += try_language(language, Path(sys.argv[1]).resolve(), Path(folder))
    print("\n".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
