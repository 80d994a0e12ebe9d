"""Training on the Brier score."""

from __future__ import annotations

from dataclasses import dataclass

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Method


@dataclass
class Brier(Method):
    """``sum_k (p_k - t_k)^2``. Brier (1950); a baseline in the calibration papers."""

    def loss(self, logits, evidence):
        return losses.brier(logits, target_of(evidence, logits.dtype))
