"""Overlap of predicted and true masks, for any number of runs at once.

Shapes, types, errors and diverged runs are as in ``accuracy``; n counts the pixels of all images together, and so do
these scores (``mIoU^D`` in the terms of Wang et al., 2023, "Revisiting evaluation metrics for semantic segmentation").
A class that is neither predicted nor there scores 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .over_runs import check_rows, mean, over_runs, per_run, spread, total


def _counts(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Per class: pixels where prediction and label agree on it, and the two areas added; each (runs, K)."""
    classes = torch.arange(logits.shape[-1], device=logits.device)[:, None]
    said, true = logits.argmax(-1)[..., None, :] == classes, labels[..., None, :] == classes
    return (said & true).double().sum(-1), said.double().sum(-1) + true.double().sum(-1)


@per_run
def miou(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over classes of intersection over union (the Jaccard index) of the hard masks. Shape (...), in [0, 1].

    >>> miou(torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 1, 0])).item()
    0.5
    """
    both, areas = _counts(logits, labels)
    union = areas - both
    return mean(torch.where(union > 0, both / union.clamp(min=1), 1.0))


@per_run
def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice score of the hard masks, 2 |A and B| / (|A| + |B|), mean over classes but the first (the ground).

    Shape (...), in [0, 1]. For one class Dice = 2 IoU / (1 + IoU).
    """
    both, areas = _counts(logits, labels)
    return mean(torch.where(areas > 0, 2 * both / areas.clamp(min=1), 1.0)[..., 1:])


@torch.no_grad()
def soft_dice_score(logits: Tensor, target: Tensor) -> Tensor:
    """How much of a soft mask the probabilities cover: 1 - DML1, mean over classes but the first. Shape (...).

    ``target`` (n, K) or (..., n, K), for instance an average of raters. 1 where the probabilities equal it.
    """
    check_rows("logits", logits)
    check_rows("target", target)
    target = spread("target", target, tuple(logits.shape), fixed=2)

    def score(z: Tensor, y: Tensor) -> Tensor:
        x, y = z.softmax(-1)[..., 1:].mT, y[..., 1:].mT  # (runs, K - 1, n)
        areas = total(x) + total(y)
        return mean(torch.where(areas > 0, 2 * total(torch.minimum(x, y)) / areas.where(areas > 0, 1.0), 1.0))

    return over_runs(score, tuple(logits.shape[:-2]), logits, target)
