"""Accuracy where classes differ in size: per class, balanced, and of many-, medium- and few-shot classes.

The contract is that of the other metrics: ``logits (..., n, K)``, ``labels (n,)`` or ``(..., n)``, float64 out. Classes
of the test labels that nobody has are left out of a mean; a mean over no class is NaN.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .by_class import confusion
from .over_runs import over_runs, per_run, spread, total


class Selection(NamedTuple):
    """How well a set of selected examples matches the clean ones, each ``(...)`` in [0, 1]; 0 where 0 / 0."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def _recall(logits: Tensor, labels: Tensor) -> Tensor:
    count = confusion(logits, labels)
    return count.diagonal(dim1=-2, dim2=-1) / count.sum(-1)


@per_run
def class_recall(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of the examples of each class that are predicted to be of it, ``(..., K)``; NaN for a class without any."""
    return _recall(logits, labels)


@per_run
def balanced_accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean recall over the classes that occur, so that every class weighs the same. Shape (...), in [0, 1].

    On balanced test data it is accuracy.
    """
    return _recall(logits, labels).nanmean(-1)


def shot_accuracy(logits: Tensor, labels: Tensor, counts: Tensor, many: int = 100, few: int = 20) -> Tensor:
    """Mean recall of the classes with more than ``many``, between, and fewer than ``few`` training examples, (..., 3).

    Liu, Miao, Zhan, Wang, Gong, Yu (2019), "Large-scale long-tailed recognition in an open world", with their default
    limits. NaN for a group without a class.

    Args:
        counts: ``(K,)`` clean training examples of each class (evaluation only: noisy counts hide the tail).
    """
    if counts.shape != logits.shape[-1:] or not few <= many:
        raise ValueError(
            f"counts holds one number for each of the {logits.shape[-1]} classes and few <= many, got "
            f"shape {tuple(counts.shape)}, few={few}, many={many}"
        )
    recall, counts = class_recall(logits, labels), counts.to(logits.device)
    groups = (counts > many, (counts <= many) & (counts >= few), counts < few)
    return torch.stack([recall.where(group, torch.nan).nanmean(-1) for group in groups], -1)


def selection_quality(selected: Tensor, clean: Tensor, among: Tensor | None = None) -> Selection:
    """Precision, recall and F1 of ``selected`` as a guess at ``clean``, both ``(..., n)`` booleans.

    Args:
        among: ``(..., n)`` booleans: only these examples count, such as those whose label names a tail class.
    """
    with torch.no_grad():
        for name, mask in (("selected", selected), ("clean", clean)):
            if mask.dtype != torch.bool:
                raise TypeError(f"{name} holds booleans, got {mask.dtype}")
        shape = tuple(selected.shape)
        clean = spread("clean", clean, shape)
        among = torch.ones_like(selected) if among is None else spread("among", among, shape)

        def measure(s: Tensor, c: Tensor, a: Tensor):
            s, c = (s & a).double(), (c & a).double()
            hit, said, true = total(s * c), total(s), total(c)
            return hit / said.clamp_min(1), hit / true.clamp_min(1), 2 * hit / (said + true).clamp_min(1)

        return Selection(*over_runs(measure, shape[:-1], selected, clean, among))
