"""An n-gram model over token ids: interpolated Kneser-Ney with three discounts (Chen and Goodman's form), in numpy.

Every n-gram type of order k has a number: its place among the sorted keys (number of its first k - 1 ids) * V + last
id. So a table is a sorted int64 array, and looking up a text is one binary search an order. Documents are padded in
front with order - 1 begin ids, which are contexts but never predicted. Orders below the highest count in how many
different contexts something was seen. The lowest order is mixed with a uniform distribution, so nothing has
probability zero. """
from dataclasses import dataclass

import numpy as np


@dataclass
class Order:
    """Types of one order. keys are sorted. A context is a type of the order below."""
    keys: np.ndarray       # int64: context number * width + id
    counts: np.ndarray     # int64; lower orders: number of different ids seen before it
    totals: np.ndarray     # float64 [contexts]: sum of counts
    spread: np.ndarray     # float64 [contexts]: discount mass / total, the weight of the order below
    discounts: np.ndarray  # float64 [4]: taken from counts 0, 1, 2, 3 and more


def padded(texts, order, bos):
    """(ids, predicted): all texts in one int64 array, each behind order - 1 begin ids; which entries are predicted."""
    pad = np.full(order - 1, bos, np.int64)
    ids = np.concatenate([part for text in texts for part in (pad, np.asarray(text, np.int64))] or [pad])
    predicted = np.ones(len(ids), bool)
    at = 0
    for text in texts:
        predicted[at : at + order - 1] = False
        at += order - 1 + len(text)
    return ids, predicted


def discounts_of(counts):
    """What is taken from counts 1, 2 and 3+, from how often small counts occur; 0.5, 1, 1.5 where too few are seen."""
    n = [np.count_nonzero(counts == value) for value in (1, 2, 3, 4)]
    if min(n) == 0:
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n[0] / (n[0] + 2 * n[1])
    found = [1 - 2 * y * n[1] / n[0], 2 - 3 * y * n[2] / n[1], 3 - 4 * y * n[3] / n[2]]
    return np.array([0.0, *(min(max(d, 0.05), k + 0.95) for k, d in enumerate(found))])


class Model:
    """Trained from id arrays. width: ids are below it (the begin id too)."""

    def __init__(self, texts, order, width, bos):
        self.order, self.width, self.bos, self.orders = order, width, bos, []
        ids, predicted = padded(texts, order, bos)
        previous = np.zeros(len(ids), np.int64)  # number of the (k - 1)-gram that ends at each place
        tables = []
        for k in range(1, order + 1):
            before = np.zeros(len(ids), np.int64) if k == 1 else np.concatenate([[-1], previous[:-1]])
            keys = np.where(before < 0, -1, before * width + ids)
            types, first, number, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
            if types[0] < 0:  # places too near to the start
                types, first, counts, number = types[1:], first[1:], counts[1:], number - 1
            tables.append((types, first, counts, number))
            previous = number
        self._finish(tables, predicted)

    def _finish(self, tables, predicted):
        for k, (types, first, counts, _) in enumerate(tables, 1):
            if k < self.order:  # in how many contexts: types of the next order, by the type they end with
                _, next_first, _, _ = tables[k]
                seen = predicted[next_first]
                counts = np.bincount(tables[k - 1][3][next_first[seen]], minlength=len(types))
            else:
                counts = np.where(predicted[first], counts, 0)
            contexts = 1 if k == 1 else len(tables[k - 2][0])
            context = types // self.width
            used = counts > 0
            discounts = discounts_of(counts[used])
            totals = np.bincount(context, weights=counts, minlength=contexts)
            taken = np.bincount(context, weights=discounts[np.minimum(counts, 3)], minlength=contexts)
            spread = np.divide(taken, totals, out=np.ones(contexts), where=totals > 0)
            self.orders.append(Order(types, counts, totals, spread, discounts))

    def nats(self, texts):
        """-log p of every id of the texts, float64 [sum of lengths]."""
        ids, predicted = padded(texts, self.order, self.bos)
        probability = np.full(len(ids), 1 / self.width)
        previous = np.zeros(len(ids), np.int64)
        for k, table in enumerate(self.orders, 1):
            before = np.zeros(len(ids), np.int64) if k == 1 else np.concatenate([[-1], previous[:-1]])
            keys = np.where(before < 0, -1, before * self.width + ids)
            place = np.minimum(np.searchsorted(table.keys, keys), len(table.keys) - 1)
            known = table.keys[place] == keys
            count = np.where(known, table.counts[place], 0)
            context = np.maximum(before, 0)
            total = np.where(before >= 0, table.totals[context], 0)
            direct = np.divide(count - table.discounts[np.minimum(count, 3)], total, out=np.zeros(len(ids)),
                               where=total > 0)
            probability = np.where(total > 0, direct + table.spread[context] * probability, probability)
            previous = np.where(known, place, -1)
        return -np.log(probability[predicted])
