"""Baselines for a few trusted labels among many: train on them, or learn from them how the others are wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from labkit.evidence import TrustedLabels, one_hot
from labkit.losses import cross_entropy, evidence_nll
from labkit.methods.base import Batch, Method, Start


@dataclass(kw_only=True)
class TrustedMethod(Method):
    """A method that needs trusted examples in every step: it draws a batch of them, with replacement.

    The runs of one fleet must have equally many trusted examples, so ``share`` of the annotator is not swept; the
    noise may be.

    Args:
        trusted_batch: how many are drawn per step.
    """

    trusted_batch: int = 64

    accepts: ClassVar = (TrustedLabels,)

    def setup(self, start: Start) -> dict[str, Tensor]:
        trusted = trusted_of(start)
        return {"trusted_x": start.x[trusted], "trusted_labels": start.evidence.labels[trusted]}

    def draw(self, rng, steps, batch_size):
        return {"trusted": rng.integers(2**31, size=(steps, self.trusted_batch))}  # their number is not known here

    def trusted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """This step's trusted inputs ``(trusted_batch, ...)`` and labels."""
        held = batch.state["trusted_labels"]
        pick = batch.draws["trusted"] % len(held)
        return batch.state["trusted_x"][pick], held[pick]


def trusted_of(start: Start) -> Tensor:
    """``(n,)`` booleans; a ValueError where nobody is trusted."""
    if not start.evidence.trusted.any():
        raise ValueError("no label is trusted; raise the share of annotate.Trusted")
    return start.evidence.trusted


@dataclass
class TrustedCrossEntropy(TrustedMethod):
    """``w CE(a batch of trusted examples) + (1 - w) CE(the others of the batch)``.

    w = 1 trains on the trusted alone, and with ``lk.fit(start=runs)`` that is fine-tuning. w = 0 leaves them out.

    Args:
        weight: w in [0, 1].
    """

    weight: Any = 0.5

    def objective(self, net, batch: Batch):
        x, labels = self.trusted(batch)
        other = ~batch.evidence.trusted
        told = cross_entropy(net(batch.x), batch.evidence.labels) * other
        rest = told.sum() / other.sum().clamp_min(1)
        return self.weight * cross_entropy(net(x), labels).mean() + (1 - self.weight) * rest, {}


@dataclass
class GoldLossCorrection(Method):
    """Forward correction with a transition matrix that the trusted examples measure; one-hot on those themselves.

    Hendrycks, Mazeika, Wilson, Gimpel (2018), "Using trusted data to train deep networks on labels corrupted by severe
    noise", algorithm 1: ``T[i, :]`` is the mean over trusted examples of class i of the prediction of a network that
    was trained on the *other* labels. A class without a trusted example keeps the row of the identity.

    Args:
        warmup: :class:`labkit.Runs` of the first stage, one per seed: ``TrustedCrossEntropy(weight=0)``. (A first
            stage that has learnt the trusted labels too would answer with the identity.)
    """

    warmup: Any = None

    accepts: ClassVar = (TrustedLabels,)

    def setup(self, start: Start):
        if self.warmup is None:
            raise ValueError("gold loss correction needs warmup=, the runs of TrustedCrossEntropy(weight=0)")
        trusted, k = trusted_of(start), start.n_classes
        probs = self.warmup.predict_one(start.x[trusted]).softmax(-1)
        members = one_hot(start.evidence.labels[trusted], k, probs.dtype)  # (m, K)
        count = members.sum(0)[:, None]
        rows = members.mT @ probs / count.clamp_min(1)
        return {"transition": torch.where(count > 0, rows, torch.eye(k).to(probs))}

    def objective(self, net, batch: Batch):
        told = TrustedLabels.view(
            batch.evidence.n_classes, {**batch.evidence.tensors(), "transition": batch.state["transition"]}
        )
        return evidence_nll(net(batch.x), told).mean(), {}
