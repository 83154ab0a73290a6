"""From the packed corpus to rows of token ids: cutting into pieces, fill-in-the-middle, packing.

`data.py texts` decodes shards, which is slow and needed once; `data.py rows` does so too if it must, then writes for each
epoch files of uint16 rows [n, context], each epoch with other cuts and other holes. It runs beside the training, which
reads an epoch when its files are complete.
Half of the documents take the form  BOS fim_begin P fim_hole S fim_end M EOS  (prefix, suffix, middle), cut between
characters, as DeepSeek-Coder-V2 (section 3.1) trained its Lite model; P, S and M are tokenised apart, as they are when
an editor asks. Holes: any span (as published), the rest of a line, or a few whole lines, because that is what editors ask for.
Such documents are cut into pieces of many lengths, most of them short: a piece has one hole, and where a middle ends is
learnt from middles, not from the text around them.
Leaves the corpus itself to corpus.py and the vocabulary to tokenizer.py.
"""
import argparse
import bisect
import json
import os
import random
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np

PARTS = 16              # of a shard: the units of work
CHARS_PER_TOKEN = 3.0   # a low guess, so that most pieces fit a row
FIM_SHARE = 0.5
FIM_SHORTEST = 400      # characters; the longest piece fills a row
HOLES = (("span", 0.1), ("line", 0.54), ("lines", 0.36))
LINE_BREAK = "\u010a"   # how a byte-level vocabulary spells it
SPECIAL = {"bos": "<｜begin▁of▁sentence｜>", "eos": "<｜end▁of▁sentence｜>", "begin": "<｜fim▁begin｜>",
           "hole": "<｜fim▁hole｜>", "end": "<｜fim▁end｜>"}


def cut(text, rng, limit):
    """Pieces of at most `limit` characters, cut at line breaks; yields (text, whether the document ends with it)."""
    at = 0
    while len(text) - at > limit:
        size = int(limit * rng.uniform(0.5, 1.0))
        stop = text.rfind("\n", at + 1, at + size) + 1
        stop = stop if stop > at else at + size
        yield text[at:stop], False
        at = stop
    if at < len(text):
        yield text[at:], True


def rest_of_line(text, rng):
    lines = text.split("\n")
    index = rng.randrange(len(lines))
    for _ in range(8):  # a line with something in it, if one is found soon
        if lines[index].strip():
            break
        index = rng.randrange(len(lines))
    line, start = lines[index], sum(len(other) + 1 for other in lines[:index])
    indent = len(line) - len(line.lstrip())
    column = indent if rng.random() < 0.5 else rng.randint(indent, len(line))
    return start + column, start + len(line)


def whole_lines(text, rng):
    ends = [i for i, char in enumerate(text) if char == "\n"] + [len(text)]
    first = rng.randrange(len(ends))
    last = min(first + rng.randint(1, 8), len(ends)) - 1
    start = ends[first - 1] + 1 if first else 0
    line = text[start:ends[first]]
    return start + len(line) - len(line.lstrip()), ends[last]


def hole(text, rng):
    """Where the middle of a piece begins and ends, in characters."""
    kind = rng.choices([name for name, _ in HOLES], [share for _, share in HOLES])[0]
    if kind == "line":
        return rest_of_line(text, rng)
    if kind == "lines":
        return whole_lines(text, rng)
    return tuple(sorted((rng.randint(0, len(text)), rng.randint(0, len(text)))))


