"""The area under the ROC curve."""

from __future__ import annotations

import torch
from torch import Tensor

from .over_runs import per_run, total


@per_run
def auc(logits: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve: how often an example of the class scores above one of another (ties count half).

    Two classes: the score is the log odds of class 1. More: the mean over classes, each against the rest by its
    probability, of those that are present. Shape (...), in [0, 1]; NaN where only one class is present.
    """
    if logits.shape[-1] == 2:
        return _against_the_rest(logits[..., 1] - logits[..., 0], labels == 1)
    p = logits.softmax(-1)
    each = torch.stack([_against_the_rest(p[..., k], labels == k) for k in range(p.shape[-1])], -1)
    present = (~each.isnan()).double()
    return total(each.nan_to_num()) / total(present)


def _against_the_rest(score: Tensor, is_it: Tensor) -> Tensor:
    """``(..., n)`` scores and whether an example is of the class -> ``(...)``, by the sum of its ranks."""
    score, ones = score.contiguous(), is_it.double().expand_as(score)
    ordered = score.sort(-1).values
    below, upto = (torch.searchsorted(ordered, score, right=right).double() for right in (False, True))
    positive = total(ones)
    ranks = total(ones * (below + upto + 1) / 2)
    return (ranks - positive * (positive + 1) / 2) / (positive * (score.shape[-1] - positive))


__all__ = ["auc"]
