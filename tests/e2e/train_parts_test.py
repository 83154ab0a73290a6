#!/usr/bin/env python3
"""The parts of models/train that can be wrong without a loss that shows it: the plan of rate and context, holes, packing,
and, where torch is installed, what counts as a middle, loops and their loss, that a grown model computes what it did before, the
mean of two models and its rounding.
"""
import argparse
import contextlib
import dataclasses
import importlib.util
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

TEXT = "".join(f"int f{i}(int x) {{\n  return x + {i};\n}}\n\n" for i in range(40))
HAS_TORCH = importlib.util.find_spec("torch") is not None


def needs_torch(test):
    test.needs_torch = True
    return test


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
    assert not plan.stretched(59.9)


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


@needs_torch
def test_loops_repeat_what_stood_before_and_the_text_goes_on():
    import torch
    from loops import SURE_CYCLE, with_loops
    ids = torch.arange(8 * 4096).remainder(16000).view(8, 4096)
    ends_line = np.arange(2 * 16375) % 12 == 7
    looped, lag, counts = with_loops(ids, 1.0, np.random.default_rng(1), 16375, ends_line)
    rows, places = lag.nonzero(as_tuple=True)
    assert len(rows) > 1000
    assert (looped[rows, places + 1] == looped[rows, places + 1 - lag[rows, places]]).all()
    assert all(lag[row, place - lag[row, place]] or not counts[row, place - lag[row, place]]
               for row, place in zip(rows, places) if lag[row, place] < SURE_CYCLE), "the first short one counts for nothing"
    assert not all(lag[row, place - lag[row, place]] for row, place in zip(rows, places)), "the first long one counts"
    fresh = (lag == 0) & (counts > 0)
    steps = (looped[:, 1:] - looped[:, :-1]).remainder(16000)[fresh[:, :-1]]
    assert (steps == 1).all(), "what is no repetition goes on where the text stopped"
    same, none, all_count = with_loops(ids, 0.0, np.random.default_rng(1), 16375, ends_line)
    assert torch.equal(same, ids) and not none.any() and all_count.all()
    assert with_loops(ids + 16375, 1.0, np.random.default_rng(1), 16375, ends_line)[1].any().item() is False


