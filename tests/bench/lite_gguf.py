#!/usr/bin/env python3
"""Writes the 16B model's shape as a GGUF file of the types that Q4_K_M gives its tensors. lite_gguf.py OUT

Random blocks, 10.4 GB, a byte tokenizer: for measuring time and memory, not for text. Needs numpy alone.
"""
import math
import struct
import sys

import numpy as np

HIDDEN, LAYERS, HEADS, LATENT, NOPE, ROPE, VALUE, WIDTH, EXPERTS, VOCABULARY = 2048, 27, 16, 512, 128, 64, 128, 1408, 64, 102400
DENSE_WIDTH, SHARED = 10944, 2 * WIDTH
# Number in the file, elements and bytes of a block, where it has binary16 numbers and what makes a deviation of about 0.02.
F32, Q5_0, Q8_0, Q4_K, Q6_K = (0, 1, 4, {}), (6, 32, 22, {0: 2.2e-3}), (8, 32, 34, {0: 2.7e-4}), (12, 256, 144, {0: 1.1e-4, 2: 8e-4}), (14, 256, 210, {208: 1.5e-5})


def finer(layer):
    """Whether `down` of this layer has the larger type."""
    return layer < LAYERS // 8 or layer >= 7 * LAYERS // 8 or (layer - LAYERS // 8) % 3 == 2


def down(layer, columns):
    if columns % 256:
        return Q8_0 if finer(layer) else Q5_0
    return Q6_K if finer(layer) else Q4_K


def tensors():
    yield "token_embd.weight", Q4_K, (VOCABULARY, HIDDEN)
    yield "output_norm.weight", F32, (HIDDEN,)
    yield "output.weight", Q6_K, (VOCABULARY, HIDDEN)
    for i in range(LAYERS):
        shapes = {"attn_norm": (F32, (HIDDEN,)), "attn_q": (Q4_K, (HEADS * (NOPE + ROPE), HIDDEN)), "attn_kv_a_mqa": (Q4_K, (LATENT + ROPE, HIDDEN)), "attn_kv_a_norm": (F32, (LATENT,)),
                  "attn_kv_b": (Q4_K, (HEADS * (NOPE + VALUE), LATENT)), "attn_output": (Q4_K, (HIDDEN, HEADS * VALUE)), "ffn_norm": (F32, (HIDDEN,))}
        if i:
            shapes |= {"ffn_gate_inp": (F32, (EXPERTS, HIDDEN))}
            for part, lead, width in (("exps", (EXPERTS,), WIDTH), ("shexp", (), SHARED)):
                shapes |= {f"ffn_gate_{part}": (Q4_K, (*lead, width, HIDDEN)), f"ffn_up_{part}": (Q4_K, (*lead, width, HIDDEN)), f"ffn_down_{part}": (down(i, width), (*lead, HIDDEN, width))}
        else:
            shapes |= {"ffn_gate": (Q4_K, (DENSE_WIDTH, HIDDEN)), "ffn_up": (Q4_K, (DENSE_WIDTH, HIDDEN)), "ffn_down": (down(i, DENSE_WIDTH), (HIDDEN, DENSE_WIDTH))}
        yield from ((f"blk.{i}.{name}.weight", *what) for name, what in shapes.items())


def text(value):
    return struct.pack("<Q", len(value.encode())) + value.encode()


def key(name, kind, value):
    return text(name) + struct.pack("<I", kind) + value


def keys():
    d = "deepseek2."
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    numbers = {"block_count": LAYERS, "context_length": 163840, "embedding_length": HIDDEN, "feed_forward_length": DENSE_WIDTH, "attention.head_count": HEADS,
               "attention.head_count_kv": HEADS, "attention.key_length": NOPE + ROPE, "attention.value_length": VALUE, "attention.kv_lora_rank": LATENT, "rope.dimension_count": ROPE,
               "vocab_size": VOCABULARY, "leading_dense_block_count": 1, "expert_count": EXPERTS, "expert_used_count": 6, "expert_shared_count": 2,
               "expert_feed_forward_length": WIDTH, "expert_gating_func": 1, "rope.scaling.original_context_length": 4096}
    floats = {"attention.layer_norm_rms_epsilon": 1e-6, "rope.freq_base": 1e4, "expert_weights_scale": 1.0, "rope.scaling.factor": 40.0, "rope.scaling.yarn_log_multiplier": 0.0707}
    return [key("general.architecture", 8, text("deepseek2")), key("tokenizer.ggml.model", 8, text("gpt2")), key("tokenizer.ggml.pre", 8, text("deepseek-llm")),
            key("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 256) + b"".join(text(chr(b if b in printable else 256 + others.index(b))) for b in range(256))),
            key("tokenizer.ggml.token_type", 9, struct.pack("<IQ256i", 5, 256, *[1] * 256)), key("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 0)),
            key(d + "rope.scaling.type", 8, text("yarn")), *(key(d + name, 4, struct.pack("<I", value)) for name, value in numbers.items()),
            *(key(d + name, 6, struct.pack("<f", value)) for name, value in floats.items())]


def some_blocks(kind, random):
    """A prime number of blocks, which are written again and again; F32: ones."""
    _, elements, size, halves = kind
    if elements == 1:
        return np.ones(10007, np.float32).tobytes()
    blocks = random.integers(0, 256, (100003, size), dtype=np.uint8)
    for at, value in halves.items():
        blocks[:, at:at + 2] = np.full(len(blocks), value, np.float16).view(np.uint8).reshape(-1, 2)
    return blocks.tobytes()


def main():
    infos, sizes, at = [], [], 0
    for name, kind, shape in tensors():
        infos.append(text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind[0], at))
        sizes.append((kind, math.prod(shape[:-1]) * -(-shape[-1] // kind[1]) * kind[2]))
        at += sizes[-1][1] + 31 & ~31
    all_keys = keys()
    header = b"GGUF" + struct.pack("<IQQ", 3, len(infos), len(all_keys)) + b"".join(all_keys + infos)
    random = np.random.default_rng(1)
    pieces = {kind[0]: some_blocks(kind, random) for kind in (F32, Q5_0, Q8_0, Q4_K, Q6_K)}
    with open(sys.argv[1], "wb") as file:
        file.write(header.ljust(len(header) + 31 & ~31, b"\0"))
        for kind, size in sizes:
            piece = pieces[kind[0]]
            for left in range(size, 0, -len(piece)):
                file.write(piece[:min(left, len(piece))])
            file.write(b"\0" * (-size % 32))
    print(f"{at / 1e9:.2f} GB")


main()
