#!/usr/bin/env python3
"""The inside of the sandbox: `sandbox_child.py SETTINGS_JSON`, started by sandbox.py, Linux only.

Leaves the host step by step: new namespaces (network, processes, mounts, IPC), everything read-only but one small
file system in memory, another user, limits, no way to gain rights; then the program runs under a fresh interpreter as
the second process of its namespace, so that all it started dies with it. Writes one JSON line to descriptor 3: which
walls stand, and how it ended. Uses the standard library only, and imports nothing of ours.
"""
import ctypes
import json
import os
import resource
import select
import signal
import struct
import sys
import time

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV = 2, 4
SYS_MOUNT_SETATTR = 442
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
ATTR_RDONLY, MS_PRIVATE = 1, 1 << 18
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

libc = ctypes.CDLL(None, use_errno=True)

# What the program's interpreter runs: the text from descriptor 0, and then, only if it came to its end, the word that
# it was told to say. A program that leaves early never says it.
RUNNER = """
import os, sys
word, _, text = sys.stdin.read().partition("\\n")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
def say(line):
    os.write(4, (line + "\\n").encode()[:1000])
try:
    exec(compile(text, "program", "exec"), {"__name__": "program"})
except BaseException as error:
    say("raised " + type(error).__name__ + ": " + str(error)[:300].replace("\\n", " "))
    os._exit(1)
say(word)
os._exit(0)
"""


def leave_host(settings):
    """New namespaces and mounts -> names of the walls that stand."""
    walls, uid, gid = [], os.getuid(), os.getgid()
    wanted = NEWNET | NEWPID | NEWNS | NEWIPC
    if libc.unshare(wanted if uid == 0 else wanted | NEWUSER) == 0:
        walls += ["network", "processes"]
        if uid != 0:
            for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
                with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                    file.write(text)
        if close_mounts(settings):
            walls.append("files")
    elif libc.unshare(NEWNET if uid == 0 else NEWNET | NEWUSER) == 0:
        walls.append("network")
    return walls


def close_mounts(settings):
    """Makes every mount read-only and puts a file system in memory over the working folder."""
    attributes = struct.pack("QQQQ", ATTR_RDONLY, 0, MS_PRIVATE, 0)
    libc.syscall.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint, ctypes.c_char_p,
                             ctypes.c_size_t]
    if libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, b"/", AT_RECURSIVE, attributes, len(attributes)) != 0:
        return False
    options = f"size={settings['disk']},mode=777".encode()
    return libc.mount(b"tmpfs", settings["folder"].encode(), b"tmpfs", MS_NOSUID | MS_NODEV, options) == 0


def limit(settings):
    for name, value in (("RLIMIT_CPU", settings["seconds"] + 1), ("RLIMIT_AS", settings["memory"]),
                        ("RLIMIT_FSIZE", settings["file"]), ("RLIMIT_NPROC", settings["processes"]),
                        ("RLIMIT_NOFILE", 64), ("RLIMIT_CORE", 0), ("RLIMIT_STACK", 64 << 20)):
        resource.setrlimit(getattr(resource, name), (value, value))


def become_nobody(settings):
    """From root to a user of its own, so that limits of processes hold and files of others are closed."""
    if os.getuid() != 0:
        return
    os.setgroups([])
    os.setresgid(settings["uid"], settings["uid"], settings["uid"])
    os.setresuid(settings["uid"], settings["uid"], settings["uid"])


def run_program(settings):
    """Never returns: the program itself."""
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write("1000")
    except OSError:
        pass
    os.setsid()
    become_nobody(settings)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    os.chdir(settings["folder"])
    limit(settings)
    os.closerange(5, 4096)
    os.close(3)
    environment = {"PATH": "/usr/bin:/bin", "HOME": settings["folder"], "TMPDIR": settings["folder"], "LANG": "C.UTF-8",
                   "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}
    os.execve(settings["python"], [settings["python"], "-I", "-B", "-c", RUNNER], environment)


def supervise(program, settings):
    """Waits for the program inside its namespace and ends with a status that tells how: 0 … 255 or 1000 + signal."""
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == program:
            return 1000 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def first_process(settings, told):
    """Process 1 of the namespace: starts the program, waits, reports; its end ends all others."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    program = os.fork()
    if program == 0:
        try:
            run_program(settings)
        except BaseException as error:
            os.write(4, f"broken {type(error).__name__}: {error}\n".encode())
        os._exit(126)
    os.close(4)
    os.write(told, str(supervise(program, settings)).encode())
    os._exit(0)


def end_of(first, told, settings):
    """How the namespace ended, killing it when its time is over -> (text, whether it was killed)."""
    ready, _, _ = select.select([told], [], [], settings["seconds"])
    text = os.read(told, 64).decode() if ready else ""
    try:
        os.kill(first, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(first, 0)
    return text, not ready


def kill_descendants():
    """Without a process namespace: whatever the program started and left comes to us, and is killed."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            children = [int(pid) for pid in file.read().split()]
        if not children:
            return
        for pid in children:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main():
    settings = json.loads(sys.argv[1])
    for high, given in ((60, settings["report"]), (61, settings["said"])):  # either may be 3 or 4
        os.dup2(given, high)
    os.dup2(60, 3)
    os.dup2(61, 4)
    os.closerange(5, 4096)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    walls = leave_host(settings)
    report = {"walls": walls}
    if "network" not in walls and not settings["allow_network"]:
        report["refused"] = "this system does not allow a process without network"
    else:
        told, tell = os.pipe()
        first = os.fork()
        if first == 0:
            os.close(told)
            first_process(settings, tell)
        os.close(tell)
        os.close(4)
        report["end"], report["timed_out"] = end_of(first, told, settings)
        if "processes" not in walls:
            kill_descendants()
    os.write(3, json.dumps(report).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