class Encoder:
    def __init__(self, path):
        from tokenizers import Tokenizer
        self.tokenizer = Tokenizer.from_file(str(path))
        self.special = {name: self.tokenizer.token_to_id(text) for name, text in SPECIAL.items()}
        if None in self.special.values():
            raise ValueError(f"{path}: lacks one of {list(SPECIAL.values())}")
        tokens = [self.tokenizer.id_to_token(i) or "" for i in range(self.tokenizer.get_vocab_size())]
        self.ends_line = np.array([token.endswith(LINE_BREAK) for token in tokens])  # [vocabulary]

    def encode(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def fim(self, prefix, suffix, middle, context):
        """One row at most: what is too long loses the far ends of prefix and suffix; None if the middle alone is."""
        s, room = self.special, context - 5 - len(middle)
        if room < 16:
            return None
        keep_suffix = min(len(suffix), max(room // 2, room - len(prefix)))
        prefix, suffix = prefix[max(0, len(prefix) - (room - keep_suffix)):], suffix[:keep_suffix]
        return [s["bos"], s["begin"], *prefix, s["hole"], *suffix, s["end"], *middle, s["eos"]]

    def pieces(self, texts, rng, context):
        """(rows of fill-in-the-middle, runs of plain text), as lists of ids, from whole documents."""
        plain, holes, ends = [], [], []
        longest = int(context * CHARS_PER_TOKEN)
        for text in texts:
            filled = rng.random() < FIM_SHARE
            limit = int(FIM_SHORTEST * (longest / FIM_SHORTEST) ** rng.random()) if filled else longest
            for piece, last in cut(text, rng, limit):
                if filled:
                    start, stop = hole(piece, rng)
                    holes += [piece[:start], piece[stop:], piece[start:stop]]
                else:
                    plain.append(piece)
                    ends.append(last)
        encoded = self.encode(holes)
        rows = [self.fim(*encoded[i:i + 3], context) for i in range(0, len(encoded), 3)]
        bos, eos = self.special["bos"], self.special["eos"]
        runs = [[bos, *ids, eos] if last else [bos, *ids] for ids, last in zip(self.encode(plain), ends)]
        return [row for row in rows if row], runs


def pack(whole, runs, context, rng):
    """Rows [n, context]: what must stay whole by best fit, the gaps filled with runs, which may be cut; the last gap is lost."""
    bins, room = [], []  # room is sorted; bins stands in its order
    for piece in sorted(whole, key=len, reverse=True):
        at = bisect.bisect_left(room, len(piece))
        left, row = (room.pop(at), bins.pop(at)) if at < len(room) else (context, [])
        row.extend(piece)
        left -= len(piece)
        at = bisect.bisect_left(room, left)
        room.insert(at, left)
        bins.insert(at, row)
    rng.shuffle(runs)
    stream = [token for run in runs for token in run]
    at = 0
    for row, left in zip(bins, room):
        row.extend(stream[at:at + left])
        at += left
    full = [row for row in bins if len(row) == context]
    tail = (len(stream) - at) // context if len(stream) > at else 0
    full += [stream[at + i * context:at + (i + 1) * context] for i in range(tail)]
    rng.shuffle(full)
    return np.array(full, dtype=np.uint16).reshape(-1, context)


def decode_shard(task):
    """Splits a shard's documents into PARTS lists, so that many processes can share one shard."""
    from corpus import read_shard
    path, folder, seed, without = task
    names = [str(folder / f"{Path(path).stem}.{part:02d}.json") for part in range(PARTS)]
    if all(os.path.exists(name) for name in names):
        return names
    texts = [data.decode("utf-8") for _, project, _, data in read_shard(path) if project not in without]
    random.Random(seed).shuffle(texts)
    for part, name in enumerate(names):
        with open(name + ".tmp", "w", encoding="utf-8") as file:
            json.dump(texts[part::PARTS], file)
        os.replace(name + ".tmp", name)
    return names


def write_rows(task):
    source, target, tokenizer, context, seed = task
    rng, encoder = random.Random(seed), Encoder(tokenizer)
    with open(source, encoding="utf-8") as file:
        texts = json.load(file)
    rng.shuffle(texts)
    rows = pack(*encoder.pieces(texts, rng, context), context, rng)
    with open(target + ".tmp", "wb") as file:
        file.write(rows.tobytes())
    os.replace(target + ".tmp", target)
    return rows.size


def plain_rows(path, tokenizer, context):
    """Validation: documents one after another, each BOS ids EOS. Rows and the bytes of text per token."""
    from corpus import iter_docs
    encoder = Encoder(tokenizer)
    with open(path, "rb") as file:
        texts = [data.decode("utf-8") for _, _, _, data in iter_docs(file)]
    stream = [t for ids in encoder.encode(texts) for t in (encoder.special["bos"], *ids, encoder.special["eos"])]
    n = len(stream) // context
    rows = np.array(stream[:n * context], dtype=np.uint16).reshape(n, context)
    return rows, sum(len(text.encode()) for text in texts) / len(stream)


def line_rows(path, tokenizer, context, seed=1):
    """Validation: pieces of a page with a hole to the end of a line, as many whole ones in a row as fit, then EOS."""
    from corpus import iter_docs
    rng, encoder, texts = random.Random(seed), Encoder(tokenizer), []
    with open(path, "rb") as file:
        for _, _, _, data in iter_docs(file):
            for piece, _ in cut(data.decode("utf-8"), rng, min(4096, int(context * CHARS_PER_TOKEN))):
                start, stop = rest_of_line(piece, rng)
                texts += [piece[:start], piece[stop:], piece[start:stop]]
    encoded = encoder.encode(texts)
    rows = [encoder.fim(*encoded[i:i + 3], context) for i in range(0, len(encoded), 3)]
    filler = [[encoder.special["eos"]]] * (context * len(rows))
    packed = pack([row for row in rows if row], filler, context, rng)
    return packed[(packed == encoder.special["end"]).any(1)]


def epoch_folder(out, context, epoch):
    return Path(out) / f"c{context}" / f"epoch-{epoch:03d}"


def decode(args, pool):
    texts = Path(args.out) / "texts"
    texts.mkdir(parents=True, exist_ok=True)
    begin, shards = time.time(), sorted(Path(args.shards).glob("train-*.ppmd"))
    if not shards:
        raise SystemExit(f"--shards {args.shards}: no train-*.ppmd in this folder")
    tasks = [(str(path), texts, f"{args.seed} {path.name}", args.without) for path in shards]
    parts = [name for names in pool.imap_unordered(decode_shard, tasks) for name in names]
    print(f"decoded {len(shards)} shards in {time.time() - begin:.0f} s", flush=True)
    return parts


def write_epochs(args):
    begin = time.time()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # the processes are the threads
    with Pool(args.workers) as pool:
        parts = decode(args, pool)
        if args.command == "texts":
            return
        for epoch in range(args.first, args.first + args.epochs):
            folder = epoch_folder(args.out, args.context, epoch)
            folder.mkdir(parents=True, exist_ok=True)
            tasks = [(part, str(folder / f"{i:04d}.u16"), args.tokenizer, args.context,
                      f"{args.seed} {args.context} {epoch} {i}") for i, part in enumerate(sorted(parts))]
            tokens = sum(pool.imap_unordered(write_rows, tasks))
            (folder / "done").write_text(str(tokens))
            print(f"context {args.context} epoch {epoch}: {tokens} tokens, {time.time() - begin:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=["texts", "rows"])
    parser.add_argument("--shards", required=True, help="folder of train-*.ppmd")
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--context", type=int, default=2048)
    parser.add_argument("--first", type=int, default=0, help="first epoch")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--without", nargs="*", default=[], help="projects to leave out")
    parser.add_argument("--seed", type=int, default=1)
    write_epochs(parser.parse_args())


if __name__ == "__main__":
    main()
