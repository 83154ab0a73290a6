#!/usr/bin/env python3
"""Loops and what keeps the embedded model out of them: which answers are loops, and, where torch is installed, made loops, their
loss, the model's own answers, and special tokens as a way out of a loop.
"""
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "models" / "train"))
from train_rig import needs_torch, run, tiny_config  # noqa: E402


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


@needs_torch
def test_a_special_token_falls_behind_where_it_costs_least():
    import torch
    from mend import MARGIN, least_change
    torch.manual_seed(1)
    row, h = torch.ones(16), 1 + 0.1 * torch.randn(500, 16)
    best, slopes = torch.full((500,), 15.0), torch.randn(300, 16) * torch.tensor([5.0] * 12 + [0.1] * 4)
    change = least_change(row, h, best, slopes)
    assert (h @ row > best).any() and (h @ (row + change) < best - 0.9 * MARGIN).all()
    assert change[:12].abs().max() < 0.2 * change[12:].abs().min()
    assert not least_change(row * 0.1, h, best, slopes).any(), "what is far behind stays"


@needs_torch
def test_gradients_are_those_of_what_fills_a_hole():
    import torch
    from mend import gradients
    from model import DeepSeek
    torch.manual_seed(1)
    model = DeepSeek(tiny_config())
    for name, w in model.named_parameters():
        if name.endswith(("o_proj", "down")):
            w.data = torch.randn_like(w) * 0.1
    special = {"bos": 59, "eos": 60, "hole": 61, "begin": 62, "end": 63}
    pieces = [np.array([59, 62, 5, 61, 6, 63, 7, 60]), np.array([59, 62, 61, 63, 60]), np.array([59, 1, 2, 3])]
    slopes = gradients(model.requires_grad_(False), pieces, special, 63)
    assert slopes.shape == (3, 64) and not slopes[0].any() and slopes[1].any(), "pieces in the order of their length"
    whole = gradients(model, pieces[:1], special, 63)
    assert torch.allclose(whole[0], slopes[2], atol=2e-2 * whole.abs().max().item())


@needs_torch
def test_states_come_with_the_likeliest_token_that_may_follow():
    import torch
    from mend import states
    from model import DeepSeek, causal_attention
    torch.manual_seed(1)
    model = DeepSeek(tiny_config())
    special = {"bos": 59, "eos": 60, "hole": 61, "begin": 62, "end": 63}
    h, best = states(model, [np.array([59, 3, 4]), np.array([59, 8])], special)
    with torch.no_grad():
        logits = model.logits(model.hidden(torch.tensor([[59, 3, 4]]), torch.arange(3), [causal_attention] * 2)[0])[0]
    assert h.shape == (5, 64) and torch.allclose(best[2:], logits[:, :61].amax(-1), atol=0.05)


if __name__ == "__main__":
    sys.exit(run(globals()))
