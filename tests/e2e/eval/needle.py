"""A needle in a haystack: whether greedy decoding returns a number that stood once in a long text of code.

The haystack is held-out files, one after another, cut to a length in tokens. The needle is a comment line with a name
and a five-digit number, put between two lines at a depth (0: in front, 1: at the end). After the haystack the prompt
begins the same comment again, and the answer must begin with the number. Names, numbers and files follow from the
seed. """
import random

import numpy as np

from . import documents, report, scoring
from .library import Request

PROTOCOL = "needle in a haystack: one fact at a given depth of a given length, greedy"
NAMES = ("amber", "basalt", "cedar", "delta", "ember", "fjord", "garnet", "harbor", "indigo", "juniper",
         "kestrel", "lagoon")


def haystack(model, found, n_tokens, seed):
    """At least n_tokens ids of files in a seeded order, repeated if there are too few; int32."""
    order = [d for d in found if documents.text_of(d)]
    random.Random(f"haystack/{seed}").shuffle(order)
    parts, total = [], 0
    while order and total < n_tokens:
        for document in order:
            ids = model.tokenize(document.data.rstrip() + b"\n\n")
            parts.append(ids)
            total += len(ids)
            if total >= n_tokens:
                break
    if total < n_tokens:
        raise ValueError("no haystack: the files hold no text")
    return np.concatenate(parts)[:n_tokens]


def line_break_before(model, ids, at, cache):
    """The nearest place at or before `at` behind a token that ends a line; 0 if there is none."""
    while at > 0:
        token = int(ids[at - 1])
        if token not in cache:
            cache[token] = model.token_bytes(token).endswith(b"\n")
        if cache[token]:
            return at
        at -= 1
    return 0


def prompt(model, hay, depth, name, number, mark, cache):
    """Ids of one question: begin token, haystack with the needle, the question."""
    fact = f"{mark}The access code of {name} is "
    needle = model.tokenize(f"{fact}{number}.\n".encode())
    question = model.tokenize(f"\n{fact.rstrip()}".encode())
    at = line_break_before(model, hay, int(round(depth * len(hay))), cache)
    begin = [] if model.bos is None else [model.bos]
    return np.concatenate([np.array(begin, np.int32), hay[:at], needle, hay[at:], question])


def found_in(answer, number):
    """The answer's first digits are the number."""
    digits = ""
    for character in answer:
        if character.isdigit():
            digits += character
        elif digits:
            break
    return digits == str(number)


def run(options, model):
    found = documents.read_all(options.docs, options.files, options.languages)
    draw, cache, room = random.Random(f"needle/{options.seed}"), {}, 96
    lengths = [n for n in options.lengths if n <= model.context]
    results, cells, total = {}, [], [0, 0]
    progress = report.Progress("needle", len(lengths) * len(options.depths) * options.repeat, options.quiet)
    for length in lengths:
        requests, answers_due = [], []
        for depth in options.depths:
            for trial in range(options.repeat):
                name, number = draw.choice(NAMES), draw.randint(10000, 99999)
                hay = haystack(model, found, max(1, length - room), f"{options.seed}/{length}/{trial}")
                ids = prompt(model, hay, depth, name, number, options.mark, cache)
                requests.append(Request(ids=ids, max_tokens=16))
                answers_due.append((depth, number))
        row = {}
        for request, (depth, number) in zip(requests, answers_due):  # one at a time: long prompts fill the pool
            answer = model.generate([request])[0]
            hit = found_in(answer.text, number)
            cell = row.setdefault(f"{depth:g}", [0, 0])
            cell[0] += 1
            cell[1] += hit
            cells.append({"length": length, "depth": depth, "prompt_tokens": len(request.ids), "hit": hit,
                          "expected": number, "got": answer.text[:40]})
            progress(len(cells))
        asked, hits = (sum(cell[i] for cell in row.values()) for i in (0, 1))
        results[str(length)] = {"found": scoring.share(hits, asked),
                                "by_depth": {depth: cell[1] / cell[0] for depth, cell in row.items()}}
        total = [total[0] + asked, total[1] + hits]
    results["all"] = {"found": scoring.share(total[1], total[0])}
    return {"protocol": PROTOCOL, "lengths_beyond_the_context": [n for n in options.lengths if n not in lengths],
            "repeat": options.repeat, "results": results, "cells": cells}
