"""Packs the oracle's checkpoints, exports what the packed file multiplies with, and lets the oracle judge that.

No engine takes part: the figures are those of the number formats alone.   packed_oracle_test.py MODEL_TOOL
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("numpy is missing")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).parents[2] / "oracle"))
from oracle import Model, compare, record  # noqa: E402

TINY, GOLDEN = Path(os.environ["DS_TINY_DIR"]), Path(os.environ["DS_GOLDEN_DIR"])
EXACT = {"max_abs": 5e-6, "kl_max": 1e-10}
# variant, type, upper limits. Int8's are the oracle's; the others are about three times what was measured.
CASES = [
    ("lite", "f32", EXACT),
    ("lite", "bf16", EXACT),  # the checkpoint is bf16
    ("lite-shards", "f16", EXACT),
    ("v2", "", EXACT),
    ("v3", "", EXACT),
    ("v3", "f32", EXACT),
    ("v3", "fp8", EXACT),
    ("lite-dense", "q8", {"kl_median": 0.03, "kl_max": 0.04}),
    ("lite", "q8", {"kl_median": 0.03}),
    ("v2", "q8", {"kl_median": 0.03}),
    ("v3-bf16", "q8", {"kl_median": 0.03}),
    ("lite-dense", "fp8", {"kl_median": 0.08}),
    ("lite-dense", "q4", {"kl_median": 0.3}),
    ("lite", "q4", {"kl_median": 0.6}),
]


def judge(tool, variant, kind, folder):
    packed, exported = folder / "x.dsm", folder / "exported"
    exported.mkdir()
    subprocess.run([tool, "pack", TINY / variant, kind, packed], check=True)
    subprocess.run([tool, "export", packed, exported], check=True)
    # All positions, because a token whose routing flips is off by any amount: only the median of many says something.
    ids = np.load(GOLDEN / f"{variant}-064.npz")["ids"].tolist()
    return compare(*(record(Model(each), ids, range(len(ids))) for each in (TINY / variant, exported)))


def main():
    failed = 0
    for variant, kind, limits in CASES:
        with tempfile.TemporaryDirectory() as folder:
            figures = judge(sys.argv[1], variant, kind, Path(folder))
        good = all(figures[name] <= limit for name, limit in limits.items())  # NaN fails
        if kind in ("q8", "q4"):
            good = good and figures["kl_max"] > 1e-9  # something was rounded
        failed += not good
        print("ok    " if good else "FAILED", variant, kind or "as stored", figures)
    return failed != 0


sys.exit(main())
