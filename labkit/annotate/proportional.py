"""Wrong labels in proportion to the classes: noise that leaves a long tail visible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from labkit.annotate.base import check_rate
from labkit.annotate.noise import _ByMatrix


@dataclass(frozen=True)
class ProportionalFlip(_ByMatrix):
    """Each label is wrong with probability ``rate``, then class j with probability in proportion to ``counts[j]``.

    ``T[i, j] = rate counts[j] / (sum(counts) - counts[i])``. After uniform noise a tail class has mostly strangers
    among its labels, and more labels than it has examples; after this noise the counts of given labels stay close to
    the true ones. In use for noise with a long tail since Wei, Shi, Tu, Li (2021), "Robust long-tailed learning under
    label noise" (from memory). Equal counts make it ``Symmetric``.
    """

    counts: Any
    rate: Any = 0.4
    reveal: bool = False

    def __post_init__(self):
        counts = torch.as_tensor(self.counts, dtype=torch.float64)
        if counts.ndim != 1 or not (counts > 0).all() or len(counts) < 2:
            raise ValueError(f"counts holds a number above 0 for each class, got {self.counts!r}")
        object.__setattr__(self, "counts", tuple(counts.tolist()))

    def transition(self, n_classes: int) -> Tensor:
        rate, counts = check_rate(self.rate), torch.tensor(self.counts, dtype=torch.float64)
        if len(counts) != n_classes:
            raise ValueError(f"counts holds {len(counts)} numbers and this problem has {n_classes} classes")
        matrix = rate * counts / (counts.sum() - counts)[:, None]
        return matrix.where(~torch.eye(n_classes, dtype=torch.bool), 1 - rate)
