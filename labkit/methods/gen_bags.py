"""GenBags: learn from random differences between bags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from labkit.evidence import Bags
from labkit.losses.gen_bags import BLOCK, COMBINATIONS, gen_bags, gen_bags_covariance
from labkit.methods.base import Batch, Method


@dataclass
class GenBags(Method):
    """Squared error of the counts in random combinations of the bags of a block, per member.

    Saket, Raghuveer, Ravindran (2022), "On combining bags to better learn from label proportions"; see
    :mod:`labkit.losses.gen_bags`. A batch must be a whole number of blocks.

    Args:
        block: bags that are combined, published 4. combinations: drawn per block and step, published 60; 0 takes the
            expectation, without random numbers.
    """

    block: int = BLOCK
    combinations: int = COMBINATIONS

    accepts: ClassVar = (Bags,)

    def __post_init__(self):
        if self.block < 2 or self.combinations < 0:
            raise ValueError(
                f"a block has at least 2 bags and combinations are not negative; got {self.block}, {self.combinations}"
            )

    def draw(self, rng, steps, batch_size):
        if self.combinations == 0:
            return {}
        factor = np.linalg.cholesky(gen_bags_covariance(self.block).numpy())
        shape = (steps, batch_size // self.block, self.combinations, self.block)
        return {"weights": rng.standard_normal(shape) @ factor.T}

    def objective(self, net, batch: Batch):
        bags = batch.evidence
        logits = bags.grouped(net(batch.x))
        return gen_bags(logits, bags.counts, bags.present, batch.draws.get("weights"), self.block).mean(), {}
