"""How a run tells what it does and what it found: progress on stderr, one JSON object or a few lines on stdout.

Every report starts with what is needed to repeat it: the command, the library, the model, the seed.
"""
import json
import os
import platform
import shlex
import sys
import time


class Progress:
    """A line on stderr at most every other second."""

    def __init__(self, name, total, quiet=False):
        self.name, self.total, self.quiet = name, total, quiet
        self.start = self.last = time.monotonic()

    def __call__(self, done):
        now = time.monotonic()
        if self.quiet or (now - self.last < 2 and done != self.total):
            return
        self.last = now
        print(f"{self.name}: {done} of {self.total} after {now - self.start:.0f} s", file=sys.stderr, flush=True)


def header(options, model=None, library=None):
    """What a report starts with."""
    head = {"command": shlex.join(["eval_code.py", *options.argv]), "measurement": options.command,
            "seed": options.seed, "date": time.strftime("%Y-%m-%d"), "machine": machine()}
    if library:
        head["library"] = {"version": library.version()}
    if model:
        head["model"] = {"path": model.path, "context": model.context, "batch": model.batch,
                         **{key: model.info.get(key) for key in ("fingerprint", "backend", "numerics_id", "vocab")}}
    return head


def machine():
    """Kernel, processor and number of usable cores."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            name = next((line.split(":", 1)[1].strip() for line in file if line.startswith("model name")), name)
    except OSError:
        pass
    return {"system": platform.system(), "processor": name, "cores": len(os.sched_getaffinity(0))}


def print_report(report, as_json):
    if as_json:
        print(json.dumps(report, ensure_ascii=False, indent=1))
        return
    for key in ("command", "protocol"):
        print(f"{key}: {report.get(key)}")
    for name, row in report.get("results", {}).items():
        cells = ", ".join(f"{key} {shown(value)}" for key, value in row.items())
        print(f"{name}: {cells}")


def shown(value):
    """A value in a line for people."""
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, dict) and "low" in value and value.get("share") is not None:
        return f"{100 * value['share']:.1f}% ({100 * value['low']:.1f} to {100 * value['high']:.1f}, n={value['n']})"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k} {shown(v)}" for k, v in value.items()) + "}"
    return str(value)
