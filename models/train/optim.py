"""Masters, gradients and state in flat buffers; Muon for matrices, AdamW for the rest.

Owns the update rules and the rounding of the weights that forward sees. Muon (Jordan et al. 2024): momentum, then the
nearest orthogonal matrix by Newton-Schulz, scaled as in Liu et al. 2025 so that one learning rate and one weight decay
serve both rules. Buffers are ordered so that each rule and each format is one run of elements:

    [ Q4 matrices | Q8 matrices | embedding (Q8) | router | norms ]
      Muon          Muon          AdamW            AdamW    AdamW, no decay

Leaves the learning rate to train.py.
"""
import torch

import quant

RANKS = ("q4", "q8", "embed", "router", "norms")


def orthogonal(g, steps=5):
    """[n, rows, columns] to the nearest semi-orthogonal matrices, about; in bfloat16."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


def rank_of(name, w):
    if name == "embed":
        return "embed"
    if w.dim() < 2:
        return "norms"
    return "router" if name.endswith("mlp.gate") else quant.format_of(name, w)


def as_matrices(name, w):
    """[n, rows, columns]: stacked experts one by one; gate and up stand on top of each other and are two matrices."""
    if name.endswith("gate_up"):
        w = w.unflatten(-2, (2, -1))
    return w.reshape(-1, *w.shape[-2:])


class Optimizer:
    """Takes over the model's parameters: they become views of `weights`, their gradients views of `grads`."""

    def __init__(self, model, rule="muon", weight_decay=0.1):
        self.weight_decay = weight_decay
        named = sorted(model.named_parameters(), key=lambda pair: RANKS.index(rank_of(*pair)))
        sizes = {rank: sum(w.numel() for name, w in named if rank_of(name, w) == rank) for rank in RANKS}
        self.q4_end = sizes["q4"]
        self.matrices_end = self.q4_end + sizes["q8"]
        self.q8_end = self.matrices_end + sizes["embed"]
        self.decay_end = self.q8_end + sizes["router"]
        self.muon_end = self.matrices_end if rule == "muon" else 0
        self.master = torch.cat([w.detach().flatten() for _, w in named])
        self.weights, self.grads = self.master.clone(), torch.zeros_like(self.master)
        self.first, self.second = torch.zeros_like(self.master), torch.zeros_like(self.master[self.muon_end:])
        self.update = torch.zeros_like(self.master)
        self.count, self.groups, at = 0, {}, 0
        for name, w in named:
            span = slice(at, at + w.numel())
            w.data, w.grad = self.weights[span].view_as(w), self.grads[span].view_as(w)
            if at < self.muon_end:
                shape = as_matrices(name, w).shape
                self.groups.setdefault(shape[1:], []).append((span, shape))
            at += w.numel()

    def state(self):
        return {"master": self.master, "first": self.first, "second": self.second, "count": self.count}

    def load_state(self, state):
        self.count = state["count"]
        for name in ("master", "first", "second"):
            getattr(self, name).copy_(state[name])

    @torch.no_grad()
    def publish(self, quantised):
        """Makes the weights that forward sees from the masters."""
        self.weights.copy_(self.master)
        if quantised:
            q4, q8 = slice(0, self.q4_end), slice(self.q4_end, self.q8_end)
            self.weights[q4] = quant.q4_0(self.master[q4])
            self.weights[q8] = quant.q8_0(self.master[q8])

    @torch.no_grad()
    def step(self, lr, clip=1.0):
        """Applies the gradients (already averaged over processes), clears them, returns their norm."""
        self.count += 1
        norm = self.grads.norm()
        self.grads.mul_((clip / (norm + 1e-6)).clamp(max=1.0))
        self._muon(self.grads[:self.muon_end], self.first[:self.muon_end])
        self._adamw(self.grads[self.muon_end:], self.first[self.muon_end:])
        self.master[:self.decay_end] *= 1 - lr * self.weight_decay
        self.master.sub_(self.update, alpha=lr)
        self.grads.zero_()
        return norm

    def _muon(self, grads, first):
        first.lerp_(grads, 0.05)
        direction = grads.lerp(first, 0.95)
        for shape, members in self.groups.items():
            stacked = torch.cat([direction[span].view(part) for span, part in members])
            stacked = orthogonal(stacked).float() * (0.2 * max(shape) ** 0.5)
            counts = [part[0] for _, part in members]
            for (span, _), step in zip(members, stacked.split(counts)):
                self.update[span] = step.flatten()

    def _adamw(self, grads, first, beta1=0.9, beta2=0.95):
        first.lerp_(grads, 1 - beta1)
        self.second.lerp_(grads.square(), 1 - beta2)
        scale = (self.second / (1 - beta2 ** self.count)).sqrt_().add_(1e-8)
        torch.div(first / (1 - beta1 ** self.count), scale, out=self.update[self.muon_end:])
