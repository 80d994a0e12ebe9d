"""Two plain baselines under noise with a long tail: count the classes, or trust what is easy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.selection import mean_over, rising, small_loss


@dataclass
class LogitAdjustment(Method):
    """Cross entropy of ``z + tau log prior``: the network need not learn how often a class is *said*.

    Menon, Jayasumana, Rawat, Jain, Veit, Kumar (2021), "Long-tail learning via logit adjustment", the logit-adjusted
    loss of section 5.2, published tau = 1; tau = 0 is cross entropy. Prediction uses z alone. The prior is counted on
    the given labels, which is all a learner has: under noise it is flatter than the truth. A class that nobody named
    counts as named once.
    """

    tau: Any = 1.0

    accepts: ClassVar = (Labels,)

    def setup(self, start: Start):
        counts = one_hot(start.evidence.labels, start.n_classes).sum(0).clamp_min(1)
        return {"log_prior": (counts / counts.sum()).log()}

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        return cross_entropy(logits + self.tau * batch.state["log_prior"], batch.evidence.labels).mean(), {}


@dataclass
class SmallLoss(Method):
    """One network trained, in every batch, on the ``floor((1 - forget(t)) b)`` examples it finds easiest.

    Co-teaching with itself (Han, Yao, Yu, Niu, Xu, Hu, Tsang, Sugiyama, 2018, who compare with it as "self-teaching"):
    forget(t) rises from 0 to ``forget`` over the first ``ramp`` of training. Kept with the run: ``picked``, for every
    training example whether it was used when last seen.

    Args:
        forget: share left out, published as the noise rate, which is thereby assumed known.
        ramp: share of training over which it rises; published 10 of 200 epochs.
    """

    forget: Any = 0.4
    ramp: Any = 0.2

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("picked",)

    def setup(self, start: Start):
        return {"picked": torch.ones(len(start.evidence), dtype=torch.bool, device=start.x.device)}

    def objective(self, net, batch: Batch):
        losses = cross_entropy(net(batch.x), batch.evidence.labels)
        chosen = small_loss(losses, self.forget * rising(batch.progress, self.ramp))
        return mean_over(losses, chosen), {"picked": batch.state["picked"].index_put((batch.index,), chosen)}
