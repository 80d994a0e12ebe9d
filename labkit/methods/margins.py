"""Smoothing by margins of the logits: MbLS and ACLS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Method


@dataclass
class MbLS(Method):
    """``CE + a mean_k relu(max z - z_k - m)``: gaps between logits are free up to m.

    Liu, Ben Ayed, Galdran, Dolz (2022), "The devil is in the margin". Published default a = 0.1 with m = 6 on CIFAR-10
    and 10 on Tiny-ImageNet.
    """

    weight: Any = 0.1
    margin: Any = 6.0

    def loss(self, logits, evidence):
        return losses.mbls(logits, target_of(evidence, logits.dtype), self.weight, self.margin)


@dataclass
class ACLS(Method):
    """Beyond the margin, the predicted class is pulled down and the others up, harder the further they are beyond it.

    Park, Noh, Oh, Baek, Ham (2023), "ACLS"; :func:`labkit.losses.acls`. Published defaults a = 0.1, positive 1,
    negative 0.1, m = 10 (logits of small networks rarely get there). Ablations: ``adaptive=False`` is the condition
    without the growth, ``margin=0`` the growth without the condition.
    """

    weight: Any = 0.1
    margin: Any = 10.0
    positive: Any = 1.0
    negative: Any = 0.1
    adaptive: bool = True

    def loss(self, logits, evidence):
        target = target_of(evidence, logits.dtype)
        return losses.acls(logits, target, self.weight, self.positive, self.negative, self.margin, self.adaptive)
