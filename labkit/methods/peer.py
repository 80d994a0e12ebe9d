"""Methods that set the label of an example against labels of others: peer loss, f-divergence, CORES."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit.evidence import Labels, one_hot
from labkit.losses import cores, cross_entropy, f_divergence, peer, sieve_score
from labkit.losses.peer import DIVERGENCES
from labkit.methods.base import Batch, Method, Start
from labkit.names import look_up


class _Paired(Method):
    """Each example also meets the label of another one of its batch.

    A batch is a random draw, so the member some places on is a random other example; how many places is drawn anew for
    every step (1 to b - 1: never the example itself, which would put matched pairs among the mismatched).
    """

    accepts: ClassVar = (Labels,)

    def draw(self, rng, steps, batch_size):
        if batch_size < 2:
            raise ValueError(f"{type(self).__name__} pairs examples of a batch, so batch_size is at least 2")
        return {"turn": rng.integers(1, batch_size, steps)}

    def peers(self, batch: Batch) -> torch.Tensor:
        """``(b,)`` labels of other examples."""
        labels = batch.evidence.labels
        return labels[(torch.arange(len(labels), device=labels.device) + batch.draws["turn"]) % len(labels)]


@dataclass
class PeerLoss(_Paired):
    """``(l(x_i, y_i) - alpha l(x_i, y_j)) / (1 + alpha)``, j a random other example of the batch.

    Liu and Guo (2020), "Peer loss functions: learning from noisy labels without knowing noise rates", ICML. With more
    classes the authors train 300 epochs and raise alpha in steps: 0 for 20 epochs, then to 1, 2, 5, 10 and 20 by
    epochs 40, 50, 100, 200 and 300, with the learning rate divided by 1 + alpha; here the loss is divided, which is
    the same to SGD. ``alpha=lk.Stages(0.0, 1.0, at=0.2)`` and ``lk.Ramp(0.0, 2.0)`` are short forms of that.

    Args:
        alpha: weight of the peer term; 0 is cross entropy. floor: inside the logarithms, see :func:`losses.peer`.
    """

    alpha: Any = 1.0
    floor: float = 1e-5

    def objective(self, net, batch: Batch):
        logits = net(batch.x)
        loss = peer(logits, batch.evidence.labels, logits, self.peers(batch), self.alpha, self.floor)
        return loss.mean() / (1 + self.alpha), {}


@dataclass
class FDivergence(_Paired):
    """Maximises a variational bound of an f-divergence between (example, its label) and (example, another's label).

    Wei and Liu (2021), "When optimizing f-divergence is robust with label noise", ICLR. The authors start from a
    network trained with cross entropy (``lk.fit(start=...)``, or ``warm``), then run 100 epochs of SGD at 0.01, a
    tenth of it every 30 epochs, and select the epoch by the divergence on noisy validation data (``at="selected"``
    here is by agreement).

    Args:
        divergence: see :func:`labkit.losses.f_divergence`. warm: share of training spent on cross entropy first.
    """

    divergence: str = "total_variation"
    warm: Any = 0.0

    def __post_init__(self):
        look_up("divergence", self.divergence, DIVERGENCES)

    def objective(self, net, batch: Batch):
        logits, labels = net(batch.x), batch.evidence.labels
        loss = f_divergence(logits, labels, logits, self.peers(batch), self.divergence)
        return torch.where(batch.progress < self.warm, cross_entropy(logits, labels), loss).mean(), {}


@dataclass
class CORES(Method):
    """Confidence-regularised cross entropy, ``(CE_y - b sum_k prior_k CE_k) / (1 + b)``, on examples a sieve lets by.

    Cheng, Zhu, Li, Gong, Sun, Liu (2021), "Learning with instance-dependent label noise: a sample sieve approach",
    ICLR. b is 0 until the share ``warm`` of training is done, then rises to ``beta`` by ``full``. From ``sieve`` on,
    an example takes part in a step only where p_y is at least the geometric mean of p. After every epoch the prior is
    counted anew over the examples last let by. Defaults are the published 10, 40 and 30 of 100 epochs and beta = 2
    (SGD without momentum, 0.1 then 0.01, divided by 1 + b: here the loss is divided).

    State: ``kept`` ``(n,)`` 1 where an example was last let by (kept with the run), ``prior`` ``(K,)``.
    """

    beta: Any = 2.0
    warm: Any = 0.1
    full: Any = 0.4
    sieve: Any = 0.3
    floor: float = 1e-8

    accepts: ClassVar = (Labels,)
    keeps: ClassVar = ("kept",)

    def setup(self, start: Start):
        given = one_hot(start.evidence.labels, start.n_classes)
        return {"kept": torch.ones(len(given)), "given": given, "prior": given.mean(0)}

    def objective(self, net, batch: Batch):
        logits, labels, progress = net(batch.x), batch.evidence.labels, batch.progress
        beta = self.beta * ((progress - self.warm) / (self.full - self.warm)).clamp(0, 1)
        good = (sieve_score(logits.detach(), labels) <= 0) | (progress < self.sieve)
        good = good.to(logits.dtype)
        loss = cores(logits, labels, batch.state["prior"], beta, self.floor)
        kept = batch.state["kept"].index_put((batch.index,), good)
        return (good * loss).sum() / good.sum().clamp_min(1) / (1 + beta), {"kept": kept}

    def end_epoch(self, state, progress):
        counts = state["kept"] @ state["given"]
        total = counts.sum()
        return {"prior": torch.where(total > 0, counts / total.clamp_min(1), state["prior"])}
