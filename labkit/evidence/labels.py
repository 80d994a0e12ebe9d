"""Evidence that names a class, or a distribution over classes, for every example."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence.base import Evidence, distributions, one_hot, stochastic_matrix, whole_numbers


class Labels(Evidence):
    """One class index per example (or per place in an example), possibly wrong.

    Args:
        labels: ``(n,)`` or ``(n, P)`` whole numbers in ``0 .. n_classes - 1``.
        n_classes: number of classes K.
        transition: optional ``(K, K)`` row-stochastic matrix, ``transition[c, l] = P(label l | class c)``. Without it
            a label is taken at its word: the likelihood is one-hot.

    Raises:
        ValueError: a label outside the range (how many, and the first), or a matrix that is not row-stochastic.
    """

    fields = ("labels",)
    shared = ("transition",)

    def __init__(self, labels, n_classes: int, transition=None):
        self.labels = whole_numbers(labels, "labels", dimensions=(1, 2))
        self.n_classes = int(n_classes)
        outside = (self.labels < 0) | (self.labels >= n_classes)
        if outside.any():
            first = outside.nonzero()[0].tolist()
            raise ValueError(
                f"{int(outside.sum())} labels lie outside 0..{n_classes - 1}; the first is "
                f"{int(self.labels[tuple(first)])} at position {', '.join(map(str, first))}"
            )
        self.transition = None if transition is None else stochastic_matrix(transition, n_classes)

    def likelihood(self) -> Tensor:
        if self.transition is None:
            return one_hot(self.labels, self.n_classes)
        return self.transition.mT[self.labels]


class TrustedLabels(Labels):
    """Labels of which some are known to be right.

    Args:
        labels: as in :class:`Labels`. n_classes: number of classes K.
        trusted: ``(n,)`` booleans: this example's label is right. There the likelihood is one-hot whatever
            ``transition`` says of the others.
        transition: as in :class:`Labels`, of the labels that are not trusted.

    Raises:
        ValueError: as for :class:`Labels`; or ``trusted`` that is not one boolean per example.
    """

    fields = ("labels", "trusted")

    def __init__(self, labels, n_classes: int, trusted, transition=None):
        super().__init__(labels, n_classes, transition)
        self.trusted = torch.as_tensor(trusted)
        if self.trusted.dtype != torch.bool or self.trusted.shape != self.labels.shape[:1]:
            raise ValueError(
                f"trusted is one boolean per example, ({len(self.labels)},), got {self.trusted.dtype} of shape "
                f"{tuple(self.trusted.shape)}"
            )

    def likelihood(self) -> Tensor:
        said = super().likelihood()
        if self.transition is None:
            return said
        trusted = self.trusted.view(-1, *[1] * (said.ndim - 1))
        return torch.where(trusted, one_hot(self.labels, self.n_classes, said.dtype), said)


class Soft(Evidence):
    """A distribution over the classes per example (human votes, a teacher), or per place in an example.

    Args:
        probs: ``(n, K)`` or ``(n, P, K)``, rows not negative and summing to 1 within 1e-4.

    Raises:
        ValueError: rows that are not distributions. (Targets that leave the simplex on purpose, as in negative
            smoothing, are made by losses and never clipped there.)
    """

    fields = ("probs",)

    def __init__(self, probs):
        self.probs = distributions(probs, "probs")
        self.n_classes = self.probs.shape[-1]

    def likelihood(self) -> Tensor:
        return self.probs
