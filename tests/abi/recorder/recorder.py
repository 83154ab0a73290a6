#!/usr/bin/env python3
"""Writes a library that stands in for the real one and notes what was called: `recorder.py ABI.json OUT.c`.

Tests run with it in front: every function passes its arguments on to the real library. The first time that one succeeds,
its name is appended to the file that the environment variable DS_RECORD names; so is the name of every other status that is
answered for the first time. A function succeeds if it answers DS_OK, releases something, or cannot fail. DS_RECORD_LIVE names
a file that always holds the number of handles that are not released, also when the process ends without a word.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static ds_api api;
static pid_t process;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static ds_status (*get_api)(uint32_t, ds_api *, ds_error *);

static void load(void) {
  void *library = dlopen(REAL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
  void *found = library ? dlsym(library, "ds_get_api") : NULL;
  if (found) memcpy(&get_api, &found, sizeof found);
  process = getpid();
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

static void note_status(ds_status status) {
  static atomic_flag noted[1000];
  char line[64] = "";
  if (status < 0 || status >= 1000) return; /* of a host's callback, perhaps */
  strncat(line, real()->status_string(status), 60);
  note(&noted[status], strcat(line, "\\n"));
}

/* Not in a forked child, where the lock may be held by a thread that is not there. */
static void note_live(void) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static uint64_t last = UINT64_MAX;
  const char *path = getenv("DS_RECORD_LIVE");
  if (!path || getpid() != process) return;
  pthread_mutex_lock(&lock);
  const uint64_t now = real()->live_objects();
  if (now != last) {
    char line[32];
    const int size = snprintf(line, sizeof line, "%-20llu\\n", (unsigned long long)now);
    const int file = open(path, O_WRONLY | O_CREAT, 0666);
    if (file < 0 || pwrite(file, line, (size_t)size, 0) < 0) abort();
    close(file);
    last = now;
  }
  pthread_mutex_unlock(&lock);
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
        lines += [f"  {slot}({names});", f"  if ({item['arguments'][0]['name']}) {note}", "  note_live();"]
    else:
        call = f"real() ? {slot}({names}) : DS_E_INTERNAL" if name == "ds_get_api" else f"{slot}({names})"
        lines.append(f"  const {returns} answer = {call};".replace("const const", "const"))
        lines += [f"  if (answer == DS_OK) {note}", "  else note_status(answer);"] if returns == "ds_status" else [f"  {note}"]
        if name == "ds_generate_batch" or any(argument["type"].endswith("**") for argument in item["arguments"]):
            lines.append("  note_live();")
        lines.append("  return answer;")
    return f"\n{returns} {name}({arguments}) {{\n" + "\n".join(lines) + "\n}\n"


def never_called(record):
    """Functions of the C API that are not in the file of names that a recording library wrote, sorted."""
    root = Path(__file__).resolve().parents[3]
    functions = json.loads((root / "bindings/abi.json").read_text(encoding="utf-8"))["user"]["functions"]
    called = set(record.read_text(encoding="utf-8").split()) if record.exists() else set()
    return sorted({item["name"] for item in functions} - called)


def never_answered(record):
    """Failures that status.h names and that are not in such a file, sorted."""
    root = Path(__file__).resolve().parents[3]
    constants = json.loads((root / "bindings/abi.json").read_text(encoding="utf-8"))["user"]["constants"]
    answered = set(record.read_text(encoding="utf-8").split()) if record.exists() else set()
    return sorted({item["name"] for item in constants if item["name"].startswith("DS_E_")} - answered)


def handles_left(live):
    """What the file that DS_RECORD_LIVE named says; None if nothing was ever given out."""
    return int(live.read_text(encoding="utf-8")) if live.exists() else None


def main():
    description = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(sys.argv[2]).write_text(HEAD + "".join(map(function, description["user"]["functions"])), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
