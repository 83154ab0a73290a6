#!/usr/bin/env python3
"""The parts of models/train that can be wrong without a loss that shows it: the plan of rate and context, holes, packing,
and, where torch is installed, what counts as a middle, that a grown model computes what it did before, the mean of two models and
its rounding. Loops are train_loops_test.py's.
"""
import argparse
import contextlib
import dataclasses
import io
import json
import random
import subprocess
import sys
import tempfile
import types
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "train"))
import data  # noqa: E402
from schedule import Schedule  # noqa: E402
from train_rig import needs_torch, run, tiny_config  # noqa: E402

TEXT = "".join(f"int f{i}(int x) {{\n  return x + {i};\n}}\n\n" for i in range(40))

def test_rate_rises_stays_and_falls_to_zero():
    plan = Schedule(lr=2.0, warmup=4, length=100, decay=20, stretch=5)
    assert [plan.rate(step, step) for step in (0, 3, 4, 80, 90, 100)] == [0.5, 2.0, 2.0, 2.0, 1.0, 0.0]
    assert not plan.decaying(80) and plan.decaying(81)
    assert not plan.stretched(95) and plan.stretched(96)
    assert not plan.over(99) and plan.over(100)


def test_a_plan_by_the_clock_warms_up_by_steps_and_ends_late_at_zero():
    plan = Schedule(lr=1.0, warmup=2, length=60.0, decay=30.0, stretch=0)
    assert plan.rate(0, 59.0) == 0.5
    assert plan.rate(10, 45.0) == 0.5
    assert plan.rate(10, 61.0) == 0.0
    assert not plan.stretched(59.9) and not plan.stretched(61.0)


def test_pieces_put_the_text_together():
    for limit in (30, 400, 10**6):
        pieces = list(data.cut(TEXT, random.Random(limit), limit))
        assert "".join(piece for piece, _ in pieces) == TEXT
        assert all(0 < len(piece) <= limit for piece, _ in pieces)
        assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True]


def test_holes_are_what_their_kind_says():
    rng = random.Random(1)
    for _ in range(200):
        begin, end = data.rest_of_line(TEXT, rng)
        line = TEXT[TEXT.rfind("\n", 0, begin) + 1 : end]
        assert TEXT[end] == "\n" and "\n" not in line and line.strip()
        assert begin >= end - len(line.lstrip())
        begin, end = data.whole_lines(TEXT, rng)
        assert end == len(TEXT) or TEXT[end] == "\n"
        assert not TEXT[TEXT.rfind("\n", 0, begin) + 1 : begin].strip()
        assert TEXT[begin:end].count("\n") <= 7


def encoder():
    """One token a character, and the special tokens above them."""
    made = data.Encoder.__new__(data.Encoder)
    made.special = {"bos": 300, "eos": 301, "begin": 302, "hole": 303, "end": 304}
    made.encode = lambda texts: [[ord(character) for character in text] for text in texts]
    return made


def test_a_row_with_a_hole_keeps_what_is_next_to_it():
    row = encoder().fim([1] * 50, [2] * 50, [3] * 4, 40)
    assert len(row) == 40
    hole = row.index(303)
    assert row[:2] == [300, 302] and set(row[2:hole]) == {1} and set(row[hole + 1 : -6]) == {2}
    assert row[-6:] == [304, 3, 3, 3, 3, 301]
    assert encoder().fim([], [], [3] * 30, 40) is None


def test_documents_with_holes_have_many_more_of_them_than_rows():
    rows, runs = encoder().pieces([TEXT * 8] * 60, random.Random(3), 4096)
    text = sum(row.count(304) for row in rows), sum(len(row) for row in rows), sum(len(run) for run in runs)
    assert text[0] == len(rows) > 2 * text[1] / 4096
    assert 0.3 < text[1] / (text[1] + text[2]) < 0.7


