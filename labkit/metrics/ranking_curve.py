"""The area under the ROC curve."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .by_class import ascending, softmax
from .over_runs import per_run, total


@per_run
def auc(logits: Tensor, labels: Tensor) -> Tensor:
    """Area under the ROC curve: how often an example of the class scores above one of another (ties count half).

    Two classes: the score is the log odds of class 1. More: the mean over classes, each against the rest by its
    probability, of those that are present. Shape (...), in [0, 1]; NaN where only one class is present.
    """
    if logits.shape[-1] == 2:
        score, order = ascending(logits[..., 1] - logits[..., 0])
        rises = (score[..., 1:] != score[..., :-1]).long().cumsum(-1)
        place = torch.cat([torch.zeros_like(order[..., :1]), rises], -1)
        return _area(4 * place + labels.expand(score.shape).gather(-1, order))
    each = _area(_in_order(softmax(logits), labels))  # (runs, K)
    present = (~each.isnan()).double()
    return total(each.nan_to_num()) / total(present)


def _in_order(p: Tensor, labels: Tensor) -> Tensor:
    """Probabilities ``(..., K, n)`` in ascending order, as whole numbers whose last bit says "an example of the class".

    One sort of numbers, several times quicker than finding an order and following it: the bits of a double that is not
    negative, read as a whole number, keep its place, and up to 1 its two upper bits are 0, so one more finds room.
    """
    key = p.view(torch.long) << 1
    key.scatter_add_(-2, labels.unsqueeze(-2), torch.ones_like(labels).unsqueeze(-2))
    if key.device.type != "cpu":
        return key.sort(-1).values
    key.numpy().sort(axis=-1)
    return key


def _area(key: Tensor) -> Tensor:
    """Whole numbers in ascending order ``(..., n)``, all but the last bit the score, the last 1 where an example is of
    the class -> ``(...)``: the share of pairs in order, ties counting half. All counts are whole numbers, which doubles
    hold up to 2^53: exact in any order of additions."""
    n = key.shape[-1]
    ones = (key.to(torch.int8) & 1).double()  # the last byte alone: a pass through an eighth of the memory
    positive = ones.sum(-1)
    steps = np.diff(key.numpy()) if key.device.type == "cpu" else key.diff()
    if (steps > 1).all():  # no ties: the places of positives say it
        twice = 2 * (ones @ torch.arange(n, dtype=torch.double, device=key.device)) - positive * (positive - 1)
    else:
        score = key >> 1
        differs = (score[..., 1:] != score[..., :-1]).long().cumsum(-1)
        tie = torch.cat([torch.zeros_like(score[..., :1]), differs], -1)  # number of the tie, from 0
        inside, outside = (torch.zeros_like(ones).scatter_add_(-1, tie, v) for v in (ones, 1 - ones))
        twice = (inside * (2 * outside.cumsum(-1) - outside)).sum(-1)
    return twice / (2 * positive * (n - positive))


__all__ = ["auc"]
