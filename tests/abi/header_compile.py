"""The public headers compile cleanly as every language a host may use, with one compiler.

usage: header_compile.py COMPILER INCLUDE_DIR STANDARD...      standards such as c99 or c++20
Each header is compiled alone, then all together with a use of the loader; a Windows compiler gets windows.h first.
Then hosts that pack their own structs: layout (layout.c) and alignment stay, and so does the host's packing behind the
headers.
Exit status 77 if the compiler is not installed.
"""
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HEADERS = ["deepseam.h", "types.h", "status.h", "version.h", "export.h", "loader.h", "backend.h", "embedded.h"]
FLAGS = ["-Wall", "-Wextra", "-pedantic", "-Wpadded", "-Werror"]
USE = """
int main(void) {
  ds_library library;
  ds_error error;
  error.struct_size = sizeof error;
  if (ds_library_open(&library, "relative/path", &error) != DS_E_ARGUMENT) return 1;
  ds_api_fill_missing(&library.api);
  ds_library_close(&library);
  return library.api.runtime_create(0, 0, &error) == DS_E_UNSUPPORTED ? 0 : 1;
}
"""


def compile_one(compiler, include, standard, text, where):
    suffix = ".cpp" if "++" in standard else ".c"
    source = pathlib.Path(where) / ("unit" + suffix)
    source.write_text(text)
    command = [compiler, "-std=" + standard, *FLAGS, "-I", include, "-c", str(source), "-o", str(source) + ".o"]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        print(" ".join(command), text, run.stderr, sep="\n")
    return run.returncode == 0

# Structs without padding are as large as packed ones; what packing would change is where the host may put them.
HEADERS_OF_HOST = """
#include <deepseam/deepseam.h>
typedef char params_are_aligned[__alignof__(ds_params) == 8 ? 1 : -1];
typedef char errors_are_aligned[__alignof__(ds_error) == 8 ? 1 : -1];
struct of_the_host {
  char first;
  double second;
};
typedef char host_is_still_packed[sizeof(struct of_the_host) == 9 ? 1 : -1];
"""
PACKED = {"pragma": ("#pragma pack(push, 1)" + HEADERS_OF_HOST + "#pragma pack(pop)\n", []),
          "flag": (HEADERS_OF_HOST, ["-fpack-struct=1"])}


def compiles(compiler, include, standard, text, where, *flags):
    """Whether text and the pinned layout behind it compile, without a word."""
    source = pathlib.Path(where) / ("packed" + (".cpp" if "++" in standard else ".c"))
    source.write_text(text + (pathlib.Path(__file__).parent / "layout.c").read_text())
    command = [compiler, "-std=" + standard, "-fsyntax-only", *flags, "-I", str(include), str(source)]
    return subprocess.run(command, capture_output=True).returncode == 0


def packed_hosts(compiler, include, standard, where):
    """What is wrong for a host that packs its structs, by a pragma or for all of a program."""
    bare = pathlib.Path(where) / "bare"  # the same headers, without what they do about it
    shutil.copytree(include, bare, dirs_exist_ok=True)
    for header in bare.rglob("*.h"):
        header.write_text(re.sub(r"^#pragma pack.*$", "", header.read_text(), flags=re.M))
    for name, (text, flags) in PACKED.items():
        if not compiles(compiler, include, standard, text, where, *flags):
            yield f"{standard}: another layout for a host that packs by {name}"
        if compiles(compiler, bare, standard, text, where, *flags):
            yield f"{standard}: packing by {name} goes unnoticed, so that this test cannot fail"
    if not compiles(compiler, include, standard, "", where, "-fshort-enums", "-funsigned-char", "-fshort-wchar"):
        yield f"{standard}: another layout with short enums and wide characters"


def main():
    compiler, include, standards = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not shutil.which(compiler):
        print(f"{compiler} is not installed")
        return 77
    first = "#include <windows.h>\n" if "mingw" in compiler else ""
    failed = 0
    with tempfile.TemporaryDirectory() as where:
        for standard in standards:
            texts = [f"{first}#include <deepseam/{name}>\ntypedef int not_empty;\n" for name in HEADERS]
            texts = [text + (USE if "loader.h" in text else "") for text in texts]
            texts.append(first + "".join(f"#include <deepseam/{name}>\n" for name in HEADERS) + USE)
            failed += sum(not compile_one(compiler, include, standard, text, where) for text in texts)
        problems = list(packed_hosts(compiler, include, standards[0], where))
    failed += len(problems)
    print("\n".join([*problems, f"{failed} failed"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
