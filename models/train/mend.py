"""Keeps special tokens out of the text of a trained model: `mend.py --state S --valid DOCS --tokenizer T --out FOLDER`.

A model may learn to break loops with a special token, if the loss leaves it that way out (loops.py). What it needs of the tokens
around a hole is their meaning in a prompt, not a place in its text; the two meet in one row of the tied embedding. Each of these
rows gets the change that matters least to what fills holes, measured by the gradients there (their Fisher matrix), of those
that keep it MARGIN behind the likeliest token wherever the model goes on greedily. No other weight changes. Owns the texts and the
choice of the change. Leaves states to export.py and decoding to decode.py.
"""
import argparse
import random

import numpy as np
import torch
import torch.nn.functional as F

import data
import decode
from corpus import iter_docs
from export import named_masters, write_state
from model import DeepSeek, causal_attention, load_config

AROUND_HOLES = "hole", "begin", "end"
MARGIN = 1.0     # nats
NEAR = 4.0       # nats behind that, from which on a place does not count
DAMP = 0.1       # of the mean of the diagonal, added to it
FIRM = 50.0      # of that mean: what a nat too near costs
BEGIN = 256      # tokens of a beginning, at most
ANSWER = 300     # tokens that the model adds to it
HOLE = 600       # characters of a text with a hole
GROUP = 8        # texts that go through the model at once


def beginnings(encoder, texts, count, rng):
    encoded = encoder.encode([text[:BEGIN * 8] for text in rng.sample(texts, count)])
    return [np.array([encoder.special["bos"], *ids[:rng.randint(BEGIN // 8, BEGIN)]]) for ids in encoded]


def filled_holes(encoder, texts, count, rng):
    """Prompts with a hole and what fills it, arrays of ids."""
    parts = []
    for text in rng.choices(texts, k=count):
        at = rng.randrange(max(1, len(text) - HOLE))
        piece = text[at:at + HOLE]
        start, stop = data.hole(piece, rng)
        parts += [piece[:start], piece[stop:], piece[start:stop]]
    encoded = encoder.encode(parts)
    return [np.array(encoder.fim(*encoded[i:i + 3], HOLE)) for i in range(0, len(encoded), 3)]


def groups(pieces, filler):
    """(ids, which of them are of a piece) [GROUP, longest] of pieces alike in length."""
    pieces = sorted(pieces, key=len)
    for i in range(0, len(pieces), GROUP):
        part = pieces[i:i + GROUP]
        longest = max(map(len, part))
        ids = np.stack([np.pad(piece, (0, longest - len(piece)), constant_values=filler) for piece in part])
        yield torch.from_numpy(ids), torch.from_numpy(np.stack([np.arange(longest) < len(piece) for piece in part]))


@torch.no_grad()
def states(model, pieces, special):
    """Of each token of the pieces: the last state, [n, hidden_size], and the logit of the likeliest token that may follow, which
    no special one does but the first and the last of a text."""
    found, best, first_special = [], [], min(special.values())
    never = [row for row in range(first_special, len(model.embed)) if row not in (special["bos"], special["eos"])]
    for ids, real in groups(pieces, special["eos"]):
        at = torch.arange(ids.shape[1])
        h = model.hidden(ids, at, [causal_attention] * len(model.layers))[0][real]
        logits = model.logits(h)
        logits[:, never] = -torch.inf
        found.append(h.float())
        best.append(logits.amax(-1))
    return torch.cat(found), torch.cat(best)


def gradients(model, pieces, special, row):
    """[pieces, hidden_size]: of the nats of what fills each hole and its end, for the embedding of `row` in its prompt."""
    found, attends = [], [causal_attention] * len(model.layers)
    for ids, real in groups(pieces, special["eos"]):
        at = torch.arange(ids.shape[1])
        middle = ((ids == special["end"]).cumsum(1) > 0) & real & (at < real.sum(1, keepdim=True) - 1)
        change = torch.zeros(len(ids), model.embed.shape[1], requires_grad=True)
        h, _, _ = model.hidden(ids, at, attends, (ids == row)[..., None] * change[:, None])
        nats = F.cross_entropy(model.logits(h).transpose(1, 2), ids.roll(-1, 1), reduction="none")
        (nats * middle).sum().backward()
        found.append(change.grad)
    return torch.cat(found)


def least_change(row, h, best, slopes):
    """What to add to the row, so that h @ row stays MARGIN behind `best`, at least cost: the mean square of slopes @ change."""
    metric = slopes.T @ slopes / len(slopes)
    scale = metric.diagonal().mean()
    root = torch.linalg.cholesky(torch.linalg.inv(metric + DAMP * scale * torch.eye(len(metric))))
    ahead = h @ row - best + MARGIN
    near = ahead > -NEAR
    moved, ahead = h[near] @ root, ahead[near]
    change = torch.zeros(len(row), requires_grad=True)
    solver = torch.optim.LBFGS([change], max_iter=300, history_size=20, line_search_fn="strong_wolfe")

    def cost():
        solver.zero_grad()
        total = change.square().sum() / 2 + FIRM * scale * (moved @ change + ahead).clamp(min=0).square().sum()
        total.backward()
        return total

    solver.step(cost)
    return root @ change.detach()


def mend(model, encoder, texts, args):
    """The embedding with other rows for the tokens around holes."""
    special, rng, embed = encoder.special, random.Random(args.seed), model.embed.detach().clone()
    asked, first_special = beginnings(encoder, texts, args.prompts, rng), min(special.values())
    answers = decode.answers(model, asked, ANSWER, first_special, first_special)
    h, best = states(model, answers + filled_holes(encoder, texts, 2 * args.prompts, rng), special)
    pieces = filled_holes(encoder, texts, args.holes, rng)
    for name in AROUND_HOLES:
        row = special[name]
        slopes = gradients(model, pieces, special, row)
        change = least_change(embed[row], h, best, slopes)
        before, after = ((h @ e > best).float().mean() for e in (embed[row], embed[row] + change))
        print(f"{data.SPECIAL[name]}: likeliest at {before:.2%} of the places, then at {after:.2%}; changed by "
              f"{change.norm() / embed[row].norm():.2f} of its length, about {(slopes @ change).square().mean() / 2:.4f} nats of a "
              "hole", flush=True)
        embed[row] += change
    return embed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--config", required=True)
    add("--state", required=True, help="what export.py reads")
    add("--valid", required=True, help="documents that the texts are of")
    add("--tokenizer", required=True, help="tokenizer.json")
    add("--out", required=True, help="folder for a checkpoint that export.py and fit.py read")
    add("--prompts", type=int, default=64, help="beginnings that the model goes on from")
    add("--holes", type=int, default=400)
    add("--seed", type=int, default=1)
    args = parser.parse_args()
    config, encoder = load_config(args.config), data.Encoder(args.tokenizer)
    masters = named_masters(config, args.state)
    model = DeepSeek(config)
    model.load_state_dict(masters, strict=False)
    model.requires_grad_(False)
    with open(args.valid, "rb") as file:
        texts = [text for *_, raw in iter_docs(file) if len(text := raw.decode("utf-8")) > 2 * HOLE]
    masters["embed"] = mend(model, encoder, texts, args)
    write_state(config, masters, args.out)


if __name__ == "__main__":
    main()
