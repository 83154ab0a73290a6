"""Writes a checkpoint of the oracle's as the tools leave it that quantise Hugging Face models.

write() gives back the numbers that the files stand for, under the checkpoint's own names, computed here from integers,
zeros and scales, so that the oracle can run on them. Rounding is to nearest: the checkpoints are random anyway.
"""
import json
from pathlib import Path

import numpy as np

from make_tiny import to_bfloat16, to_e4m3, write_safetensors
from oracle import E4M3

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # which of eight outputs the k-th four bits of a word are


def bf16_numbers(x):
    return (to_bfloat16(np.asarray(x, np.float32)).astype(np.uint32) << 16).view(np.float32)


def pack_words(integers, axis, order=range(8)):
    """Eight 4-bit integers along the axis to an int32; the axis is filled up with zeros."""
    moved = np.moveaxis(np.asarray(integers, np.uint32), axis, -1)
    moved = np.pad(moved, [(0, 0)] * (moved.ndim - 1) + [(0, -moved.shape[-1] % 8)]).reshape(*moved.shape[:-1], -1, 8)
    words = np.zeros(moved.shape[:-1], np.uint32)
    for k, which in enumerate(order):
        words |= moved[..., which] << np.uint32(4 * k)
    return np.ascontiguousarray(np.moveaxis(words, -1, axis)).view(np.int32)


def quantise_groups(w, group, symmetric, group_of, scale_numbers):
    """w [out, in] -> integers [out, in], zeros and scales [out, G]; `scale_numbers` rounds scales to what is stored."""
    n_groups = int(group_of.max()) + 1
    zeros, scales = (np.zeros((len(w), n_groups), kind) for kind in (np.int64, np.float32))
    for g in range(n_groups):
        part = w[:, group_of == g]
        low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
        span = np.abs(part).max(1) / 7 if symmetric else (high - low) / 15
        scales[:, g] = scale_numbers(np.maximum(span, 1e-6))
        zeros[:, g] = 8 if symmetric else np.clip(np.rint(-low / scales[:, g]), 0, 15)
    spread = scales[:, group_of].astype(np.float64), zeros[:, group_of]
    return np.clip(np.rint(w / spread[0]) + spread[1], 0, 15).astype(np.int64), zeros, scales


class Int4:
    """One way to store 4-bit integers. numbers() is scale * (integer - zero), which float32 holds exactly."""

    def __init__(self, layout, group, symmetric=False, act_order=False, version=1, scales="F16"):
        self.layout, self.group, self.symmetric, self.act_order, self.version, self.scales = layout, group, symmetric, act_order, version, scales

    def config(self):
        if self.layout == "awq":
            return dict(quant_method="awq", bits=4, group_size=self.group, zero_point=True, version="gemm", modules_to_not_convert=["lm_head"])
        if self.layout == "gptq":
            stated = dict(quant_method="gptq", bits=4, group_size=self.group, desc_act=self.act_order, sym=self.symmetric, damp_percent=0.01, true_sequential=True)
            return dict(stated, checkpoint_format="gptq_v2") if self.version == 2 else stated
        weights = dict(num_bits=4, type="int", symmetric=self.symmetric, strategy="group", group_size=self.group, dynamic=False, actorder="group" if self.act_order else None)
        return compressed("pack-quantized", weights)

    def takes(self, shape):
        group_fits = self.layout != "awq" or shape[1] % self.group == 0
        return shape[0] % 8 == 0 and shape[1] % 8 == 0 and group_fits

    def store(self, module, w, random):
        group_of = np.arange(w.shape[1]) // (self.group if self.group > 0 else w.shape[1])
        if self.act_order:
            group_of = group_of[random.permutation(w.shape[1])]
        if self.scales == "F16":
            def stored(x): return x.astype(np.float16), ("F16", x.astype(np.float16))
        else:
            def stored(x): return bf16_numbers(x), ("BF16", to_bfloat16(x.astype(np.float32)))
        integers, zeros, scales = quantise_groups(w, self.group, self.symmetric, group_of, lambda x: np.asarray(stored(x)[0], np.float32))
        numbers = scales[:, group_of] * (integers - zeros[:, group_of]).astype(np.float32)
        tensors = {}
        if self.layout == "rows":
            tensors[module + ".weight_packed"] = ("I32", pack_words(integers, 1))
            tensors[module + ".weight_scale"] = stored(scales)[1]
            tensors[module + ".weight_shape"] = ("I64", np.array(w.shape, np.int64))
            if not self.symmetric:
                tensors[module + ".weight_zero_point"] = ("I32", pack_words(zeros, 0))
            if self.act_order:
                tensors[module + ".weight_g_idx"] = ("I32", group_of.astype(np.int32))
            return tensors, numbers
        awq = self.layout == "awq"
        tensors[module + ".qweight"] = ("I32", pack_words(integers.T, 1, AWQ_ORDER) if awq else pack_words(integers.T, 0))
        stated = zeros if awq or self.version == 2 else (zeros - 1) % 16
        tensors[module + ".qzeros"] = ("I32", pack_words(stated.T, 1, AWQ_ORDER if awq else range(8)))
        tensors[module + ".scales"] = stored(np.ascontiguousarray(scales.T))[1]
        if not awq:
            tensors[module + ".g_idx"] = ("I32", group_of.astype(np.int32))
        return tensors, numbers


