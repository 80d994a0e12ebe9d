"""Learning from label proportions by transport: soft labels that add up to the counts of every bag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit.evidence import Bags
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method
from labkit.methods.proportions import ProportionLoss, nearest_counts, per_instance
from labkit.transport import entropic_assignment


@dataclass(kw_only=True)
class ROT(Method):
    """Cross entropy against the entropic transport plan between a bag's members and its counts (relaxed transport).

    ``Q = argmin -sum_ik Q_ik log p_ik - reg H(Q)``, rows of sum 1, columns of sum ``counts``, at the current
    predictions, a constant for the gradient (:func:`labkit.transport.entropic_assignment`); loss
    ``-sum_ik Q_ik log p_ik`` in nats per member. Before ``warm`` it is :class:`ProportionLoss`, because plans of an
    untrained network hold to whatever it says. Small reg sharpens the predictions while it fills in; reg = 1 only
    tilts them, and is *not* the exact posterior (:class:`CountEM`). Noisy counts are brought back to proportions.

    Source: Dulac-Arnold, Zeghidour, Cuturi, Beyer, Vert (2019), "Deep multi-class learning from label proportions";
    two stages as in Liu, Wang, Shen, Qi, Tian (2021), "Two-stage training for learning from label proportions". The
    papers' own schedules could not be read; public code (LLP-Bench) has reg = 0.2 and warms up until the proportion
    loss stops improving.

    Args:
        reg: weight of the entropy, above 0. warm: share of training with the proportion loss.
        rounds: Newton steps for the plan.
    """

    reg: Any = 0.2
    warm: Any = 0.2
    rounds: int = 15

    accepts = (Bags,)

    def objective(self, net, batch: Batch):
        evidence, logits = batch.evidence, net(batch.x)
        z, counts = evidence.grouped(logits), evidence.counts.to(logits.dtype)
        if evidence.noise is not None:
            kept = nearest_counts(counts)
            counts = kept / kept.sum(-1, keepdim=True) * evidence.sizes[..., None]
        plan = entropic_assignment(z.log_softmax(-1), counts, evidence.present, self.reg, self.rounds)
        filled = per_instance((cross_entropy(z, plan) * evidence.present).sum(-1), evidence)
        matched = ProportionLoss().loss(logits, evidence)
        return torch.where(batch.progress < self.warm, matched, filled).mean(), {}


__all__ = ["ROT"]
