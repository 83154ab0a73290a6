"""The number formats that the model ships in, as functions of PyTorch tensors, and which weight has which.

Owns: Q4_0 and Q8_0 (blocks of 32 along the last axis, one binary16 scale each), rounded exactly as the values stand in
the file. What these functions return lies on the grid of the format, so that `ds pack` finds the same blocks again.
Training uses them straight through (Bengio et al. 2013): forward and backward see the rounded weights, the update goes
to the master. Leaves the masters to optim.py.
"""
import torch

BLOCK = 32


def q8_0(w):
    """Scale = largest magnitude / 127; codes -127 to 127."""
    blocks = w.float().reshape(-1, BLOCK)
    scale = (blocks.abs().amax(-1, keepdim=True) / 127).half().float()
    codes = torch.where(scale > 0, blocks / scale, 0).round().clamp(-127, 127)
    return (codes * scale).view_as(w)


def q4_0(w):
    """Scale = the value of largest magnitude / -8, so that it has a code of its own; codes -8 to 7."""
    blocks = w.float().reshape(-1, BLOCK)
    largest = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    scale = (largest / -8).half().float()
    codes = torch.where(scale != 0, blocks / scale, 0).round().clamp(-8, 7)
    return (codes * scale).view_as(w)


FORMATS = {"q4": q4_0, "q8": q8_0, "f32": lambda w: w}


def format_of(name, w):
    """What every token passes is kept finer; the router and the norms are not rounded at all."""
    if w.dim() < 2 or name.endswith("mlp.gate"):
        return "f32"
    return "q8" if name == "embed" or "kv_a_proj" in name or "kv_b_proj" in name else "q4"
