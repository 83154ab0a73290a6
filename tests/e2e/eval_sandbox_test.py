#!/usr/bin/env python3
"""The sandbox of the evaluation: programs that misbehave in one way each end as failed with a reason, and the host is
as it was before. Skips where the kernel gives no namespaces to this user."""
import os
import sys
import tempfile
from pathlib import Path

from eval import sandbox

LIMITS = sandbox.Limits(seconds=60, memory=256 << 20, processes=8)
QUICK = sandbox.Limits(seconds=1, memory=256 << 20, processes=8)


def fails(program, reason, limits=LIMITS):
    """The outcome of a program that must fail for a reason that holds one of some words."""
    outcome = sandbox.run(program, limits)
    words = reason if isinstance(reason, tuple) else (reason,)
    assert not outcome.passed and any(word in outcome.reason for word in words), outcome
    return outcome


def processes_with(mark):
    """Command lines of running processes that hold a text."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            text = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        found += [text] if mark in text else []
    return found


def test_a_good_program_passes():
    outcome = sandbox.run("import json, math, collections\nassert math.gcd(12, 18) == 6\n", LIMITS)
    assert outcome.passed and outcome.reason == "passed", outcome


def test_a_false_assertion_and_an_error_tell_their_names():
    fails("assert 1 == 2, 'sum'", "AssertionError: sum")
    fails("def f(:", "SyntaxError")
    fails("def f(): f()\nf()", "RecursionError")


def test_leaving_early_is_not_passing():
    fails("import sys\nsys.exit(0)", "SystemExit")
    fails("import os\nos._exit(0)", "left before its end")
    fails("import os\nos.write(1, b'passed'); os._exit(0)", "left before its end")


def test_no_network():
    fails("import socket\nsocket.create_connection(('192.0.2.1', 80), 2)", "unreachable")
    with sandboxed_port() as port:
        fails(f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)", ("unreachable", "refused"))


class sandboxed_port:
    """A port of the host that listens: who can reach it has the host's network."""

    def __enter__(self):
        import socket
        self.socket = socket.create_server(("127.0.0.1", 0))
        return self.socket.getsockname()[1]

    def __exit__(self, *_):
        self.socket.close()


def test_endless_loops_and_sleeps_are_ended():
    fails("while True: pass", "timed out", QUICK)
    fails("import time\ntime.sleep(1000)", "timed out", QUICK)
    fails("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass", "timed out", QUICK)


def test_processes_are_few_and_die_with_the_program():
    fails("import os\nwhile True: os.fork()", "BlockingIOError")
    fails("import os\nwhile True:\n  try: os.fork()\n  except OSError: pass", "timed out", QUICK)
    mark = f"eval-sandbox-orphan-{os.getpid()}"
    program = ("import os, sys\nif os.fork() == 0:\n  os.setsid()\n"
               f"  os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])\n"
               "import time; time.sleep(0.5)")
    assert sandbox.run(program, LIMITS).passed
    assert not processes_with(mark)


def test_memory_is_limited():
    fails("a = []\nwhile True: a.append(bytearray(16 << 20))", "MemoryError")
    fails("x = b'x' * (1 << 40)", "MemoryError")


def test_files_are_small_and_vanish():
    fails("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", "File too large")
    fails("for i in range(1000): open(str(i), 'wb').write(bytes(4 << 20))", "No space left")
    outcome = sandbox.run("import os\nopen('mine', 'w').write('x')\nassert os.listdir('.') == ['mine']", LIMITS)
    assert outcome.passed, outcome


def test_the_host_can_not_be_written():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        fails(f"open({folder + '/x'!r}, 'w')", ("Read-only", "PermissionError"))
        assert os.listdir(folder) == []


def test_signals_do_not_reach_the_host():
    outcome = sandbox.run(f"import os\nos.kill({os.getpid()}, 9)", LIMITS)
    assert not outcome.passed and "ProcessLookupError" in outcome.reason, outcome
    fails("import os\nos.kill(os.getpid(), 11)", "crashed")


def test_no_environment_no_input_no_rights():
    os.environ["EVAL_SECRET"] = "x"
    outcome = sandbox.run("import os\nassert 'EVAL_SECRET' not in os.environ, 'seen'\nassert os.getuid() != 0", LIMITS)
    assert outcome.passed, outcome
    fails("input()", "EOFError")
    fails("import os\nos.setuid(0)", "PermissionError")


def test_output_is_thrown_away():
    assert sandbox.run("import sys\nfor _ in range(20000): print('x' * 1000); sys.stderr.write('y' * 100)",
                       LIMITS).passed


def test_many_run_at_once_in_order():
    programs = [f"assert {i} % 2 == 0" for i in range(6)] + ["assert 0 % 2 == 0"]
    assert [o.passed for o in sandbox.run_many(programs, LIMITS)] == [True, False] * 3 + [True]


def test_without_namespaces_nothing_runs_unless_allowed():
    with tempfile.TemporaryDirectory() as folder:
        weak = Path(folder) / "weak.py"
        weak.write_text("import importlib.util, sys\n"
                        f"spec = importlib.util.spec_from_file_location('child', {str(sandbox.CHILD)!r})\n"
                        "child = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(child)\n"
                        "child.leave_host = lambda settings: []\nsys.exit(child.main())\n", encoding="utf-8")
        strong, sandbox.CHILD = sandbox.CHILD, weak
        try:
            try:
                sandbox.run("pass", LIMITS)
                raise AssertionError("ran with the host's network")
            except sandbox.Refused as error:
                assert "--allow-network" in str(error), error
            outcome = sandbox.run("pass", LIMITS, allow_network=True)
            assert outcome.passed and outcome.walls == [], outcome
            mark = f"eval-weak-orphan-{os.getpid()}"
            program = ("import os, sys\nif os.fork() == 0:\n  os.setsid()\n"
                       f"  os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(600)', '{mark}'])\n"
                       "import time; time.sleep(0.5)")
            assert sandbox.run(program, LIMITS, allow_network=True).passed
            assert not processes_with(mark)
            outcome = sandbox.run("while True: pass", QUICK, allow_network=True)
            assert outcome.reason == "timed out", outcome
        finally:
            sandbox.CHILD = strong


def main():
    try:
        walls = sandbox.run("pass", LIMITS).walls
    except sandbox.Refused as error:
        print(f"skipped: {error}")
        return 77
    if not {"network", "processes", "files"} <= set(walls):
        print(f"skipped: this system separates {', '.join(walls)} only")
        return 77
    before, failed = set(os.listdir(tempfile.gettempdir())), 0
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
            print("ok    ", name, flush=True)
        except Exception as error:  # report all of them
            failed += 1
            print("FAILED", name, repr(error)[:2000], flush=True)
    left = [name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith("eval")]
    if left:
        print("FAILED left behind:", left)
    return 1 if failed or left else 0


if __name__ == "__main__":
    sys.exit(main())
