"""GGUF files of every tensor type and layout through both backends, judged by the oracle: gguf_test.py DS MODEL_TOOL EMBEDDED

The oracle runs on the numbers that the Python package `gguf` reads from the same file. Where a type loses nothing on its
way to a backend, the float32 limits of the oracle's README hold against them. Where it is repacked with a rounding, they
hold against the numbers after it (`model_tool export` writes those), and the rounding itself is bounded by the row for
int8 weights. onednn multiplies 8- and 4-bit blocks by activations of 8 bits: its limits are that row's.

Every type is judged on one of the two MoE models; with DS_TEST_FULL in the environment, on both.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

try:
    import gguf  # noqa: F401
except ImportError:
    print("the Python package gguf is not installed")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
import gguf_files  # noqa: E402
import make_tiny  # noqa: E402
from oracle import Model, Weights, compare, load_config, record  # noqa: E402

DS, TOOL, EMBEDDED = sys.argv[1:4]
TINY = Path(os.environ["DS_TINY_DIR"])
FULL = "DS_TEST_FULL" in os.environ
FLOAT, INT8, INT8_DENSE = {"max_abs": 5e-4, "kl_max": 1e-8}, {"kl_median": 0.03}, {"kl_max": 0.04}
EXACT = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "TQ1_0", "TQ2_0")
PLAIN = ("F32", "F16", "BF16")
# Rows of 256 in every projection, so that K-quants and IQ types are really used.
WIDE = dict(hidden_size=256, kv_lora_rank=256, v_head_dim=64, intermediate_size=512, moe_intermediate_size=256, n_routed_experts=4, num_experts_per_tok=2, num_hidden_layers=2, vocab_size=256)
DENSE = dict(make_tiny.LITE, **WIDE, first_k_dense_replace=2)
MODELS = {
    "lite-256": dict(config=dict(make_tiny.LITE, **WIDE), seed=11),
    "v3-256": dict(config=dict(make_tiny.V3, **dict(WIDE, q_lora_rank=256), n_group=2, topk_group=1, num_nextn_predict_layers=0), seed=12, expert_gain=1.2, gate_bias=(2.0, 0.2)),
    "dense-256": dict(config=dict(make_tiny.LITE, **dict(WIDE, n_routed_experts=None, n_shared_experts=None)), seed=13),
}


def numbers_of(folder, config):
    weights = Weights(folder, config)
    return {name: np.asarray(weights[name], np.float64) for name, _ in make_tiny.tensor_shapes(config)}


def logits(model, backend, ids, out):
    subprocess.run([DS, "logits", "--model", model, "--backend", backend, "--kv", "f32", "--ids", ",".join(map(str, ids)), "--all", "--out", out], check=True)
    return np.load(out)


def within(figures, limits):
    return all(figures[name] <= limit for name, limit in limits.items())  # NaN fails


class Case:
    """One checkpoint; each of its files is judged in a folder of its own."""

    def __init__(self, folder, dense=False):
        self.folder, self.dense = folder, dense
        self.config = load_config(folder)
        self.raw = {**make_tiny.json.loads((Path(folder) / "config.json").read_text())}
        self.raw.pop("quantization_config", None)
        self.tensors = numbers_of(folder, self.config)
        self.ids = make_tiny.prompt("gguf", 24, self.config.vocab_size)

    def judge(self, kind, layout, leave_out=()):
        with tempfile.TemporaryDirectory() as folder:
            return self.judge_in(Path(folder), kind, layout, leave_out)

    def judge_in(self, folder, kind, layout, leave_out):
        path, stated, multiplied = folder / "model.gguf", folder / "stated", folder / "multiplied"
        numbers = gguf_files.write(path, self.config, self.tensors, kind, layout, leave_out)
        gguf_files.checkpoint(stated, self.raw, numbers)
        wanted = record(Model(stated), self.ids, range(len(self.ids)))
        rounding = None
        if kind not in EXACT:
            multiplied.mkdir()
            subprocess.run([TOOL, "export", path, multiplied], check=True)
            after = record(Model(multiplied), self.ids, range(len(self.ids)))
            rounding, wanted = compare(wanted, after), after
        int8 = INT8_DENSE if self.dense else INT8
        good, line = rounding is None or within(rounding, int8), []
        if rounding:
            line.append(f"rounding kl {rounding['kl_median']:.1e}")
        for backend in ("ref", "onednn"):
            got = {"ids": wanted["ids"], "positions": wanted["positions"], "logits": logits(path, backend, self.ids, folder / "x.npy")}
            figures = compare(wanted, got)
            good &= within(figures, int8 if backend == "onednn" and kind not in PLAIN else FLOAT)
            line.append(f"{backend} max {figures['max_abs']:.1e} kl {figures['kl_max']:.1e}")
        if kind in ("Q4_K", "IQ3_S"):  # its blocks as they are, in our own container
            subprocess.run([DS, "pack", "--model", path, "--out", folder / "x.dsm", "--quiet"], check=True)
            good &= (logits(folder / "x.dsm", "ref", self.ids, folder / "y.npy") == logits(path, "ref", self.ids, folder / "x.npy")).all()
            figures = self.merge(path, stated, folder)
            good &= within(figures, int8)
            line.append(f"merged kl {figures['kl_median']:.1e}")
        print("ok    " if good else "FAILED", self.folder.name, kind, layout, *leave_out, "-", ", ".join(line), flush=True)
        return not good

    def merge(self, path, stated, folder):
        """An adapter added while packing: blocks that are only read give way to 8 bits where it changes them."""
        adapter, merged = folder / "adapter", folder / "merged.dsm"
        make_tiny.write_adapter(adapter, stated, seed=7, rank=4, alpha=4, targets=["kv_b_proj", "o_proj", "up_proj"])
        subprocess.run([DS, "pack", "--model", path, "--adapter", adapter, "--out", merged, "--quiet"], check=True)
        wanted = record(Model(stated, adapter), self.ids, range(len(self.ids)))
        return compare(wanted, dict(wanted, logits=logits(merged, "ref", self.ids, folder / "x.npy")))


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder)
        for name, arguments in MODELS.items():
            make_tiny.write_model(made / name, **arguments)
        for turn, name in enumerate(MODELS):
            case = Case(made / name, dense=name.startswith("dense"))
            kinds = ("Q4_0", "Q4_K", "Q6_K", "IQ3_S") if case.dense else (*gguf_files.WRITABLE, *gguf_files.SCALES, "Q8_K")
            for i, kind in enumerate(kinds):
                if not (FULL or case.dense or i % 2 == turn):
                    continue
                failed += case.judge(kind, "old" if kind in ("Q4_0", "Q4_K", "Q6_K") else "new")
        for layout in gguf_files.LAYOUTS:
            for name in ("lite-256", "v3-256"):
                failed += Case(made / name).judge("Q8_0", layout)
    for name in ("lite", "v2", "v3", "v3-bf16", "lite-tied", "lite-rope", "lite-dense"):
        case = Case(TINY / name, dense=name == "lite-dense")
        for layout in ("old", "new"):
            failed += case.judge("F32", layout)
    failed += Case(TINY / "v3-bf16").judge("F32", "new", ("expert_gating_func", "yarn_log_multiplier"))
    with tempfile.TemporaryDirectory() as folder:  # the model that ships, as its numbers
        subprocess.run([TOOL, "export", EMBEDDED, folder], check=True)
        case = Case(Path(folder))
        for kind, layout in (("F16", "new"), ("Q8_0", "old"), ("Q4_0", "fused")):
            failed += case.judge(kind, layout)
    return failed != 0


sys.exit(main())
