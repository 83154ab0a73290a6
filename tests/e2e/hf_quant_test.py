"""Quantised Hugging Face checkpoints of every kind through both backends, judged by the oracle: hf_quant_test.py DS MODEL_TOOL

The oracle runs on the numbers that the writer computes from integers, zeros and scales; that the library reads exactly
these is checked bit by bit. Where a kind loses nothing on its way to a backend, the float32 limits of the oracle's
README hold against them. Where it is repacked with a rounding, they hold against the numbers after it (`model_tool
export` writes those), and the rounding itself is bounded: that of Q4_1, whose least value is a binary16, by the row for
float16 activations, that of Q8_0 by the one for int8 weights.
onednn multiplies 8- and 4-bit blocks by activations of 8 bits: its limits are that row's.
"""
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "oracle"))
import hf_quant_files  # noqa: E402
import make_tiny  # noqa: E402
from oracle import Model, Weights, compare, load_config, record  # noqa: E402

DS, TOOL = sys.argv[1:3]
TINY = Path(os.environ["DS_TINY_DIR"])
FLOAT, FLOAT16, INT8 = {"max_abs": 5e-4, "kl_max": 1e-8}, {"kl_median": 5e-4}, {"kl_median": 0.03}
WIDE = dict(hidden_size=256, kv_lora_rank=128, v_head_dim=64, intermediate_size=384, moe_intermediate_size=128, n_routed_experts=4, num_experts_per_tok=2, num_hidden_layers=2, vocab_size=256)
MODELS = {
    "lite-256": dict(config=dict(make_tiny.LITE, **WIDE), seed=11),
    "v3-256": dict(config=dict(make_tiny.V3, **dict(WIDE, q_lora_rank=128), n_group=2, topk_group=1, num_nextn_predict_layers=0), seed=12, expert_gain=1.2, gate_bias=(2.0, 0.2)),
}
EXACT = {"fp8-tensor", "ct-fp8-tensor", "ct-fp8-block", "gptq-sym", "gptq-column", "ct-int4"}
LEAST_KINDS = {"awq-g32", "awq-g64", "awq-g128", "gptq-g32", "gptq-g128", "gptq-v2", "ct-int4-asym"}


def run(*args):
    subprocess.run(list(map(str, args)), check=True)


def logits(model, backend, ids, out):
    run(DS, "logits", "--model", model, "--backend", backend, "--kv", "f32", "--ids", ",".join(map(str, ids)), "--all", "--out", out)
    return np.load(out)


def within(figures, limits):
    return all(figures[name] <= limit for name, limit in limits.items())  # NaN fails


def numbers_of(folder, config):
    weights = Weights(folder, config)
    return {name: np.asarray(weights[name], np.float64) for name, _ in make_tiny.tensor_shapes(config)}


