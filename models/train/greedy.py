"""Loops that the model really falls into, in its greedy answers to beginnings of training text.

An answer that says something three times in a row or more is kept with its beginning, as ids and lags for the losses of loops.py,
and its beginning is asked again later. Owns what is asked, what a loop is and the rows of them. Leaves the decoding to
decode.py, and when to ask to train.py.
"""
import numpy as np

LEAST, MOST = 40, 512    # tokens of a beginning, which ends with a line
TOKENS = 1024            # of an answer
SURE = 24                # of them must repeat, and two whole periods, before that is a loop
LONGEST = 200            # tokens of a period, about ten lines of code
SHORT = 12               # of a shorter period the first repetition counts for nothing, as in loops.py
AGAIN = 0.5              # of the beginnings, at most: those that led to loops before


def beginnings(rows, count, rng, special, ends_line):
    """At most `count` arrays of ids, each from the first one of a plain piece to the end of a line, from rows [n, context]."""
    most = min(MOST, rows.shape[1] // 2)
    starts = np.argwhere((rows[:, :-most] == special["bos"]) & (rows[:, 1:rows.shape[1] - most + 1] != special["begin"]))
    first_special, made = min(special.values()), []
    for row, at in rng.permutation(starts):
        piece = rows[row, at:at + rng.integers(LEAST, most + 1)]
        lines = np.flatnonzero(ends_line[piece])
        if len(lines) and lines[-1] >= LEAST - 1 and (piece[1:] < first_special).all():
            made.append(piece[:lines[-1] + 1])
        if len(made) == count:
            break
    return made


def lag_of_answer(ids, begin):
    """[T]: like loops.lag_of_cycles, of an answer that begins at `begin`: all whole turns of its loops, from the first
    repetition on, or from the second of a period shorter than SHORT."""
    ids, periods = np.asarray(ids), np.zeros(len(ids), np.int64)
    for period in range(min(LONGEST, len(ids) - 1), 0, -1):
        first, least = max(period, begin), max(SURE, 2 * period)
        same = ids[first:] == ids[first - period:-period]
        if np.count_nonzero(same) < least:
            continue
        edges = first + np.flatnonzero(np.diff(np.concatenate(([0], same.astype(np.int8), [0]))))
        for at, end in zip(edges[::2], edges[1::2]):
            if end - at >= least:
                periods[at + (period if period < SHORT else 0):end - (end - at) % period] = period
    return np.append(periods[1:], 0)


def loops_of(answers, begins):
    """Of the answers that are loops: their places, and pieces [2, T] of ids and lags."""
    lags = [lag_of_answer(ids, len(begin)) for ids, begin in zip(answers, begins)]
    places = [place for place, lag in enumerate(lags) if lag.any()]
    return places, [np.stack((answers[place], lags[place])) for place in places]


def rows_of(pieces, context, filler):
    """Rows [n, 2, context] of ids and lags, each as many pieces [2, T] as fit, then filler."""
    rows, used = [], context
    for piece in pieces:
        piece = piece[:, :context]
        if used + piece.shape[1] > context:
            rows.append(np.stack((np.full(context, filler), np.zeros(context, int))))
            used = 0
        rows[-1][:, used:used + piece.shape[1]] = piece
        used += piece.shape[1]
    return np.array(rows, np.uint16).reshape(-1, 2, context)
