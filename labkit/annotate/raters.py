"""Several people who draw the same mask, each a little differently at its edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from labkit.annotate.base import Annotator, check_rate
from labkit.evidence import Evidence, Labels, Soft, one_hot

HARD = ("", "majority", "random")
NEIGHBOURS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))  # itself, 4 beside, 4 more


@dataclass(frozen=True)
class Raters(Annotator):
    """Masks by ``count`` raters: the true one, sometimes moved by one pixel, sometimes grown or shrunk by one.

    Raters agree inside and outside and differ at the boundary. Every rater draws every picture, independently. A move
    goes to one of the eight neighbours. Growing gives a pixel the largest class index among itself and its four
    neighbours, shrinking the smallest (so class 0 is the ground); what comes in from beyond the picture repeats its
    edge.

    Args:
        count: raters. shift: probability of a move. grow, shrink: probabilities of either. All are paired: raising one
            changes a superset of the masks.
        hard: "" averages the raters (:class:`~labkit.evidence.Soft`, ``(n, P, K)``); "majority" takes the class most
            of them say (the lower index at a tie) and "random" one rater per picture, both as
            :class:`~labkit.evidence.Labels` ``(n, P)``. The raters are the same in all three.
    """

    count: int = 5
    shift: Any = 0.4
    grow: Any = 0.2
    shrink: Any = 0.2
    hard: str = ""

    def __post_init__(self):
        if self.count < 1 or self.hard not in HARD:
            raise ValueError(f"expected count >= 1 and hard one of {HARD}, got {self.count} and {self.hard!r}")

    def __call__(self, labels: Labels, features: Tensor, rng: np.random.Generator) -> Evidence:
        said = self.masks(labels.labels, features.shape[-2:], rng)
        if self.hard == "random":
            chosen = torch.from_numpy(rng.integers(self.count, size=len(said)))
            return Labels(said[torch.arange(len(said)), chosen], labels.n_classes)
        votes = one_hot(said, labels.n_classes).mean(1)
        return Labels(votes.argmax(-1), labels.n_classes) if self.hard else Soft(votes)

    def masks(self, truth: Tensor, image: tuple[int, int], rng: np.random.Generator) -> Tensor:
        """What each rater says: ``truth`` ``(n, P)`` with P = height * width -> ``(n, count, P)``."""
        height, width = image
        if truth.ndim != 2 or truth.shape[1] != height * width:
            raise ValueError(
                f"raters draw masks: expected labels (n, {height * width}) for images of {height} x {width}, "
                f"got {tuple(truth.shape)}"
            )
        grow, shrink = check_rate(self.grow, "grow"), check_rate(self.shrink, "shrink")
        if grow + shrink > 1:
            raise ValueError(f"a mask is grown or shrunk, not both: grow + shrink is at most 1, got {grow + shrink:g}")
        each = (len(truth), self.count)
        way, often = torch.from_numpy(rng.integers(1, 9, each)), torch.from_numpy(rng.random(each))
        uniform = torch.from_numpy(rng.random((*each, 1, 1)))
        move = torch.tensor(NEIGHBOURS)[torch.where(often < check_rate(self.shift, "shift"), way, 0)]  # (n, count, 2)
        planes = F.pad(truth.reshape(-1, 1, height, width).double(), (2, 2, 2, 2), mode="replicate")[:, 0]
        rows = torch.arange(1, height + 3)[:, None] - move[..., 0, None, None]  # one pixel more on every side
        columns = torch.arange(1, width + 3) - move[..., 1, None, None]
        moved = planes[torch.arange(len(truth))[:, None, None, None], rows, columns]
        # moved is (n, count, height + 2, width + 2)
        cross = torch.stack([moved[..., 1 + a : height + 1 + a, 1 + b : width + 1 + b] for a, b in NEIGHBOURS[:5]])
        drawn = torch.where(uniform < grow, cross.amax(0), cross[0])
        drawn = torch.where(uniform >= 1 - shrink, cross.amin(0), drawn)
        return drawn.flatten(2).long()
