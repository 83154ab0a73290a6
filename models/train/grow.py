"""A larger shape from trained masters: more attention heads, the most used of the experts.

Owns the change of shape alone. New heads get fresh queries, keys and values and a zero output, so the model computes
what it did before; of each layer's experts those that got the fewest rows on the validation files are dropped. Training
goes on from there (`train.py --initial`). Leaves the files of masters to export.py.
"""
import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file

import data
from export import CHUNK_BYTES, named_masters
from model import DeepSeek, load_config
from optim import RANKS, rank_of

ROWS, CONTEXT = 16, 1024  # what the experts are counted on


def expert_shares(config, masters, args):
    """[moe layers, E]: the share of each expert's rows."""
    model = DeepSeek(config)
    for name, w in model.named_parameters():
        w.data = masters[name].clone()
    rows, _ = data.plain_rows(args.valid, args.tokenizer, CONTEXT)
    ids = torch.from_numpy(rows[:: max(1, len(rows) // ROWS)][:ROWS].astype("int64"))
    with torch.no_grad():
        return model(ids, ids, 0)[2]


def by_head(w, heads, axis=0):
    """[heads, rows of one, …] of a matrix whose `axis` holds heads one after another."""
    return w.transpose(0, axis).unflatten(0, (heads, -1))


def more_heads(old, fresh, heads, axis=0):
    """The old heads, then as many of the fresh ones as are missing."""
    total = fresh.shape[axis] * heads // old.shape[axis]
    joined = torch.cat((by_head(old, heads, axis), by_head(fresh, total, axis)[heads:]))
    return joined.flatten(0, 1).transpose(0, axis).contiguous()


def grown(name, old, fresh, heads, kept):
    """The new masters of one parameter; `kept` are the expert numbers of its layer."""
    if name.endswith(("q_proj", "kv_b_proj")):
        return more_heads(old, fresh, heads)
    if name.endswith("o_proj"):
        return more_heads(old, torch.zeros_like(fresh), heads, 1)
    if name.endswith("mlp.gate") or old.dim() == 3:
        return old[kept]
    return old


def grow(args):
    torch.manual_seed(args.seed)
    before, after = load_config(args.from_config), load_config(args.config)
    masters = named_masters(before, args.state)
    shares = expert_shares(before, masters, args)
    kept = [share.topk(after.n_routed_experts).indices.sort().values for share in shares]
    for layer, (share, chosen) in enumerate(zip(shares, kept), 1):
        print(f"layer {layer}: keeps {share[chosen].sum():.3f} of the rows")
    named = sorted(DeepSeek(after).named_parameters(), key=lambda pair: RANKS.index(rank_of(*pair)))
    flat = []
    for name, fresh in named:
        layer = int(name.split(".")[1]) if name.startswith("layers.") else 0
        w = grown(name, masters[name], fresh.detach(), before.num_attention_heads, kept[layer - 1] if layer else None)
        if w.shape != fresh.shape:
            raise ValueError(f"{name}: {list(w.shape)} does not grow to {list(fresh.shape)}")
        flat.append(w.flatten())
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(torch.cat(flat).bfloat16().split(CHUNK_BYTES // 2)):
        save_file({"master": part.contiguous()}, out / f"masters-{i:02d}.safetensors")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--from-config", required=True, help="config.json of the trained shape")
    parser.add_argument("--config", required=True, help="of the new one")
    parser.add_argument("--state", required=True, help="folder of state.pt or masters-*.safetensors")
    parser.add_argument("--valid", required=True)
    parser.add_argument("--tokenizer", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--seed", type=int, default=1)
    grow(parser.parse_args())


if __name__ == "__main__":
    main()
