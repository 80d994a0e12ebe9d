"""Mixup: train on convex combinations of pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method


@dataclass
class Mixup(Method):
    """``x = l x_i + (1 - l) x_j``, loss ``l CE(y_i) + (1 - l) CE(y_j)``, one ``l ~ Beta(alpha, alpha)`` a batch.

    Zhang, Cissé, Dauphin, Lopez-Paz (2018), "mixup: beyond empirical risk minimization", equation 1.
    Published default alpha = 1 on CIFAR-10, 0.2 to 0.4 on ImageNet; alpha = 0 is no mixing (l = 1).
    A batch is already in random order, so its partner batch is the same batch turned by one place.
    """

    alpha: Any = 1.0

    def draw(self, rng, steps, batch_size):
        alpha = float(self.alpha)
        uniform = rng.random(steps)
        if alpha == 0:
            return {"weight": np.ones(steps)}
        from scipy.special import betaincinv  # the inverse distribution keeps alphas paired: one uniform, one weight

        return {"weight": betaincinv(alpha, alpha, uniform)}

    def objective(self, net, batch: Batch):
        weight = batch.draws["weight"]
        target = target_of(batch.evidence, batch.x.dtype)
        logits = net(weight * batch.x + (1 - weight) * batch.x.roll(1, 0))
        first, second = cross_entropy(logits, target), cross_entropy(logits, target.roll(1, 0))
        return (weight * first + (1 - weight) * second).mean(), {}
