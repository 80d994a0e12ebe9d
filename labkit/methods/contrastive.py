"""Contrastive learning of two towers, whose wrong pairs may not all be wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.losses import contrastive, pair_targets
from labkit.methods.base import Batch, Method

TARGETS = ("identity", "uniform", "concept")


@dataclass
class SoftContrastive(Method):
    """Cross entropy of rows and columns of all similarities in a batch, against soft targets ``(1 - a) I + a C``.

    For the model :class:`labkit.models.TwoTower` and data with ``side["concept"]``, such as ``load("captions")``.
    No label is used in training. Prediction is zero-shot: the cosine similarity of the image with the prompt of each
    class, divided by the temperature. After Nguyen Quoc, Le Thi Thu, Quach (2025); see
    :func:`labkit.losses.pair_targets` for what of it is ours.

    Args:
        smoothing: a, the share given to other pairs. Default 0.2.
        temperature: of the similarities, fixed. Default 0.1.
        targets: "identity" (hard; a has no effect), "uniform" or "concept".
    """

    smoothing: Any = 0.2
    temperature: Any = 0.1
    targets: str = "concept"

    def __post_init__(self):
        if self.targets not in TARGETS:
            raise ValueError(f"targets is one of {', '.join(TARGETS)}, got {self.targets!r}")

    def objective(self, net, batch: Batch):
        image, caption = net.features(batch.x).unbind(-2)  # (b, e) each, of length 1
        target = pair_targets(batch.side["concept"], self.smoothing, self.targets, image.dtype)
        return contrastive(image @ caption.mT / self.temperature, target).mean(), {}

    def predict(self, net, x):
        return net(x) / self.temperature
