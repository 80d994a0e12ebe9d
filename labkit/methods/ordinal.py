"""Soft labels that know the order of the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.losses import ordinal, target_of
from labkit.methods.base import Method


@dataclass(kw_only=True)
class Ordered(Method):
    """Base of the three: cross entropy against the row of ``table`` that belongs to the label.

    Args:
        order: rank of every class; None is the order of the class indices, 1 to K.
    """

    order: tuple[float, ...] | None = None

    def table(self, ranks, dtype):
        """Targets ``(K, K)``, one row per true class; ``ranks`` is K or the rank of every class."""
        raise NotImplementedError

    def loss(self, logits, evidence):
        k = logits.shape[-1]
        if self.order is not None and len(self.order) != k:
            raise ValueError(f"order gives a rank to each of {k} classes, got {len(self.order)} ranks: {self.order}")
        table = self.table(k if self.order is None else self.order, logits.dtype)
        return ordinal.ordinal_cross_entropy(logits, target_of(evidence, logits.dtype), table)


@dataclass
class OrdinalSmoothing(Ordered):
    """Cross entropy against ``t_k = softmax_k(-phi(r_y, r_k))`` (SORD): a near miss costs less than a far one.

    Díaz, Marathe (2019), equation 1; Humblot-Renaux et al. (2022), section III-B. Published: alpha 1 or 2, all three
    distances.

    Args:
        alpha: steepness; 0 is uniform, large is one-hot. distance: "l1", "l2" or "logl2", see
            :func:`labkit.losses.ordinal.ordinal_targets`.
    """

    alpha: Any = 1.0
    distance: str = "l1"

    def table(self, ranks, dtype):
        return ordinal.ordinal_targets(ranks, self.distance, self.alpha, dtype)


@dataclass
class GaussianOrdinal(Ordered):
    """Cross entropy against a Gaussian over the levels, ``t_k`` proportional to ``exp(-(k - y)^2 / (2 sigma^2))``.

    Kuang, Song, Michoski (2024), HiSTN. Published default sigma = 0.5.
    """

    sigma: Any = 0.5

    def table(self, ranks, dtype):
        return ordinal.gaussian_targets(ranks, self.sigma, dtype)


@dataclass
class AdjacentSmoothing(Ordered):
    """``1 - a`` on the class, a shared by its neighbours: smoothing that stops after one level. For comparison."""

    smoothing: Any = 0.1

    def table(self, ranks, dtype):
        return ordinal.adjacent_targets(ranks, self.smoothing, dtype)
