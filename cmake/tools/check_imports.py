#!/usr/bin/env python3
"""What our objects must not import or contain: `check_imports.py BUILD_FOLDER`. Exits with 1 on a violation.

Looks at every object made from lib/ and backends/ (as compile_commands.json lists them), before any linking, so that a
library that is linked in is no excuse and no disguise. Objects not built are skipped; none at all is an error. Objects of
backends hold no data that can be written: everything of a plugin hangs off an instance.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

FORBIDDEN = {
    "getenv": "reads the environment", "secure_getenv": "reads the environment", "environ": "reads the environment",
    "__environ": "reads the environment", "setenv": "changes the environment", "putenv": "changes the environment",
    "abort": "ends the process", "exit": "ends the process", "_exit": "ends the process", "_Exit": "ends the process",
    "quick_exit": "ends the process", "raise": "sends a signal", "kill": "sends a signal",
    "atexit": "leaves something behind in the process", "on_exit": "leaves something behind in the process",
    "__assert_fail": "asserts", "__assert": "asserts", "_ZSt21__glibcxx_assert_failPKciS0_S0_": "asserts",
    "printf": "prints", "vprintf": "prints", "puts": "prints", "putchar": "prints", "perror": "prints",
    "__printf_chk": "prints", "fprintf": "prints", "__fprintf_chk": "prints", "vfprintf": "prints", "fputs": "prints",
    "fputc": "prints", "stdout": "prints", "stderr": "prints", "stdin": "reads the terminal", "syslog": "prints",
    "setlocale": "depends on the locale", "localeconv": "depends on the locale", "uselocale": "changes the locale",
    "strtod": "depends on the locale", "strtof": "depends on the locale", "strtold": "depends on the locale",
    "atof": "depends on the locale", "sscanf": "depends on the locale", "__isoc99_sscanf": "depends on the locale",
    "signal": "changes signals", "sigaction": "changes signals", "chdir": "changes the process", "fork": "makes a process",
    "fchdir": "changes the process", "umask": "changes the process", "system": "makes a process", "popen": "makes a process",
    "rand": "has hidden state", "srand": "has hidden state", "random": "has hidden state", "strtok": "has hidden state",
    "strerror": "has hidden state", "__cxa_thread_atexit": "a thread_local with a destructor",
    "_ZSt4cout": "prints", "_ZSt4cerr": "prints", "_ZSt4clog": "prints", "_ZSt3cin": "reads the terminal",
    "_ZNSt8ios_base4InitC1Ev": "includes <iostream>",
}
CONSTRUCTORS = re.compile(r"\s(\.init_array|\.ctors|\.preinit_array)")
DESTRUCTORS = re.compile(r"\s(\.fini_array|\.dtors)")
MAY_END = re.compile(r"/base/unload(\.cpp)?\.o$")  # docs/decisions/0066
WRITABLE = re.compile(r"\.(data|bss|tdata|tbss)(\.(?!rel\.ro)|$)")


def library_objects(build):
    """Objects of lib/ and backends/ in a build folder."""
    commands = json.loads((build / "compile_commands.json").read_text())
    for command in commands:
        source = Path(command["file"])
        output = command.get("output") or re.search(r" -o (\S+)", command["command"])[1]
        path = Path(command["directory"]) / output
        if re.search(r"/(lib|backends)/", source.as_posix()) and "/tests/" not in source.as_posix() and path.is_file():
            yield path


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def writable_data(path):
    """Names of the variables of an object that can be written. References of exception tables are none."""
    sections = dict(re.findall(r"^\s*\[\s*(\d+)\]\s+(\S+)", run("readelf", "-SW", str(path)), re.MULTILINE))
    for line in run("readelf", "-sW", str(path)).splitlines():
        fields = line.split()
        if len(fields) > 7 and fields[3] in ("OBJECT", "TLS") and WRITABLE.match(sections.get(fields[6], "")):
            if not fields[7].startswith("DW.ref."):
                yield fields[7]


def violations_of(path):
    """Reasons why an object may not go into library or plugin."""
    if "/backends/" in f"/{path.as_posix()}":
        yield from (f"has the variable {name}: a plugin has no mutable statics" for name in writable_data(path))
    for line in run("nm", "-P", str(path)).splitlines():
        name, kind = line.split()[:2]
        if kind == "U" and name.split("@")[0] in FORBIDDEN:
            yield f"imports {name}: {FORBIDDEN[name.split('@')[0]]}"
        if kind == "u":
            yield f"has the unique symbol {name}: keeps the library from being unloaded"
    sections = run("readelf", "-SW", str(path))
    for found in CONSTRUCTORS.finditer(sections):
        yield f"has a section {found[1]}: code that runs at load"
    if DESTRUCTORS.search(sections) and not MAY_END.search(path.as_posix()):
        yield f"has a section {DESTRUCTORS.search(sections)[1]}: code that runs at unload"


def check(objects):
    """All violations, one line each."""
    return [f"{path}: {reason}" for path in objects for reason in violations_of(path)]


def main():
    build = Path(sys.argv[1]).resolve()
    objects = sorted(library_objects(build))
    if not objects:
        print(f"{build}: no object of lib/ or backends/ is built")
        return 1
    violations = check(objects)
    print("\n".join(violations) or f"imports: {len(objects)} objects import nothing forbidden")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
