#!/usr/bin/env python3
"""Makes the NuGet package: `pack.py PREFIX ASSEMBLIES OUT`. Prints the path of the .nupkg.

PREFIX is where the library is installed, ASSEMBLIES the folder with Deepseam.dll and Deepseam.xml. A .nupkg is a zip file with
a description, so that no tool of .NET is needed; the same input gives the same bytes.

Native files of a package are found by their folder: runtimes/<system>/native. The runtime copies them without their folders,
but the library looks for plugins and model in folders beside it, so build files copy those.
"""
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SYSTEM = "linux-x64"
NATIVE = f"runtimes/{SYSTEM}/native"

TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
{defaults}
</Types>
"""
RELATIONS = """<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/Deepseam.nuspec" Id="nuspec" />
</Relationships>
"""


def version():
    text = (ROOT / "include/deepseam/version.h").read_text(encoding="utf-8")
    return re.search(r'DS_VERSION_STRING "([^"]+)"', text)[1]


def library_folder(prefix):
    """The folder of the installed library below a prefix."""
    found = sorted(prefix.glob("lib*/**/libdeepseam.so.[0-9]*"))
    if not found:
        raise SystemExit(f"{prefix}: no libdeepseam.so is installed there")
    return found[0].parent


def content(prefix, assemblies):
    """Path in the package -> file, or text."""
    libraries = library_folder(prefix)
    files = {
        "Deepseam.nuspec": (HERE / "Deepseam.nuspec").read_text(encoding="utf-8").replace("$version$", version()),
        "buildTransitive/Deepseam.targets": HERE / "Deepseam.targets",
        "build/Deepseam.targets": HERE / "Deepseam.targets",
        "lib/netstandard2.0/Deepseam.dll": assemblies / "Deepseam.dll",
        "lib/netstandard2.0/Deepseam.xml": assemblies / "Deepseam.xml",
        "README.md": ROOT / "bindings/csharp/README.md",
        "LICENSE": ROOT / "LICENSE",
        f"{NATIVE}/libdeepseam.so": (libraries / "libdeepseam.so").resolve(),
    }
    for path in sorted(prefix.glob("share/doc/*/third-party/*.txt")):  # notices of what is linked in
        files[f"third-party/{path.name}"] = path
    for path in sorted((libraries / "deepseam").rglob("*")):
        if path.is_file():
            files[f"{NATIVE}/deepseam/{path.relative_to(libraries / 'deepseam').as_posix()}"] = path
    return files


def write(target, files):
    extensions = sorted({name.rpartition(".")[2] for name in files if "." in name.rpartition("/")[2]})
    defaults = "\n".join(f'  <Default Extension="{item}" ContentType="application/octet-stream" />' for item in extensions)
    parts = {"[Content_Types].xml": TYPES.format(defaults=defaults), "_rels/.rels": RELATIONS, **files}
    parts["[Content_Types].xml"] = parts["[Content_Types].xml"].replace(
        "</Types>", '  <Override PartName="/LICENSE" ContentType="application/octet-stream" />\n</Types>')
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as package:
        for name, source in parts.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, source if isinstance(source, str) else source.read_bytes())


def main():
    prefix, assemblies, out = (Path(argument).resolve() for argument in sys.argv[1:4])
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"Deepseam.{version()}.nupkg"
    write(target, content(prefix, assemblies))
    print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
