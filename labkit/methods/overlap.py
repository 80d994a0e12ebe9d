"""Segmentation: cross entropy per pixel together with an overlap loss per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit.losses import cross_entropy, smooth, target_of
from labkit.losses.boundary import boundary
from labkit.losses.overlap import overlap
from labkit.methods.base import Batch, Method, Start


@dataclass
class Overlap(Method):
    """``(1 - weight) CE + weight * overlap``, for hard or soft masks: targets ``(n, P)`` or ``(n, P, K)``.

    Wang, Ning, Blaschko (2023), "Jaccard metric losses", and Wang, Popordanoska, Bertels, Lemmens, Blaschko (2023),
    "Dice semimetric losses"; published: weight 0.75 on the batch, hard labels with ``active="present"``, soft ones
    with "all", boundary smoothing 0.5 in 3 x 3 squares, half teacher and half label in distillation.

    Args:
        loss: "jaccard", "jaccard1", "jaccard2", "dice", "dice1", "dice2": see :mod:`labkit.losses.overlap`.
        weight: share of the overlap loss; 0 is cross entropy.
        over, active, s: how it is counted, see :func:`labkit.losses.overlap.overlap`.
        smoothing: e, target ``(1 - e) t + e / K`` in pixels at the boundary of the mask (of its most likely class),
            which is where a ``size`` x ``size`` square around the pixel holds another class.
        teacher: :class:`labkit.Runs` (one per seed) whose probabilities make up half of the target; or None.
    """

    loss: str = "jaccard1"
    weight: Any = 0.75
    over: str = "batch"
    active: str = "all"
    s: Any = 1e-3
    smoothing: Any = 0.0
    size: int = 3
    teacher: Any = None

    def setup(self, start: Start):
        said = target_of(start.evidence).argmax(-1)
        if start.x.ndim < 3 or said.ndim != 2 or said.shape[1] != start.x.shape[-2:].numel():
            raise ValueError(
                "overlap losses need images (n, ..., H, W) with a label for each of their H * W pixels, got "
                f"x {tuple(start.x.shape)} and labels {tuple(said.shape)}"
            )
        masks = said.view(-1, *start.x.shape[-2:])
        state = {"edge": boundary(masks, self.size).flatten(1).to(start.x.dtype)}  # 1 at the boundary, else 0
        if self.teacher is not None:
            state["taught"] = self.teacher.predict_one(start.x).softmax(-1)
        return state

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        target = smooth(target, self.smoothing * batch.state["edge"][batch.index][..., None])
        if self.teacher is not None:
            target = (target + batch.state["taught"][batch.index]) / 2
        apart = cross_entropy(logits, target).mean()
        together = overlap(logits.softmax(-1), target, self.loss, self.over, self.active, self.s)
        return (1 - self.weight) * apart + self.weight * together, {}
