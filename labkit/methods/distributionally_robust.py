"""Label-distributionally robust losses as methods, on scale-free scores as the authors code them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from labkit import losses
from labkit.evidence import Labels
from labkit.losses import target_of
from labkit.methods.base import Batch, Method, Start


@dataclass
class LDRKL(Method):
    """``L log( 1/K sum_k exp((f_k - f_y + margin 1[k != y]) / L) )``. Zhu, Ying, Yang (2023).

    f is softplus of the logits over its mean. Published margin 0.1, L 10 (in the released script; chosen from 0.1, 1
    and 10). ``normalise=False`` takes the logits as they are; with margin 0 and L = 1 it trains like cross entropy.
    """

    temperature: Any = 10.0
    margin: Any = 0.1
    normalise: bool = True

    accepts: ClassVar = (Labels,)

    def loss(self, logits, evidence):
        scores = losses.scale_free(logits) if self.normalise else logits
        return losses.ldr_kl(scores, target_of(evidence, logits.dtype), self.temperature, self.margin)


@dataclass
class ALDRKL(Method):
    """LDR-KL with a temperature per example: small where the network is sure, near ``centre`` where it is not.

    Zhu, Ying, Yang (2023). Whenever example i is seen, ``q = softmax(f / L_i)``, then ``L_i <- centre - centre
    KL(q || uniform) / (alpha log K)``, which is then a constant of the loss; so L_i lies in ``[centre (1 - 1 / alpha),
    centre]``. The same loss for all examples is the corner alpha to infinity.

    Args:
        centre: lambda_0, where all L_i start. alpha: above 1; how little they may move. margin.
        softplus: whether scores are softplus of the logits before they are divided by their mean absolute value.
            Published: centre 10 (from 0.1, 1, 10), alpha 2, margin 0.1, softplus only on CIFAR-100.

    Kept with a run: ``temperature`` ``(n,)``.
    """

    centre: Any = 10.0
    alpha: Any = 2.0
    margin: Any = 0.1
    softplus: bool = False

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("temperature",)

    def setup(self, start: Start):
        return {"temperature": torch.full((len(start.evidence),), float(self.centre))}

    def objective(self, net, batch: Batch):
        scores = losses.scale_free(net(batch.x), self.softplus)
        target = target_of(batch.evidence, scores.dtype)
        penalty = losses.coded_penalty(self.alpha, scores.shape[-1], self.centre)
        memory = batch.state["temperature"]
        own = losses.adapted_temperature(scores.detach(), memory[batch.index], self.centre, penalty)
        loss = losses.aldr_kl(scores, target, own, self.centre, penalty, self.margin)
        return loss.mean(), {"temperature": memory.index_put((batch.index,), own.to(memory))}
