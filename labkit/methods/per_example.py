"""Smoothing that knows how much each example was doubted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Soft, one_hot
from labkit.losses import cross_entropy, smooth
from labkit.methods.base import Batch, Method, Start

CONTROLS = ("none", "permuted", "uniform")


@dataclass
class PerExampleSmoothing(Method):
    """Cross entropy against ``(1 - a_i) e_m + a_i / K``, m the majority and ``a_i = min(1, a u_i / mean(u))``.

    u_i is the entropy of example i's votes (nats), so a doubted example is smoothed more. After Wang, Zheng, Ding,
    Zhang, Lin, Tao (2024), "Uncertainty aware learning for language model alignment": the paper smooths more where a
    stronger model is unsure, but its map from uncertainty to smoothing could not be found; this one is ours. Ties of
    the majority are decided at random, from the run's own stream.

    Args:
        smoothing: a, the mean of the a_i (a little below it where some a_i reach 1). Default 0.1.
        control: "none"; "permuted" hands the a_i out to the wrong examples; "uniform" gives all their mean, which is
            label smoothing.

    Raises:
        ValueError: an unknown control.
    """

    smoothing: Any = 0.1
    control: str = "none"

    accepts: ClassVar = (Soft,)

    def __post_init__(self):
        if self.control not in CONTROLS:
            raise ValueError(f"control is one of {', '.join(CONTROLS)}, got {self.control!r}")

    def setup(self, start: Start):
        shares = start.evidence.probs
        n, k = shares.shape
        noise = torch.from_numpy(start.rng.random((n, k))).to(shares)
        majority = (shares + 1e-6 * noise).argmax(-1)  # shares differ by far more than 1e-6 or not at all
        doubt = torch.special.entr(shares).sum(-1)
        order = torch.from_numpy(start.rng.permutation(n)).to(shares.device)
        doubt = doubt[order] if self.control == "permuted" else doubt
        return {"majority": majority, "doubt": doubt / doubt.mean().clamp_min(1e-12)}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        amount = (self.smoothing * batch.state["doubt"]).clamp(0, 1)
        amount = amount.mean().expand(len(logits)) if self.control == "uniform" else amount[batch.index]
        majority = one_hot(batch.state["majority"][batch.index], logits.shape[-1], logits.dtype)
        return cross_entropy(logits, smooth(majority, amount[:, None])).mean(), {}
