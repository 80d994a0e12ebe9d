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
    """``(..., n)`` scores and whether an example is of the class -> ``(...)``: pairs in order, ties counting half."""
    ordered, order = score.sort(-1)
    ones = is_it.double().expand_as(score).gather(-1, order)
    differs = (ordered[..., 1:] != ordered[..., :-1]).long().cumsum(-1)
    tie = torch.cat([torch.zeros_like(order[..., :1]), differs], -1)  # number of the tie, from 0
    inside, outside = (torch.zeros_like(ones).scatter_add_(-1, tie, v) for v in (ones, 1 - ones))
    pairs = total(inside * (outside.cumsum(-1) - outside / 2))
    positive = total(ones)
    return pairs / (positive * (score.shape[-1] - positive))


__all__ = ["auc"]
