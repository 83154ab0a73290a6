"""From a training checkpoint to a Hugging Face folder that `transformers` loads as `deepseek_v2`.

Owns the names and the configuration of the checkpoint. `--form float` writes the masters in bfloat16; `--form shipped`
writes, in float32, what those masters are once they are rounded to the formats of quant.py: `ds pack` stores such
values without further loss. Leaves packing to `ds pack`.

The state that `train.py` keeps is large; `export.py masters` reduces it to the masters in bfloat16, split into files of a
size that travels, and the other command reads either. Weights come back from a Hugging Face folder, too, such as `ds export`
makes of a shipped file: training can go on from what was released. `export.py mean` writes the weights half way between two
states, of runs that began alike (Wortsman et al. 2022, "Model soups").
"""
import argparse
import dataclasses
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

import quant
from model import Config, DeepSeek, load_config
from optim import RANKS, rank_of

CHUNK_BYTES = 15 << 20


def masters_of_folder(config, path):
    """Parameter name -> float32 tensor, from a checkpoint in the published spelling."""
    masters = {name: torch.empty_like(w) for name, w in DeepSeek(config).named_parameters()}
    stored = load_file(path)
    for name, part in published(config, masters):
        part.data.copy_(stored[name])
    return masters


def named_masters(config, folder):
    """The same from state.pt, from the files that `masters` wrote, or from model.safetensors."""
    if (Path(folder) / "model.safetensors").exists():
        return masters_of_folder(config, Path(folder) / "model.safetensors")
    model = DeepSeek(config)
    named = sorted(model.named_parameters(), key=lambda pair: RANKS.index(rank_of(*pair)))
    state = Path(folder) / "state.pt"
    if state.exists():
        flat = torch.load(state, map_location="cpu", weights_only=True)["optimizer"]["master"]
    else:
        flat = torch.cat([load_file(path)["master"] for path in sorted(Path(folder).glob("masters-*.safetensors"))])
    out, at = {}, 0
    for name, w in named:
        out[name] = flat[at:at + w.numel()].view_as(w).bfloat16().float()
        at += w.numel()
    if at != flat.numel():
        raise ValueError(f"{folder}: holds {flat.numel()} weights, the configuration has {at}")
    return out


