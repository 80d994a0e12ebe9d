"""Adversarial training: at the end of an attack's path, or anywhere in the region the path spans."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit.attacks import pgd
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method


@dataclass
class RegionalAdversarial(Method):
    """Train at ``x'`` inside the region of an attack, with ``(1 - e(d)) e_y + e(d) / (K - 1)`` on each other class and
    ``e(d) = smoothing * d``, ``d = max |x' - x| / eps``: the further the point, the softer its label.

    Song, Fan, Yang, Wu, Li and others (2021), "Regional adversarial training for better robust generalization". Only
    the abstract could be read; this is our reading of it. The path x_0 = x, x_1, ..., x_m is that of PGD from the
    clean input, and ``x' = sum_j w_j x_j`` with w uniform over all convex weights (Dirichlet with every parameter
    ``concentration``; small values stay near single points of the path). Five settings of one method:

    - ``region=False, smoothing=0``: adversarial training (Madry et al., 2018), ``x' = x_m``;
    - ``region=False, distance=False``: with uniform smoothing, the same e at every point;
    - ``region=False``: with distance-aware smoothing at the end point;
    - ``smoothing=0``: points of the region, one-hot;
    - the defaults: regional adversarial training.

    (The published convention puts nothing on y but 1 - e; in that of `labkit.losses.smooth`, a = e K / (K - 1).)

    Args:
        eps: radius, in the units of standardised inputs. steps: of the attack, m; each moves 2.5 eps / m.
        smoothing: e at the surface of the ball. low, high: what an input may be (black and white pixel).
    """

    eps: Any = 0.25
    steps: int = 5
    smoothing: Any = 0.1
    region: bool = True
    distance: bool = True
    concentration: float = 1.0
    low: float = -float("inf")
    high: float = float("inf")

    def draw(self, rng, steps, batch_size):
        return {"weights": rng.dirichlet([self.concentration] * (self.steps + 1), (steps, batch_size))}

    def objective(self, net, batch: Batch):
        x, target = batch.x, target_of(batch.evidence, batch.x.dtype)
        path = pgd(net, x, target, self.eps, self.steps, low=self.low, high=self.high).detach()
        point = path[-1]
        if self.region:
            weights = batch.draws["weights"].movedim(-1, 0)
            point = (weights.reshape(*weights.shape, *[1] * (x.ndim - 1)) * path).sum(0)
        far = (point - x).abs().flatten(1).amax(-1) / self.eps if self.distance else torch.ones_like(x.flatten(1)[:, 0])
        e = (self.smoothing * far)[:, None]
        soft = (1 - e) * target + e * (1 - target) / (target.shape[-1] - 1)
        return cross_entropy(net(point), soft).mean(), {}
