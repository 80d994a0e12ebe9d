"""Cross entropy plus the calibration error of the batch itself: MMCE, DCA, MDCA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Batch, Method


@dataclass
class _BatchPenalty(Method):
    """``mean CE + weight * penalty(batch)``."""

    weight: Any = 1.0

    def penalty(self, logits, target):
        raise NotImplementedError

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        return cross_entropy(logits, target).mean() + self.weight * self.penalty(logits, target), {}


@dataclass
class MMCE(_BatchPenalty):
    """``CE + weight MMCE`` with a Laplace kernel between confidences.

    Kumar, Sarawagi, Jain (2018), "Trainable calibration measures for neural networks from kernel mean embeddings":
    the balanced form and its square root. The weight is tuned there; the default is ours.

    Args:
        width: of the kernel, default 0.4. balanced: right and wrong predictions weigh alike.
    """

    weight: Any = 2.0
    width: Any = 0.4
    balanced: bool = True

    def penalty(self, logits, target):
        return losses.mmce(logits, target, self.width, self.balanced)


@dataclass
class DCA(_BatchPenalty):
    """``CE + weight |mean confidence - accuracy|``. Liang, Zhang, Wang, Jacobs (2020). Default weight 1."""

    def penalty(self, logits, target):
        return losses.dca(logits, target)


@dataclass
class MDCA(_BatchPenalty):
    """``CE + weight mean_c |mean_i p_ic - share of c|``. Hebbalaguppe, Prakash, Madan, Arora (2022). Default weight 1.

    The authors also put it on top of focal loss and label smoothing; here it stands on cross entropy.
    """

    def penalty(self, logits, target):
        return losses.mdca(logits, target)