def write_masters(args):
    flat = torch.load(Path(args.state) / "state.pt", map_location="cpu", weights_only=True)["optimizer"]["master"]
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for i, part in enumerate(flat.bfloat16().split(CHUNK_BYTES // 2)):
        save_file({"master": part.contiguous()}, out / f"masters-{i:02d}.safetensors")


def published(config, masters):
    """(name in the checkpoint, tensor), stacked experts taken apart."""
    for name, w in masters.items():
        parts = name.split(".")
        if name == "embed":
            yield "model.embed_tokens.weight", w
        elif name == "norm":
            yield "model.norm.weight", w
        else:
            yield from layer_weights(config, f"model.layers.{parts[1]}.", ".".join(parts[2:]), w)


def layer_weights(config, layer, name, w):
    attention = {"attention.q_proj": "q_proj", "attention.kv_a_proj": "kv_a_proj_with_mqa",
                 "attention.kv_a_layernorm": "kv_a_layernorm", "attention.kv_b_proj": "kv_b_proj",
                 "attention.o_proj": "o_proj"}
    if name in attention:
        yield f"{layer}self_attn.{attention[name]}.weight", w
    elif name.endswith("layernorm") or name == "mlp.gate":
        yield f"{layer}{name}.weight", w
    elif name.startswith("mlp.shared."):
        yield from gated(layer + "mlp.shared_experts.", name.split(".")[-1], w)
    elif w.dim() == 3:
        for expert in range(config.n_routed_experts):
            yield from gated(f"{layer}mlp.experts.{expert}.", name.split(".")[-1], w[expert])
    else:
        yield from gated(layer + "mlp.", name.split(".")[-1], w)


def gated(prefix, kind, w):
    if kind == "down":
        yield prefix + "down_proj.weight", w
    else:
        gate, up = w.chunk(2, 0)
        yield prefix + "gate_proj.weight", gate
        yield prefix + "up_proj.weight", up


def hf_config(c, tokens, dtype):
    """config.json in the spelling of the published checkpoints."""
    scaling = {"type": "yarn", "factor": c.rope_factor, "beta_fast": 32, "beta_slow": 1, "mscale": c.mscale,
               "mscale_all_dim": c.mscale,
               "original_max_position_embeddings": c.original_max_position_embeddings}
    same = {field.name: getattr(c, field.name) for field in dataclasses.fields(Config)
            if field.name not in ("rope_factor", "original_max_position_embeddings", "mscale")}
    return {"architectures": ["DeepseekV2ForCausalLM"], "model_type": "deepseek_v2", **same,
            "num_key_value_heads": c.num_attention_heads, "q_lora_rank": None, "attention_bias": False,
            "first_k_dense_replace": 1, "moe_layer_freq": 1, "hidden_act": "silu", "topk_method": "greedy",
            "scoring_func": "softmax", "norm_topk_prob": False, "n_group": 1, "topk_group": 1,
            "rope_scaling": scaling, "tie_word_embeddings": True, "torch_dtype": dtype, "use_cache": True, **tokens}


def write_folder(args):
    config = load_config(args.config)
    masters = named_masters(config, args.state)
    if args.form == "shipped":
        masters = {name: quant.FORMATS[quant.format_of(name, w)](w) for name, w in masters.items()}
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    dtype = torch.float32 if args.form == "shipped" else torch.bfloat16
    tensors = {name: w.to(dtype).contiguous() for name, w in published(config, masters)}
    save_file(tensors, out / "model.safetensors", {"format": "pt"})
    vocabulary = {token["content"]: token["id"]
                  for token in json.loads((Path(args.tokenizer) / "tokenizer.json").read_text())["added_tokens"]}
    tokens = {"bos_token_id": vocabulary["<｜begin▁of▁sentence｜>"], "eos_token_id": vocabulary["<｜end▁of▁sentence｜>"]}
    name = str(dtype).removeprefix("torch.")
    (out / "config.json").write_text(json.dumps(hf_config(config, tokens, name), indent=2) + "\n")
    (out / "generation_config.json").write_text(json.dumps(tokens, indent=2) + "\n")
    shutil.copy(Path(args.tokenizer) / "tokenizer.json", out / "tokenizer.json")
    settings = json.loads((Path(args.tokenizer) / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["model_max_length"] = config.max_position_embeddings
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_state(config, masters, out):
    """A folder that named_masters and `export.py folder` read."""
    Path(out).mkdir(parents=True, exist_ok=True)
    save_file({name: w.contiguous() for name, w in published(config, masters)}, Path(out) / "model.safetensors")


def write_mean(args):
    config = load_config(args.config)
    first, second = (named_masters(config, folder) for folder in args.states)
    write_state(config, {name: (w + second[name]) / 2 for name, w in first.items()}, args.out)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True)
    masters = commands.add_parser("masters", help="bfloat16 masters in files that travel")
    masters.set_defaults(run=write_masters)
    folder = commands.add_parser("folder", help="a Hugging Face folder")
    folder.set_defaults(run=write_folder)
    folder.add_argument("--config", required=True)
    folder.add_argument("--tokenizer", required=True, help="folder of tokenizer.json and tokenizer_config.json")
    folder.add_argument("--form", choices=["float", "shipped"], required=True)
    mean = commands.add_parser("mean", help="a folder of the weights half way between two states")
    mean.set_defaults(run=write_mean)
    mean.add_argument("--config", required=True)
    mean.add_argument("states", nargs=2)
    for command in (masters, folder):
        command.add_argument("--state", required=True, help="folder of state.pt or masters-*.safetensors")
    for command in (masters, folder, mean):
        command.add_argument("--out", required=True)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
