"""`ds pack`, or an open that keeps repacked weights, killed in the middle or out of room: pack_killed_test.py DS MODEL

Killed by a signal that no process sees, it leaves under the name of its output what was there before: nothing, or the
old file, byte for byte. The next run of the same command takes the leftover away, and a run that is under way is left alone.
Where no more can be written it leaves nothing and says why; an open then answers as ever. Room ends here at the limit for
the size of a file: the write fails as on a full disk, with another number.
"""
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DS, MODEL = sys.argv[1:3]


def start(out):
    """A run that has begun to write: it has a temporary file with numbers in it."""
    command = [DS, "pack", "--model", MODEL, "--type", "q6_k", "--out", str(out), "--quiet"]  # the slowest type
    process = subprocess.Popen(command)
    before = time.monotonic()
    while time.monotonic() - before < 60 and process.poll() is None:
        if any(path.stat().st_size > 1 << 16 for path in out.parent.glob(f"{out.name}.{process.pid}.*.tmp")):
            return process
        time.sleep(0.002)
    raise SystemExit(f"the run ended (status {process.poll()}) before it was seen to write")


def killed(out):
    process = start(out)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it was killed"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        out = folder / "x.dsm"
        killed(out)
        assert not out.exists() and len(names(folder)) == 1, f"after the first kill there are {names(folder)}"
        killed(out)
        assert len(names(folder)) == 1, f"two kills leave {names(folder)}"
        process = start(out)
        assert len(names(folder)) == 1, f"a new run keeps leftovers: {names(folder)}"
        other = start(out)
        assert len(names(folder)) == 2, f"a run took away the file of another: {names(folder)}"
        assert process.wait() == 0 and other.wait() == 0
        assert names(folder) == ["x.dsm"], names(folder)
        whole = out.read_bytes()
        killed(out)
        assert out.read_bytes() == whole, "a killed run changed the file that was there"
        subprocess.run([DS, "pack", "--model", MODEL, "--type", "q8", "--out", str(out), "--quiet"], check=True)
        assert names(folder) == ["x.dsm"], names(folder)
        subprocess.run([DS, "verify", "--model", str(out)], check=True, stdout=subprocess.DEVNULL)


def without_room():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))


def out_of_room():
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "x.dsm"
        out.write_bytes(b"old")
        done = subprocess.run([DS, "pack", "--model", MODEL, "--type", "q8", "--out", str(out), "--quiet"], preexec_fn=without_room,
                              capture_output=True, text=True)
        assert done.returncode == 1 and str(out) in done.stderr and "system error" in done.stderr, done
        assert names(Path(name)) == ["x.dsm"] and out.read_bytes() == b"old", names(Path(name))


def open_keeping(folder, **how):
    """An open that fills a folder for repacked weights."""
    return subprocess.Popen([DS, "generate", "--model", MODEL, "--backend", "onednn", "--context", "64", "--ids", "5,6,7", "-n", "4",
                             "--pack-cache", str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **how)


def folder_out_of_room_and_shared():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        answer, said = open_keeping(folder, preexec_fn=without_room).communicate()
        assert "not written: " in said and not names(folder), (said, names(folder))
        runs = [open_keeping(folder) for _ in range(3)]  # at the same time
        for run in runs:
            found, said = run.communicate()
            assert run.returncode == 0 and found == answer and "not " not in said, (found, answer, said)
        assert [path[-4:] for path in names(folder)] == [".dsm"], names(folder)


def killed_folder_of_weights():
    """An open that fills a folder for repacked weights leaves nothing there that a later one would use."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        process = open_keeping(folder)
        before = time.monotonic()
        while time.monotonic() - before < 60 and process.poll() is None:
            if any(path.stat().st_size > 1 << 16 for path in folder.glob("*.tmp")):
                break
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the open ended before it was killed"
        assert not list(folder.glob("*.dsm")), f"a killed open leaves {names(folder)}"
        for _ in range(2):  # the first removes the leftover and writes, the second finds its file
            assert open_keeping(folder).wait() == 0
            assert [path[-4:] for path in names(folder)] == [".dsm"], names(folder)


main()
out_of_room()
plugins = subprocess.run([DS, "plugins"], check=True, capture_output=True, text=True).stdout
if "onednn" in plugins:
    killed_folder_of_weights()
    folder_out_of_room_and_shared()
