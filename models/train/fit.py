"""Rounding to Q4_0 that keeps what a model computes: `fit.py --state S --out MASTERS …`, for weights that were not trained to it.

The mean of two runs (`export.py mean`) is near no grid, and rounding each weight by itself costs it 1.7% in bits a byte, this
0.2 to 0.5%. The columns of a matrix are rounded one after another, and what one loses the later ones make up for, as far as the inputs
of the matrix allow (Frantar et al. 2023, "GPTQ", algorithm 1); validation documents give the inputs, half of them with holes, which
plain text alone leaves worse off. Scales are chosen first, by the error that the inputs weigh. Only weights in Q4_0 are fitted, the
finer ones stay as they are. Owns the inputs, the choice of scales and the order of columns. Leaves formats to quant.py and files
to export.py.
"""
import argparse

import torch
import torch.nn.functional as F

import data
import model as architecture
import quant
from export import named_masters, write_state
from model import DeepSeek, Moe, load_config

DAMP = 0.01                                        # of the mean of the diagonal, added to it
SHRINKS = torch.linspace(0.8, 1.0, 21).tolist()    # of a block's scale; its largest value has the code -8 with any of them


class Inputs:
    """Sums of x xᵀ of the inputs x of each matrix while it is entered, by parameter name: [in, in], of experts [E, in, in]."""

    def __init__(self, model):
        self.sums, self.model = {}, model
        self.names = {id(w): name for name, w in model.named_parameters()}

    def __enter__(self):
        self.plain, architecture.linear = architecture.linear, self.linear
        self.hooks = [module.register_forward_pre_hook(lambda moe, args: self.experts(moe, args[0].flatten(0, 1)))
                      for module in self.model.modules() if isinstance(module, Moe)]
        return self

    def __exit__(self, *_):
        architecture.linear = self.plain
        for hook in self.hooks:
            hook.remove()

    def add(self, w, part):
        name = self.names[id(w)]
        self.sums[name] = self.sums.get(name, 0) + part

    def linear(self, x, w):
        flat = x.flatten(0, -2).float()
        self.add(w, flat.T @ flat)
        return self.plain(x, w)

    def experts(self, moe, flat):
        """Each expert sees the rows that the gate sends to it."""
        ids = F.linear(flat.float(), moe.gate).topk(moe.c.num_experts_per_tok, -1).indices
        outer, inner = [], []
        for expert in range(moe.c.n_routed_experts):
            rows = flat[(ids == expert).any(-1)].float()
            gate, up = F.linear(rows, moe.gate_up[expert].float()).chunk(2, -1)
            hidden = F.silu(gate) * up
            outer.append(rows.T @ rows)
            inner.append(hidden.T @ hidden)
        self.add(moe.gate_up, torch.stack(outer))
        self.add(moe.down, torch.stack(inner))


def scales_of(w, importance):
    """(scale, place of the largest value) of each block of w [out, in], both [out, in / BLOCK]; importance, [in], is of inputs."""
    blocks, weight = w.unflatten(-1, (-1, quant.BLOCK)), importance.unflatten(-1, (-1, quant.BLOCK))
    place = blocks.abs().argmax(-1, keepdim=True)
    largest, scales, errors = blocks.gather(-1, place), [], []
    for shrink in SHRINKS:
        scale = (largest / -8 * shrink).half().float()
        codes = torch.where(scale != 0, blocks / scale, 0).round().clamp(-8, 7)
        scales.append(scale)
        errors.append(((codes * scale - blocks) ** 2 * weight).sum(-1, keepdim=True))
    best = torch.cat(errors, -1).argmin(-1, keepdim=True)
    return torch.cat(scales, -1).gather(-1, best)[..., 0], place[..., 0]


def fitted(w, products):
    """w [out, in] on the grid of Q4_0, for inputs whose x xᵀ add up to `products` [in, in]."""
    w, products = w.float().clone(), products.clone()
    products += torch.eye(len(products)) * (DAMP * products.diagonal().mean() + 1e-6)
    scales, places = scales_of(w, products.diagonal())
    inverse = torch.linalg.cholesky(torch.linalg.inv(products.double()), upper=True).float()
    out = torch.empty_like(w)
    for column in range(w.shape[1]):
        block, at = divmod(column, quant.BLOCK)
        scale = scales[:, block]
        codes = torch.where(scale != 0, w[:, column] / scale, 0).round().clamp(-8, 7)
        codes = torch.where(places[:, block] == at, -8, codes)  # so that `ds pack` finds the same scale again
        out[:, column] = codes * scale
        error = (w[:, column] - out[:, column]) / inverse[column, column]
        w[:, column + 1:] -= error[:, None] * inverse[column, column + 1:]
    return out


def fit(masters, sums):
    for name, w in masters.items():
        if quant.format_of(name, w) == "q4":
            rounded = fitted(w, sums[name]) if w.dim() == 2 else torch.stack([*map(fitted, w, sums[name])])
            plain = quant.q4_0(w)
            ratio = off(rounded - w, sums[name]) / off(plain - w, sums[name])
            print(f"{name}: {ratio:.2f} of the error of rounding each by itself", flush=True)
            masters[name] = rounded
    return masters


def off(change, products):
    """The square of what the change makes of the outputs."""
    return ((change @ products) * change).sum().item()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--config", required=True)
    add("--state", required=True, help="what export.py reads")
    add("--valid", required=True, help="documents whose beginnings give the inputs")
    add("--tokenizer", required=True, help="tokenizer.json")
    add("--out", required=True, help="folder for a checkpoint that `export.py folder --form shipped` reads")
    add("--context", type=int, default=1024)
    add("--rows", type=int, default=256, help="of plain text, and as many with holes")
    args = parser.parse_args()
    config = load_config(args.config)
    masters = named_masters(config, args.state)
    model = DeepSeek(config)
    model.load_state_dict(masters, strict=False)
    kinds = data.plain_rows(args.valid, args.tokenizer, args.context)[0], data.line_rows(args.valid, args.tokenizer, args.context)
    rows = torch.cat([torch.from_numpy(rows.astype("int64"))[:: max(1, len(rows) // args.rows)][:args.rows] for rows in kinds])
    with torch.no_grad():
        with Inputs(model) as inputs:
            for row in rows.split(4):
                model(row, torch.full_like(row, -1), 0)
        masters = fit(masters, inputs.sums)
    write_state(config, masters, args.out)


if __name__ == "__main__":
    main()
