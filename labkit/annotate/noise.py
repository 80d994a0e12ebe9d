"""Wrong labels: clean, symmetric, pair-flip, any transition matrix, a measured human matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Labels, stochastic_matrix


@dataclass(frozen=True)
class Clean(Annotator):
    """Says the label it was given."""

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Labels:
        return labels


class _ByMatrix(Annotator):
    """Labels drawn from row ``transition(K)[class]``; ``reveal`` attaches that matrix to the evidence."""

    reveal: bool = False

    def transition(self, n_classes: int) -> Tensor:
        """``(K, K)`` float64, row c holds P(label | class c)."""
        raise NotImplementedError

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Labels:
        k = labels.n_classes
        matrix = stochastic_matrix(self.transition(k), k)
        said = draw_labels(matrix.numpy(), labels.labels.numpy(), rng.random(labels.labels.shape))
        known = matrix if labels.transition is None else labels.transition @ matrix  # noise upon noise
        return Labels(torch.from_numpy(said), k, known if self.reveal else None)


def draw_labels(matrix: np.ndarray, classes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """One label per class in ``classes`` by inverting the row's cumulative distribution at ``uniform``.

    The true class takes the *last* stretch of [0, 1], so a label is wrong where ``uniform`` lies below the row's
    error rate: raising the rate adds flips and undoes none.
    """
    k = len(matrix)
    order = np.stack([np.roll(np.arange(k), -(c + 1)) for c in range(k)])  # c + 1, c + 2, ..., c
    cumulative = np.take_along_axis(matrix, order, 1).cumsum(1)
    cumulative[:, -1] = np.inf  # rounding must not let a draw fall off the end
    slot = (uniform[..., None] >= cumulative[classes]).sum(-1)
    return order[classes, slot]


@dataclass(frozen=True)
class Symmetric(_ByMatrix):
    """Each label is wrong with probability ``rate``, then uniform over the other K - 1 classes.

    (The other convention in use redraws over all K classes with probability e; that is ``rate = e (K - 1) / K``.)
    """

    rate: Any = 0.4
    reveal: bool = False

    def transition(self, n_classes: int) -> Tensor:
        rate = check_rate(self.rate)
        other = rate / (n_classes - 1)
        return torch.full((n_classes, n_classes), other, dtype=torch.float64).fill_diagonal_(1 - rate)


@dataclass(frozen=True)
class PairFlip(_ByMatrix):
    """Each label becomes the next class (c + 1 modulo K) with probability ``rate``."""

    rate: Any = 0.4
    reveal: bool = False

    def transition(self, n_classes: int) -> Tensor:
        rate = check_rate(self.rate)
        keep = torch.eye(n_classes, dtype=torch.float64)
        return (1 - rate) * keep + rate * keep.roll(1, dims=1)


@dataclass(frozen=True)
class Transition(_ByMatrix):
    """Labels drawn from the rows of ``matrix``, ``(K, K)`` with rows P(label | class)."""

    matrix: Any
    reveal: bool = False

    def __post_init__(self):
        object.__setattr__(self, "matrix", tuple(map(tuple, stochastic_matrix(self.matrix).tolist())))

    def transition(self, n_classes: int) -> Tensor:
        return stochastic_matrix(self.matrix, n_classes)


@dataclass(frozen=True)
class Human(_ByMatrix):
    """The confusion of real annotators on CIFAR-10, as a matrix for any ten-class problem.

    ``which``: "aggre_label" (majority of three, 9 % wrong), "random_label1" to "random_label3" (one annotator, 17 to
    18 %) or "worse_label" (the worst of three, 40 %).
    Source: Wei, Zhu, Cheng, Liu, Niu, Liu (2022), "Learning with noisy labels revisited", CIFAR-10N.
    """

    which: str = "worse_label"
    reveal: bool = False

    def transition(self, n_classes: int) -> Tensor:
        from labkit.datasets.cifar_n import human_matrix

        matrix = torch.as_tensor(human_matrix(self.which), dtype=torch.float64)
        if len(matrix) != n_classes:
            raise ValueError(f"the human matrix is measured on 10 classes; this problem has {n_classes}")
        return matrix
