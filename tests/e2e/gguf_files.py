"""Writes a checkpoint of the oracle's as a GGUF file, in any tensor type and every layout that such files have.

Needs the Python package `gguf`, which also says what the numbers of the file are: write() gives them back under the
checkpoint's own names, so that the oracle can run on them. Types that the package cannot write (K and IQ) get random
blocks of the wanted size: the checkpoints are random anyway.
"""
import json
import re
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import quants

WRITABLE = ("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "TQ1_0", "TQ2_0", "MXFP4")
# Where the binary16 scales of blocks lie that the package cannot write, and the minima.
SCALES = {"Q2_K": (80, 82), "Q3_K": (108, None), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208, None), "IQ2_XXS": (0, None), "IQ2_XS": (0, None), "IQ2_S": (0, None),
          "IQ3_XXS": (0, None), "IQ3_S": (0, None), "IQ1_S": (0, None), "IQ1_M": (None, None), "IQ4_NL": (0, None), "IQ4_XS": (0, None)}
LAYOUTS = ("new", "old", "both", "fused", "split")

NAMES = {  # of a layer, HF to GGUF
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm", "self_attn.kv_b_proj": "attn_kv_b", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down", "mlp.gate": "ffn_gate_inp",
    "mlp.shared_experts.gate_proj": "ffn_gate_shexp", "mlp.shared_experts.up_proj": "ffn_up_shexp", "mlp.shared_experts.down_proj": "ffn_down_shexp",
}
TOP = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight", "lm_head.weight": "output.weight"}


def gguf_name(name):
    if name in TOP:
        return TOP[name]
    layer, rest = re.fullmatch(r"model\.layers\.(\d+)\.(.*)", name).groups()
    if rest == "mlp.gate.e_score_correction_bias":
        return f"blk.{layer}.exp_probs_b.bias"
    module, kind = rest.rsplit(".", 1)
    return f"blk.{layer}.{NAMES[module]}.{kind}"


def random_blocks(name, kind, shape, deviation):
    """Bytes whose numbers have about mean 0 and the deviation, and which use every field of the block."""
    quant = getattr(Q, kind)
    elements, size = gguf.GGML_QUANT_SIZES[quant]
    random = np.random.default_rng(list((name + kind).encode()))
    count = int(np.prod(shape)) // elements
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    scale_at, minimum_at = SCALES[kind]

    def put(at, values):
        blocks[:, at:at + 2] = np.broadcast_to(values, count).astype(np.float16).view(np.uint8).reshape(-1, 2)

    if kind == "IQ1_M":  # four bits of the scale in each of four words
        def put_scale(values):
            bits = np.broadcast_to(values, count).astype(np.float16).view(np.uint16)
            for i in range(4):
                blocks[:, 49 + 2 * i] = blocks[:, 49 + 2 * i] & 15 | (bits >> 4 * i & 15) << 4
    else:
        def put_scale(values):
            put(scale_at, values)
    put_scale(1.0)
    balance = 0.0
    if minimum_at is not None:  # as much taken off as makes the mean zero
        put(minimum_at, 0.0)
        mean = quants.dequantize(blocks, quant).mean()
        put(minimum_at, 1.0)
        balance = mean / (mean - quants.dequantize(blocks, quant).mean())
        put(minimum_at, balance)
    factor = deviation / quants.dequantize(blocks, quant).std() * random.uniform(0.7, 1.3, count)
    put_scale(factor)
    if minimum_at is not None:
        put(minimum_at, balance * factor)
    return blocks.reshape(*shape[:-1], -1)


def q8_k_blocks(values):
    """-> bytes, numbers. The package knows the type's size alone: a float32 scale, 256 levels, the sums of 16 each."""
    rows = values.astype(np.float32).reshape(-1, 256)
    scale = np.abs(rows).max(1, keepdims=True) / np.float32(127)
    levels = np.rint(rows / np.where(scale, scale, 1)).astype(np.int8)
    sums = levels.reshape(-1, 16, 16).sum(2, dtype=np.int16)
    data = np.concatenate([part.view(np.uint8) for part in (scale, levels, sums)], 1)
    return data.reshape(*values.shape[:-1], -1), (scale * levels).reshape(values.shape)


def stored(name, values, kind):
    """-> bytes or array to store, type, the numbers that they are. Falls back where rows are no multiple of a block."""
    quant = getattr(Q, kind)
    if values.ndim < 2 or name.endswith("ffn_gate_inp.weight"):
        quant = Q.F32
    elif values.shape[-1] % gguf.GGML_QUANT_SIZES[quant][0]:
        quant = Q.Q5_0 if values.shape[-1] % 32 == 0 else Q.F16
    if quant == Q.Q8_K:
        data, numbers = q8_k_blocks(values)
        return data, quant, numbers
    if quant.name in WRITABLE:
        data = quants.quantize(values.astype(np.float32), quant)
    else:
        data = random_blocks(name, quant.name, values.shape, float(values.std()))
    return data, quant, np.ascontiguousarray(quants.dequantize(data, quant)).reshape(values.shape).astype(np.float32)


