"""Numbers out of what a model did: estimators, intervals, distances, cycles. Pure functions of values.

Texts are str, token ids are sequences of integers, probabilities are in nats unless the name says bits.
"""
import math

import numpy as np


def log_softmax_at(logits, targets):
    """Log-probability of one target a row, float64 [rows]. logits [rows, V] float32 is overwritten."""
    rows = np.arange(len(logits))
    top = logits.max(axis=1)
    chosen = logits[rows, targets].astype(np.float64) - top
    np.subtract(logits, top[:, None], out=logits)
    np.exp(logits, out=logits)
    return chosen - np.log(logits.sum(axis=1, dtype=np.float64))


def pass_at_k(n, correct, k):
    """The unbiased estimate of the chance that at least one of k samples is right, from `correct` right ones of n."""
    if not 1 <= k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} of {correct} among {n}")
    if n - correct < k:
        return 1.0
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def wilson(successes, n, z=1.959963984540054):
    """The Wilson score interval of a share (95% by default), as (low, high)."""
    if n == 0:
        return 0.0, 1.0
    share, square = successes / n, z * z / n
    middle = (share + square / 2) / (1 + square)
    half = z / (1 + square) * math.sqrt(share * (1 - share) / n + square / (4 * n))
    return (0.0 if successes == 0 else middle - half), (1.0 if successes == n else middle + half)


def share(successes, n):
    """A share with its interval, as it stands in reports."""
    low, high = wilson(successes, n)
    return {"n": n, "hits": successes, "share": successes / n if n else None, "low": low, "high": high}


def period_of_tail(ids, tail, longest):
    """The smallest period p <= longest with which the last `tail` ids repeat (ids[i] = ids[i - p] inside the tail);
    0 if there is none, or fewer ids than `tail`."""
    if len(ids) < tail:
        return 0
    last = list(ids[-tail:])
    return next((p for p in range(1, longest + 1) if last[p:] == last[:-p]), 0)


def exact_match(generated, expected):
    """Equal but for blanks at the end."""
    return generated.rstrip() == expected.rstrip()


def first_line(text):
    """The text up to its first line break."""
    return text.split("\n", 1)[0]


def common_subsequence(a, b):
    """Length of the longest common subsequence of two texts."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = 0
        for j, y in enumerate(b, 1):
            before, row[j] = row[j], before + 1 if x == y else max(row[j], row[j - 1])
    return row[-1]


def edit_similarity(a, b):
    """0 … 100: twice the common subsequence over both lengths (insertions and deletions only)."""
    return 100.0 if not a and not b else 200.0 * common_subsequence(a, b) / (len(a) + len(b))


def bits_per_byte(nats, n_bytes):
    return nats / math.log(2) / n_bytes
