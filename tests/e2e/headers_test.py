#!/usr/bin/env python3
"""What ds says of a model from its headers alone. headers_test.py DS SCRATCH_DIR

The model is a 671B one: in BF16, 1.3 TB, as Hugging Face folder, with AWQ's packed integers, and as GGUF file. Each has
a true header in front of a hole in the file. Reading its weights would take hours, holding them more memory than there is.
"""
import json
import math
import os
import shutil
import struct
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


def stored(awq):
    """Names, types and shapes of the file."""
    for name, shape in tensors():
        if not awq or "_proj" not in name:
            yield name, "BF16", shape
            continue
        module, (outputs, inputs) = name.removesuffix(".weight"), shape
        yield module + ".qweight", "I32", (inputs, outputs // 8)
        yield module + ".qzeros", "I32", (inputs // 64, outputs // 8)
        yield module + ".scales", "F16", (inputs // 64, outputs)


def write_model(awq=False):
    """-> parameters of the model."""
    MODEL.mkdir(parents=True, exist_ok=True)
    config = {**json.loads((TINY / "v3" / "config.json").read_text()), **SHAPE, "torch_dtype": "bfloat16"}
    if awq:
        config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": 64, "zero_point": True, "version": "gemm"}
    (MODEL / "config.json").write_text(json.dumps(config))
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    vocab = {chr(b if b in printable else 256 + others.index(b)): b for b in range(256)}
    (MODEL / "tokenizer.json").write_text(json.dumps(
        {"version": "1.0", "added_tokens": [], "normalizer": None, "decoder": {"type": "ByteLevel"},
         "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
         "model": {"type": "BPE", "vocab": vocab, "merges": []}}))
    header, at = {}, 0
    for name, kind, shape in stored(awq):
        size = (4 if kind == "I32" else 2) * math.prod(shape)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(MODEL / "model.safetensors", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + at)
    return sum(math.prod(shape) for _, shape in tensors())


GGUF_NAMES = {"input_layernorm": "attn_norm", "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
              "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b", "self_attn.o_proj": "attn_output",
              "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
              "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
              **{f"mlp.experts.0.{part}_proj": f"ffn_{part}_exps" for part in ("gate", "up", "down")}}
GGUF_TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def gguf_tensors():
    """Names, shapes and whether they are quantised; experts as one tensor."""
    for name, shape in tensors():
        if name in GGUF_TOP:
            yield GGUF_TOP[name], shape, len(shape) == 2
        elif ".experts." not in name or ".experts.0." in name:
            _, _, layer, rest = name.split(".", 3)
            if rest == "mlp.gate.e_score_correction_bias":
                yield f"blk.{layer}.exp_probs_b.bias", shape, False
                continue
            whole = (SHAPE["n_routed_experts"], *shape) if ".experts." in name else shape
            yield f"blk.{layer}.{GGUF_NAMES[rest.removesuffix('.weight')]}.weight", whole, len(shape) == 2 and rest != "mlp.gate.weight"


def write_gguf(path):
    """The model in Q4_K, its norms, routers and biases in F32."""
    def text(value):
        return struct.pack("<Q", len(value.encode())) + value.encode()

    def key(name, kind, value):
        return text(name) + struct.pack("<I", kind) + value

    s, d = SHAPE, "deepseek2."
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    vocabulary = [chr(b if b in printable else 256 + others.index(b)) for b in range(256)]
    numbers = {"block_count": s["num_hidden_layers"], "context_length": s["max_position_embeddings"], "embedding_length": s["hidden_size"], "feed_forward_length": s["intermediate_size"],
               "attention.head_count": s["num_attention_heads"], "attention.key_length": s["qk_nope_head_dim"] + s["qk_rope_head_dim"], "attention.value_length": s["v_head_dim"],
               "attention.kv_lora_rank": s["kv_lora_rank"], "attention.q_lora_rank": s["q_lora_rank"], "rope.dimension_count": s["qk_rope_head_dim"], "vocab_size": s["vocab_size"],
               "leading_dense_block_count": s["first_k_dense_replace"], "expert_count": s["n_routed_experts"], "expert_used_count": s["num_experts_per_tok"],
               "expert_shared_count": s["n_shared_experts"], "expert_feed_forward_length": s["moe_intermediate_size"], "expert_gating_func": 2, "expert_group_count": s["n_group"],
               "expert_group_used_count": s["topk_group"]}
    keys = [key("general.architecture", 8, text("deepseek2")), key("tokenizer.ggml.model", 8, text("gpt2")), key("tokenizer.ggml.pre", 8, text("deepseek-v3")),
            key(d + "attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-6)), key(d + "rope.freq_base", 6, struct.pack("<f", 1e4)),
            key(d + "expert_weights_scale", 6, struct.pack("<f", 2.5)), key(d + "expert_weights_norm", 7, b"\1"),
            key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 256) + b"".join(map(text, vocabulary))),
            key("tokenizer.ggml.token_type", 9, struct.pack("<IQ256i", 5, 256, *[1] * 256)), key("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 0)),
            *(key(d + name, 4, struct.pack("<I", value)) for name, value in numbers.items())]
    infos, at = [], 0
    for name, shape, quantised in gguf_tensors():
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), 12 if quantised else 0, at))
        at += (math.prod(shape) // 256 * 144 if quantised else 4 * math.prod(shape)) + 31 & ~31
    header = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(keys)) + b"".join(keys + infos)
    with open(path, "wb") as file:
        file.write(header)
        file.truncate((len(header) + 31 & ~31) + at)


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


