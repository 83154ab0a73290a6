"""Loops that a model really falls into: `greedy.py --model M --library L --texts T --out FILE`.

Lets a model go on greedily from beginnings of training documents, through the C library on all cores, and keeps each answer
that ends in a cycle, with its beginning, as rows of token ids for `train.py --found`. Owns which beginnings are asked and
what is kept. Leaves the decoding to the library, the loss to loops.py.
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
from eval import scoring  # noqa: E402
from eval.library import Library, Model, Request  # noqa: E402

LEAST, MOST = 128, 2048  # bytes of a beginning, which ends with a line
TOKENS = 320             # of an answer
TAIL, PERIOD = 72, 48    # the last TAIL tokens repeat with a period of at most PERIOD
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


def loops_of(task):
    """(beginnings asked, token ids of beginning and answer for each answer that ends in a cycle, the end token)."""
    path, count, seed, options = task
    with open(path, encoding="utf-8") as file:
        asked = beginnings(json.load(file), count, random.Random(f"{seed} {path}"))
    model = Model(Library(options.library), options.model, context=4096, batch=GROUP, threads=1)
    answers = model.generate([Request(text=text, max_tokens=TOKENS) for text in asked])
    kept = [[*map(int, model.tokenize(text, bos=True)), *answer.ids] for text, answer in zip(asked, answers)
            if scoring.period_of_tail(answer.ids, TAIL, PERIOD)]
    filler = model.info["tokens"]["eos"]
    model.close()
    return len(asked), kept, filler


def rows_of(pieces, context, filler):
    """Rows [n, context], each as many pieces as fit, then filler."""
    rows = []
    for piece in pieces:
        if not rows or len(rows[-1]) + len(piece) > context:
            rows.append([])
        rows[-1].extend(piece[:context])
    return np.array([row + [filler] * (context - len(row)) for row in rows], np.uint16).reshape(-1, context)


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
    tasks = [(path, -(-options.prompts // len(paths)), options.seed, options) for path in paths]
    with Pool(options.workers) as pool:
        done = pool.map(loops_of, tasks, 1)
    asked, kept = sum(count for count, _, _ in done), [piece for _, pieces, _ in done for piece in pieces]
    rows = rows_of(kept, options.context, done[0][2])
    print(f"{len(kept)} of {asked} answers are loops: {len(rows)} rows", flush=True)
    Path(options.out).parent.mkdir(parents=True, exist_ok=True)
    with open(options.out + ".tmp", "wb") as file:
        file.write(rows.tobytes())
    os.replace(options.out + ".tmp", options.out)


if __name__ == "__main__":
    main()
