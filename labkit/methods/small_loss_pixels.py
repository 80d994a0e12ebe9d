"""Small-loss selection among pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from labkit.evidence import Labels
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method
from labkit.methods.selection import mean_over, rising, small_loss


@dataclass
class SmallLossPixels(Method):
    """Cross entropy over the ``1 - forget`` of a batch's pixels that have the smallest loss.

    The selection of Co-teaching (Han et al., 2018) with one network and pixels for examples; the share that is left out
    rises in a straight line from 0 to ``forget`` during the first ``ramp`` of training. Also for one label per example.
    """

    forget: Any = 0.2
    ramp: Any = 0.25

    accepts: ClassVar = (Labels,)

    def objective(self, net, batch: Batch):
        losses = cross_entropy(net(batch.x), batch.evidence.labels).flatten()
        return mean_over(losses, small_loss(losses, self.forget * rising(batch.progress, self.ramp))), {}
