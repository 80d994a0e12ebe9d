"""Labels that people or models really gave, and what they are compared with: the same labels dealt out anew, the right
ones alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator
from labkit.evidence import Candidates, Evidence, Labels, one_hot


@dataclass(frozen=True)
class HumanLabels(Annotator):
    """The label somebody recorded for each example: ``Data.side[which]`` ``(n,)``.

    ``lk.load("cifar10n")`` has "aggre_label", "random_label1" to "random_label3" and "worse_label" (Wei, Zhu, Cheng,
    Liu, Niu, Liu, 2022, "Learning with noisy labels revisited"). Nothing is drawn, so every seed that holds an example
    is told the same of it.

    Raises:
        ValueError: an example has no recorded label (-1).
    """

    which: str = "worse_label"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.which,)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Labels:
        said = known[self.which]
        if (missing := int((said < 0).sum())) > 0:
            raise ValueError(f"{missing} of {len(said)} examples have no recorded {self.which!r}")
        return Labels(said, labels.n_classes)


@dataclass(frozen=True)
class GivenCandidates(Annotator):
    """The candidate set that came with each example: ``Data.side[name]``, ``(n, K)`` booleans.

    ``lk.load("candidate_sets", which="lost")`` has real ones, ``lk.load("captioned")`` drawn ones. Nothing is drawn
    here, so every seed that holds an example is told the same of it.

    Raises:
        ValueError: another shape than one column a class, or an empty set.
    """

    name: str = "candidates"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.name,)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Candidates:
        sets, want = known[self.name], (len(labels), labels.n_classes)
        if sets.shape != want:
            raise ValueError(f"expected {self.name!r} of shape {want}, got {tuple(sets.shape)}")
        return Candidates(sets)


@dataclass(frozen=True)
class DrawnFrom(Annotator):
    """Labels drawn from a distribution of each example's own, ``Data.side[which]`` ``(n, K)``: feature-dependent noise.

    See :func:`labkit.annotate.weak_posterior`. The true class takes the last stretch of [0, 1], as everywhere.
    """

    which: str = "weak"

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.which,)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Labels:
        probs, k = known[self.which].double(), labels.n_classes
        if probs.shape != (len(labels), k):
            raise ValueError(f"expected {self.which!r} of shape ({len(labels)}, {k}), got {tuple(probs.shape)}")
        order = (labels.labels[:, None] + 1 + torch.arange(k)) % k  # c + 1, c + 2, ..., c
        steps = probs.gather(1, order).cumsum(1)[:, :-1]
        slot = (torch.from_numpy(rng.random(len(labels)))[:, None] >= steps).sum(1, keepdim=True)
        return Labels(order.gather(1, slot)[:, 0], k)


@dataclass(frozen=True)
class DealtAnew(Annotator):
    """The labels (or candidate sets) of ``inner``, exchanged at random among the examples of one clean class.

    The confusion matrix is that of ``inner``, count by count and in every seed; that a label has to do with what its
    example looks like is gone. So this is class-conditional noise with an identical matrix, drawn without replacement
    (:class:`~labkit.annotate.Transition` with the counted matrix has it in the mean). Of candidate sets all sizes and
    combinations stay, class by class; what ``inner`` revealed of P(set | class) does not.
    """

    inner: Annotator

    @property
    def needs(self) -> tuple[str, ...]:
        return self.inner.needs

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Evidence:
        said = self.inner(labels, features, rng, **known)
        dealt, truth = torch.arange(len(labels)), labels.labels
        for c in range(labels.n_classes):
            place = (truth == c).nonzero()[:, 0]
            dealt[place] = place[torch.from_numpy(rng.permutation(len(place)))]
        return (
            Candidates(said.mask[dealt]) if isinstance(said, Candidates) else Labels(said.labels[dealt], said.n_classes)
        )


@dataclass(frozen=True)
class OnlyTheRight(Annotator):
    """The labels of ``inner`` that are right; the others say nothing (every class is a candidate). An oracle.

    With ``methods.EvidenceLikelihood`` this is cross entropy on the clean subset, the bound that a method which finds
    wrong labels without fault and throws them away would reach.
    """

    inner: Annotator

    @property
    def needs(self) -> tuple[str, ...]:
        return self.inner.needs

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator, **known: Tensor) -> Candidates:
        said = self.inner(labels, features, rng, **known)
        right = said.labels == labels.labels
        return Candidates(one_hot(said.labels, labels.n_classes).bool() | ~right[:, None])


def observed_transition(clean: Tensor, given: Tensor, n_classes: int) -> Tensor:
    """``(K, K)`` float64, row c the shares of the labels ``given`` to examples of clean class c.

    A class that never occurs has the row of a perfect annotator.
    """
    counts = torch.zeros(n_classes, n_classes, dtype=torch.float64)
    counts.index_put_((clean, given), torch.ones(len(clean), dtype=torch.float64), accumulate=True)
    total = counts.sum(1, keepdim=True)
    return torch.where(total > 0, counts / total.clamp_min(1), torch.eye(n_classes, dtype=torch.float64))


__all__ = ["DealtAnew", "DrawnFrom", "GivenCandidates", "HumanLabels", "OnlyTheRight", "observed_transition"]
