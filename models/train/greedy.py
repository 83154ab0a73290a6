"""Loops that a model really falls into: `greedy.py --model M --library L --texts T --out FILE`.

Lets a model go on greedily from beginnings of training documents, through the C library on all cores, and keeps each answer
that repeats itself, with its beginning, as rows of token ids and lags for `train.py --found`. Where the model fell into a
loop, it is asked again later: the beginnings lie beside FILE. Owns which beginnings are asked, what a repetition is and what
is kept. Leaves the decoding to the library, the loss to loops.py.
"""
import argparse
import json
import os
import random
import sys
from multiprocessing import Pool
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "e2e"))
from eval.library import Library, Model, Request  # noqa: E402

LEAST, MOST = 128, 2048  # bytes of a beginning, which ends with a line
TOKENS = 1024            # of an answer
SURE = 24                # of them must repeat, and a whole period, before that is a loop
LONGEST = 200            # tokens of a period, about ten lines of code
SHORT = 12               # of a shorter period the first repetition counts for nothing, as in loops.py
AGAIN = 0.5              # of the beginnings, at most: those that led to loops in earlier calls
GROUP = 8                # beginnings that share the steps of a thread


def beginnings(texts, count, rng):
    """Bytes from the first byte of a text to the end of a line."""
    usable = [text for text in texts if len(text) > 2 * LEAST]
    made = []
    for text in rng.sample(usable, min(count, len(usable))):
        data = text.encode()
        end = data.find(b"\n", rng.randint(LEAST, min(MOST, len(data) - 1)))
        if end >= 0:
            made.append(data[:end + 1])
    return made


def lag_of_answer(ids, begin):
    """[T]: like loops.lag_of_cycles, of an answer that begins at `begin`: its repetitions of SURE tokens and of a whole
    period at least, all of their tokens, but for the first period of those shorter than SHORT."""
    ids, periods = np.asarray(ids), np.zeros(len(ids), np.int64)
    for period in range(min(LONGEST, len(ids) - 1), 0, -1):
        first = max(period, begin)
        same = np.concatenate((np.zeros(first, bool), ids[first:] == ids[first - period:-period]))
        edges = np.flatnonzero(np.diff(np.concatenate(([0], same.astype(np.int8), [0]))))
        for at, end in zip(edges[::2], edges[1::2]):
            if end - at >= max(SURE, period):
                periods[at + (period if period < SHORT else 0):end] = period
    return np.append(periods[1:], 0)


def loops_of(task):
    """(beginnings asked, those that led to loops, [ids, lags] of beginning and answer for each of them, the end token)."""
    path, count, again, seed, options = task
    with open(path, encoding="utf-8") as file:
        asked = again + beginnings(json.load(file), count - len(again), random.Random(f"{seed} {path}"))
    model = Model(Library(options.library), options.model, context=4096, batch=GROUP, threads=1)
    answers = model.generate([Request(text=text, max_tokens=TOKENS) for text in asked])
    led, kept = [], []
    for text, answer in zip(asked, answers):
        begin = [*map(int, model.tokenize(text, bos=True))]
        ids = np.array([*begin, *answer.ids])
        lag = lag_of_answer(ids, len(begin))
        if lag.any():
            led.append(text)
            kept.append(np.stack((ids, lag)))
    filler = model.info["tokens"]["eos"]
    model.close()
    return len(asked), led, kept, filler


def rows_of(pieces, context, filler):
    """Rows [n, 2, context] of ids and lags, each as many pieces [2, length] as fit, then filler."""
    rows, used = [], context
    for piece in pieces:
        piece = piece[:, :context]
        if used + piece.shape[1] > context:
            rows.append(np.stack((np.full(context, filler), np.zeros(context, int))))
            used = 0
        rows[-1][:, used:used + piece.shape[1]] = piece
        used += piece.shape[1]
    return np.array(rows, np.uint16).reshape(-1, 2, context)


def earlier(out, count, rng):
    """At most `count` of the beginnings that led to loops in earlier calls, in the folder of `out`."""
    texts = sorted({text for path in Path(out).parent.glob("*.json") for text in json.loads(path.read_text("utf-8"))})
    return [text.encode() for text in rng.sample(texts, min(count, len(texts)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", required=True)
    add("--library", help="libdeepseam.so; found by the linker if left out")
    add("--texts", required=True, help="folder of *.json that `data.py texts` wrote")
    add("--out", required=True, help="a file *.u16 in the folder of `train.py --found`")
    add("--prompts", type=int, default=2000)
    add("--context", type=int, default=4096)
    add("--workers", type=int, default=os.cpu_count())
    add("--seed", default="1", help="other seeds ask other documents")
    options = parser.parse_args()
    paths = sorted(map(str, Path(options.texts).glob("*.json")))
    random.Random(options.seed).shuffle(paths)
    paths = paths[:options.workers]
    again = earlier(options.out, int(options.prompts * AGAIN), random.Random(options.seed))
    tasks = [(path, -(-options.prompts // len(paths)), again[index::len(paths)], options.seed, options)
             for index, path in enumerate(paths)]
    with Pool(options.workers) as pool:
        done = pool.map(loops_of, tasks, 1)
    asked, led = sum(count for count, _, _, _ in done), [text for _, texts, _, _ in done for text in texts]
    rows = rows_of([piece for _, _, pieces, _ in done for piece in pieces], options.context, done[0][3])
    print(f"{len(led)} of {asked} answers are loops, {len(set(led) & set(again))} of {len(again)} asked again: "
          f"{len(rows)} rows", flush=True)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    Path(options.out).with_suffix(".json").write_text(json.dumps([text.decode() for text in led]), "utf-8")
    with open(options.out + ".tmp", "wb") as file:
        file.write(rows.tobytes())
    os.replace(options.out + ".tmp", options.out)


if __name__ == "__main__":
    main()