class File:
    """Collects one file; `numbers` are those of the checkpoint's names. `store`: as stored()."""

    def __init__(self, path, kind, store=stored):
        self.writer = gguf.GGUFWriter(path, "deepseek2")
        self.kind, self.store, self.numbers = kind, store, {}

    def add(self, name, values, kind=None):
        data, quant, numbers = self.store(name, values, kind or self.kind)
        self.writer.add_tensor(name, data, raw_dtype=quant)
        return numbers

    def close(self):
        for step in (self.writer.write_header_to_file, self.writer.write_kv_data_to_file, self.writer.write_tensors_to_file, self.writer.close):
            step()


def add_keys(w, c, layout, leave_out=()):
    """Hyper-parameters as converters write them; c: configuration as of oracle.load_config."""
    absorbed = layout in ("new", "fused")
    qk, rope = c.qk_nope_head_dim + c.qk_rope_head_dim, c.qk_rope_head_dim
    w.add_uint32("deepseek2.block_count", c.num_hidden_layers)
    w.add_uint32("deepseek2.context_length", c.max_position_embeddings)
    w.add_uint32("deepseek2.embedding_length", c.hidden_size)
    w.add_uint32("deepseek2.feed_forward_length", c.intermediate_size)
    w.add_uint32("deepseek2.attention.head_count", c.num_attention_heads)
    w.add_uint32("deepseek2.attention.head_count_kv", 1 if absorbed else c.num_attention_heads)
    w.add_uint32("deepseek2.attention.key_length", c.kv_lora_rank + rope if absorbed else qk)
    w.add_uint32("deepseek2.attention.value_length", c.kv_lora_rank if absorbed else c.v_head_dim)
    if absorbed:
        w.add_uint32("deepseek2.attention.key_length_mla", qk)
        w.add_uint32("deepseek2.attention.value_length_mla", c.v_head_dim)
    w.add_uint32("deepseek2.attention.kv_lora_rank", c.kv_lora_rank)
    if c.q_lora_rank:
        w.add_uint32("deepseek2.attention.q_lora_rank", c.q_lora_rank)
    w.add_float32("deepseek2.attention.layer_norm_rms_epsilon", c.rms_norm_eps)
    w.add_uint32("deepseek2.rope.dimension_count", rope)
    w.add_float32("deepseek2.rope.freq_base", c.rope_theta)
    w.add_uint32("deepseek2.vocab_size", c.vocab_size)
    if c.yarn:
        w.add_string("deepseek2.rope.scaling.type", "yarn")
        w.add_float32("deepseek2.rope.scaling.factor", c.yarn["factor"])
        w.add_uint32("deepseek2.rope.scaling.original_context_length", c.yarn["original_max_position_embeddings"])
        if "yarn_log_multiplier" not in leave_out:
            w.add_float32("deepseek2.rope.scaling.yarn_log_multiplier", 0.1 * c.yarn["mscale_all_dim"])
    if c.n_routed_experts:
        w.add_uint32("deepseek2.leading_dense_block_count", c.first_k_dense_replace)
        w.add_uint32("deepseek2.expert_count", c.n_routed_experts)
        w.add_uint32("deepseek2.expert_used_count", c.num_experts_per_tok)
        w.add_uint32("deepseek2.expert_shared_count", c.n_shared_experts)
        w.add_uint32("deepseek2.expert_feed_forward_length", c.moe_intermediate_size)
        w.add_float32("deepseek2.expert_weights_scale", c.routed_scaling_factor)
        w.add_bool("deepseek2.expert_weights_norm", c.norm_topk_prob)
        if "expert_gating_func" not in leave_out:
            w.add_uint32("deepseek2.expert_gating_func", 2 if c.scoring_func == "sigmoid" else 1)
        if c.n_group > 1:
            w.add_uint32("deepseek2.expert_group_count", c.n_group)
            w.add_uint32("deepseek2.expert_group_used_count", c.topk_group)
    else:
        w.add_uint32("deepseek2.leading_dense_block_count", c.num_hidden_layers)


