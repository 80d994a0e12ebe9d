"""Soft Dice and Jaccard for segmentation, and the forms that also work for soft targets.

``x`` holds the predicted probabilities of one class over P pixels and ``y`` the target's, both ``(..., P)`` and not
negative; a loss has shape ``(...)``, lies in [0, 1] and has no unit. All six are one fraction, errors over area,

    (alpha fp + beta fn) / (tp + alpha fp + beta fn + s),

with ``alpha = beta = 1`` (Jaccard) or ``1/2`` (Dice). They differ only in how they count a *soft* overlap:

    product   tp = <x, y>           fp = |x| - <x, y>       fn = |y| - <x, y>        soft Jaccard, soft Dice
    minimum   tp = sum min(x, y)    fp = sum (x - y)_+      fn = sum (y - x)_+       JML1, DML1
    mixed     tp = <x, y>           fp = sum (x - y)_+      fn = sum (y - x)_+       JML2, DML2

On hard targets the three counts are the same numbers. On soft ones the product calls x = y an error (0.5 times 0.5 is
0.25, not 0.5), and pulls predictions to 0 and 1; the other two are 0 at x = y and nowhere else.

Wang, Ning, Blaschko (2023), "Jaccard metric losses: optimizing the Jaccard index with soft labels", and Wang,
Popordanoska, Bertels, Lemmens, Blaschko (2023), "Dice semimetric losses: optimizing the Dice score with soft labels".
There with norms: ``sum min(x, y) = (|x| + |y| - |x - y|) / 2``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.names import look_up

OVERS = ("batch", "image", "class")
ACTIVE = ("all", "present")
PRESENT = 0.01  # a class is present where its largest target is above this (the authors' code)


def overlap_counts(x: Tensor, y: Tensor, count: str = "minimum") -> tuple[Tensor, Tensor, Tensor]:
    """Soft true positives, false positives, false negatives of one class: ``(..., P)`` twice -> three ``(...)``."""
    if count not in ("product", "minimum", "mixed"):
        raise ValueError(f"count is 'product', 'minimum' or 'mixed', got {count!r}")
    both = (x * y).sum(-1)
    if count == "product":
        return both, x.sum(-1) - both, y.sum(-1) - both
    low = torch.minimum(x, y)
    return (low.sum(-1) if count == "minimum" else both), (x - low).sum(-1), (y - low).sum(-1)


def tversky(x: Tensor, y: Tensor, alpha=1.0, beta=1.0, s=0.0, count: str = "minimum") -> Tensor:
    """``1 - (tp + s) / (tp + alpha fp + beta fn + s)``, shape ``(...)``.

    Where nothing is predicted and nothing is there (0 / 0) the loss is 0. ``s`` makes masks that are small beside it
    cheap to miss; the authors' code has 0.001 by default and 1 in its configurations.
    """
    tp, fp, fn = overlap_counts(x, y, count)
    wrong = alpha * fp + beta * fn
    area = tp + wrong + s
    return wrong / torch.where(area > 0, area, 1.0)


def soft_jaccard(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """``1 - <x, y> / (|x| + |y| - <x, y>)``."""
    return tversky(x, y, 1.0, 1.0, s, "product")


def jaccard_metric_1(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """JML1, ``1 - (|x| + |y| - |x - y|) / (|x| + |y| + |x - y|)``: a metric on vectors that are not negative."""
    return tversky(x, y, 1.0, 1.0, s, "minimum")


def jaccard_metric_2(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """JML2, ``1 - <x, y> / (<x, y> + |x - y|)``: a metric on vectors in [0, 1]."""
    return tversky(x, y, 1.0, 1.0, s, "mixed")


def soft_dice(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """``1 - 2 <x, y> / (|x| + |y|)``."""
    return tversky(x, y, 0.5, 0.5, s, "product")


def dice_semimetric_1(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """DML1, ``1 - (|x + y| - |x - y|) / |x + y|``; with s = 0 it is JML1 / (2 - JML1)."""
    return tversky(x, y, 0.5, 0.5, s, "minimum")


def dice_semimetric_2(x: Tensor, y: Tensor, s=0.0) -> Tensor:
    """DML2, ``1 - 2 <x, y> / (2 <x, y> + |x - y|)``; with s = 0 it is JML2 / (2 - JML2)."""
    return tversky(x, y, 0.5, 0.5, s, "mixed")


OVERLAPS: dict[str, Callable[..., Tensor]] = {
    "jaccard": soft_jaccard,
    "jaccard1": jaccard_metric_1,
    "jaccard2": jaccard_metric_2,
    "dice": soft_dice,
    "dice1": dice_semimetric_1,
    "dice2": dice_semimetric_2,
}


def overlap(
    probs: Tensor, target: Tensor, loss: str = "jaccard1", over: str = "batch", active: str = "all", s=0.0
) -> Tensor:
    """One number for a batch of masks: an overlap loss per class, averaged. A 0-d tensor.

    Args:
        probs, target: ``(n, P, K)``, n images of P pixels. loss: a name in :data:`OVERLAPS`.
        over: "batch" counts each class over all pixels of the batch, then averages over classes; "image" counts it in
            every image, averages over the image's classes, then over images; "class" over images, then classes.
        active: "all" classes take part, or only those "present" in what is counted (largest target above 0.01). An
            absent class then teaches nothing, not even that it is absent.
        s: see :func:`tversky`; it is added to counts over whatever ``over`` says.
    """
    if over not in OVERS or active not in ACTIVE:
        raise ValueError(f"over is one of {OVERS} and active one of {ACTIVE}, got {over!r} and {active!r}")
    if probs.ndim != 3 or probs.shape != target.shape:
        raise ValueError(f"expected probs and target (n, P, K), got {tuple(probs.shape)} and {tuple(target.shape)}")
    x, y = probs.movedim(-1, 0), target.movedim(-1, 0)  # (K, n, P)
    if over == "batch":
        x, y = x.flatten(1), y.flatten(1)
    value = look_up("overlap loss", loss, OVERLAPS)(x, y, s)  # (K,) or (K, n)
    counted = (y.amax(-1) > PRESENT if active == "present" else torch.ones_like(value)).to(value.dtype)
    if over == "batch":
        return _mean(value, counted, 0)
    inner = 0 if over == "image" else 1
    return _mean(_mean(value, counted, inner), counted.amax(inner), 0)


def _mean(value: Tensor, counted: Tensor, axis: int) -> Tensor:
    """Mean over an axis of what counts; 0 where nothing does."""
    return (value * counted).sum(axis) / counted.sum(axis).clamp_min(1.0)