class Float8:
    """8-bit floats with a scale for each block of rows x cols; 0: all of them."""

    def __init__(self, style, rows, cols, scales="F32"):
        self.style, self.rows, self.cols, self.scales = style, rows, cols, scales

    def config(self):
        if self.style == "fp8":
            return dict(quant_method="fp8", activation_scheme="static", ignored_layers=["lm_head"])
        strategy = "tensor" if not self.rows else "channel" if not self.cols else "block"
        weights = dict(num_bits=8, type="float", symmetric=True, strategy=strategy, dynamic=False, block_structure=[self.rows, self.cols] if strategy == "block" else None)
        return compressed("float-quantized", weights, dict(num_bits=8, type="float", strategy="token", dynamic=True, symmetric=True))

    def takes(self, shape):
        return True

    def store(self, module, w, random):
        rows, cols = self.rows or w.shape[0], self.cols or w.shape[1]
        amax = np.array([[np.abs(w[r:r + rows, c:c + cols]).max() for c in range(0, w.shape[1], cols)] for r in range(0, w.shape[0], rows)])
        scale = (amax / 448).astype(np.float32)
        if self.scales == "BF16":
            scale = bf16_numbers(scale * 1.01)  # never smaller than the largest number needs
        full = scale.repeat(rows, 0)[:w.shape[0]].repeat(cols, 1)[:, :w.shape[1]]
        codes = to_e4m3(np.clip(w / full, -448, 448))
        magnitude = np.asarray(E4M3, np.float32)[codes & 127]
        numbers = np.where(codes & 128, -magnitude, magnitude).astype(np.float32) * full
        stored = scale.reshape(()) if self.style == "fp8" else scale.reshape(1) if scale.size == 1 and not self.rows else scale
        tensors = {module + ".weight": ("F8_E4M3", codes), module + ".weight_scale": ("F32", stored) if self.scales == "F32" else ("BF16", to_bfloat16(stored))}
        if self.style == "fp8":
            tensors[module + ".input_scale"] = ("F32", np.float32(0.5).reshape(()))
        return tensors, numbers


def compressed(form, weights, activations=None):
    group = dict(targets=["Linear"], weights=weights, input_activations=activations, output_activations=None)
    return dict(quant_method="compressed-tensors", format=form, quantization_status="compressed", ignore=["lm_head", "re:.*mlp.gate$"], kv_cache_scheme=None, config_groups=dict(group_0=group))


KINDS = {
    "fp8-tensor": Float8("fp8", 0, 0), "ct-fp8-tensor": Float8("ct", 0, 0, "BF16"), "ct-fp8-channel": Float8("ct", 1, 0, "BF16"), "ct-fp8-block": Float8("ct", 128, 128, "BF16"),
    "awq-g32": Int4("awq", 32), "awq-g64": Int4("awq", 64), "awq-g128": Int4("awq", 128),
    "gptq-g32": Int4("gptq", 32), "gptq-g128": Int4("gptq", 128), "gptq-sym": Int4("gptq", 128, symmetric=True), "gptq-column": Int4("gptq", -1, symmetric=True),
    "gptq-v2": Int4("gptq", 128, version=2), "gptq-act": Int4("gptq", 128, act_order=True), "gptq-act-g32": Int4("gptq", 32, act_order=True), "gptq-act-sym": Int4("gptq", 128, symmetric=True, act_order=True),
    "ct-int4": Int4("rows", 128, symmetric=True, scales="BF16"), "ct-int4-asym": Int4("rows", 128, scales="BF16"), "ct-int4-act": Int4("rows", 128, symmetric=True, act_order=True),
}


def write(folder, config, tensors, kind, leave=(), shards=1):
    """`config`: config.json without a quantization; `tensors`: float arrays under Hugging Face names; `leave`: parts of
    names that stay BF16. Returns the numbers of the files under the same names."""
    way, folder = KINDS[kind], Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(dict(config, quantization_config=way.config())))
    random = np.random.default_rng(list(kind.encode()))
    stored, numbers = {}, {}
    for name, values in tensors.items():
        module = name.removesuffix(".weight")
        quantised = "_proj" in name and "eh_proj" not in name and not name.endswith(".bias") and not any(part in name for part in leave)
        if quantised and way.takes(values.shape):
            parts, numbers[name] = way.store(module, values, random)
            stored.update(parts)
        elif name.endswith("e_score_correction_bias"):
            numbers[name] = values.astype(np.float32)
            stored[name] = ("F32", numbers[name])
        else:
            numbers[name] = bf16_numbers(values)
            stored[name] = ("BF16", to_bfloat16(values))
    names = list(stored)
    if shards == 1:
        write_safetensors(folder / "model.safetensors", stored)
    else:  # tensors of one weight end up in different files
        place = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors" for i, name in enumerate(names)}
        for file in set(place.values()):
            write_safetensors(folder / file, {name: stored[name] for name in names if place[name] == file})
        (folder / "model.safetensors.index.json").write_text(json.dumps(dict(metadata={}, weight_map=place)))
    return numbers
