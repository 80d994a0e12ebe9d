"""Cross entropy on one part of the training set, at a size that is the same for every part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from labkit.evidence import Labels
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start


@dataclass
class OnPart(Method):
    """Cross entropy on ``size`` training examples with ``Data.side[name] == value``; the others are not looked at.

    Each step draws a batch of them with replacement, so every part takes equally many steps of equally many examples.
    Which ones: the first in the training set, which comes in random order. (An easy-to-hard comparison: Hase, Bansal,
    Clark, Wiegreffe (2024), "The unreasonable effectiveness of easy training data for hard tasks".)

    Args:
        name, values: which part; several values make one part of their union. size: examples.

    Raises:
        ValueError: the training set has fewer than ``size`` such examples.
    """

    name: str = "part"
    values: tuple[int, ...] = (0,)
    size: int = 100

    accepts: ClassVar = (Labels,)

    def setup(self, start: Start):
        part = sum(start.side[self.name] == value for value in self.values).nonzero()[:, 0]
        if len(part) < self.size:
            raise ValueError(f"seed {start.seed} has {len(part)} training examples with {self.name} in {self.values}, "
                             f"fewer than size = {self.size}")  # fmt: skip
        return {"part_x": start.x[part[: self.size]], "part_labels": start.evidence.labels[part[: self.size]]}

    def draw(self, rng, steps, batch_size):
        return {"pick": rng.integers(self.size, size=(steps, batch_size))}

    def objective(self, net, batch: Batch):
        pick = batch.draws["pick"]
        return cross_entropy(net(batch.state["part_x"][pick]), batch.state["part_labels"][pick]).mean(), {}
