"""Greedy answers of the model that is in training, many at once on its device, with keys and values kept.

Owns the cache and the choice of tokens. All answers go forward together, one position at a time, the tokens of the beginnings,
too, so that nothing is padded. Leaves the layers to model.py and what is asked to greedy.py.
"""
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

KERNELS = [SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]  # the first takes values that are narrower than keys, on a GPU


class Cache:
    """Keys and values of one layer, [B, heads, T, d]; `attend` is causal attention of the next token of each row."""

    def __init__(self, c, rows, length, device):
        shape = (rows, c.num_attention_heads, length)
        self.k = torch.empty(*shape, c.qk_head_dim, dtype=torch.bfloat16, device=device)
        self.v = torch.empty(*shape, c.v_head_dim, dtype=torch.bfloat16, device=device)
        self.at = 0

    def attend(self, q, k, v, scale):
        self.k[:, :, self.at], self.v[:, :, self.at] = k[:, 0], v[:, 0]
        self.at += 1
        with sdpa_kernel(KERNELS):
            k, v = self.k[:, :, :self.at], self.v[:, :, :self.at]
            return F.scaled_dot_product_attention(q.transpose(1, 2), k, v, scale=scale).transpose(1, 2)


@torch.no_grad()
def answers(model, begins, tokens, first_special, choices=None):
    """Of each beginning, an array of ids, itself and at most `tokens` greedy tokens, up to the first special one; of the ids
    below `choices` if that is given."""
    device, length = model.embed.device, max(map(len, begins)) + tokens
    given = torch.full((len(begins), length), -1)
    for row, begin in zip(given, begins):
        row[:len(begin)] = torch.from_numpy(begin)
    given = given.to(device)
    ids = given.clone()
    places = torch.arange(length, device=device)
    caches = [Cache(model.c, len(begins), length, device) for _ in model.layers]
    for at in range(length - 1):
        h, _, _ = model.hidden(ids[:, at:at + 1], places[at:at + 1], [cache.attend for cache in caches])
        best = model.logits(h[:, 0])[:, :choices].argmax(-1)
        ids[:, at + 1] = torch.where(given[:, at + 1] < 0, best, given[:, at + 1])
    return [until_special(row[:len(begin) + tokens], len(begin), first_special)
            for row, begin in zip(ids.cpu().numpy(), begins)]


def until_special(ids, first, first_special):
    """ids up to the first special one from `first` on, with it."""
    places = (ids[first:] >= first_special).nonzero()[0]
    return ids[:first + places[0] + 1] if len(places) else ids
