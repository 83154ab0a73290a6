#!/usr/bin/env python3
"""Both backends on packed weights, against the oracle on the numbers that the packed file stands for.

packed_engine_test.py DS MODEL_TOOL. Every tiny variant of the list is packed by `ds pack`, exported as float32 by
model_tool, run by the oracle from there and by `ds logits` from the packed file. Where a backend computes in float32 the
oracle's float32 limits apply; onednn multiplies blocks by activations of 8 bits, so its row for int8 does. In the
deterministic mode chunks change no bit.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
from oracle import Model, compare, record  # noqa: E402

DS, TOOL = sys.argv[1], sys.argv[2]
TINY, GOLDEN = Path(os.environ["DS_TINY_DIR"]), Path(os.environ["DS_GOLDEN_DIR"])
FLOAT = {"max_abs": 5e-4, "kl_max": 1e-8}
INT8, INT8_DENSE = {"kl_median": 0.03}, {"kl_max": 0.04}
VARIANTS, TYPES = ("lite-dense", "lite", "v2", "v3", "v3-bf16"), ("f32", "f16", "bf16", "fp8", "q8", "q4")


def logits(model, backend, ids, out, *more):
    subprocess.run([DS, "logits", "--model", model, "--backend", backend, "--kv", "f32", "--ids",
                    ",".join(map(str, ids)), "--all", "--out", out, *more], check=True)
    return np.load(out)


def judge(variant, kind, folder):
    packed, exported, out = folder / "x.dsm", folder / "exported", folder / "logits.npy"
    exported.mkdir()
    subprocess.run([DS, "pack", "--model", TINY / variant, "--type", kind, "--out", packed, "--quiet"], check=True)
    subprocess.run([TOOL, "export", packed, exported], check=True)
    ids = np.load(GOLDEN / f"{variant}-064.npz")["ids"].tolist()
    wanted = record(Model(exported), ids, range(len(ids)))
    failed = 0
    for backend in ("ref", "onednn"):
        got = {"ids": wanted["ids"], "positions": wanted["positions"], "logits": logits(packed, backend, ids, out)}
        rounds = backend == "onednn" and kind in ("q8", "q4")
        limits = FLOAT if not rounds else INT8_DENSE if variant == "lite-dense" else INT8
        figures = compare(wanted, got)
        good = all(figures[name] <= limit for name, limit in limits.items())  # NaN fails
        whole = logits(packed, backend, ids, out, "--deterministic")
        for chunk in ("1", "17"):
            good &= (logits(packed, backend, ids, out, "--deterministic", "--chunk", chunk) == whole).all()
        failed += not good
        print("ok    " if good else "FAILED", variant, kind, backend, figures)
    return failed


def main():
    failed = 0
    for variant in VARIANTS:
        for kind in TYPES:
            with tempfile.TemporaryDirectory() as folder:
                failed += judge(variant, kind, Path(folder))
    return failed != 0


sys.exit(main())
