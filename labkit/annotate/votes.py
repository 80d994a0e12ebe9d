"""Several raters per example: their shares as a soft label, their majority, or one rater alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.evidence import Evidence, Labels, Soft


@dataclass(frozen=True)
class Votes(Annotator):
    """``count`` raters per example, each drawing a class from the true posterior; the label they are given is not used.

    Returns the vote shares (:class:`~labkit.evidence.Soft`), or with ``hard`` the majority
    (:class:`~labkit.evidence.Labels`; ties are decided at random). ``count = 1`` is one rater's label. More votes
    extend fewer: at one seed the first three of ten raters are the three raters of ``count = 3``.

    Raises ValueError for a count that is not a whole number from 1.
    """

    count: Any = 50
    hard: bool = False

    needs: ClassVar[tuple[str, ...]] = ("posterior",)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, *, posterior: Tensor) -> Evidence:
        count = _whole(self.count, 1)
        tie = rng.random(len(labels))  # first, so that it does not move with the count
        edges = posterior.double().cumsum(1).numpy()
        edges[:, -1] = np.inf  # rounding must not let a draw fall off the end
        counts = np.zeros(edges.shape)
        for uniform in rng.random((count, len(labels))):
            counts[np.arange(len(counts)), (uniform[:, None] >= edges).sum(1)] += 1
        return _shares_or_majority(counts, tie, self.hard)


@dataclass(frozen=True)
class HumanVotes(Annotator):
    """The votes that people gave: ``count`` of them chosen at random without replacement, or all with ``count = 0``.

    For data whose ``side["votes"]`` holds ``(n, K)`` vote counts, such as ``load("cifar10h")``. Shares, majority, ties
    and nesting are as in :class:`Votes`. Raises ValueError where an example has fewer votes than ``count``.
    """

    count: Any = 0
    hard: bool = False

    needs: ClassVar[tuple[str, ...]] = ("votes",)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, *, votes: Tensor) -> Evidence:
        count, counts = _whole(self.count, 0), votes.numpy().astype(np.int64)
        tie = rng.random(len(labels))
        cast = counts.sum(1)
        if cast.min() < max(count, 1):
            raise ValueError(f"example {int(cast.argmin())} has {cast.min()} votes, fewer than count = {count}; "
                             "ask for fewer")  # fmt: skip
        if count:
            key = rng.random((len(counts), cast.max()))
            key[np.arange(cast.max()) >= cast[:, None]] = 2.0  # places where nobody voted come last
            chosen = key.argsort(1)[:, :count]
            said = (chosen[:, :, None] >= counts.cumsum(1)[:, None]).sum(2)  # votes stand sorted by class
            counts = (said[:, :, None] == np.arange(counts.shape[1])).sum(1)
        return _shares_or_majority(counts, tie, self.hard)


def _whole(count, least: int) -> int:
    if float(count) != int(count) or int(count) < least:
        raise ValueError(f"count is a whole number of votes per example, from {least}, got {count!r}")
    return int(count)


def _shares_or_majority(counts: np.ndarray, tie: np.ndarray, hard: bool) -> Evidence:
    """``counts`` ``(n, K)``; among t classes with the most votes the one in place ``floor(tie * t)`` wins."""
    if not hard:
        return Soft(torch.from_numpy(counts / counts.sum(1, keepdims=True)))
    most = counts == counts.max(1, keepdims=True)
    place = np.floor(tie * most.sum(1)).astype(np.int64)
    winner = (most.cumsum(1) > place[:, None]).argmax(1)
    return Labels(torch.from_numpy(winner), counts.shape[1])