class Case:
    """One checkpoint; each kind of it is judged in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.config = Path(folder), load_config(folder)
        self.raw = json.loads((self.folder / "config.json").read_text())
        self.raw.pop("quantization_config", None)
        self.tensors = numbers_of(folder, self.config)
        self.ids = make_tiny.prompt("hf_quant", 24, self.config.vocab_size)

    def judge(self, kind, leave=(), shards=1):
        with tempfile.TemporaryDirectory() as folder:
            return self.judge_in(Path(folder), kind, leave, shards)

    def oracle(self, folder, numbers=None):
        if numbers:
            folder.mkdir()
            (folder / "config.json").write_text(json.dumps(self.raw))
            make_tiny.write_safetensors(folder / "model.safetensors", {name: ("F32", values) for name, values in numbers.items()})
        return record(Model(folder), self.ids, range(len(self.ids)))

    def judge_in(self, folder, kind, leave, shards):
        model, multiplied = folder / "model", folder / "multiplied"
        numbers = hf_quant_files.write(model, self.raw, self.tensors, kind, leave, shards)
        wanted, line = self.oracle(folder / "stated", numbers), []
        run(DS, "pack", "--model", model, "--type", "f32", "--out", folder / "f32.dsm", "--quiet")  # what is read, exactly
        (folder / "read").mkdir()
        run(TOOL, "export", folder / "f32.dsm", folder / "read")
        read = Weights(folder / "read", load_config(folder / "read"))
        good = all((np.asarray(read[name], np.float32) == values).all() for name, values in numbers.items())
        line.append("read exactly" if good else "READ OTHERWISE")
        if kind not in EXACT:
            multiplied.mkdir()
            run(TOOL, "export", model, multiplied)
            after = self.oracle(multiplied)
            rounding, wanted = compare(wanted, after), after
            good &= within(rounding, FLOAT16 if kind in LEAST_KINDS else INT8)
            line.append(f"rounding {self.error(numbers, multiplied):.1e} of the weights, kl {rounding['kl_median']:.1e}")
        for backend in ("ref", "onednn"):
            got = {"ids": wanted["ids"], "positions": wanted["positions"], "logits": logits(model, backend, self.ids, folder / "x.npy")}
            figures = compare(wanted, got)
            floats = backend == "ref" or (kind in EXACT and "fp8" in kind)
            good &= within(figures, FLOAT if floats else INT8)
            line.append(f"{backend} max {figures['max_abs']:.1e} kl {figures['kl_median']:.1e}")
        run(DS, "pack", "--model", model, "--out", folder / "x.dsm", "--quiet")
        good &= (logits(folder / "x.dsm", "ref", self.ids, folder / "y.npy") == logits(model, "ref", self.ids, folder / "x.npy")).all()
        good &= self.check_tools(model, kind)
        print("ok    " if good else "FAILED", self.folder.name, kind, *leave, "-", ", ".join(line), flush=True)
        return not good

    def judge_merged(self, kind):
        """An adapter on packed integers, merged by `ds pack --adapter`: the oracle adds it to the numbers that these stand for."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            numbers, adapter = hf_quant_files.write(folder / "model", self.raw, self.tensors, kind), folder / "adapter"
            plain = self.oracle(folder / "stated", numbers)
            targets = ["q_proj", "kv_b_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "lm_head"]
            make_tiny.write_adapter(adapter, folder / "stated", seed=7, rank=4, alpha=8, targets=targets)
            wanted = record(Model(folder / "stated", adapter), self.ids, range(len(self.ids)))
            line, good = [], np.abs(wanted["logits"] - plain["logits"]).max() > 0.05
            for form, limits in (("f32", FLOAT), ("", INT8)):  # without a type what the adapter changes becomes q8
                run(DS, "pack", "--model", folder / "model", "--adapter", adapter, *(["--type", form] if form else []), "--out", folder / "x.dsm", "--quiet")
                figures = compare(wanted, {"ids": wanted["ids"], "positions": wanted["positions"], "logits": logits(folder / "x.dsm", "ref", self.ids, folder / "x.npy")})
                good &= within(figures, limits)
                line.append(f"{form or 'as it is'} max {figures['max_abs']:.1e} kl {figures['kl_median']:.1e}")
        print("ok    " if good else "FAILED", self.folder.name, kind, "with an adapter merged -", ", ".join(line), flush=True)
        return not good

    def error(self, numbers, folder):
        """Root mean square of what was added to the weights that changed, relative to theirs."""
        weights, added, size = Weights(folder, self.config), 0.0, 0.0
        for name, values in numbers.items():
            change = np.asarray(weights[name], np.float64) - values
            if change.any():
                added, size = added + (change**2).sum(), size + (values.astype(np.float64)**2).sum()
        return (added / size)**0.5

    def check_tools(self, model, kind):
        def ask(command):
            return json.loads(subprocess.run([DS, command, "--model", model, "--json"], check=True, stdout=subprocess.PIPE).stdout)
        info, plan, verify = ask("info"), ask("plan"), ask("verify")
        file_bytes = sum(path.stat().st_size for path in model.glob("*.safetensors"))
        good = info["weights"]["type"] == ("f8_e4m3" if "fp8" in kind else "int4") and info["weights"]["stored_bytes"] <= file_bytes
        remade = "fp8" not in kind or kind == "ct-fp8-channel"
        good &= (info["weights"]["repacked_bytes"] > 0) == remade and (plan["bytes"]["repacked"] > 0) == remade
        notes = "fp8" in kind
        return good and verify["ok"] == 1 and verify["findings"] in (0, []) and bool(verify["notes"]) == notes


def put(folder, name, index, value):
    """Writes over one number of a tensor."""
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    size = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8:8 + size])[name]
    width = {"I32": 4, "F16": 2, "BF16": 2}[entry["dtype"]]
    at = 8 + size + entry["data_offsets"][0] + width * index
    data[at:at + width] = value.to_bytes(width, "little")
    path.write_bytes(data)


