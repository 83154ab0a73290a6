"""`ds pack`, or an open that keeps repacked weights, killed in the middle: pack_killed_test.py DS MODEL

Killed by a signal that no process sees, it leaves under the name of its output what was there before: nothing, or the
old file, byte for byte. The next run of the same command takes the leftover away, and a run that is under way is left alone.
"""
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


def folder_of_weights():
    """An open that fills a folder for repacked weights leaves nothing there that a later one would use."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [DS, "generate", "--model", MODEL, "--backend", "onednn", "--context", "64", "--ids", "5,6,7", "-n", "1",
                   "--pack-cache", name, "--quiet"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        before = time.monotonic()
        while time.monotonic() - before < 60 and process.poll() is None:
            if any(path.stat().st_size > 1 << 16 for path in folder.glob("*.tmp")):
                break
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "the open ended before it was killed"
        assert not list(folder.glob("*.dsm")), f"a killed open leaves {names(folder)}"
        for _ in range(2):  # the first removes the leftover and writes, the second finds its file
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            assert [path[-4:] for path in names(folder)] == [".dsm"], names(folder)


main()
plugins = subprocess.run([DS, "plugins"], check=True, capture_output=True, text=True).stdout
if "onednn" in plugins:
    folder_of_weights()
