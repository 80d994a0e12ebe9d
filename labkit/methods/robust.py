"""Robust losses as methods: one loss each; truncated GCE also remembers which examples it has given up.

Constructor defaults are the published ones (for CIFAR-10 where there are several); see :mod:`labkit.losses.robust`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit import losses
from labkit.evidence import Labels
from labkit.losses import target_of
from labkit.losses.robust import ACTIVE, PASSIVE
from labkit.methods.base import Batch, Method, Start
from labkit.names import look_up


@dataclass
class MAE(Method):
    """``1 - p_y``, half the mean absolute error. Ghosh, Kumar, Sastry (2017). Nothing to tune."""

    def loss(self, logits, evidence):
        return losses.mae(logits, target_of(evidence, logits.dtype))


@dataclass
class GCE(Method):
    """``(1 - p_y^q) / q``, between cross entropy (q = 0) and MAE (q = 1). Zhang, Sabuncu (2018). Default q = 0.7."""

    q: Any = 0.7

    def loss(self, logits, evidence):
        return losses.gce(logits, target_of(evidence, logits.dtype), self.q)


@dataclass
class TruncatedGCE(Method):
    """GCE that now and then gives up the examples with ``p_y <= k``, and may take them back. Zhang, Sabuncu (2018).

    Equations 9 to 12 (alternating minimisation): with weights ``w_i = 1[p_y > k]``, fixed between two prunings, the
    loss is ``w_i L_q(p_y) + (1 - w_i) L_q(k)``. Prunings come at progress ``start`` and then after every share
    ``every`` of training; published: 120 epochs, from epoch 40 on every 10. The p_y of all examples at a pruning are
    those from when each was last seen, at most an epoch ago (the paper makes an extra pass for it), and no other data
    are looked at (a port well known takes the network with the best *test* accuracy for it).

    Kept with a run: ``weight`` ``(n,)``, 1 for examples that count.
    """

    q: Any = 0.7
    k: Any = 0.5
    start: Any = 1 / 3
    every: Any = 1 / 12

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("weight",)

    def setup(self, start: Start):
        seen = torch.ones(len(start.evidence))
        return {"weight": seen.clone(), "seen": seen, "due": torch.as_tensor(float(self.start))}

    def objective(self, net, batch: Batch):
        logits, target = net(batch.x), target_of(batch.evidence, batch.x.dtype)
        weight = batch.state["weight"][batch.index]
        given_up = (1 - self.k**self.q) / self.q  # L_q(k)
        loss = weight * losses.gce(logits, target, self.q) + (1 - weight) * given_up
        p = (target * logits.detach().softmax(-1)).sum(-1)
        return loss.mean(), {"seen": batch.state["seen"].index_put((batch.index,), p.to(batch.state["seen"]))}

    def end_epoch(self, state, progress):
        near = 1e-6  # progress is a rounded fraction
        now = progress + near >= state["due"]
        passed = torch.floor((progress + near - self.start) / self.every)
        weight = torch.where(now, (state["seen"] > self.k).to(state["weight"]), state["weight"])
        due = torch.where(now, self.start + self.every * (passed + 1), state["due"])
        return {"weight": weight, "due": due}


@dataclass
class SCE(Method):
    """``alpha CE + beta RCE``. Wang, Ma, Chen, Luo, Yi, Bailey (2019). Default alpha 0.1, beta 1 (CIFAR-10)."""

    alpha: Any = 0.1
    beta: Any = 1.0

    def loss(self, logits, evidence):
        return losses.sce(logits, target_of(evidence, logits.dtype), self.alpha, self.beta)


@dataclass
class ActivePassive(Method):
    """``alpha active + beta passive``. Ma, Huang, Wang, Romano, Erfani, Bailey (2020); default NCE + RCE, both 1.

    Args:
        active: "nce", "nfl" (takes gamma) or "ngce" (takes q). passive: "mae", "rce", "agce" or "aul".

    Raises:
        ValueError: an unknown name.
    """

    alpha: Any = 1.0
    beta: Any = 1.0
    active: str = "nce"
    passive: str = "rce"
    gamma: Any = 0.5
    q: Any = 0.1

    def __post_init__(self):
        look_up("active loss", self.active, ACTIVE)
        look_up("passive loss", self.passive, PASSIVE)

    def loss(self, logits, evidence):
        target = target_of(evidence, logits.dtype)
        return losses.active_passive(
            logits, target, self.alpha, self.beta, self.active, self.passive, self.gamma, self.q
        )


@dataclass
class AGCE(Method):
    """``((a + 1)^q - (a + p_y)^q) / q``. Zhou, Liu, Jiang, Gao, Ji (2021). Default a = 1, q = 2."""

    a: Any = 1.0
    q: Any = 2.0

    def loss(self, logits, evidence):
        return losses.agce(logits, target_of(evidence, logits.dtype), self.a, self.q)


@dataclass
class AUL(Method):
    """``((a - p_y)^q - (a - 1)^q) / q``. Zhou, Liu, Jiang, Gao, Ji (2021). Default a = 1.5, q = 0.9."""

    a: Any = 1.5
    q: Any = 0.9

    def loss(self, logits, evidence):
        return losses.aul(logits, target_of(evidence, logits.dtype), self.a, self.q)


@dataclass
class JensenShannon(Method):
    """Scaled Jensen-Shannon divergence between label and prediction. Englesson, Azizpour (2021).

    The paper tunes ``weight`` (its pi_1) per noise rate; 0.5, the divergence by that name, is the default.
    """

    weight: Any = 0.5

    def loss(self, logits, evidence):
        return losses.jensen_shannon(logits, target_of(evidence, logits.dtype), self.weight)


@dataclass
class RLL(Method):
    """Robust log loss. Patel, Sastry (2021). The paper's a could not be read; 0.1 is the default here."""

    a: Any = 0.1

    def loss(self, logits, evidence):
        return losses.rll(logits, target_of(evidence, logits.dtype), self.a)