@needs_torch
def test_most_loops_are_whole_lines():
    from loops import AT_LINES, MOST_LINES, loop_row
    row, ends_line, begins = np.arange(8192), np.arange(8192) % 12 == 7, []
    for seed in range(20):
        tokens, periods, turns = loop_row(row, np.random.default_rng(seed), 16375, ends_line)
        first = np.flatnonzero((turns[1:] > 0) & (turns[:-1] == 0)) + 1
        begins += [(tokens[at - 1], periods[at]) for at in first]
    lines = [period for last, period in begins if ends_line[last] and period % 12 == 0]
    assert {period // 12 for period in lines} >= set(range(1, MOST_LINES + 1))
    assert AT_LINES - 0.1 < len(lines) / len(begins) < AT_LINES + 0.1


@needs_torch
def test_a_loop_is_unlearnt_until_greedy_choice_takes_another_token_that_is_no_special_one():
    import torch
    from loops import MARGIN, loop_loss
    lag = torch.tensor([[0, 0, 2, 0]])

    def loss(p, p_other, p_special=1e-9):
        nats, special, other = ((-torch.tensor([[0.3, 0.3, value, 0.3]]).log()).requires_grad_()
                                for value in (p, p_special, p_other))
        out = loop_loss(nats, special, other, lag, 6)
        out.sum().backward()
        assert torch.equal(out[0, [0, 1, 3]], nats[0, [0, 1, 3]]) and nats.grad[0, 0] == 1
        assert not special.grad[0, [0, 1, 3]].any() and not other.grad[0, [0, 1, 3]].any()
        return out[0, 2].item(), *(part.grad[0, 2].item() for part in (nats, special, other))

    ratio = np.exp(MARGIN)
    assert loss(0.6, 0.2) > loss(0.4, 0.2) > (0,)
    assert abs(loss(0.4, 0.2)[1] + 2) < 1e-3 and abs(loss(0.4, 0.2)[3] - 2) < 1e-3, "two tokens a turn, each counts once"
    assert loss(0.2, 0.2 * ratio + 0.01) == (0, 0, 0, 0), "what greedy choice would not take is left alone"
    assert loss(0.2, 0.2 * ratio - 0.01)[0] > 0
    assert loss(0.1, 0.4, 0.5)[0] > 0 and loss(0.1, 0.4, 0.5)[2] < -1, "special tokens are no way out"
    assert np.isfinite(loss(1.0, 1e-9)).all()


@needs_torch
def test_a_repetition_is_to_break_at_its_weakest_token_only():
    import torch
    from loops import loop_loss, weakest
    lag = torch.tensor([[0, 0, 0, 3, 3, 3, 3, 3, 0, 0, 2, 2]])
    nats = torch.tensor([[9.0, 9, 9, 0.1, 0.7, 0.2, 0.3, 0.1, 9, 9, 0.2, 0.5]])
    found = weakest(-nats, lag)[0].nonzero().flatten().tolist()
    assert found == [4, 6, 11], "each repetition has one, the last one of a loop may be cut short"
    out = loop_loss(nats, nats.new_full(nats.shape, 20.0), nats.new_full(nats.shape, 3.0), lag, 6)[0]
    assert [at for at in range(12) if lag[0, at] and out[at]] == found


@needs_torch
def test_the_token_to_break_at_counts_for_its_repetition_but_not_without_end():
    import torch
    from loops import loop_loss

    def loss(period):
        lag = torch.tensor([[0] * period + [period] * period])
        nats = torch.tensor([[0.1] * period + [0.1] * (period - 1) + [0.7]])
        return loop_loss(nats, *(nats.new_full(nats.shape, value) for value in (20.0, 3.0)), lag, 6)[0, period:].sum().item()

    assert abs(loss(4) / loss(1) - 4) < 1e-4
    assert abs(loss(24) / loss(1) - 6) < 1e-4


@needs_torch
def test_some_loops_are_lines_that_begin_as_the_one_before():
    from loops import ends_of_alike
    line, other = [5, 6, 7], [8, 9, 10]
    row = np.array([*line, 1, 99, *line, 2, 99, *other, 99, *line, 99, *line, 3, 99, 5])
    ends = np.flatnonzero(row == 99) + 1
    assert ends.tolist() == [5, 10, 14, 18, 23]
    assert ends_of_alike(row, ends).tolist() == [23], "the line that a row begins within has no known beginning"
    assert ends_of_alike(row, ends[:0]).size == 0 == ends_of_alike(row, ends[:1]).size


@needs_torch
def test_cycles_of_the_text_are_found_from_their_third_time_on():
    import torch
    from loops import LONGEST_CYCLE, SURE_CYCLE, lag_of_cycles
    for period in (1, 2, 5, SURE_CYCLE, LONGEST_CYCLE, LONGEST_CYCLE + 1):
        row = [1000, 1001, *(list(range(period)) * 200)[:200], 1002, 900]
        lag = lag_of_cycles(torch.tensor([row]), 2000)[0].tolist()
        begin = 2 + period + max(period + 1, SURE_CYCLE) - 1  # the first token that counts
        if period > LONGEST_CYCLE:
            begin = 202
        assert lag == [0] * (begin - 1) + [period] * (202 - begin) + [0] * 3, period
    assert not lag_of_cycles(torch.full((1, 99), 2000), 2000).any(), "special tokens are no cycle"


@needs_torch
def test_found_loops_take_their_share_of_the_rows():
    import torch
    from train import FEWEST, Found
    with tempfile.TemporaryDirectory() as folder:
        found = Found(folder, 8)
        found.look()
        ids = torch.zeros(400, 8, dtype=torch.int64)
        lag, weight, rng = torch.zeros_like(ids), torch.ones(ids.shape), np.random.default_rng(1)
        assert not found.put_into(ids, lag, weight, 0.5, rng).any() and not ids.any()
        row = np.array([[7] * 8, [0] * 6 + [2, 0]])
        found.add("run-0", [row] * FEWEST, 9)
        found.look()
        chosen = found.put_into(ids, lag, weight, 0.5, rng)
        assert 150 < chosen.sum() < 250 and (ids[chosen] == 7).all() and not ids[~chosen].any()
        assert lag[chosen].tolist() == [row[1].tolist()] * int(chosen.sum()) and not lag[~chosen].any()
        assert torch.equal(weight[chosen], (lag[chosen] > 0).float()) and weight[~chosen].all()
        found.rows = found.rows[:FEWEST // 10]
        assert 20 < found.put_into(ids, lag, weight, 0.5, rng).sum() < 60, "few rows take a smaller share"
        other = Found(folder, 8)
        other.add("other-0", [], 9)
        other.look()
        assert len(other.rows) == FEWEST, "runs share a folder"


def test_rows_of_found_loops_hold_whole_pieces():
    from greedy import rows_of
    pieces = [np.array([[value] * length, [0] * (length - 1) + [1]]) for value, length in ((1, 5), (2, 4), (3, 20), (4, 2))]
    rows = rows_of(pieces, 10, 9)
    assert rows[:, 0].tolist() == [[1] * 5 + [2] * 4 + [9], [3] * 10, [4] * 2 + [9] * 8]
    assert [lags.nonzero()[0].tolist() for lags in rows[:, 1]] == [[4, 8], [], [1]]
    assert rows_of([], 10, 9).shape == (0, 2, 10)


def test_beginnings_are_those_of_plain_pieces_up_to_the_end_of_a_line():
    from greedy import LEAST, MOST, beginnings
    special = {"bos": 900, "eos": 901, "begin": 902, "hole": 903, "end": 904}
    ends_line = np.arange(1000) % 10 == 7
    row = np.arange(4 * MOST) % 800
    row[[100, 150, 1200]] = 900   # of the first one too little is left before the next
    row[[151, 1201 + MOST]] = 902, 901
    rows = np.stack((row, np.roll(row, 1)))
    made = beginnings(rows, 9, np.random.default_rng(1), special, ends_line)
    assert len(made) == 2
    for piece in made:
        assert piece[0] == 900 and piece[1] == 401 and LEAST <= len(piece) <= MOST and ends_line[piece[-1]]
        assert (piece[1:] == np.arange(401, 400 + len(piece)) % 800).all()
    assert len(beginnings(rows, 1, np.random.default_rng(1), special, ends_line)) == 1
    assert beginnings(np.zeros((2, 4096), int), 3, np.random.default_rng(1), special, ends_line) == []


def test_of_a_loop_all_whole_turns_count_and_of_a_short_one_those_after_the_first():
    from greedy import LONGEST, SHORT, SURE, lag_of_answer
    begin = [2000, 2001]
    for period in (1, SHORT - 1, SHORT, SURE, 60, LONGEST):
        least = max(2 * period, SURE)
        free = 0 if period >= SHORT else period
        for length, counted in ((least - 1, 0), (least, least // period * period - free)):
            answer = [*range(period), *(n % period for n in range(length)), 1000]
            lag = lag_of_answer(begin + answer, len(begin)).tolist()
            first = len(begin) + period + free - 1
            assert lag == [0] * first + [period] * counted + [0] * (len(lag) - first - counted), (period, length)
    assert not lag_of_answer([*range(LONGEST + 1)] * 4, 0).any()
    thrice = [*range(30)] * 4
    assert not lag_of_answer(thrice, 70).any(), "what the beginning repeats is not the model's"
    assert lag_of_answer(thrice, 60).nonzero()[0].tolist() == [*range(59, 119)], "but going on with it is"


def test_only_answers_that_are_loops_are_kept():
    from greedy import loops_of
    begins = [np.arange(5), np.arange(6)]
    answers = [np.arange(300), np.concatenate((begins[1], np.tile(np.arange(40, 60), 5)))]
    places, pieces = loops_of(answers, begins)
    assert places == [1] and len(pieces) == 1 and (pieces[0][0] == answers[1]).all()
    assert pieces[0][1].nonzero()[0].tolist() == [*range(25, 105)]


@needs_torch
def test_short_is_as_short_for_answers_as_for_made_loops():
    import greedy
    import loops
    assert greedy.SHORT == loops.SURE_CYCLE


@needs_torch
def test_the_likeliest_other_token_is_neither_the_target_nor_special():
    import torch
    from model import DeepSeek, causal_attention
    torch.manual_seed(1)
    model = DeepSeek(tiny_config())
    ids, first_special = torch.randint(64, (2, 16)), 60
    with torch.no_grad():
        logits = model.logits(model.hidden(ids, torch.arange(16), [causal_attention] * 2)[0])
        best = logits.argmax(-1)
        for targets in (best, (best + 1) % 60):
            nats, special, other = model(ids, targets, first_special)[0]
            p = torch.stack((nats, special, other)).neg().exp()
            rest = logits.softmax(-1).scatter(-1, targets[..., None], 0)[..., :first_special].amax(-1)
            assert torch.allclose(p[1], logits.softmax(-1)[..., first_special:].sum(-1), atol=1e-5)
            assert torch.allclose(p[2], rest, atol=1e-5)
            assert torch.allclose(p[0], logits.softmax(-1).gather(-1, targets[..., None])[..., 0], atol=1e-5)


@needs_torch
def test_answers_are_the_likeliest_tokens_and_stop_behind_the_end():
    import torch
    from decode import answers, until_special
    from model import DeepSeek
    torch.manual_seed(1)
    model = DeepSeek(tiny_config())
    for name, w in model.named_parameters():
        if name.endswith(("o_proj", "down", "embed")):
            w.data = torch.randn_like(w) * 0.3
    begins = [np.arange(1, 4), np.arange(10, 19)]
    for begin, whole in zip(begins, answers(model, begins, 12, 63)):
        assert (whole[:len(begin)] == begin).all() and (len(whole) == len(begin) + 12 or whole[-1] == 63)
        ids = torch.from_numpy(whole)[None]
        targets = torch.cat((ids[:, 1:], torch.tensor([[-1]])), 1)
        with torch.no_grad():
            nats, special, other = model(ids, targets, 63)[0][:, 0, len(begin) - 1:-1]
        assert len(set(whole[len(begin):].tolist())) > 1
        assert (nats < torch.minimum(other, torch.where(targets[0, len(begin) - 1:-1] == 63, other, special)) + 0.05).all()
    assert until_special(np.array([9, 1, 9, 2, 9]), 1, 8).tolist() == [9, 1, 9] and len(until_special(np.arange(6), 0, 6)) == 6


@needs_torch
def test_rows_of_found_loops_keep_their_lags():
    import torch
    from loops import with_cycles
    ids = torch.tensor([[9, 8, 7, *[5] * 20, 6]] * 2)
    lag = torch.zeros_like(ids)
    lag[:, 1] = 3
    both = with_cycles(ids, lag, torch.tensor([[True], [False]]), 100)
    assert torch.equal(both[0], lag[0]) and both[1, 1] == 3 and both[1, 2:].sum() > 0


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


def tiny_config(**change):
    from model import Config
    return Config(**{"vocab_size": 64, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "kv_lora_rank": 64,
                     "intermediate_size": 64, "moe_intermediate_size": 32, "n_routed_experts": 4, "num_experts_per_tok": 2,
                     **change})


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


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, test in [item for item in globals().items() if isinstance(item[1], types.FunctionType)]:
        if not name.startswith("test_"):
            continue
        if getattr(test, "needs_torch", False) and not HAS_TORCH:
            counts["skipped"] += 1
            print(f"skipped: {name}: the Python package torch is not installed")
            continue
        try:
            test()
            counts["passed"] += 1
        except Exception as error:  # report all of them
            counts["failed"] += 1
            print("FAILED", name, repr(error)[:2000])
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**counts))
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
