#!/usr/bin/env python3
"""What ds says of a model from its headers alone. headers_test.py DS SCRATCH_DIR

The model is a 671B one in BF16, 1.3 TB: a true header in front of a hole in the file. Reading its weights would take
hours, holding them more memory than there is.
"""
import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

DS, SCRATCH = sys.argv[1], Path(sys.argv[2])
TINY = Path(os.environ["DS_TINY_DIR"])
MODEL = SCRATCH / "huge"
SHAPE = {"vocab_size": 129280, "hidden_size": 7168, "num_hidden_layers": 61, "num_attention_heads": 128,
         "num_key_value_heads": 128, "q_lora_rank": 1536, "kv_lora_rank": 512, "qk_nope_head_dim": 128,
         "qk_rope_head_dim": 64, "v_head_dim": 128, "intermediate_size": 18432, "moe_intermediate_size": 2048,
         "n_routed_experts": 256, "num_experts_per_tok": 8, "n_shared_experts": 1, "n_group": 8, "topk_group": 4,
         "first_k_dense_replace": 3, "num_nextn_predict_layers": 0, "max_position_embeddings": 163840}


def tensors():
    """Names and shapes of the checkpoint."""
    s = SHAPE
    hidden, heads, rope = s["hidden_size"], s["num_attention_heads"], s["qk_rope_head_dim"]
    key = s["qk_nope_head_dim"] + rope

    def mlp(prefix, width):
        yield from ((f"{prefix}.{name}_proj.weight", (width, hidden)) for name in ("gate", "up"))
        yield f"{prefix}.down_proj.weight", (hidden, width)

    yield from ((f"{name}.weight", (s["vocab_size"], hidden)) for name in ("model.embed_tokens", "lm_head"))
    yield "model.norm.weight", (hidden,)
    for i in range(s["num_hidden_layers"]):
        layer = f"model.layers.{i}"
        attention = {"q_a_proj": (s["q_lora_rank"], hidden), "q_a_layernorm": (s["q_lora_rank"],),
                     "q_b_proj": (heads * key, s["q_lora_rank"]),
                     "kv_a_proj_with_mqa": (s["kv_lora_rank"] + rope, hidden), "kv_a_layernorm": (s["kv_lora_rank"],),
                     "kv_b_proj": (heads * (s["qk_nope_head_dim"] + s["v_head_dim"]), s["kv_lora_rank"]),
                     "o_proj": (hidden, heads * s["v_head_dim"])}
        yield from ((f"{layer}.self_attn.{name}.weight", shape) for name, shape in attention.items())
        yield from ((f"{layer}.{name}_layernorm.weight", (hidden,)) for name in ("input", "post_attention"))
        if i < s["first_k_dense_replace"]:
            yield from mlp(f"{layer}.mlp", s["intermediate_size"])
            continue
        yield f"{layer}.mlp.gate.weight", (s["n_routed_experts"], hidden)
        yield f"{layer}.mlp.gate.e_score_correction_bias", (s["n_routed_experts"],)
        yield from mlp(f"{layer}.mlp.shared_experts", s["moe_intermediate_size"] * s["n_shared_experts"])
        for expert in range(s["n_routed_experts"]):
            yield from mlp(f"{layer}.mlp.experts.{expert}", s["moe_intermediate_size"])


def write_model():
    """-> parameters of the model."""
    MODEL.mkdir(parents=True, exist_ok=True)
    config = {**json.loads((TINY / "v3" / "config.json").read_text()), **SHAPE, "torch_dtype": "bfloat16"}
    (MODEL / "config.json").write_text(json.dumps(config))
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    vocab = {chr(b if b in printable else 256 + others.index(b)): b for b in range(256)}
    (MODEL / "tokenizer.json").write_text(json.dumps(
        {"version": "1.0", "added_tokens": [], "normalizer": None, "decoder": {"type": "ByteLevel"},
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
         "model": {"type": "BPE", "vocab": vocab, "merges": []}}))
    header, at, n = {}, 0, 0
    for name, shape in tensors():
        size = 2 * math.prod(shape)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at, n = at + size, n + math.prod(shape)
    text = json.dumps(header).encode()
    with open(MODEL / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return n


def ds(*args, stdin=b""):
    """-> stdout, peak resident bytes."""
    with open(SCRATCH / "stdin", "wb+") as given:
        given.write(stdin)
        given.seek(0)
        run = subprocess.Popen([DS, *map(str, args)], stdin=given, stdout=subprocess.PIPE)
        out = run.stdout.read()
        _, status, usage = os.wait4(run.pid, 0)
    run.returncode = os.waitstatus_to_exitcode(status)
    assert run.returncode == 0, (args, run.returncode)
    return out, usage.ru_maxrss * 1024


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    n = write_model()
    assert 670e9 < n < 672e9, n
    start = time.monotonic()
    out, peak = ds("info", "--model", MODEL, "--json")
    info = json.loads(out)
    assert info["parameters"] == n and info["layers"] == 61 and info["weights"]["type"] == "bf16", info
    assert "fingerprint" not in info  # a folder's is made from its weights
    peaks = [peak]
    out, peak = ds("plan", "--model", MODEL, "--json")
    plan = json.loads(out)
    assert plan["bytes"]["weights"] > 2 * n * 0.99 and plan["fits"] in (0, 1), plan
    peaks.append(peak)
    out, peak = ds("tokenize", "--model", MODEL, stdin=b"ab\n")
    assert out == b"97,98,10\n", out
    assert ds("detokenize", "--model", MODEL, stdin=out)[0] == b"ab\n"
    peaks.append(peak)
    print(f"{time.monotonic() - start:.1f} s, at most {max(peaks) / 1e6:.0f} MB resident")
    assert max(peaks) < 1.5e9, peaks
    assert os.stat(MODEL / "model.safetensors").st_blocks * 512 < 100e6


if __name__ == "__main__":
    sys.exit(main())
