"""Runs one Python program of unknown origin and says whether it came to its end: run(program) -> Outcome.

Always: its own process group, killed as a whole; no environment; limits for time, memory, processes and files; stdin
empty and stdout thrown away. No network is a condition: where the kernel does not give a network namespace, nothing
runs unless the caller allows it. Where the kernel also gives process and mount namespaces (Linux, mostly), the only
place that can be written is a small file system in memory. What the program can still do: read files that everyone may
read, and use the processor for its time. It guards against accidents and careless programs, not against an attacker of
the kernel. """
import json
import os
import secrets
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

CHILD = Path(__file__).with_name("sandbox_child.py")
FIRST_UID = 1_500_000_000  # a user nobody has; each run has its own, so that limits of processes are not shared
GRACE = 120  # seconds beyond a program's own that its start and end may take on a machine with much to do
SIGNALS = {9: "killed", 11: "crashed", 6: "aborted", 24: "out of processor time", 25: "file too large"}


class Refused(Exception):
    """The walls that were asked for cannot be had here."""


@dataclass(frozen=True)
class Limits:
    """Wall-clock seconds, bytes of address space, processes, bytes of one file and of all files."""
    seconds: int = 10
    memory: int = 1 << 30
    processes: int = 16
    file: int = 16 << 20
    disk: int = 64 << 20


@dataclass
class Outcome:
    """passed, or the reason; `walls` names what separated the program from the host."""
    passed: bool
    reason: str
    walls: list = field(default_factory=list)


def reachable(path, uid):
    """Whether another user can run this file: every folder above it can be entered by everyone."""
    path = Path(os.path.realpath(path))
    if os.getuid() != 0:
        return os.access(path, os.X_OK)
    return path.is_file() and all(part.stat().st_mode & 1 for part in (path, *path.parents))


def interpreter(named=None):
    """The Python that runs programs: the one named, else ours, else the system's. As root, others must reach it."""
    for path in [named] if named else [sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"]:
        if path and reachable(path, FIRST_UID):
            return str(path)
    raise Refused(f"{named or sys.executable}: no other user can run it, and as root programs run as another; name one "
                  "with --python")


def start(settings, feed, report, said, errors):
    """The child process, with the program on its stdin. It is told the descriptors of the report and of what the
    program says."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(CHILD), json.dumps({**settings, "report": report, "said": said})],
        stdin=feed, stdout=subprocess.DEVNULL, stderr=errors, pass_fds=(report, said), start_new_session=True, cwd="/",
        env={"LANG": "C.UTF-8"})


def parent_folder():
    """Where working folders lie: as root, programs run as another user, who must be able to get there."""
    folder = Path(tempfile.gettempdir()).resolve()
    reachable = all(os.stat(above).st_mode & stat.S_IXOTH for above in (folder, *folder.parents))
    return str(folder) if reachable or os.getuid() != 0 else "/tmp"


def run(program, limits=Limits(), python=None, allow_network=False):
    """Runs a program (text). Raises Refused if it may not or cannot run at all."""
    if not sys.platform.startswith("linux"):
        raise Refused("the sandbox needs Linux")
    word = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="eval", dir=parent_folder()) as folder, tempfile.TemporaryFile() as feed, \
            tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as said:
        os.chmod(folder, 0o777)
        feed.write(f"{word}\n{program}".encode("utf-8", "surrogatepass"))
        feed.seek(0)
        uid = FIRST_UID + int.from_bytes(os.urandom(3), "little")
        settings = {**vars(limits), "folder": folder, "python": interpreter(python), "uid": uid,
                    "allow_network": allow_network}
        child = start(settings, feed, report.fileno(), said.fileno(), errors)
        try:
            child.wait(limits.seconds + GRACE)
        except subprocess.TimeoutExpired:
            raise Refused(f"the sandbox did not end {GRACE} s after its time") from None
        finally:
            try:
                os.killpg(child.pid, 9)
            except ProcessLookupError:
                pass
            child.wait()
        contents = [read_back(file) for file in (report, said, errors)]
    return judged(word, *contents)


def read_back(file, most=4096):
    file.seek(0)
    return file.read(most).decode("utf-8", "replace")


def judged(word, report, said, errors):
    """The outcome from what the child reported and the program said."""
    if not report:
        raise Refused("the sandbox itself failed: " + (errors.strip().splitlines() or ["without a word"])[-1])
    report = json.loads(report)
    if "refused" in report:
        raise Refused(report["refused"] + "; --allow-network runs the programs all the same")
    walls, lines = report["walls"], said.splitlines()
    if any(line.startswith("broken ") for line in lines):
        raise Refused("the sandbox itself failed: " + lines[0][7:])
    if report["timed_out"]:
        return Outcome(False, "timed out", walls)
    end = int(report["end"] or -1)
    if end == 0 and lines == [word]:
        return Outcome(True, "passed", walls)
    if lines and lines[0].startswith("raised "):
        return Outcome(False, lines[0][7:], walls)
    if end >= 1000:
        return Outcome(False, SIGNALS.get(end - 1000, f"signal {end - 1000}"), walls)
    last = (errors.strip().splitlines() or [""])[-1]
    return Outcome(False, last[:300] if end and last else "left before its end", walls)


def run_many(programs, limits=Limits(), python=None, allow_network=False, workers=0, progress=None):
    """Outcomes in order; several programs at once (0: one a core). Equal programs run once."""
    unique = list(dict.fromkeys(programs))
    outcomes = {}
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as pool:
        for program, outcome in zip(unique, pool.map(lambda p: run(p, limits, python, allow_network), unique)):
            outcomes[program] = outcome
            if progress:
                progress(len(outcomes))
    return [outcomes[program] for program in programs]