def add_kv_b(file, c, block, name, values, layout):
    """The latent's expansion: one tensor, or keys transposed for each head beside values, or both."""
    heads, rank, dn = c.num_attention_heads, c.kv_lora_rank, c.qk_nope_head_dim
    whole = None
    if layout in ("old", "both", "split"):
        whole = file.add(block + "attn_kv_b.weight", values)
    if layout == "old" or layout == "split":
        file.numbers[name] = whole
        return
    apart = values.reshape(heads, dn + c.v_head_dim, rank)
    keys, values_ = apart[:, :dn].transpose(0, 2, 1), apart[:, dn:]
    if layout == "both":  # a fork's form, with the heads as rows
        file.add(block + "attn_k_b.weight", keys.reshape(heads * rank, dn))
        file.add(block + "attn_v_b.weight", values_.reshape(heads * c.v_head_dim, rank))
        file.numbers[name] = whole
        return
    keys = file.add(block + "attn_k_b.weight", np.ascontiguousarray(keys))
    values_ = file.add(block + "attn_v_b.weight", np.ascontiguousarray(values_))
    file.numbers[name] = np.concatenate([keys.transpose(0, 2, 1), values_], 1).reshape(values.shape)


def add_experts(file, c, layer, tensors, layout):
    def stack(part):
        return np.stack([tensors[f"model.layers.{layer}.mlp.experts.{e}.{part}_proj.weight"] for e in range(c.n_routed_experts)])

    def keep(part, numbers):
        for e in range(c.n_routed_experts):
            file.numbers[f"model.layers.{layer}.mlp.experts.{e}.{part}_proj.weight"] = numbers[e]

    parts = {part: stack(part) for part in ("gate", "up", "down")}
    if layout == "fused":
        both = file.add(f"blk.{layer}.ffn_gate_up_exps.weight", np.concatenate([parts.pop("gate"), parts.pop("up")], 1))
        keep("gate", both[:, :c.moe_intermediate_size])
        keep("up", both[:, c.moe_intermediate_size:])
    for part, values in parts.items():
        if layout == "split":
            keep(part, [file.add(f"blk.{layer}.ffn_{part}.{e}.weight", values[e]) for e in range(c.n_routed_experts)])
        else:
            keep(part, file.add(f"blk.{layer}.ffn_{part}_exps.weight", values))


def add_vocabulary(writer, tokens, types, merges, bos, eos, add_bos):
    """The keys of a byte-level BPE with DeepSeek-V3's way to split text. bos, eos: ids."""
    writer.add_string("tokenizer.ggml.model", "gpt2")
    writer.add_string("tokenizer.ggml.pre", "deepseek-v3")
    writer.add_array("tokenizer.ggml.tokens", tokens)
    writer.add_array("tokenizer.ggml.token_type", types)
    writer.add_array("tokenizer.ggml.merges", merges)
    writer.add_bool("tokenizer.ggml.add_bos_token", add_bos)
    writer.add_uint32("tokenizer.ggml.bos_token_id", bos)
    writer.add_uint32("tokenizer.ggml.eos_token_id", eos)


def vocabulary_of(tokenizer_json):
    """Tokens, types and merges of a tokenizer.json, as converters write them."""
    data = json.loads(Path(tokenizer_json).read_text(encoding="utf-8"))
    added = {token["id"]: token for token in data["added_tokens"]}
    texts = {id_: text for text, id_ in data["model"]["vocab"].items()}
    count = max([*texts, *added]) + 1
    tokens = [added[i]["content"] if i in added else texts.get(i, f"[PAD{i}]") for i in range(count)]
    types = [(3 if added[i]["special"] else 4) if i in added else 1 if i in texts else 5 for i in range(count)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in data["model"]["merges"]]
    return tokens, types, merges


def write(path, c, tensors, kind, layout="new", leave_out=(), more=None, store=stored):
    """`tensors`: float arrays under Hugging Face names. `more`: called with the writer, for further keys. `store`: how a
    tensor becomes a type's bytes. Returns the numbers of the file under the same names."""
    file = File(path, kind, store)
    add_keys(file.writer, c, layout, leave_out)
    if more:
        more(file.writer)
    for name, values in tensors.items():
        layer = re.match(r"model\.layers\.(\d+)\.", name)
        if layer and int(layer[1]) >= c.num_hidden_layers:
            continue  # converters drop the MTP layer
        if ".mlp.experts." in name:
            if name.endswith(".experts.0.gate_proj.weight"):
                add_experts(file, c, int(layer[1]), tensors, layout)
        elif name.endswith("kv_b_proj.weight"):
            add_kv_b(file, c, f"blk.{layer[1]}.", name, values, layout)
        else:
            file.numbers[name] = file.add(gguf_name(name), values)
    file.close()
    return file.numbers


def checkpoint(folder, config, numbers):
    """A float32 checkpoint of the numbers that a file stands for: what the oracle runs."""
    from make_tiny import write_safetensors
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, "config.json").write_text(json.dumps(dict(config, num_nextn_predict_layers=0)))
    write_safetensors(Path(folder, "model.safetensors"), {name: ("F32", values) for name, values in numbers.items()})
