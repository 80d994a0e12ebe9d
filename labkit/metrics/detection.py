"""Telling strangers from the known: scores of in-distribution examples against scores of others.

``inside (..., n)`` and ``outside (..., m)`` of any floating type, higher is more at home, the same leading run axes (or
1, or none, in their place). Results are (...) and float64; a run with a NaN or infinite score gives NaN.
Raises TypeError for scores that are not floating-point, ValueError for no examples or run axes that do not fit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .over_runs import describe, mean, over_runs


def _pair(inside: object, outside: object) -> tuple[tuple[int, ...], Tensor, Tensor]:
    for name, scores in (("inside", inside), ("outside", outside)):
        if not isinstance(scores, Tensor) or not scores.is_floating_point():
            raise TypeError(f"{name} must be a floating-point tensor of scores (..., n), got {describe(scores)}")
        if scores.dim() < 1 or scores.shape[-1] == 0:
            raise ValueError(f"{name} must hold at least one score, got {describe(scores)}")
    try:
        lead = tuple(torch.broadcast_shapes(inside.shape[:-1], outside.shape[:-1]))
    except RuntimeError:
        raise ValueError(f"the run axes of inside {tuple(inside.shape)} and outside {tuple(outside.shape)} must agree, "
                         "or be 1 or missing") from None
    return lead, inside.expand(*lead, -1), outside.to(inside.device).expand(*lead, -1)


@torch.no_grad()
def ood_auroc(inside: Tensor, outside: Tensor) -> Tensor:
    """The probability that a known example scores above a stranger, ties counting 1/2. In [0, 1], more is better.

    Hendrycks, Gimpel (2017), "A baseline for detecting misclassified and out-of-distribution examples".

    >>> ood_auroc(torch.tensor([3.0, 2.0]), torch.tensor([2.0, 1.0])).item()
    0.875
    """

    def area(a: Tensor, b: Tensor) -> Tensor:
        b = b.sort(-1).values
        below, upto = (torch.searchsorted(b, a.contiguous(), right=right).double() for right in (False, True))
        return mean((below + upto) / 2) / b.shape[-1]

    lead, inside, outside = _pair(inside, outside)
    return over_runs(area, lead, inside, outside)


@torch.no_grad()
def fpr_at_recall(inside: Tensor, outside: Tensor, recall: float = 0.95) -> Tensor:
    """The share of strangers let in by the highest threshold that lets in at least ``recall`` of the known ("FPR95").

    Scores equal to the threshold are let in. In [0, 1], less is better. Liang, Li, Srikant (2018), "Enhancing the
    reliability of out-of-distribution image detection in neural networks".
    Raises ValueError for a recall outside (0, 1].
    """
    if not 0 < recall <= 1:
        raise ValueError(f"recall is the share of known examples to let in, in (0, 1], got {recall}; 0.95 for FPR95")

    def share(a: Tensor, b: Tensor) -> Tensor:
        place = max(1, math.ceil(recall * a.shape[-1] * (1 - 1e-12)))  # 0.95 of 20 is 19, rounding or not
        threshold = a.sort(-1, descending=True).values[:, place - 1, None]
        return mean((b >= threshold).double())

    lead, inside, outside = _pair(inside, outside)
    return over_runs(share, lead, inside, outside)


__all__ = ["fpr_at_recall", "ood_auroc"]