def check(model, n, kind, stored_bits, computed_bits, remade, peaks):
    """info, plan, tokenize and detokenize. Bits: of a weight in the file and in memory; whether the loader makes it anew."""
    out, peak = ds("info", "--model", model, "--json")
    info = json.loads(out)
    assert info["parameters"] == n and info["layers"] == 61 and info["weights"]["type"] == kind, info
    assert abs(info["weights"]["stored_bytes"] * 8 / n - stored_bits) < 0.1, info
    assert (info["weights"]["repacked_bytes"] > 0) == remade, info
    assert "fingerprint" not in info  # it is made from the weights
    peaks.append(peak)
    out, peak = ds("plan", "--model", model, "--json")
    plan = json.loads(out)
    assert abs(plan["bytes"]["weights"] * 8 / n - computed_bits) < 0.1 and plan["fits"] in (0, 1), plan
    peaks.append(peak)
    out, peak = ds("tokenize", "--model", model, stdin=b"ab\n")
    assert out == b"97,98,10\n", out
    assert ds("detokenize", "--model", model, stdin=out)[0] == b"ab\n"
    peaks.append(peak)


def main():
    shutil.rmtree(SCRATCH, ignore_errors=True)
    SCRATCH.mkdir(parents=True)
    n, peaks = write_model(), []
    assert 670e9 < n < 672e9, n
    start = time.monotonic()
    check(MODEL, n, "bf16", 16, 16, False, peaks)
    write_model(awq=True)
    check(MODEL, n, "int4", 4.31, 5.03, True, peaks)  # 4 and a scale and a zero per 64; Q4_1; the vocabulary has 16
    write_gguf(SCRATCH / "huge.gguf")
    check(SCRATCH / "huge.gguf", n, "q4_k", 4.5, 4.63, False, peaks)  # scales of 6 bits become bytes
    print(f"{time.monotonic() - start:.1f} s, at most {max(peaks) / 1e6:.0f} MB resident")
    assert max(peaks) < 1.5e9, peaks
    for path in (MODEL / "model.safetensors", SCRATCH / "huge.gguf"):
        assert os.stat(path).st_blocks * 512 < 100e6, path


if __name__ == "__main__":
    sys.exit(main())
