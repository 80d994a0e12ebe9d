"""The wider smoothing family: negative and online smoothing, bootstrapping, focal losses, a thresholded penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit import losses
from labkit.evidence import Labels
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Method


@dataclass
class GeneralisedSmoothing(Method):
    """``(1 - r) CE + r mean_k(-log p_k)`` for any r up to 1; a negative r sharpens the target past one-hot.

    Wei, Liu, Liu, Niu, Sugiyama, Liu (2022), "To smooth or not? When label smoothing meets noisy labels". Which r
    belongs to which noise: :func:`labkit.losses.equivalent_rate`. For r < 0 the loss has no lower bound; the paper
    warms up with cross entropy at high noise, ``GeneralisedSmoothing(lk.Stages(0.0, -2.0, at=0.3))``.
    """

    rate: Any = -0.4

    def loss(self, logits, evidence):
        return losses.label_smoothing(logits, target_of(evidence, logits.dtype), self.rate)


@dataclass
class OnlineSmoothing(Method):
    """``w CE(y) + (1 - w) CE(Q_y)``; row c of Q is what the network said last epoch of class-c examples it got right.

    Zhang, Jiang, Hou, Wei, Han, Li, Cheng (2021), "Delving deep into label smoothing"; w = 0.5.
    A class without a right prediction has the uniform row. By the same rule all rows are uniform in the first epoch
    (the released code starts from zeros instead, which halves the loss of that epoch).
    """

    weight: Any = 0.5

    accepts = (Labels,)

    def setup(self, start):
        k = start.n_classes
        return {"table": torch.full((k, k), 1 / k), "said": torch.zeros(k, k), "right": torch.zeros(k)}

    def objective(self, net, batch):
        logits, state = net(batch.x), batch.state
        target = target_of(batch.evidence, logits.dtype)
        loss = self.weight * cross_entropy(logits, target)
        loss = loss + (1 - self.weight) * cross_entropy(logits, target @ state["table"].to(target))
        said, own = logits.detach().softmax(-1).flatten(0, -2), target.flatten(0, -2)
        is_max = (said == said.max(-1, keepdim=True).values).to(own)
        own = own * is_max  # the label's row, empty where the prediction is another class
        return loss.mean(), {"said": state["said"] + own.mT @ said, "right": state["right"] + own.sum(0)}

    def end_epoch(self, state, progress):
        said, right = state["said"], state["right"][:, None]
        uniform = torch.full_like(said, 1 / said.shape[-1])
        table = torch.where(right > 0, said / right.clamp_min(1), uniform)
        return {"table": table, "said": torch.zeros_like(said), "right": torch.zeros_like(state["right"])}


@dataclass
class SoftBootstrapping(Method):
    """Cross entropy against ``beta t + (1 - beta) p``. Reed et al. (2015), soft variant. Published default 0.95."""

    beta: Any = 0.95

    def loss(self, logits, evidence):
        return losses.soft_bootstrapping(logits, target_of(evidence, logits.dtype), self.beta)


@dataclass
class HardBootstrapping(Method):
    """Cross entropy against ``beta t + (1 - beta) onehot(argmax p)``. Reed et al. (2015), hard variant. Default 0.8."""

    beta: Any = 0.8

    def loss(self, logits, evidence):
        return losses.hard_bootstrapping(logits, target_of(evidence, logits.dtype), self.beta)


@dataclass
class AdaptiveFocal(Method):
    """Focal loss with exponent 5 where ``p_y < 0.2`` and 3 elsewhere (FLSD-53). Mukhoti et al. (2020)."""

    threshold: Any = 0.2
    unsure: Any = 5.0
    sure: Any = 3.0

    def loss(self, logits, evidence):
        target = target_of(evidence, logits.dtype)
        return losses.adaptive_focal(logits, target, self.threshold, self.unsure, self.sure)


@dataclass
class DualFocal(Method):
    """``-(1 - p_y + p_j)^gamma log p_y``, p_j the next smaller probability. Tao, Dong, Xu (2023). Default gamma = 5."""

    gamma: Any = 5.0

    accepts = (Labels,)

    def loss(self, logits, evidence):
        return losses.dual_focal(logits, target_of(evidence, logits.dtype), self.gamma)


@dataclass
class ThresholdedConfidencePenalty(Method):
    """``CE + weight max(0, threshold - H(p))``. Pereyra et al. (2017); the threshold is in nats, up to log K."""

    weight: Any = 0.1
    threshold: Any = 1.0

    def loss(self, logits, evidence):
        target = target_of(evidence, logits.dtype)
        return losses.thresholded_confidence_penalty(logits, target, self.weight, self.threshold)
