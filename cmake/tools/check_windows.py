#!/usr/bin/env python3
"""What a build for Windows imports and exports: `check_windows.py ROOT BUILD [WINE]`. Exits with 1 on a violation.

Every library and program of BUILD/bin needs nothing but parts of Windows and our own libraries: no runtime of the compiler
that would have to travel along. deepseam.dll exports what the header declares and nothing else, a plugin its entry. The
import libraries name the same functions, undecorated, no wide vector is moved as if it were aligned, and a program that another compiler made for Microsoft's ABI links
with them (skipped without clang and lld) and, with WINE, calls them.
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from check_symbols import declared_functions

SYSTEM = {"kernel32.dll", "msvcrt.dll", "shell32.dll"}
OURS = {"deepseam.dll", "deepseam-embedded.dll"}
ALIGNED_MOVE = re.compile(r"\svmov(aps|apd|dqa|dqa32|dqa64)\s.*%[yz]mm")
FOREIGN = """
__declspec(dllimport) unsigned __cdecl ds_abi_version(void);
__declspec(dllimport) const void *__cdecl ds_embedded_model(unsigned long long *size);
int start(void) {
  unsigned long long size = 0;
  return ds_abi_version() == %d && ds_embedded_model(&size) && size ? 42 : 1;
}
"""


def run(*command, **options):
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True, **options).stdout


def headers(binary):
    return run("x86_64-w64-mingw32-objdump", "-p", binary)


def imported(binary):
    return re.findall(r"^\s*DLL Name: (\S+)", headers(binary), re.MULTILINE)


def exported(binary):
    table = headers(binary).partition("[Ordinal/Name Pointer] Table")[2].split("\n\n")[0]
    return set(re.findall(r"^\s*\[ *\d+\] (\S+)", table, re.MULTILINE))


def check_imports(build):
    for binary in sorted([*build.glob("bin/**/*.dll"), *build.glob("bin/*.exe")]):
        for name in imported(binary):
            if name.lower() not in SYSTEM | OURS:
                yield f"{binary.name} needs {name}, which is no part of Windows"


def check_exports(build, expected):
    """expected: library -> names."""
    for name, functions in expected.items():
        found = exported(build / "bin" / name)
        yield from (f"{name} does not export {one}" for one in sorted(functions - found))
        yield from (f"{name} exports {one}, which is not declared" for one in sorted(found - functions))
    plugins = sorted(build.glob("bin/deepseam/*/deepseam-*.dll"))
    if not plugins:
        yield f"{build}: no plugin is built"
    for plugin in plugins:
        if exported(plugin) != {"ds_backend_main"}:
            yield f"{plugin.name} exports {sorted(exported(plugin))}, expected ds_backend_main alone"


def check_vector_moves(build):
    """The stack is aligned to 16 bytes only, and the compiler does not know (backends/onednn/CMakeLists.txt)."""
    for binary in sorted(build.glob("bin/**/deepseam*.dll")):
        code = run("x86_64-w64-mingw32-objdump", "-d", "--no-show-raw-insn", binary)
        moves = [line for line in code.splitlines() if ALIGNED_MOVE.search(line) and "(" in line]
        if moves:
            yield f"{binary.name}: {len(moves)} vector moves that need an aligned address"


def check_import_library(build, name, functions):
    library = build / "lib" / (Path(name).stem + ".lib")
    if not library.is_file():
        yield f"{library} is not there"
        return
    found = set(re.findall(r" T (\w+)$", run("x86_64-w64-mingw32-nm", library), re.MULTILINE))
    yield from (f"{library.name} lacks {one}" for one in sorted(functions - found))
    yield from (f"{library.name} has {one} besides" for one in sorted(found - functions))


def check_foreign_program(build, version, wine):
    clang, linker = (shutil.which(f"{name}-14") or shutil.which(name) for name in ("clang", "lld-link"))
    if not clang or not linker:
        print("note: the import libraries were not linked, clang and lld are not both installed")
        return
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder) / "foreign.c", Path(folder) / "foreign.exe"
        source.write_text(FOREIGN % version)
        run(clang, "--target=x86_64-pc-windows-msvc", "-O1", "-c", source, "-o", f"{source}.obj")
        try:
            run(linker, "/entry:start", "/subsystem:console", "/nodefaultlib", f"/out:{program}", f"{source}.obj",
                build / "lib/deepseam.lib", build / "lib/deepseam-embedded.lib")
        except subprocess.CalledProcessError as failure:
            yield f"a program for Microsoft's ABI does not link: {failure.stdout}{failure.stderr}"
            return
        if wine:
            for name in OURS:
                shutil.copy(build / "bin" / name, folder)
            status = subprocess.run([wine, str(program)], check=False).returncode
            if status != 42:
                yield f"a program for Microsoft's ABI ended with {status}, expected 42"


def main():
    root, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    wine = sys.argv[3] if len(sys.argv) > 3 else None
    expected = {"deepseam.dll": set(declared_functions(root)), "deepseam-embedded.dll": {"ds_embedded_model"}}
    major, minor = (int(re.search(rf"define DS_ABI_{part} (\d+)", (root / "include/deepseam/version.h").read_text())[1])
                    for part in ("MAJOR", "MINOR"))
    violations = [*check_imports(build), *check_exports(build, expected), *check_vector_moves(build)]
    for name, functions in expected.items():
        violations += check_import_library(build, name, functions)
    violations += check_foreign_program(build, major << 16 | minor, wine)
    print("\n".join(violations) or "Windows: imports, exports and import libraries are as declared")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
