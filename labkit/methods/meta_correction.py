"""Meta label correction: a teacher rewrites the labels so that learning from them helps on a few trusted ones.

Both methods ask the same question at every step. The student takes one step on the corrected labels ``y~``,

    theta' = theta - (eta / n) sum_i grad CE(student(x_i), y~_i)     (over the n examples that are not trusted),

and is then marked on trusted examples, ``L(theta')``. How should ``y~`` have been? As ``-sum_k y~_ik log p_ik`` is
linear in ``y~``, the answer is a directional derivative at the old weights (a Jacobian-vector product):

    dL / dy~_ik = (eta / n) <grad log p_ik(theta), g>,   g = grad L(theta'),

so the teacher descends on ``(eta / n) sum_ik slope_ik y~_ik`` with the slopes held constant: a label whose log-
probability grows along g, that is, one that pushes against the trusted examples, is paid less.

One optimiser moves all networks along the gradient of one scalar. The scalars below are therefore sums of what each
network should descend on, with everything that belongs to the other network held constant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import grad, jvp

from labkit.evidence import one_hot
from labkit.fleet.step import Net
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Start
from labkit.methods.trusted import TrustedMethod
from labkit.models import consult

INJECTIONS = ("adversarial", "random", "none")


def one_step_slopes(net: Net, x: Tensor, target: Tensor, weight: Tensor, trusted_x, trusted_labels, eta) -> Tensor:
    """``<grad log p_ik(theta), g>`` ``(n, K)``, constants.

    Times ``eta * weight`` they are the derivative in ``target`` ``(n, K)`` of the trusted loss after one step of size
    ``eta`` on ``sum_i weight_i CE_i``. Momentum and weight decay are left out.
    """
    theta = {k: p.detach() for k, p in net.params.items()}
    logits = lambda params, inputs: Net(net.module, params)(inputs)
    step = grad(lambda params: (weight * cross_entropy(logits(params, x), target)).sum())(theta)
    ahead = {k: theta[k] - eta * step[k] for k in theta}
    pull = grad(lambda params: cross_entropy(logits(params, trusted_x), trusted_labels).mean())(ahead)
    _, slopes = jvp(lambda params: logits(params, x).log_softmax(-1), (theta,), (pull,))
    return slopes.detach()


@dataclass
class MetaLabelCorrection(TrustedMethod):
    """The student's label head proposes ``y~ = softmax(head(features, y) + prior e_y)``; it has only the meta-gradient.

    Zheng, Awadallah, Dumais (2021), "Meta label correction for noisy label learning", in its simplest form: one step
    of look-ahead, the exact gradient of it; features are a constant to the head, as there. Trusted examples mark the
    student, which does not train on them. Model: ``WithLabelHead(base, outputs=0)``.

    Args:
        eta: size of the look-ahead step; the optimiser's learning rate.
        meta: factor on the meta loss. It stands in for the optimiser that the paper gives the head alone.
        prior: how far, in logits, the given label starts ahead of the others. The paper has 0, and far more steps: from
            there the proposals begin even, and a student that is taught nothing cannot be marked.
    """

    eta: Any = 0.05
    meta: Any = 1.0
    prior: Any = 4.0

    keeps: ClassVar[tuple[str, ...]] = ("corrected",)

    def setup(self, start: Start):
        return {**super().setup(start), "corrected": start.evidence.labels}

    def objective(self, net, batch: Batch):
        labels, weight = batch.evidence.labels, others(batch)
        features = net.features(batch.x)
        head = consult(net, features.detach(), labels)
        target = (head + self.prior * one_hot(labels, head.shape[-1], head.dtype)).softmax(-1)
        told = (weight * cross_entropy(net.head(features), target.detach())).sum()
        slopes = one_step_slopes(net, batch.x, target.detach(), weight, *self.trusted(batch), self.eta)
        meta = self.eta * (weight[:, None] * slopes * target).sum()
        return told + self.meta * meta, remember(batch, corrected=(target.argmax(-1), labels))


@dataclass
class EnhancedMetaLabelCorrection(TrustedMethod):
    """A second network as teacher, ``y~ = l y + (1 - l) softmax(t(x))``, ``l = sigmoid(head(teacher features, y))``.

    Taraday, Baskin (2023), "Enhanced meta label correction for coping with label corruption" (EMLC), with one step of
    look-ahead. Beside the meta loss the teacher is trained on what is known: cross entropy on trusted examples, and
    binary cross entropy of ``l`` on trusted examples every second of which is shown a wrong label, to be told from the
    right one ("artificial noise injection": the teacher's own first wrong class, or a random one). The student does
    not train on trusted examples; it is what predicts. Model: ``WithLabelHead(base)``.

    Kept with a run, per training example as last seen: ``corrected`` the largest class of ``y~``, ``retained`` l.

    Published: eta and all learning rates 0.02, student with momentum 0.9 and teacher without (here both move alike),
    5 steps of look-ahead, start from self-supervised features, 15 epochs, 2 % trusted.

    Args:
        eta: size of the look-ahead step; the optimiser's learning rate. meta: factor on the meta loss.
        supervised, injected: factors on the teacher's cross entropy and binary cross entropy; 1 as published.
        injection: "adversarial", "random" or "none".
    """

    eta: Any = 0.05
    meta: Any = 1.0
    supervised: Any = 1.0
    injected: Any = 1.0
    injection: str = "adversarial"

    networks: ClassVar[int] = 2
    keeps: ClassVar[tuple[str, ...]] = ("corrected", "retained")

    def __post_init__(self):
        if self.injection not in INJECTIONS:
            raise ValueError(f"injection is one of {', '.join(INJECTIONS)}, got {self.injection!r}")

    def setup(self, start: Start):
        n = len(start.evidence)
        return {
            **super().setup(start),
            "corrected": start.evidence.labels,
            "retained": torch.ones(n, dtype=start.x.dtype),
        }

    def draw(self, rng, steps, batch_size):
        drawn = super().draw(rng, steps, batch_size)
        return {**drawn, "wrong": rng.integers(2**31, size=(steps, self.trusted_batch))}

    def objective(self, net, batch: Batch):
        (student, teacher), (x, y) = net, self.trusted(batch)
        labels, weight = batch.evidence.labels, others(batch)

        features = teacher.features(batch.x)
        guess = teacher.head(features).softmax(-1)
        keep = consult(teacher, features, labels)[:, 0].sigmoid()
        target = keep[:, None] * one_hot(labels, guess.shape[-1], guess.dtype) + (1 - keep[:, None]) * guess

        told = (weight * cross_entropy(student(batch.x), target.detach())).sum()  # the student's part
        slopes = one_step_slopes(student, batch.x, target.detach(), weight, x, y, self.eta)
        meta = self.eta * (weight[:, None] * slopes * target).sum()  # from here on the teacher's

        features = teacher.features(x)
        logits = teacher.head(features)
        loss = told + self.meta * meta + self.supervised * cross_entropy(logits, y).mean()
        if self.injection != "none":
            wrong = wrong_label(logits, y, batch.draws["wrong"], self.injection)
            right = torch.arange(len(y), device=y.device) % 2 == 1
            said = consult(teacher, features, torch.where(right, y, wrong))[:, 0]
            loss = loss + self.injected * F.binary_cross_entropy_with_logits(said, right.to(said.dtype))
        return loss, remember(
            batch, corrected=(target.argmax(-1), labels), retained=(keep.detach(), torch.ones_like(keep))
        )

    def predict(self, net, x):
        return net[0](x)


def others(batch: Batch) -> Tensor:
    """``(n,)`` weights that average over the examples that are *not* trusted. The student does not learn from the
    others: it would soon know them by heart, and what it knows by heart marks no correction."""
    other = (~batch.evidence.trusted).to(batch.x.dtype)
    return other / other.sum().clamp_min(1)


def wrong_label(logits: Tensor, labels: Tensor, number: Tensor, injection: str) -> Tensor:
    """``(n,)`` a wrong class each: of the largest wrong logit ("adversarial"), or by a random whole number."""
    k = logits.shape[-1]
    if injection == "random":
        return (labels + 1 + number % (k - 1)) % k
    true = one_hot(labels, k).bool()
    return torch.where(true, -torch.inf, logits.detach()).argmax(-1)


def remember(batch: Batch, **values: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """State entries with this batch's values put in: the first of a pair, the second where an example is trusted."""
    trusted, place = batch.evidence.trusted, (batch.index,)
    return {k: batch.state[k].index_put(place, torch.where(trusted, own, v)) for k, (v, own) in values.items()}
