"""Metrics of two classes."""

from __future__ import annotations

import torch
from torch import Tensor


def auc(logits: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve: how often an example of class 1 scores above one of class 0 (ties count half).

    Args:
        logits: ``(..., n, 2)``; the score is the log odds of class 1. labels: ``(n,)`` or ``(..., n)``.

    Returns:
        ``(...)`` float64; NaN where one of the classes is absent.

    Raises:
        ValueError: another number of classes.
    """
    if logits.shape[-1] != 2:
        raise ValueError(f"auc is for two classes, got logits of {logits.shape[-1]}")
    score = (logits[..., 1].double() - logits[..., 0].double()).contiguous()
    ones = (labels == 1).double().expand_as(score)
    ordered = score.sort(-1).values
    below, upto = (torch.searchsorted(ordered, score, right=right).double() for right in (False, True))
    positive = ones.sum(-1)
    ranks = (ones * (below + upto + 1) / 2).sum(-1)
    return (ranks - positive * (positive + 1) / 2) / (positive * (score.shape[-1] - positive))


__all__ = ["auc"]
