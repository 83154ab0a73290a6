#!/usr/bin/env python3
"""Writes a library that stands in for the real one and notes what was called: `recorder.py ABI.json OUT.c`.

Bindings are tested with it in front: every function passes its arguments on to the real library, and the first time that
one succeeds, its name is appended to the file that the environment variable DS_RECORD names. A function succeeds if it
answers DS_OK, releases something, or cannot fail.
"""
import json
import sys
from pathlib import Path

HEAD = """/* Written by recorder.py, which says what this is. */
#include <deepseam/deepseam.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ds_api api;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static ds_status (*get_api)(uint32_t, ds_api *, ds_error *);

static void load(void) {
  void *library = dlopen(REAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  void *found = library ? dlsym(library, "ds_get_api") : NULL;
  if (found) memcpy(&get_api, &found, sizeof found);
  api.struct_size = sizeof api;
  if (!get_api || get_api(DS_ABI_VERSION, &api, NULL) != DS_OK) abort();
}

static const ds_api *real(void) {
  pthread_once(&once, load);
  return &api;
}

static void note(atomic_flag *noted, const char *line) {
  const char *path = getenv("DS_RECORD");
  if (atomic_flag_test_and_set(noted) || !path) return;
  const int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0666);
  if (file < 0 || write(file, line, strlen(line)) < 0) abort();
  close(file);
}
"""


def declared(argument):
    blank = "" if argument["type"].endswith("*") else " "
    return argument["type"] + blank + argument["name"]


def function(item):
    name, returns = item["name"], item["returns"]
    arguments = ", ".join(declared(argument) for argument in item["arguments"]) or "void"
    names = ", ".join(argument["name"] for argument in item["arguments"])
    slot = "get_api" if name == "ds_get_api" else f"real()->{name.removeprefix('ds_')}"
    note = f'note(&noted, "{name}\\n");'
    lines = ["  static atomic_flag noted = ATOMIC_FLAG_INIT;"]
    if returns == "void":
        lines += [f"  {slot}({names});", f"  if ({item['arguments'][0]['name']}) {note}"]
    else:
        condition = "if (answer == DS_OK) " if returns == "ds_status" and name != "ds_status_string" else ""
        call = f"real() ? {slot}({names}) : DS_E_INTERNAL" if name == "ds_get_api" else f"{slot}({names})"
        lines += [f"  const {returns} answer = {call};".replace("const const", "const"), f"  {condition}{note}",
                  "  return answer;"]
    return f"\n{returns} {name}({arguments}) {{\n" + "\n".join(lines) + "\n}\n"


# What this version answers with DS_E_UNSUPPORTED (CHANGELOG.md), so that nothing can be released either.
CANNOT_SUCCEED = {"ds_model_adapter_load", "ds_model_adapter_release"}


def never_called(record):
    """Functions of the C API that are not in the file of names that a recording library wrote, sorted."""
    root = Path(__file__).resolve().parents[3]
    functions = json.loads((root / "bindings/abi.json").read_text(encoding="utf-8"))["user"]["functions"]
    called = set(record.read_text(encoding="utf-8").split()) if record.exists() else set()
    return sorted({item["name"] for item in functions} - called - CANNOT_SUCCEED)


def main():
    description = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(HEAD + "".join(map(function, description["user"]["functions"])), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
