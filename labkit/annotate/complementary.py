"""Classes that an example is not: uniform, biased and noisy complementary labels, one or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Complementary, Labels, stochastic_matrix

BIASES = {"weak": (0.45, 0.30, 0.25), "strong": (0.75, 0.24, 0.01)}


@dataclass(frozen=True)
class ComplementaryLabels(Annotator):
    """``count`` different classes that the example is not, drawn one after the other from row ``matrix[class]``.

    Args:
        count: how many, from 1 to K - 1 (K - 1 uniform ones leave the ordinary label).
        matrix: ``(K, K)`` rows P(complementary label | class); None: uniform over the wrong classes. A positive
            diagonal excludes the true class now and then.
        reveal: the evidence carries the matrix.

    With several labels and a matrix that is not uniform their shares differ from the matrix, because an excluded class
    is not drawn again; the evidence then still treats them as independent.
    """

    count: int = 1
    matrix: Any = None
    reveal: bool = False

    def __post_init__(self):
        if self.matrix is not None:
            object.__setattr__(self, "matrix", tuple(map(tuple, stochastic_matrix(self.matrix).tolist())))

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Complementary:
        y, k = labels.labels.numpy(), labels.n_classes
        if isinstance(self.count, bool) or int(self.count) != self.count or not 1 <= self.count < k:
            raise ValueError(f"count is a number of complementary labels from 1 to {k - 1}, got {self.count!r}")
        matrix = uniform_complement(k) if self.matrix is None else stochastic_matrix(self.matrix, k)
        rows = matrix.numpy()[y]
        if ((rows > 0).sum(1) < self.count).any():
            raise ValueError(f"{self.count} different labels cannot be drawn from a row with fewer classes above 0")
        # the smallest of exponential times over rate come first: drawing one after the other without replacement
        times = rng.exponential(size=rows.shape) / np.where(rows > 0, rows, np.nan)
        said = np.argsort(np.where(np.isnan(times), np.inf, times), 1)[:, : int(self.count)]
        return Complementary(torch.from_numpy(said), k, matrix if self.reveal else None)


@dataclass(frozen=True)
class OneOfTheShown(Annotator):
    """A person is shown ``shown`` classes at random and names one that is wrong, at random among the wrong ones.

    ``error``: how often the true class is named where it is shown. A careful person (0) gives uniform complementary
    labels; otherwise the true class is excluded at rate ``error * shown / K``. Source: Wang, Ishida, Zhang, Niu,
    Sugiyama (2025), "CLImage: human-annotated datasets for complementary-label learning" (four are shown).
    """

    shown: int = 4
    error: Any = 0.0
    reveal: bool = False

    def transition(self, n_classes: int) -> Tensor:
        """``(K, K)`` rows P(complementary label | class)."""
        wrong = check_rate(self.error, "error") * self.shown / n_classes
        return (1 - wrong) * uniform_complement(n_classes) + wrong * torch.eye(n_classes, dtype=torch.float64)

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Complementary:
        y, k = labels.labels.numpy(), labels.n_classes
        if not 2 <= self.shown <= k:
            raise ValueError(f"from 2 to {k} classes can be shown, got {self.shown!r}")
        seen = rng.random((len(y), k)).argsort(1)[:, : self.shown]
        is_true = seen == y[:, None]
        key = np.where(is_true, 2.0, rng.random(seen.shape))
        slips = is_true.any(1) & (rng.random(len(y)) < check_rate(self.error, "error"))
        said = np.where(slips, y, np.take_along_axis(seen, key.argmin(1)[:, None], 1)[:, 0])
        return Complementary(torch.from_numpy(said), k, self.transition(k) if self.reveal else None)


def uniform_complement(n_classes: int) -> Tensor:
    """``(K, K)`` float64: every wrong class equally likely."""
    matrix = torch.full((n_classes, n_classes), 1 / (n_classes - 1), dtype=torch.float64)
    return matrix.fill_diagonal_(0)


def biased_complement(n_classes: int, bias: str = "strong", noise: float = 0.0, seed: int = 0) -> Tensor:
    """``(K, K)`` float64: the wrong classes of each row in three groups of unequal mass, at random; ``noise`` mixes in
    uniform labels over all K classes, the true one included.

    ``bias``: "weak" (masses 0.45, 0.30, 0.25), "strong" (0.75, 0.24, 0.01) or "none". Source: Wang, Lin et al. (2025),
    "libcll: an extendable Python toolkit for complementary-label learning", for ten classes.
    """
    if bias not in (*BIASES, "none"):
        raise ValueError(f"bias is 'weak', 'strong' or 'none', got {bias!r}")
    if bias == "none":
        matrix = uniform_complement(n_classes).numpy()
    else:
        if n_classes < 4:
            raise ValueError(f"three groups of wrong classes need at least 4 classes, got {n_classes}")
        rng = np.random.default_rng(seed)
        matrix = np.zeros((n_classes, n_classes))
        for c in range(n_classes):
            wrong = rng.permutation(np.delete(np.arange(n_classes), c))
            for group, mass in zip(np.array_split(wrong, 3), BIASES[bias]):
                matrix[c, group] = mass / len(group)
    noise = check_rate(noise, "noise")
    return torch.from_numpy((1 - noise) * matrix + noise / n_classes)


__all__ = ["ComplementaryLabels", "OneOfTheShown", "biased_complement", "uniform_complement"]