def check_damage(case, folder):
    """What loading refuses, verifying finds, in the same words."""
    failed, module = 0, "model.layers.1.self_attn.o_proj"
    damages = (("gptq-sym", ".qzeros", 0, 0x77777776, "the zero is 7, expected 8"), ("gptq-act", ".g_idx", 3, 99, "input 3 is of group 99, expected 0 to 1"),
               ("gptq-g128", ".g_idx", 3, 1, "input 3 is of group 1, expected 0"), ("awq-g128", ".scales", 2, 0x7c00, "is not finite"),
               ("ct-fp8-channel", ".weight_scale", 3, 0x4f80, "row 3, columns from 0: a q8_0 block holds numbers that are not finite or beyond"))
    for kind, tensor, index, value, sentence in damages:
        model = folder / kind
        hf_quant_files.write(model, case.raw, case.tensors, kind)
        put(model, module + tensor, index, value)
        found = json.loads(subprocess.run([DS, "verify", "--model", model, "--json"], stdout=subprocess.PIPE).stdout)
        refused = subprocess.run([DS, "logits", "--model", model, "--ids", "5", "--out", folder / "x.npy"], stderr=subprocess.PIPE)
        good = found["ok"] == 0 and sentence in json.dumps(found) and module in json.dumps(found)
        good &= refused.returncode == 1 and sentence in refused.stderr.decode() and module in refused.stderr.decode()
        print("ok    " if good else f"FAILED {found} {refused.stderr.decode()}", "damaged", kind, tensor, flush=True)
        failed += not good
    return failed


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, arguments in MODELS.items():
            make_tiny.write_model(Path(folder) / name, **arguments)
        cases = {name: Case(Path(folder) / name) for name in MODELS}
        for kind in hf_quant_files.KINDS:
            failed += cases["lite-256"].judge(kind)
        for kind in ("ct-fp8-channel", "awq-g64", "gptq-g128", "gptq-act", "ct-int4-asym"):
            failed += cases["v3-256"].judge(kind)
        for kind in ("awq-g64", "gptq-g128", "gptq-act", "gptq-sym", "ct-int4"):
            failed += cases["lite-256"].judge_merged(kind)
        failed += check_damage(cases["lite-256"], Path(folder))
        failed += cases["lite-256"].judge("awq-g128", ("kv_b_proj", "q_proj"), shards=3)
        failed += cases["v3-256"].judge("gptq-sym", ("kv_b_proj", "q_a_proj"), shards=2)
    for name in ("lite", "v3"):  # rows that are no multiple of a group or a block
        case = Case(TINY / name)
        for kind in ("fp8-tensor", "ct-fp8-channel", "ct-fp8-block", "gptq-g32", "gptq-act-g32", "gptq-column", "ct-int4"):
            failed += case.judge(kind)
    failed += Case(TINY / "lite").judge("awq-g32")
    return failed != 0


sys.exit(main())
