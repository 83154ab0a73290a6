#!/usr/bin/env python3
"""What the finished binaries export and need: `check_symbols.py ROOT BUILD_FOLDER [--static-runtime]`. 1 on a violation.

The library exports exactly the functions that the public headers declare, under one version node named after the ABI;
a plugin exports exactly ds_backend_main, the library with the embedded model exactly ds_embedded_model. None needs a
library beyond the C library (without --static-runtime, also the C++ runtime), nor a newer glibc than 2.36. Each binds its
own symbols to itself, everything at load, and then makes the table of addresses read-only. The static library is one object
that shows exactly the declared functions. Prints the newest glibc version that each binary needs.
"""
import re
import subprocess
import sys
from pathlib import Path

C_LIBRARY = re.compile(r"^(libc|libm|libpthread|libdl|librt|ld-linux[\w-]*)\.so\.\d+$")
CXX_RUNTIME = re.compile(r"^(libstdc\+\+|libgcc_s)\.so\.\d+$")
NEWEST_GLIBC = (2, 36)


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def declared_functions(root):
    """Names of the functions that include/deepseam/*.h declare for the library."""
    names = set()
    for header in sorted((root / "include/deepseam").glob("*.h")):
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(encoding="utf-8"), flags=re.DOTALL)
        text = re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)
        names |= set(re.findall(r"\bDS_API\b[^;(]*?\b(ds_\w+)\s*\(", text))
    return names


def abi_major(root):
    text = (root / "include/deepseam/version.h").read_text(encoding="utf-8")
    return int(re.search(r"define DS_ABI_MAJOR (\d+)", text)[1])


def exports(binary):
    """name -> version node ("" if none) of every defined dynamic symbol."""
    result = {}
    for line in run("readelf", "-W", "--dyn-syms", str(binary)).splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0][:-1].isdigit() or fields[6] in ("UND", "ABS") or fields[4] == "LOCAL":
            continue
        name, _, node = fields[7].partition("@")
        result[name] = node.lstrip("@")
    return result


def dynamic(binary):
    """(soname, needed libraries, newest glibc version needed)."""
    text = run("readelf", "-W", "-d", str(binary))
    soname = re.search(r"\(SONAME\).*\[(.*)\]", text)
    versions = re.findall(r"GLIBC_(\d+)\.(\d+)", run("readelf", "-W", "-V", str(binary)))
    newest = max(((int(a), int(b)) for a, b in versions), default=(0, 0))
    return soname[1] if soname else "", re.findall(r"\(NEEDED\).*\[(.*)\]", text), newest


def check_needs(binary, static_runtime):
    _, needed, newest = dynamic(binary)
    for name in needed:
        if not C_LIBRARY.match(name) and not (CXX_RUNTIME.match(name) and not static_runtime):
            yield f"{binary.name}: needs {name}"
    if newest > NEWEST_GLIBC:
        yield f"{binary.name}: needs glibc {newest[0]}.{newest[1]}, the newest allowed is 2.36"
    yield from check_binding(binary)


def check_binding(binary):
    """Reasons why another library in the process could get in between, or late."""
    flags = re.findall(r"\(FLAGS(?:_1)?\)(.*)", run("readelf", "-W", "-d", str(binary)))
    for flag, option in (("SYMBOLIC", "-Bsymbolic"), ("NOW", "-z now")):
        if not any(flag in line for line in flags):
            yield f"{binary.name}: was linked without {option}"
    if "GNU_RELRO" not in run("readelf", "-W", "-l", str(binary)):
        yield f"{binary.name}: was linked without -z relro"


def check_archive(archive, declared):
    """Reasons why the static library is not one object that shows the API alone."""
    found = {line.split()[2] for line in run("nm", "-g", "--defined-only", str(archive)).splitlines()
             if len(line.split()) == 3}
    yield from (f"{archive.name}: declared but not shown: {name}" for name in sorted(declared - found))
    yield from (f"{archive.name}: shown but not declared: {name}" for name in sorted(found - declared))
    members = run("ar", "t", str(archive)).split()
    if len(members) != 1:
        yield f"{archive.name}: has {len(members)} objects, expected one"


def check_library(binary, declared, major, static_runtime):
    """Reasons why the library is not as its headers say."""
    found = exports(binary)
    node = f"DEEPSEAM_{major}"
    yield from (f"{binary.name}: declared but not exported: {name}" for name in sorted(declared - set(found)))
    yield from (f"{binary.name}: exported but not declared: {name}" for name in sorted(set(found) - declared))
    yield from (f"{binary.name}: {name} has version node \"{found[name]}\", expected {node}"
                for name in sorted(declared & set(found)) if found[name] != node)
    soname = dynamic(binary)[0]
    if soname != f"libdeepseam.so.{major}":
        yield f"{binary.name}: soname is \"{soname}\", expected libdeepseam.so.{major}"
    yield from check_needs(binary, static_runtime)


def check_embedded(binary, major):
    """Reasons why the library that holds the embedded model is not just its bytes and their accessor."""
    found, expected = exports(binary), {"ds_embedded_model": f"DEEPSEAM_EMBEDDED_{major}"}
    if found != expected:
        yield f"{binary.name}: exports {sorted(found.items())}, expected {sorted(expected.items())}"
    soname, needed, _ = dynamic(binary)
    if soname != f"libdeepseam-embedded.so.{major}":
        yield f"{binary.name}: soname is \"{soname}\", expected libdeepseam-embedded.so.{major}"
    yield from (f"{binary.name}: needs {name}" for name in needed if not C_LIBRARY.match(name))
    yield from check_binding(binary)


def check_plugin(binary, static_runtime):
    """Reasons why a plugin is not as the loader expects."""
    found = set(exports(binary))
    if found != {"ds_backend_main"}:
        yield f"{binary.name}: exports {sorted(found)}, expected ds_backend_main alone"
    yield from check_needs(binary, static_runtime)


def main():
    root, build = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    static_runtime = "--static-runtime" in sys.argv
    made = build / "lib"
    libraries = sorted(path for path in made.rglob("libdeepseam.so.*") if not path.is_symlink())
    plugins = sorted(path for path in made.rglob("deepseam-*.so") if not path.is_symlink())
    embedded = sorted(path for path in made.rglob("libdeepseam-embedded.so.*") if not path.is_symlink())
    violations = [] if libraries else [f"{build}: no libdeepseam.so is built"]
    for binary in libraries:
        violations += check_library(binary, declared_functions(root), abi_major(root), static_runtime)
    for binary in plugins:
        violations += check_plugin(binary, static_runtime)
    for binary in embedded:
        violations += check_embedded(binary, abi_major(root))
    for archive in sorted(made.glob("libdeepseam.a")):
        violations += check_archive(archive, declared_functions(root))
    for binary in libraries + embedded + plugins:
        print("note: {} needs glibc {}.{}".format(binary.name, *dynamic(binary)[2]))
    print("\n".join(violations) or f"symbols: {len(libraries)} library and {len(plugins)} plugins are as declared")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
