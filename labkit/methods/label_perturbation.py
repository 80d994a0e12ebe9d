"""Two classes: labels perturbed at a rate that every picture learns for itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.losses import cross_entropy, perturbed, signed_logit, target_of
from labkit.methods.base import Batch, Method, Start


@dataclass
class AdaptivePerturbation(Method):
    """Cross entropy; with probability a_i all labels of picture i become ``(1 - 2 b) y + b``. ASLP.

    Liu, Ye, Wang, Cui, Zhang, Zhang, Barnes (2023), "Model calibration in dense classification with adaptive label
    perturbation", as in the authors' code. After each step on picture i, with G its mean signed logit,

        a_i <- a_i + rate [ G / b + pull min(1 - accuracy - b a_i, 0) ],   cut to [0, 1 / (2 b)):

    the more the network is on the labels' side, the more they are perturbed, until the confidence that the targets ask
    for, ``1 - b a_i``, is down at the accuracy. Published: b = 2 (targets -1 and 2), rate 0.002, pull 2000, from a = 0,
    after 5 of 30 epochs. As rate * pull * b = 8, an a_i above its bound is thrown back to 0 and climbs again.

    The accuracy is one number for all pictures, measured on some that are not trained on. The authors take a validation
    split; a method here sees none, so it keeps back ``holdout`` of its own training pictures and counts on them during
    each epoch. Kept: ``amount`` ``(n,)``, the a_i, in the order of ``runs.index("train")``.

    Args:
        strength: b. rate, pull: of the update; rate 0 leaves a_i at ``initial``: with b = 1 DisturbLabel, with
            ``initial=1`` smoothing by 2 b. after: share of training before the first update. holdout: share of the
            training pictures kept back; 0 keeps none, and then nothing is ever updated.

    Raises:
        ValueError: other than two classes; a holdout that is not in [0, 1).
    """

    strength: Any = 2.0
    rate: Any = 0.002
    pull: Any = 2000.0
    initial: Any = 0.0
    after: Any = 1 / 6
    holdout: float = 0.1

    keeps: ClassVar[tuple[str, ...]] = ("amount",)

    def __post_init__(self):
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout is a share of the training pictures in [0, 1), got {self.holdout!r}")

    def setup(self, start: Start):
        if start.n_classes != 2:
            raise ValueError(f"label perturbation is defined for two classes, got {start.n_classes}")
        n = len(start.evidence)
        held = torch.from_numpy(start.rng.permutation(n) < round(self.holdout * n))
        zero = torch.zeros((), dtype=start.x.dtype)
        return {
            "amount": self.initial * torch.ones(n, dtype=start.x.dtype), "held": held, "accuracy": zero + math.nan,
            "right": zero, "seen": zero,
        }  # fmt: skip

    def draw(self, rng, steps, batch_size):
        return {"uniform": rng.random((steps, batch_size))}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        amount, held = (batch.state[name][batch.index] for name in ("amount", "held"))
        chosen = (batch.draws["uniform"] < amount).view(-1, *[1] * (target.ndim - 1))
        loss = per_picture(cross_entropy(logits, torch.where(chosen, perturbed(target, self.strength), target)))
        used = (~held).to(loss.dtype)
        mean = (used * loss).sum() / used.sum().clamp_min(1)

        seen = logits.detach()
        right = per_picture((seen.argmax(-1) == target.argmax(-1)).to(loss.dtype))
        moved = self.updated(amount, per_picture(signed_logit(seen, target)), batch.state["accuracy"])
        move = ~held & (batch.progress >= self.after) & batch.state["accuracy"].isfinite()
        return mean, {
            "amount": batch.state["amount"].index_put((batch.index,), torch.where(move, moved, amount)),
            "right": batch.state["right"] + ((1 - used) * right).sum(),
            "seen": batch.state["seen"] + (1 - used).sum(),
        }

    def updated(self, amount: Tensor, signed: Tensor, accuracy: Tensor) -> Tensor:
        """The a_i after one visit, ``(b,)``."""
        back = self.pull * (1 - accuracy - self.strength * amount).clamp_max(0)
        amount = (amount + self.rate * (signed / self.strength + back)).clamp_min(0)
        top = 1 / (2 * self.strength)
        return torch.where(amount >= top, top - 0.01, amount)

    def end_epoch(self, state, progress):
        share = state["right"] / state["seen"].clamp_min(1)
        nothing = torch.zeros_like(share)
        return {"accuracy": torch.where(state["seen"] > 0, share, state["accuracy"]), "right": nothing, "seen": nothing}


def per_picture(values: Tensor) -> Tensor:
    """``(b,)`` or ``(b, P)`` -> ``(b,)``, the mean over pixels."""
    return values.flatten(1).mean(1) if values.ndim > 1 else values


__all__ = ["AdaptivePerturbation", "per_picture"]
