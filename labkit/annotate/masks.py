"""Wrong masks: the wrong class with the right outline, or the right class with a wrong outline."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Labels, one_hot

KINDS = ("class", "grow", "shift", "simplify", "coarsen")
WAYS = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))


@dataclass(frozen=True)
class NoisyMasks(Annotator):
    """Each mask is spoiled with probability ``rate``, in one way. Class 0 is the ground, the others are objects.

    - "class": the objects take another object's class, drawn evenly (one draw per picture); outlines stay right.
    - "grow": the objects are dilated or eroded (half each) by a square of side ``2 size + 1``; where objects meet, the
      larger class index wins when growing, the smaller when shrinking.
    - "shift": the mask moves by ``size`` pixels in one of eight directions; ground comes in.
    - "simplify": every pixel takes the commonest class of the square of side ``2 size + 1`` around it (a stand-in for
      polygons with fewer corners).
    - "coarsen": drawn in blocks of side ``size + 1``, each of its commonest class.

    After Grad, Kimhi, Halika, Baskin (2024), "Benchmarking label noise in instance segmentation: spatial noise
    matters", with whole pictures for instances. At one seed a higher rate spoils a superset. (In the authors' code
    only part of the random numbers is seeded; here all are.)

    Raises ValueError for an unknown kind, a size below 1, labels that are no masks of the images, or "class" with
    fewer than two object classes.
    """

    kind: str = "grow"
    rate: Any = 0.5
    size: int = 1

    def __post_init__(self):
        if self.kind not in KINDS or self.size < 1:
            raise ValueError(f"kind is one of {', '.join(KINDS)} and size from 1, got {self.kind!r} and {self.size}")

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Labels:
        n, image = len(labels), tuple(features.shape[-2:])
        if labels.labels.ndim != 2 or labels.labels.shape[1] != image[0] * image[1]:
            raise ValueError(f"expected masks (n, {image[0] * image[1]}) for images {image}, got labels "
                             f"{tuple(labels.labels.shape)}")  # fmt: skip
        uniform, way = torch.from_numpy(rng.random(n)), torch.from_numpy(rng.integers(2**31, size=n))
        wrong = self.spoiled(labels.labels.view(n, *image), labels.n_classes, way).flatten(1)
        hit = uniform < check_rate(self.rate)
        return Labels(torch.where(hit[:, None], wrong, labels.labels), labels.n_classes)

    def spoiled(self, masks: Tensor, k: int, way: Tensor) -> Tensor:
        """All of ``masks`` ``(n, H, W)``, spoiled; ``way`` ``(n,)`` are whole numbers that decide how."""
        s = self.size
        if self.kind == "class":
            if k < 3:
                raise ValueError(f"a wrong object class needs at least two object classes, got {k - 1}")
            step = 1 + way % (k - 2) if k > 3 else torch.ones_like(way)
            return torch.where(masks > 0, 1 + (masks - 1 + step[:, None, None]) % (k - 1), masks)
        if self.kind == "grow":
            pool = lambda m: F.max_pool2d(m.double(), 2 * s + 1, 1, s)
            return torch.where((way % 2 == 0)[:, None, None], pool(masks), -pool(-masks)).long()
        if self.kind == "shift":
            moved = torch.stack([_moved(masks, s * a, s * b) for a, b in WAYS])
            return moved[way % 8, torch.arange(len(masks))]
        votes = one_hot(masks, k, torch.float64).movedim(-1, 1)  # (n, K, H, W)
        if self.kind == "simplify":
            return F.avg_pool2d(votes, 2 * s + 1, 1, s, count_include_pad=False).argmax(1)
        blocks = F.avg_pool2d(votes, s + 1, ceil_mode=True).argmax(1)
        wide = blocks.repeat_interleave(s + 1, 1).repeat_interleave(s + 1, 2)
        return wide[:, : masks.shape[1], : masks.shape[2]]


def _moved(masks: Tensor, down: int, right: int) -> Tensor:
    s = max(abs(down), abs(right))
    h, w = masks.shape[1:]
    return F.pad(masks, (s, s, s, s))[:, s - down : s - down + h, s - right : s - right + w]


def label_iou(said: Tensor, true: Tensor, n_classes: int) -> float:
    """Mean over classes of the intersection over union of two sets of masks, over all their pixels together."""
    a, b = one_hot(said.flatten(), n_classes).bool(), one_hot(true.flatten(), n_classes).bool()
    either = (a | b).sum(0)
    return float(torch.where(either > 0, (a & b).sum(0) / either.clamp_min(1), 1.0).mean())


def matched(noise: NoisyMasks, labels: Labels, features: Tensor, iou: float, draws: int = 5) -> NoisyMasks:
    """``noise`` at the rate at which its masks agree with ``labels`` by a mean IoU of ``iou`` on average over
    ``draws`` annotations; a single one differs from it by chance.

    ValueError where even rate 1 leaves them more alike than that: ask for a larger size or a higher IoU.
    """
    true, k = labels.labels, labels.n_classes

    def at(rate: float) -> float:
        said = [replace(noise, rate=rate)(labels, features, np.random.default_rng(i)).labels for i in range(draws)]
        return sum(label_iou(masks, true, k) for masks in said) / draws

    if not at(1.0) <= iou <= 1:
        raise ValueError(f"with {noise.kind!r} at size {noise.size} masks agree by {at(1.0):.3f} at least, so {iou} "
                         "cannot be reached; take a larger size")  # fmt: skip
    low, high = 0.0, 1.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if at(middle) > iou else (low, middle)
    return replace(noise, rate=(low + high) / 2)
