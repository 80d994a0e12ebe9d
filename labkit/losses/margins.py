"""Smoothing that looks at the logits first: margins between them, and the soft label behind any loss.

Logits ``(..., K)``, targets ``(...)`` class indices or ``(..., K)`` weights, values ``(...)`` in nats.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from labkit.evidence import one_hot
from labkit.losses.basic import cross_entropy


def mbls(logits: Tensor, target: Tensor, weight, margin) -> Tensor:
    """``CE + a mean_k relu(max z - z_k - m)``: smoothing only of logits that lie more than m below the largest.

    Liu, Ben Ayed, Galdran, Dolz (2022), "The devil is in the margin: margin-based label smoothing for network
    calibration", averaged over all K classes as in the authors' code (the paper sums). a = 0.1; m = 10 on
    Tiny-ImageNet, 6 on CIFAR-10. The gradient flows through the largest logit too. At m = 0 it is
    :func:`labkit.losses.maxsup`; at m above every gap it is cross entropy.
    """
    gap = logits.max(-1, keepdim=True).values - logits
    return cross_entropy(logits, target) + weight * (gap - margin).relu().mean(-1)


def acls(logits: Tensor, target: Tensor, weight, positive=1.0, negative=0.1, margin=10.0, adaptive=True) -> Tensor:
    """``CE + a [l1 relu(z_j - m)^2 + l2 / (K - 1) sum_{k != j} relu(sg(z_j) - z_k - m)^2]``, j the predicted class.

    Park, Noh, Oh, Baek, Ham (2023), "ACLS: adaptive and conditional label smoothing for network calibration", as in
    the authors' code (a = 0.1, l1 = 1, l2 = 0.1, m = 10); sg stops the gradient. *Conditional*: nothing happens within
    the margin. *Adaptive*: beyond it the pull grows with the overshoot. The first term compares the raw logit with m,
    so this loss, unlike its relatives, changes when a constant is added to all logits. Of equal largest logits one is
    j (the code takes all of them).

    Args:
        positive, negative: l1, l2. adaptive: False takes the hinges without the square, so that the pull is constant
            beyond the margin (conditional only); ``margin=0`` leaves nothing untouched (adaptive only).
    """
    top = logits.max(-1, keepdim=True)
    over = (top.values[..., 0] - margin).relu()
    under = (top.values.detach() - logits - margin).relu()
    if adaptive:
        over, under = over.square(), under.square()
    others = 1 - one_hot(top.indices[..., 0], logits.shape[-1], logits.dtype)
    penalty = positive * over + negative * (others * under).sum(-1) / (logits.shape[-1] - 1)
    return cross_entropy(logits, target) + weight * penalty


def implied_target(loss: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
    """``t = p - d loss / d z``: the soft label for which cross entropy has the same gradient at these logits. (..., K).

    Every pointwise loss is, at each moment, label smoothing with these targets. They sum to 1 if and only if the loss
    does not change when a constant is added to all logits; they may leave [0, 1]. For label smoothing they are its
    targets whatever the logits. The view is that of Park et al. (2023).

    Args:
        loss: logits -> one value per example, such as ``lambda z: losses.focal(z, target, 2.0)``.
    """
    given = logits.detach().requires_grad_()
    (slope,) = torch.autograd.grad(loss(given).sum(), given)
    return given.detach().softmax(-1) - slope