def test_packed_rows_are_full_and_keep_pieces_whole():
    rng = random.Random(5)
    whole = [[1000 + i] * rng.randint(3, 60) for i in range(200)]
    runs = [[2000 + i] * rng.randint(1, 90) for i in range(80)]
    rows = data.pack(whole, [list(run) for run in runs], 64, rng)
    assert rows.shape[1] == 64 and rows.dtype == np.uint16
    for piece in whole:
        holders = [row for row in rows if piece[0] in row]
        assert not holders or (len(holders) == 1 and (holders[0] == piece[0]).sum() == len(piece))
    assert sum(piece[0] in rows for piece in whole) > 190


@needs_torch
def test_a_middle_reaches_from_its_mark_to_its_end():
    import torch
    from train import exact_middles, in_middle
    special = encoder().special
    ids = torch.tensor([[300, 302, 1, 303, 2, 304, 7, 8, 301, 300, 5, 301, 304, 9]])
    mask = in_middle(ids, special)
    assert mask.int().tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 1, 1]]
    nats = torch.full(ids.shape, 9.0)
    nats[0, 5:8] = 0.6
    assert exact_middles(nats, mask) == (1, 2)
    nats[0, 7] = 0.7  # the token that ends it
    assert exact_middles(nats, mask) == (0, 2)


def test_what_a_corpus_shares_with_a_benchmark_is_shown():
    import corpus
    solution = "def largest_even(numbers):\n    even = [number for number in numbers if number % 2 == 0]\n    return max(even)\n"
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "bench").mkdir()
        (Path(name) / "bench" / "problems.jsonl").write_text(json.dumps({"text": "Find it.", "code": solution}) + "\n")
        with open(Path(name) / "train.docs", "wb") as file:
            corpus.write_doc(file, "python", "one", "a.py", b"import os\n" + solution.encode())
            corpus.write_doc(file, "python", "two", "b.py", b"def largest(numbers):\n    return max(numbers)\n")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            corpus.bench(argparse.Namespace(out=name, bench=f"{name}/bench", jobs=1))
    shown = out.getvalue().splitlines()
    assert len(shown) == 2 and shown[0].startswith("one/a.py: ") and "numbers even number for number in" in shown[0]
    assert shown[1].endswith("1 documents share one or more")


def test_a_folder_without_shards_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        try:
            data.decode(types.SimpleNamespace(out=folder, shards=f"{folder}/train-*.ppmd"), None)
        except SystemExit as refusal:
            assert "no train-*.ppmd" in str(refusal)
        else:
            raise AssertionError("not refused")


def test_a_shard_that_does_not_decode_gets_another_order():
    import corpus

    class Coder:
        def __init__(self, order, mem):
            self.order = order

        def encode(self, text):
            return text[::-1]

        def flush(self):
            return b""

        def decode(self, stream, size):
            return stream[::-1] if self.order < 9 else stream

    sys.modules["pyppmd"] = types.SimpleNamespace(Ppmd7Encoder=Coder, Ppmd7Decoder=Coder)
    try:
        assert corpus.compressed(b"text", "x", 10, 1) == (8, b"txet")
    finally:
        del sys.modules["pyppmd"]


