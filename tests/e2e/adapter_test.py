"""Low-rank adapters against the oracle, which adds them to the weights in float64: adapter_test.py DS

Random PEFT folders for the oracle's `lite` and `v3`, every module alone, all at once, with alphas and ranks by pattern,
rslora and 16-bit numbers. deepseam runs with them beside the model, whole (where onednn expands kv_b) and in chunks (where
it is absorbed), on both backends, and on what `ds pack --adapter` and `ds export --adapter` write; all within the float32
limits of the oracle's README. The oracle's own adapter `lite-lora` and its record are among them. Scales stay below 2.5:
much stronger deltas of everything amplify rounding itself, also that of merged weights to float32.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
import make_tiny  # noqa: E402
from oracle import Model, compare, load_config, read_safetensors, record  # noqa: E402

DS = sys.argv[1]
TINY, GOLDEN = Path(os.environ["DS_TINY_DIR"]), Path(os.environ["DS_GOLDEN_DIR"])
LIMITS = {"max_abs": 5e-4, "kl_max": 1e-8}
ATTENTION = {"lite": ["q_proj"], "v3": ["q_a_proj", "q_b_proj"]}
SHARED = ["kv_a_proj_with_mqa", "kv_b_proj", "o_proj", "lm_head"]
MLP = ["gate_proj", "up_proj", "down_proj"]
ALL = ["q_proj", "q_a_proj", "q_b_proj", *SHARED, *MLP]


def store(path, keep, dtype):
    """Leaves the tensors of an adapter's file whose names keep() likes, as numbers of another type."""
    tensors = {}
    for name, (_, values) in read_safetensors(path).items():
        if keep(name):
            tensors[name] = (dtype, make_tiny.to_bfloat16(values) if dtype == "BF16" else values.astype({"F32": np.float32, "F16": np.float16}[dtype]))
    assert tensors
    path.unlink()  # it is still mapped
    make_tiny.write_safetensors(path, tensors)


def logits(model, backend, ids, out, *arguments):
    subprocess.run([DS, "logits", "--model", model, "--backend", backend, "--kv", "f32", "--ids", ",".join(map(str, ids)), "--all", "--out", out, *arguments], check=True)
    return np.load(out)


class Case:
    def __init__(self, variant, work):
        self.variant, self.model, self.work = variant, TINY / variant, work
        self.config = load_config(self.model)
        self.mtp = f".layers.{self.config.num_hidden_layers}."  # an adapter made with transformers has none of it
        self.failed = 0

    def record(self, folder):
        """The oracle's on a prompt on which no decision of a router is so close that float32 might take it otherwise."""
        for i in range(100):
            self.ids = make_tiny.prompt(f"adapter {i}", 70, self.config.vocab_size)
            wanted = record(Model(self.model, folder), self.ids, range(len(self.ids)))
            if wanted["router_margin"].min() > 2e-5:
                return wanted
        raise ValueError("no prompt will do")

    def judge(self, name, wanted, ways):
        """ways: [(text, logits)]. An adapter that changes nothing would pass for all the wrong reasons."""
        line = []
        moved = np.abs(wanted["logits"] - record(Model(self.model), self.ids, range(len(self.ids)))["logits"]).max()
        good = moved > 0.05
        for text, found in ways:
            figures = compare(wanted, {"ids": wanted["ids"], "positions": wanted["positions"], "logits": found})
            good &= all(figures[key] <= limit for key, limit in LIMITS.items())  # NaN fails
            line.append(f"{text} {figures['max_abs']:.1e}")
        print("ok    " if good else "FAILED", self.variant, name, f"moves {moved:.1f} -", ", ".join(line), flush=True)
        self.failed += not good

    def run(self, name, seed, targets, keep=None, dtype="F32", **arguments):
        folder = self.work / f"{self.variant}-{name}"
        make_tiny.write_adapter(folder, self.model, seed=seed, targets=targets, **{"rank": 4, "alpha": 8, **arguments})
        store(folder / "adapter_model.safetensors", lambda name: self.mtp not in name and (not keep or keep(name)), dtype)
        wanted = self.record(folder)
        out, ways = self.work / "x.npy", []
        for backend in ("ref", "onednn"):
            for text, more in (("whole", []), ("chunks", ["--chunk", "7", "--deterministic"])):
                ways.append((f"{backend} {text}", logits(self.model, backend, self.ids, out, "--adapter", folder, *more)))
        if "all" in name:
            packed = self.work / "packed.dsm"
            subprocess.run([DS, "pack", "--model", self.model, "--adapter", folder, "--type", "f32", "--out", packed, "--quiet"], check=True)
            ways.append(("packed", logits(packed, "ref", self.ids, out)))
            exported = self.work / "exported"
            subprocess.run([DS, "export", "--model", self.model, "--adapter", folder, "--out", exported, "--quiet"], check=True)
            ways.append(("exported", record(Model(exported), self.ids, range(len(self.ids)))["logits"]))
        self.judge(name, wanted, ways)
        return folder

    def decodes(self, folder):
        """Tokens drawn one by one, on both backends, are the oracle's."""
        wanted, leads, _ = Model(self.model, folder).generate(self.ids[:12], 16)
        wanted = wanted[: int(np.argmin(np.append(leads, 0) > 5e-3))]  # as far as float32 has to agree
        assert len(wanted) > 3
        for backend in ("ref", "onednn"):
            out = subprocess.run([DS, "generate", "--model", self.model, "--backend", backend, "--kv", "f32", "--ids", ",".join(map(str, self.ids[:12])), "-n", "16", "--json", "--adapter", folder], check=True, capture_output=True)
            good = json.loads(out.stdout)["ids"][: len(wanted)] == wanted.tolist()
            print("ok    " if good else "FAILED", self.variant, folder.name, "decodes on", backend, flush=True)
            self.failed += not good


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as work:
        for variant in ("lite", "v3"):
            case = Case(variant, Path(work))
            for seed, target in enumerate(ATTENTION[variant] + SHARED):
                case.run(target, seed, [target])
            case.run("dense", 20, MLP, keep=lambda name: "experts" not in name)
            case.run("shared", 21, MLP, keep=lambda name: "shared_experts" in name)
            case.run("experts", 22, MLP, keep=lambda name: ".experts." in name)
            case.run("all", 23, ALL)
            folder = case.run("all-patterns", 24, ALL, rank=6, alpha=5, rslora=True, rank_pattern={"kv_b_proj": 10, "down_proj": 1}, alpha_pattern={"model.layers.1.self_attn.o_proj": 1, "o_proj": 4, "down_proj": 2})
            case.run("all-bf16", 25, ALL, dtype="BF16")
            case.run("f16", 26, ["o_proj", "kv_b_proj"], dtype="F16")
            case.decodes(folder)
            failed += case.failed
        case = Case("lite", Path(work))  # a record that this file did not make
        with np.load(GOLDEN / "lite-lora-064.npz") as golden:
            ids, positions, wanted = golden["ids"], golden["positions"], golden["logits"]
            for backend in ("ref", "onednn"):
                found = logits(case.model, backend, ids, Path(work) / "x.npy", "--adapter", TINY / "lite-lora")[positions]
                good = np.abs(found - wanted).max() <= LIMITS["max_abs"]
                print("ok    " if good else "FAILED", "lite-lora on", backend, flush=True)
                failed += not good
    return failed != 0


sys.exit(main())
