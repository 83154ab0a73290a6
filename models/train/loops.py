"""Rows in which a piece of text is said again and again, and the loss that keeps greedy choice from going round in it.

A small model that decodes greedily soon repeats itself: each repetition makes the next one more likely. Against it some
rows of a step get loops: the last few tokens at a place, most often one to three whole lines, come again and again, then
the text goes on. The first repetition counts for nothing if it is shorter than SURE_CYCLE, as the second equal line of a
list. Each other one shall break where the model is least sure of it: there another token shall be the likelier one, by MARGIN,
so that greedy choice takes it (a hinge loss on the two log probabilities; unlikelihood, as of Welleck et al. 2020 or Xu et al.
2022, goes on pressing a token that greedy choice would not take any more, and presses on all others of the repetition). Special
tokens are no way out: those and the repeated one together shall be less likely (with the end token alone in their place a model
learnt to break loops with the one that ends a prompt with a hole). Where the text goes on, the loss is the usual one.
Made loops are learnt soon, those of greedy choice less: they stand where a repetition is likely. So half of the whole lines
are chosen where lines begin alike, and rows of loops that a model really fell into (greedy.py) join the others; of them
nothing but the repetitions counts.
Owns where loops are and their loss. Leaves the share of rows that have them to train.py.
"""
import numpy as np
import torch

MARGIN = 0.5             # nats
LONGEST_PERIOD = 80      # tokens, about four lines of code
AT_LINES = 0.6           # of the loops begin and end where lines do, as those of greedy choice mostly do
MOST_LINES = 3           # that such a loop repeats
AT_ALIKE = 0.5           # of those loops are a line that begins with the same ALIKE tokens as the one before it
ALIKE = 3
SURE_CYCLE = 12          # tokens that must repeat before a cycle of the text itself is one
LONGEST_CYCLE = 48       # tokens of it
LENGTHS = 48, 480        # tokens that a loop adds, but at least three repetitions
SPACING = 640            # tokens of text between the beginnings of loops, about


def log_uniform(rng, low, high):
    return int(low * (high / low) ** rng.random())


def ends_of_alike(row, ends):
    """Of `ends`, the places behind the tokens that end a line, those of lines that begin as the line before them."""
    begins = ends[:-1][ends[:-1] + ALIKE <= len(row)]
    heads = row[begins[:, None] + np.arange(ALIKE)]
    return ends[1:len(begins) + 1][np.append(False, (heads[1:] == heads[:-1]).all(1))[:len(begins)]]


def whole_lines(ends, place, rng):
    """(place, period) of the last one to MOST_LINES lines that end at `place` or before; None if they are too long.

    `ends` are the places behind the tokens that end a line, in their order."""
    last = np.searchsorted(ends, place, "right") - 1
    first = last - rng.integers(1, MOST_LINES + 1)
    if first < 0 or ends[last] - ends[first] > LONGEST_PERIOD:
        return None
    return int(ends[last]), int(ends[last] - ends[first])


