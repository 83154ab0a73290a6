#!/usr/bin/env python3
"""What a program on the library asks of the system, watched by strace: `quiet_test.py PROGRAM ARGUMENTS...`.

The program opens the embedded model, generates and prints. Beside its own output nothing may be written anywhere; no file
is looked for relative to the current folder; nobody asks for or changes that folder; no process is started; no signal
handler is set. The program runs in an empty folder without environment.
"""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WATCHED = "%file,%process,getcwd,chdir,fchdir,umask,rt_sigaction,write,pwrite64,kill,tgkill"
FIRST_WORD = re.compile(r"^(?:\d+\s+)?(\w+)\((.*)$")
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT")
HARMLESS_WRITE = re.compile(r'^(1|2), ')  # the program's own printf


def reason(call, arguments):
    """Why a system call is not allowed; None if it is."""
    paths = re.findall(r'"((?:[^"\\]|\\.)*)"', arguments)
    if call in ("openat", "open", "stat", "newfstatat", "access", "readlink", "faccessat2") and paths:
        relative = not paths[0].startswith("/") and not (paths[0] == "" and "AT_EMPTY_PATH" in arguments)
        if relative and "AT_FDCWD" in arguments:
            return "looks for a file relative to the current folder"
        if WRITES.search(arguments):
            return "opens a file for writing"
    if call in ("write", "pwrite64") and not HARMLESS_WRITE.match(arguments):
        return "writes"
    if call in ("getcwd", "chdir", "fchdir", "umask"):
        return "asks for or changes the state of the process"
    if call in ("fork", "vfork", "kill", "tgkill") or (call in ("clone", "clone3") and "CLONE_THREAD" not in arguments):
        return "starts a process or sends a signal"
    # The C library sets handlers for its own two signals when the first thread starts.
    if call == "rt_sigaction" and re.match(r"(?!SIGRT)\w+, \{sa_handler", arguments):
        return "sets a signal handler"
    if call in ("unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat"):
        return "changes the file system"
    return None


def main():
    strace = shutil.which("strace")
    if not strace:
        print("skipped: strace is not installed")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "trace"
        empty = Path(folder) / "empty"
        empty.mkdir()
        command = [strace, "-f", "-qq", "-s", "4096", "-e", f"trace={WATCHED}", "-o", str(log), *sys.argv[1:]]
        done = subprocess.run(command, cwd=empty, env={}, capture_output=True, text=True)
        if "PTRACE" in done.stderr or "ptrace" in done.stderr:
            print("skipped: this system does not let strace watch: " + done.stderr.splitlines()[0])
            return 77
        if done.returncode:
            print(f"{sys.argv[1]} failed with {done.returncode}: {done.stderr}")
            return 1
        lines = log.read_text(errors="replace").splitlines()
        problems = []
        for line in lines[1:]:  # the first is the program's own execve
            found = FIRST_WORD.match(line)
            why = reason(found[1], found[2]) if found else None
            if why:
                problems.append(f"{why}: {line[:200]}")
        problems += [f"left behind: {path.name}" for path in empty.iterdir()]
    print("\n".join(problems) or f"{len(lines)} system calls, none that should not be")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
