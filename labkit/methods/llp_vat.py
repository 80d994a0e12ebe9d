"""Consistency for bags: besides a bag's proportions, a member's prediction should stand small changes of its input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vjp

from labkit.methods.base import Batch, Start
from labkit.methods.proportions import ProportionLoss
from labkit.methods.selection import rising

CONSISTENCIES = ("vat", "pi", "none")
TABLE = 512  # Gaussian inputs per run; each bag of a step takes a stretch of them that begins anywhere


@dataclass(kw_only=True)
class LLPVAT(ProportionLoss):
    """``CE(alpha, mean p) + w(t) mean_i D(x_i)``: proportions, and consistency of each member with itself.

    Tsai, Lin (2020), "Learning from label proportions with consistency regularization".
    ``w(t) = weight exp(-5 (1 - min(1, t / ramp))^2)``, t the share of training done: from 0.7 % of ``weight`` to all of
    it. What D is, ``consistency`` says:

    - "vat": ``KL(p(x) || p(x + r))``, p(x) a constant; r, of length ``eps sqrt(numbers in x)``, points to where this
      grows fastest (:func:`adversarial_direction`). Miyato, Maeda, Koyama, Ishii (2019), "Virtual adversarial
      training: a regularization method for supervised and semi-supervised learning";
    - "pi": ``|p(x) - p(x + noise)|^2``, p(x + noise) a constant, Gaussian noise of standard deviation ``noise``. Laine,
      Aila (2017), "Temporal ensembling for semi-supervised learning";
    - "none": D = 0, which is :class:`ProportionLoss`.

    Published: weight 0.05, ramp 0.4, noise 0.15; r of length 6 for 32 x 32 x 3 numbers, which is ``eps = 0.108``.
    """

    consistency: str = "vat"
    weight: Any = 0.05
    ramp: Any = 0.4
    eps: Any = 0.108
    noise: Any = 0.15

    def __post_init__(self):
        if self.consistency not in CONSISTENCIES:
            raise ValueError(f"consistency is one of {', '.join(CONSISTENCIES)}, got {self.consistency!r}")

    def setup(self, start: Start):
        if self.consistency == "none":
            return {}
        # a step does not know in `draw` how many numbers its inputs have, so they are drawn here, once
        return {"gaussian": torch.from_numpy(start.rng.standard_normal((TABLE, *start.x.shape[1:])))}

    def draw(self, rng, steps, batch_size):
        return {} if self.consistency == "none" else {"stretch": rng.integers(TABLE, size=(steps, batch_size))}

    def objective(self, net, batch: Batch):
        z = net(batch.x)
        told = self.loss(z, batch.evidence).mean()
        return told + self.consistent(net, batch.x, z, batch.evidence.present, batch), {}

    def consistent(self, net, x: Tensor, z: Tensor, present: Tensor, batch: Batch) -> Tensor:
        """``w(t) mean_i D(x_i)`` over the members present ``(b, S)``; x ``(b * S, ...)``, z its logits."""
        if self.consistency == "none":
            return z.new_zeros(())
        place = batch.draws["stretch"][:, None] + torch.arange(present.shape[1], device=x.device)
        gaussian = batch.state["gaussian"][place.flatten() % TABLE]
        if self.consistency == "pi":
            beside = net(x + self.noise * gaussian).detach()
            own = (z.softmax(-1) - beside.softmax(-1)).square().sum(-1)
        else:
            r = adversarial_direction(net, x, gaussian) * self.eps * math.sqrt(x[0].numel())
            own = divergence(z.detach(), net(x + r))
        weight = self.weight * torch.exp(-5 * (1 - rising(batch.progress, self.ramp)) ** 2)
        here = present.flatten().to(own.dtype)
        return weight * (own * here).sum() / here.sum()


def divergence(z: Tensor, other: Tensor) -> Tensor:
    """``KL(softmax(z) || softmax(other))``, ``(n,)`` nats."""
    log_p = z.log_softmax(-1)
    return (log_p.exp() * (log_p - other.log_softmax(-1))).sum(-1)


def adversarial_direction(net, x: Tensor, gaussian: Tensor) -> Tensor:
    """Where ``KL(p(x) || p(x + r))`` grows fastest, one power step from ``gaussian``: like x, each of length 1 (0 where
    the network is flat). A constant: nothing is differentiated through it.

    The power step as published is the gradient of the divergence at ``xi d``, d the Gaussian at length 1 and xi = 1e-6.
    In single precision that measures rounding: on a trained digits network its cosine with the true direction is 0.1
    (at xi = 0.01 it is 0.93). This is its limit as xi goes to 0, exactly: ``J' (diag(p) - p p') J d``, J the Jacobian
    of the logits. Nor do we divide by the length plus 1e-8, as published: the gradient of a *mean* over a batch at
    xi = 1e-6 is shorter than 1e-8, so r was a small part of its length, and the smaller the larger the batch.
    """
    z, along = jvp(net, (x,), (unit(gaussian),))
    along = along - along.gather(-1, z.argmax(-1, keepdim=True))  # p = 1 would leave only rounding of its own change
    p = z.softmax(-1)
    (back,) = vjp(net, x)[1](p * (along - (p * along).sum(-1, keepdim=True)))
    return unit(back).detach()


def unit(d: Tensor) -> Tensor:
    """Each example's d at length 1. By its largest entry first, for squares of small numbers vanish."""
    flat = d.flatten(1)
    flat = flat / flat.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(d.dtype).tiny)
    return (flat / flat.norm(dim=-1, keepdim=True).clamp_min(0.5)).view_as(d)


__all__ = ["LLPVAT", "adversarial_direction"]