def loop_row(row, rng, first_special, ends_line):
    """(row with loops, of the same length; period of each repeated token, 0 elsewhere; which repetition it is).

    Special tokens are never repeated, so that beginnings and ends stay as they were."""
    context, parts, at, ends = len(row), [], 0, np.flatnonzero(ends_line[row]) + 1
    alike = ends_of_alike(row, ends)
    while at < context:
        place = at + log_uniform(rng, SPACING // 4, SPACING * 2)
        period = log_uniform(rng, 1, LONGEST_PERIOD + 1)
        lines = None
        if rng.random() < AT_LINES and place < context:
            next_alike = np.searchsorted(alike, place)
            near = next_alike < len(alike) and alike[next_alike] < place + SPACING
            lines = whole_lines(ends, alike[next_alike] if near and rng.random() < AT_ALIKE else place, rng)
        if lines and lines[0] - lines[1] >= at:
            place, period = lines
        parts.append((row[at:place], 0, None))
        piece = row[place - period:place]
        if place < context and (piece < first_special).all():
            times = max(3, log_uniform(rng, *LENGTHS) // period)
            parts.append((np.tile(piece, times), period, np.arange(1, times + 1).repeat(period)))
        at = place
    tokens = np.concatenate([part for part, _, _ in parts])[:context]
    periods = np.concatenate([np.full(len(part), period) for part, period, _ in parts])[:context]
    turns = np.concatenate([np.zeros(len(part)) if turn is None else turn for part, _, turn in parts])[:context]
    return tokens, periods.astype(np.int64), turns.astype(np.int64)


def with_loops(ids, share, rng, first_special, ends_line):
    """ids [B, T], of which a `share` of the rows get loops -> (ids, lag [B, T], weight [B, T]) for the next token of each
    place: lag is the distance to the repetition before where that is to unlearn, else 0; weight is 0 for short first ones.
    `ends_line` [vocabulary] says which tokens end with a line break."""
    ids, lag, weight = ids.numpy().copy(), np.zeros(ids.shape, np.int64), np.ones(ids.shape, np.float32)
    for b in np.flatnonzero(rng.random(len(ids)) < share):
        ids[b], periods, turns = loop_row(ids[b], rng, first_special, ends_line)
        counts = (turns > 1) | (periods >= SURE_CYCLE)
        lag[b, :-1] = (periods * counts)[1:]
        weight[b, :-1] = (counts | (turns == 0))[1:]
    return torch.from_numpy(ids), torch.from_numpy(lag), torch.from_numpy(weight)


def lag_of_cycles(ids, first_special):
    """[B, T]: the shortest period with which the next token goes on a cycle that stood there twice, and for SURE_CYCLE
    tokens at least; 0 where it does not, or is a special token."""
    at = torch.arange(ids.shape[1], device=ids.device)
    lag = torch.zeros_like(ids)
    for period in range(LONGEST_CYCLE, 0, -1):
        other = torch.ones_like(ids, dtype=torch.bool)
        other[:, period:] = ids[:, period:] != ids[:, :-period]
        same = at - torch.where(other, at, -1).cummax(1).values  # tokens up to here that repeat the one a period before
        goes_on = (same[:, 1:] >= max(period + 1, SURE_CYCLE)) & (ids[:, 1:] < first_special)
        lag[:, :-1] = torch.where(goes_on, period, lag[:, :-1])
    return lag


def with_cycles(ids, lag, found, first_special):
    """lag of with_loops with the cycles of the text itself, but for rows that are `found`, [B, 1]."""
    return torch.where(found | (lag > 0), lag, lag_of_cycles(ids, first_special))


def weakest(excess, lag):
    """[B, T] bool: the least sure token of each repetition, of those where lag > 0."""
    at = torch.arange(excess.shape[1], device=excess.device).expand_as(lag)
    other = torch.ones_like(lag, dtype=torch.bool)
    other[:, 1:] = lag[:, 1:] != lag[:, :-1]
    begin = torch.where(other, at, 0).cummax(1).values
    turn = begin + (at - begin) // lag.clamp(min=1) * lag
    least = torch.zeros_like(excess).scatter_reduce(1, turn, excess, "amin", include_self=False)
    return (lag > 0) & (excess == least.gather(1, turn))


def loop_loss(nats, special, other, lag, most):
    """The loss of each target, [B, T], from the nats of the target, of the special tokens and of the likeliest other token: the
    target's; where lag > 0 none, but at the weakest token of each repetition how much likelier the target or a special token is
    than that other one, and MARGIN, as often as the repetition has tokens, up to `most`."""
    excess = torch.logaddexp(-nats, -special) + other
    press = torch.where(weakest(excess.detach(), lag), (excess + MARGIN).clamp(min=0), 0.0) * lag.clamp(max=most)
    return torch.where(lag > 0, press, nats)
