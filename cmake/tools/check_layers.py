#!/usr/bin/env python3
"""Who may include whom: `check_layers.py [ROOT]`. Prints each forbidden include and exits with 1 if there is one.

The allowed edges are written out below; everything that is not allowed is forbidden. Folders that do not exist yet are
no concern, an include of ours that resolves to nothing is.
"""
import re
import sys
from pathlib import Path

# Folder of lib/ -> the other folders of lib/ that it may include. Everyone may include base.
LAYERS = {
    "base": set(),
    "graph": set(),
    "format": set(),
    "text": set(),
    "model": {"graph", "format"},
    "kv": {"runtime", "format"},
    "runtime": {"graph"},
    "session": {"model", "kv", "runtime", "graph", "text", "format"},
    "capi": {"session"},
}
# The backend interface is for those that speak to backends, the user interface for the one that offers it.
MAY_SEE_BACKEND_H = {"runtime", "kv", "session", "capi"}
MAY_SEE_USER_H = {"capi"}
PLAIN_PUBLIC = {"deepseam/status.h", "deepseam/version.h", "deepseam/export.h"}
USER_PUBLIC = {"deepseam/deepseam.h", "deepseam/types.h", "deepseam/api.def", "deepseam/loader.h"}
BACKEND_PUBLIC = {"deepseam/backend.h"}
# What backends/sdk, and nothing else in backends/, takes from lib/: graphs are parsed, verified and planned by one code.
SDK_MAY_SEE = {"base", "graph"}
VENDOR = re.compile(r"(^|/)(cuda|hip/|hip_|cu[A-Z]|cublas|cudnn|nccl|rccl|rocm|rocblas|dnnl|oneapi|mkl|sycl|CL/|ze_api)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
SUFFIXES = {".h", ".hpp", ".c", ".cpp", ".cu", ".cuh", ".def"}


def sources(root, top):
    return (path for path in sorted((root / top).rglob("*")) if path.suffix in SUFFIXES and path.is_file())


def includes(path):
    """(line number, whether quoted, name) of every include of a file."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        found = INCLUDE.match(line)
        if found:
            yield number, found[1] == '"', found[2]


def schema_folder(root, name):
    """The folder of lib/ whose schema generates the header `name` ("graph_generated.h"), or None."""
    schema = name.removesuffix("_generated.h") + ".fbs"
    return next((path.parent.name for path in (root / "lib").glob("*/" + schema)), None)


def library_verdict(root, path, quoted, name):
    """Why a file of lib/ may not include `name`; None if it may."""
    folder = path.relative_to(root / "lib").parts[0]
    if folder not in LAYERS:
        return f"lib/{folder} is not a known layer"
    if VENDOR.search(name):
        return "the core includes no vendor header"
    if name.startswith("deepseam/"):
        if name in PLAIN_PUBLIC or (name in BACKEND_PUBLIC and folder in MAY_SEE_BACKEND_H):
            return None
        if name in USER_PUBLIC and folder in MAY_SEE_USER_H:
            return None
        return f"lib/{folder} may not see this public header"
    if not quoted:
        return None
    if "/" not in name:
        target = schema_folder(root, name) if name.endswith("_generated.h") else None
        if target is None:
            return "quoted includes name their folder, as in \"base/status.h\""
    else:
        target = name.split("/")[0]
        if ".." in name.split("/") or not (root / "lib" / name).is_file():
            return "there is no such header in lib/"
    if target in (folder, "base") or target in LAYERS[folder]:
        return None
    return f"lib/{folder} may not include lib/{target}"


def backend_verdict(root, path, quoted, name):
    """Why a file of backends/ may not include `name`; None if it may."""
    backend = path.relative_to(root / "backends").parts[0]
    if name.startswith("deepseam/"):
        return None if name in PLAIN_PUBLIC | BACKEND_PUBLIC else "a plugin sees only deepseam/backend.h"
    if not quoted:
        return None
    if ".." in name.split("/"):
        return "no include goes upwards"
    if (path.parent / name).is_file() or (root / "backends" / backend / name).is_file():
        return None
    first = name.split("/")[0]
    shared = {"sdk", "gpu"} if backend in ("cuda", "hip") else {"sdk"}
    if (root / "backends" / name).is_file() and first in {backend} | shared:
        return None
    if (root / "backends" / "sdk" / name).is_file() and "/" not in name:
        return None
    target = schema_folder(root, name) if name.endswith("_generated.h") else first
    if backend == "sdk" and target in SDK_MAY_SEE:
        return None
    return f"backends/{backend} may include only deepseam/backend.h, backends/sdk and its own files"


def sample_verdict(root, path, quoted, name):
    """Why a file of samples/ may not include `name`; None if it may."""
    if name.startswith("deepseam/"):
        return None if (root / "include" / name).is_file() else "there is no such public header"
    if not quoted:
        return None
    if ".." not in name.split("/") and (path.parent / name).is_file():
        return None
    return "samples see only public headers and their own files"


def public_verdict(root, path, quoted, name):
    """Why a public header may not include `name`; None if it may."""
    if name.startswith("deepseam/"):
        return None if (root / "include" / name).is_file() else "there is no such public header"
    if quoted:
        return "public headers include by <...> or \"deepseam/...\" only"
    libc = {"stdint.h", "stddef.h", "string.h", "dlfcn.h", "windows.h"}
    return None if name in libc else "public headers include libc headers only"


def check(root):
    """All violations, one line each."""
    violations = []
    for top, verdict in (("lib", library_verdict), ("backends", backend_verdict), ("samples", sample_verdict),
                         ("include", public_verdict)):
        for path in sources(root, top):
            for number, quoted, name in includes(path):
                reason = verdict(root, path, quoted, name)
                if reason:
                    violations.append(f"{path.relative_to(root)}:{number}: includes {name}: {reason}")
    return violations


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()
    violations = check(root)
    print("\n".join(violations) or "layers: every include goes the right way")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
