"""The model as it is trained: DeepSeek-V2's decoder in PyTorch, float32 masters, bfloat16 arithmetic.

Owns the forward pass and its initialisation. Attention is the expanded form of MLA (DeepSeek-V2, section 2.1), the
experts are DeepSeekMoE with a softmax gate (section 2.2). Expert weights are stored stacked, [E, out, in], so that
each product over all experts is one call. Leaves the schedule to train.py, the optimiser to optim.py, number formats
to quant.py, and the names of a checkpoint to export.py.
"""
import dataclasses
import json
import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

GROUP_ROWS = 16  # rows of one expert are padded to a multiple: the grouped product's gradient contracts over them


@dataclasses.dataclass(frozen=True)
class Config:
    """Shapes, by the names of config.json."""
    vocab_size: int = 16384
    hidden_size: int = 384
    num_hidden_layers: int = 6
    num_attention_heads: int = 4
    kv_lora_rank: int = 512
    qk_nope_head_dim: int = 128
    qk_rope_head_dim: int = 64
    v_head_dim: int = 128
    intermediate_size: int = 768
    moe_intermediate_size: int = 128
    n_routed_experts: int = 24
    num_experts_per_tok: int = 4
    n_shared_experts: int = 2
    routed_scaling_factor: float = 2.0
    rope_theta: float = 10000.0
    rope_factor: float = 4.0
    original_max_position_embeddings: int = 2048
    max_position_embeddings: int = 4096  # as long as the rows that end its training, whatever the factor would stretch to
    mscale: float = 0.707
    rms_norm_eps: float = 1e-6

    @property
    def qk_head_dim(self):
        return self.qk_nope_head_dim + self.qk_rope_head_dim


def load_config(path, **changes):
    with open(path, encoding="utf-8") as file:
        fields = json.load(file)
    fields.update({name: value for name, value in changes.items() if value is not None})
    return Config(**fields)


