"""Label smoothing, confidence penalty, focal loss: one loss each, one number each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Method


@dataclass
class LabelSmoothing(Method):
    """Cross entropy against ``(1 - a) t + a / K``.

    Szegedy et al. (2016), section 7; studied by Müller, Kornblith, Hinton (2019). Published default a = 0.1.
    """

    smoothing: Any = 0.1

    def loss(self, logits, evidence):
        return losses.label_smoothing(logits, target_of(evidence, logits.dtype), self.smoothing)


@dataclass
class ConfidencePenalty(Method):
    """``CE - weight * H(p)``. Pereyra et al. (2017), equation 2. Published default 0.1 (images), 1 (text)."""

    weight: Any = 0.1

    def loss(self, logits, evidence):
        return losses.confidence_penalty(logits, target_of(evidence, logits.dtype), self.weight)


@dataclass
class Focal(Method):
    """``-(1 - p_y)^gamma log p_y``. Lin et al. (2017), equation 4. Published default gamma = 2."""

    gamma: Any = 2.0

    def loss(self, logits, evidence):
        return losses.focal(logits, target_of(evidence, logits.dtype), self.gamma)
