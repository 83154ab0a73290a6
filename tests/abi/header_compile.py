"""The public headers compile cleanly as every language a host may use, with one compiler.

usage: header_compile.py COMPILER INCLUDE_DIR STANDARD...      standards such as c99 or c++20
Each header is compiled alone, then all together with a use of the loader; a Windows compiler gets windows.h first.
Exit status 77 if the compiler is not installed.
"""
import pathlib
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
    print(f"{failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