def yarn_inv_freq(c):
    """Angles per position of each pair, [dr/2] (YaRN: Peng et al. 2023, section 3.2, with DeepSeek's rounding)."""
    dim, base, original = c.qk_rope_head_dim, c.rope_theta, c.original_max_position_embeddings
    plain = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)

    def correction(rotations):
        return dim * math.log(original / (2 * math.pi * rotations)) / (2 * math.log(base))

    low, high = max(math.floor(correction(32)), 0), min(math.ceil(correction(1)), dim - 1)
    ramp = ((torch.arange(dim // 2, dtype=torch.float64) - low) / max(high - low, 1e-3)).clamp(0, 1)
    return plain * (1 - ramp) + plain / c.rope_factor * ramp


def softmax_scale(c):
    mscale = 0.1 * c.mscale * math.log(c.rope_factor) + 1 if c.rope_factor > 1 else 1.0
    return c.qk_head_dim ** -0.5 * mscale * mscale


def linear(x, w):
    return F.linear(x, w.bfloat16())


def rms_norm(x, weight, eps):
    return F.rms_norm(x.float(), (x.shape[-1],), weight, eps).to(x.dtype)


def rope(x, cos, sin):
    """Rotates adjacent pairs of the last axis; x [B, T, heads, dr], cos and sin [T, dr/2]."""
    even, odd = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = cos[None, :, None], sin[None, :, None]
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.scale = c, softmax_scale(c)
        heads = c.num_attention_heads
        self.q_proj = matrix(heads * c.qk_head_dim, c.hidden_size)
        self.kv_a_proj = matrix(c.kv_lora_rank + c.qk_rope_head_dim, c.hidden_size)
        self.kv_a_layernorm = nn.Parameter(torch.ones(c.kv_lora_rank))
        self.kv_b_proj = matrix(heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank)
        self.o_proj = matrix(c.hidden_size, heads * c.v_head_dim, zero=True)

    def forward(self, x, cos, sin, attend):
        c, (rows, length, _) = self.c, x.shape
        q = linear(x, self.q_proj).unflatten(-1, (-1, c.qk_head_dim))
        q_nope, q_rope = q.split((c.qk_nope_head_dim, c.qk_rope_head_dim), -1)
        latent, k_rope = linear(x, self.kv_a_proj).split((c.kv_lora_rank, c.qk_rope_head_dim), -1)
        latent = rms_norm(latent, self.kv_a_layernorm, c.rms_norm_eps)
        kv = linear(latent, self.kv_b_proj).unflatten(-1, (c.num_attention_heads, -1))
        k_nope, v = kv.split((c.qk_nope_head_dim, c.v_head_dim), -1)
        q = torch.cat((q_nope, rope(q_rope, cos, sin)), -1)
        k_rope = rope(k_rope[:, :, None], cos, sin).expand(-1, -1, c.num_attention_heads, -1)
        k = torch.cat((k_nope, k_rope), -1)
        out = attend(q, k, v, self.scale)
        return linear(out.reshape(rows, length, -1), self.o_proj)


def causal_attention(q, k, v, scale):
    """[B, T, heads, d] each; values are narrower than keys, which cuDNN's kernel takes as they are."""
    q, k, v = (part.transpose(1, 2) for part in (q, k, v))
    with sdpa_kernel([SDPBackend.CUDNN_ATTENTION if q.is_cuda else SDPBackend.MATH]):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale).transpose(1, 2)


class Mlp(nn.Module):
    def __init__(self, c, width):
        super().__init__()
        self.gate_up = nn.Parameter(torch.cat((matrix(width, c.hidden_size), matrix(width, c.hidden_size))).detach())
        self.down = matrix(c.hidden_size, width, zero=True)

    def forward(self, x):
        gate, up = linear(x, self.gate_up).chunk(2, -1)
        return linear(F.silu(gate) * up, self.down)


class Dispatch(torch.autograd.Function):
    """Rows to the experts: out[r] = x[source[r]]; padding rows read row 0 and are ignored by `Combine`."""

    @staticmethod
    def forward(ctx, x, source, place, used):
        ctx.save_for_backward(place)
        return x[source] * used[:, None].to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        (place,) = ctx.saved_tensors
        return grad[place].sum(1), None, None, None


class Combine(torch.autograd.Function):
    """Rows back from the experts: y[t] = sum over k of weights[t, k] * rows[place[t, k]]."""

    @staticmethod
    def forward(ctx, rows, weights, source, place, slot):
        ctx.save_for_backward(rows, weights, source, place, slot)
        return (rows[place] * weights[..., None].to(rows.dtype)).sum(1)

    @staticmethod
    def backward(ctx, grad):
        rows, weights, source, place, slot = ctx.saved_tensors
        padded = torch.cat((weights.flatten(), weights.new_zeros(1)))
        grad_rows = grad[source] * padded[slot][:, None].to(grad.dtype)
        grad_weights = (rows[place].float() * grad[:, None].float()).sum(-1)
        return grad_rows, grad_weights, None, None, None


def group_by_expert(ids, n_experts):
    """Where each (token, k) goes when rows are sorted by expert and every group is padded to GROUP_ROWS; the last group
    takes all rows that remain.

    ids [T, K] -> place [T, K] row of each pair; source [M] token of each row; slot [M] pair of each row (T*K: padding);
    ends [E] int32. M depends on shapes alone, so nothing waits for the device.
    """
    tokens, k = ids.shape
    flat = ids.flatten()
    order = torch.sort(flat, stable=True).indices
    counts = (flat[:, None] == torch.arange(n_experts, device=ids.device)).sum(0)
    padded = (counts + GROUP_ROWS - 1) // GROUP_ROWS * GROUP_ROWS
    ends = padded.cumsum(0)
    shift = (ends - padded) - (counts.cumsum(0) - counts)
    sorted_place = torch.arange(tokens * k, device=ids.device) + shift[flat[order]]
    place = torch.empty_like(flat).scatter_(0, order, sorted_place)
    size = tokens * k + n_experts * GROUP_ROWS
    slot = torch.full((size,), tokens * k, device=ids.device, dtype=flat.dtype).scatter_(0, sorted_place, order)
    source = torch.where(slot < tokens * k, slot // k, 0)
    ends = torch.where(torch.arange(n_experts, device=ids.device) == n_experts - 1, size, ends)
    return place.view(tokens, k), source, slot, ends.to(torch.int32)


class Moe(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        experts, width = c.n_routed_experts, c.moe_intermediate_size
        self.gate = matrix(experts, c.hidden_size)
        self.gate_up = nn.Parameter(torch.stack([matrix(2 * width, c.hidden_size).detach() for _ in range(experts)]))
        self.down = nn.Parameter(torch.zeros(experts, c.hidden_size, width))
        self.shared = Mlp(c, c.n_shared_experts * width)

    def forward(self, x):
        """Returns the layer's output, its balance loss and the share of the rows that each expert got, [E]."""
        c, flat = self.c, x.flatten(0, 1)
        scores = F.linear(flat.float(), self.gate).softmax(-1)
        weights, ids = scores.topk(c.num_experts_per_tok, -1)
        weights = weights * c.routed_scaling_factor
        share = F.one_hot(ids, c.n_routed_experts).float().mean((0, 1))
        balance = c.n_routed_experts * (share.detach() * scores.mean(0)).sum()
        gate_up, down = self.gate_up.bfloat16(), self.down.bfloat16()
        if flat.is_cuda:
            place, source, slot, ends = group_by_expert(ids, c.n_routed_experts)
            rows = Dispatch.apply(flat, source, place, slot < place.numel())
            gate, up = F.grouped_mm(rows, gate_up.transpose(1, 2), offs=ends).chunk(2, -1)
            rows = F.grouped_mm(F.silu(gate) * up, down.transpose(1, 2), offs=ends)
            out = Combine.apply(rows, weights, source, place, slot)
        else:
            gate, up = torch.einsum("th,eih->tei", flat, gate_up).chunk(2, -1)
            every = torch.einsum("tei,ehi->teh", F.silu(gate) * up, down)
            out = (every.gather(1, ids[..., None].expand(-1, -1, flat.shape[1])) * weights[..., None]).sum(1)
        return out.view_as(x).to(x.dtype) + self.shared(x), balance, share.detach()


class Layer(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.eps = c.rms_norm_eps
        self.input_layernorm = nn.Parameter(torch.ones(c.hidden_size))
        self.attention = Attention(c)
        self.post_attention_layernorm = nn.Parameter(torch.ones(c.hidden_size))
        self.mlp = Mlp(c, c.intermediate_size) if index == 0 else Moe(c)

    def forward(self, h, cos, sin, attend):
        h = h + self.attention(rms_norm(h, self.input_layernorm, self.eps), cos, sin, attend)
        x = rms_norm(h, self.post_attention_layernorm, self.eps)
        if isinstance(self.mlp, Mlp):
            return h + self.mlp(x), None, None
        out, balance, share = self.mlp(x)
        return h + out, balance, share


class DeepSeek(nn.Module):
    """The head is the embedding (tied)."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.embed = nn.Parameter(torch.randn(c.vocab_size, c.hidden_size) * 0.02)
        self.layers = nn.ModuleList(Layer(c, index) for index in range(c.num_hidden_layers))
        self.norm = nn.Parameter(torch.ones(c.hidden_size))
        self.register_buffer("inv_freq", yarn_inv_freq(c).float(), persistent=False)

    def hidden(self, ids, at, attends, change=0):
        """States behind the last norm, [B, T, hidden_size], of tokens at the positions `at` [T], balance loss and load of each
        MoE layer; each layer looks back with its own of `attends`, which get what causal_attention gets; `change` is added to the
        embedded tokens."""
        angles = at.float()[:, None] * self.inv_freq
        cos, sin = angles.cos(), angles.sin()
        h = (F.embedding(ids, self.embed.bfloat16()) + change).bfloat16()
        balances, loads = [], []
        for layer, attend in zip(self.layers, attends):
            h, balance, share = layer(h, cos, sin, attend)
            if balance is not None:
                balances.append(balance)
                loads.append(share)
        return rms_norm(h, self.norm, self.c.rms_norm_eps), balances, loads

    def logits(self, h):
        return F.linear(h, self.embed.bfloat16()).float()

    def forward(self, ids, targets, first_special):
        """-log p in nats, [3, B, T]: of each target, 0 where it is -1, of all tokens from `first_special` on together, and of
        the likeliest one but these; mean balance loss; loads [moe layers, E]."""
        at = torch.arange(ids.shape[1], device=ids.device)
        h, balances, loads = self.hidden(ids, at, [causal_attention] * len(self.layers))
        logits, target = self.logits(h), targets.clamp(min=0)[..., None]
        total, token = logits.logsumexp(-1), torch.arange(self.c.vocab_size, device=ids.device)
        special = torch.where(token >= first_special, logits, -torch.inf).logsumexp(-1)
        other = torch.where((token == target) | (token >= first_special), -torch.inf, logits).amax(-1)
        nats = torch.where(targets < 0, 0.0, total - logits.gather(-1, target)[..., 0])
        return torch.stack((nats, total - special, total - other)), torch.stack(balances).mean(), torch.stack(loads)


def matrix(rows, columns, zero=False):
    return nn.Parameter(torch.zeros(rows, columns) if zero else torch.randn(rows, columns) * columns ** -0.5)