@needs_torch
def test_a_tiny_model_learns_and_a_run_goes_on():
    folder = Path(data.__file__).parent
    small = {"vocab_size": 320, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "kv_lora_rank": 32,
             "intermediate_size": 64, "moe_intermediate_size": 32, "n_routed_experts": 4}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_tokenizer(work / "tokenizer.json")
        rows = np.random.default_rng(1).integers(0, 40, (320, 128)).astype(np.uint16)
        rows[:, 1::2] = rows[:, ::2]  # the second of two tokens can be learnt
        encoder = data.Encoder(work / "tokenizer.json")
        rows[:, 0], rows[:, 50] = encoder.special["bos"], encoder.ends_line.argmax()
        epoch = data.epoch_folder(work / "rows", 128, 0)
        epoch.mkdir(parents=True)
        rows.tofile(epoch / "0000.u16")
        (epoch / "done").write_text("")
        (work / "found").mkdir()
        lags = np.where(np.arange(128) < 32, 0, 16)
        np.tile(np.stack((np.arange(128) % 16, lags)).astype(np.uint16), (400, 1, 1)).tofile(work / "found" / "000.u16")
        command = [sys.executable, str(folder / "train.py"), "--config", str(folder / "config.json"), "--no-compile",
                   "--change", json.dumps(small), "--rows", str(work / "rows"), "--tokenizer", str(work / "tokenizer.json"),
                   "--out", str(work / "run"), "--context", "128", "--batch", "8", "--micro", "4", "--length", "40",
                   "--warmup", "4", "--log-every", "10", "--found", str(work / "found"), "--found-share", "0.3", "--ask-every", "30", "--prompts", "5", "--lr", "2e-2"]
        for until in (20, 40):
            done = subprocess.run([*command, "--until", str(until)], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr[-1500:]
        log = [json.loads(line) for line in (work / "run" / "log.jsonl").read_text().splitlines()]
        assert len([*(work / "found").glob("run-*.u16")]) == 2
    asked = [line for line in log if "asked" in line]
    assert [(line["step"], line["asked"] + line["asked_again"]) for line in asked] == [(0, 5), (30, 5)], asked
    losses = [line["loss"] for line in log if "loss" in line]
    assert [line["step"] for line in log if "loss" in line] == [10, 20, 30, 40]
    assert losses[-1] < losses[0] - 0.3 and all(0 < line["repeats"] < 1 for line in log if "loss" in line), log


def write_tokenizer(path):
    """A byte-level vocabulary of 256 and the special tokens."""
    from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens([AddedToken(text, special=True) for text in data.SPECIAL.values()])
    made.save(str(path))


@needs_torch
def test_masters_come_back_from_the_published_spelling():
    import torch
    from safetensors.torch import save_file
    from export import named_masters, published
    from model import DeepSeek, load_config
    config = load_config(Path(data.__file__).parent / "config.json", vocab_size=64, hidden_size=32, num_hidden_layers=2, kv_lora_rank=32,
                         intermediate_size=64, moe_intermediate_size=32, n_routed_experts=4)
    torch.manual_seed(1)
    wanted = {name: torch.randn_like(w) for name, w in DeepSeek(config).named_parameters()}
    with tempfile.TemporaryDirectory() as folder:
        save_file({name: w.contiguous() for name, w in published(config, wanted)}, Path(folder) / "model.safetensors")
        found = named_masters(config, folder)
    assert list(found) == list(wanted) and all(torch.equal(found[name], w) for name, w in wanted.items())


@needs_torch
def test_a_folder_states_the_context_that_was_trained_and_the_yarn_that_was_trained_with():
    from export import hf_config
    made = hf_config(tiny_config(original_max_position_embeddings=64, rope_factor=4.0, max_position_embeddings=128), {}, "float32")
    assert made["max_position_embeddings"] == 128
    assert (made["rope_scaling"]["factor"], made["rope_scaling"]["original_max_position_embeddings"]) == (4.0, 64)
    assert "rope_factor" not in made and "mscale" not in made


@needs_torch
def test_the_mean_is_half_way_between_two_states():
    import torch
    from export import named_masters, published, write_mean
    from model import DeepSeek
    from safetensors.torch import save_file
    config = tiny_config()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "config.json").write_text(json.dumps(dataclasses.asdict(config)))
        states = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            states.append({name: torch.randn_like(w) for name, w in DeepSeek(config).named_parameters()})
            (work / str(seed)).mkdir()
            save_file({key: w.contiguous() for key, w in published(config, states[-1])}, work / str(seed) / "model.safetensors")
        write_mean(argparse.Namespace(config=work / "config.json", states=[work / "1", work / "2"], out=work / "mean"))
        mean = named_masters(config, work / "mean")
    assert all(torch.equal(w, (states[0][name] + states[1][name]) / 2) for name, w in mean.items())


