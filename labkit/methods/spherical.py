"""Spherical losses as methods. Each answers with what stands in the place of logits for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from labkit import losses
from labkit.losses import target_of
from labkit.methods.base import Method


@dataclass
class ZLoss(Method):
    """``softplus(a (b - z_y)) / a`` on outputs scaled to mean 0 and deviation 1. de Brébisson, Vincent (2016).

    a and b are to be tuned; the released example has a = 1, b = 0. Answers with the scaled outputs: they rank the
    classes, but their softmax is no probability the loss ever spoke of.
    """

    a: Any = 1.0
    b: Any = 0.0

    def loss(self, logits, evidence):
        return losses.z_loss(logits, target_of(evidence, logits.dtype), self.a, self.b)

    def predict(self, net, x):
        return losses.z_scores(net(x))


@dataclass
class TaylorSoftmax(Method):
    """Log loss of ``t_k / sum_j t_j``, ``t_k = 1 + o_k + o_k^2 / 2``. de Brébisson, Vincent (2016). Answers log t."""

    def loss(self, logits, evidence):
        return losses.taylor_softmax(logits, target_of(evidence, logits.dtype))

    def predict(self, net, x):
        return losses.taylor_log(net(x))


@dataclass
class SphericalSoftmax(Method):
    """Log loss of ``t_k / sum_j t_j``, ``t_k = o_k^2 + epsilon``. de Brébisson, Vincent (2016). Answers log t.

    The paper's epsilon could not be read; 1e-3 is the default here.
    """

    epsilon: Any = 1e-3

    def loss(self, logits, evidence):
        return losses.spherical_softmax(logits, target_of(evidence, logits.dtype), self.epsilon)

    def predict(self, net, x):
        return losses.spherical_log(net(x), self.epsilon)