@needs_torch
def test_fitted_weights_lie_on_the_grid_and_change_outputs_less():
    import quant
    import torch
    from fit import fitted, off
    torch.manual_seed(1)
    w, inputs = torch.randn(48, 96), torch.randn(400, 24) @ torch.randn(24, 96) + 0.1 * torch.randn(400, 96)
    w[5, :32] = 0
    products = inputs.T @ inputs
    out = fitted(w, products)
    assert torch.equal(quant.q4_0(out), out) and not out[5, :32].any()
    assert off(out - w, products) < 0.5 * off(quant.q4_0(w) - w, products)
    assert abs(off(out - w, products) / ((out - w) @ inputs.T).square().sum().item() - 1) < 1e-3


@needs_torch
def test_the_inputs_of_each_matrix_are_summed_up():
    import model as architecture
    import quant
    import torch
    from fit import Inputs
    torch.manual_seed(1)
    model = architecture.DeepSeek(tiny_config())
    plain = architecture.linear
    ids = torch.randint(64, (2, 16))
    with torch.no_grad(), Inputs(model) as inputs:
        model(ids, torch.full_like(ids, -1), 0)
    assert architecture.linear is plain
    for name, w in model.named_parameters():
        if quant.format_of(name, w) == "q4":
            assert inputs.sums[name].shape == (*w.shape[:-2], w.shape[-1], w.shape[-1]), name
    rows, experts = 2 * 16, 2  # of a normalised input the squares of a row add up to its width
    assert abs(inputs.sums["layers.0.mlp.gate_up"].trace() / (rows * 64) - 1) < 0.02
    assert abs(inputs.sums["layers.1.mlp.gate_up"].diagonal(dim1=1, dim2=2).sum() / (experts * rows * 64) - 1) < 0.02


@needs_torch
def test_a_grown_model_computes_what_it_did():
    import torch
    from grow import grown
    from model import DeepSeek, causal_attention, load_config
    folder = Path(data.__file__).parent
    small = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "kv_lora_rank": 32, "qk_nope_head_dim": 16,
             "qk_rope_head_dim": 8, "v_head_dim": 16, "intermediate_size": 64, "moe_intermediate_size": 32}
    before = load_config(folder / "config-first.json", **small, n_routed_experts=6)
    after = load_config(folder / "config.json", **small, n_routed_experts=4)
    torch.manual_seed(1)
    old, new = DeepSeek(before), DeepSeek(after)
    for name, w in old.named_parameters():
        if name.endswith(("o_proj", "down")):
            w.data = torch.randn_like(w) * 0.1
    kept = torch.tensor([0, 2, 3, 5])
    with torch.no_grad():
        for index in (1, 4):  # experts that no token chooses, so that leaving them out changes nothing
            old.layers[1].mlp.gate[index] = 0
            old.layers[1].mlp.gate_up[index] = 0
            old.layers[1].mlp.down[index] = 0
    fresh = dict(new.named_parameters())
    for name, w in old.named_parameters():
        fresh[name].data = grown(name, w.detach(), fresh[name].detach(), before.num_attention_heads, kept)
    attention = [model.layers[0].attention for model in (old, new)]
    x = torch.randn(1, 24, 32, dtype=torch.bfloat16)
    angles = torch.arange(24).float()[:, None] * old.inv_freq
    with torch.no_grad():
        one, other = (part(x, angles.cos(), angles.sin(), causal_attention).float() for part in attention)
    assert one.abs().max() > 0.01
    assert torch.allclose(one, other, atol=2e-2 * one.abs().max().item())
    assert torch.equal(new.layers[1].mlp.gate_up, old.layers[1].mlp.gate_up[kept])
    assert torch.equal(new.layers[1].mlp.gate, old.layers[1].mlp.gate[kept])


if __name__ == "__main__":
    sys.exit(run(globals()))
