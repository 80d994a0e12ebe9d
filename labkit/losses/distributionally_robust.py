"""Losses against the worst distribution over rival classes, with a temperature that may differ between examples.

Scores ``(..., K)``, target ``(..., K)`` one-hot or ``(...)`` class indices, values ``(...)``. All after Zhu, Ying, Yang
(2023), "Label distributionally robust losses for multi-class classification: consistency, robustness and adaptivity".
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.evidence import one_hot


def ldr_kl(scores: Tensor, target: Tensor, temperature, margin=0.0) -> Tensor:
    """``L log( 1/K sum_k exp((f_k - f_y + c 1[k != y]) / L) )``, the temperature L above 0, c the margin.

    It is ``max over q of sum_k q_k (f_k - f_y + c 1[k != y]) - L KL(q || uniform)``. L = 1, c = 0 is cross entropy
    **less log K** (the gradient is the same); L to 0 is the Crammer-Singer hinge; L to infinity the mean over k.
    ``temperature`` is a number or one per example ``(...)``. The authors give it :func:`scale_free` scores.
    """
    if not target.is_floating_point():
        target = one_hot(target, scores.shape[-1], scores.dtype)
    lead = torch.as_tensor(temperature, dtype=scores.dtype, device=scores.device).expand(scores.shape[:-1])
    ahead = scores - (target * scores).sum(-1, keepdim=True) + margin * (1 - target)
    return lead * ((ahead / lead[..., None]).logsumexp(-1) - math.log(scores.shape[-1]))


def aldr_kl(scores: Tensor, target: Tensor, temperature, centre, penalty, margin=0.0) -> Tensor:
    """``LDR-KL(L) - penalty / 2 (L - centre)^2`` at given temperatures L ``(...)``, which are constants.

    The adaptive loss is its **maximum** over L; :func:`adapted_temperature` is the stationary point. ``penalty`` is the
    paper's alpha; the released code puts ``alpha log K / centre`` in its place (:func:`coded_penalty`).
    """
    temperature = torch.as_tensor(temperature, dtype=scores.dtype, device=scores.device).detach()
    return ldr_kl(scores, target, temperature, margin) - penalty / 2 * (temperature - centre) ** 2


def adapted_temperature(scores: Tensor, temperature, centre, penalty, floor: float = 1e-5) -> Tensor:
    """One step of ``L = centre - KL(q || uniform) / penalty``, ``q = softmax(scores / L)``, shape ``(...)``.

    A sure prediction gets a small temperature, an unsure one stays near ``centre``. As in the code q knows no margin,
    and ``floor`` is added to it before it is scaled to sum to 1 again. L stays positive if ``penalty > log K /
    centre``. With ``scores + margin (1 - target)`` and floor 0 the fixed point is exactly stationary for
    :func:`aldr_kl`.
    """
    lead = torch.as_tensor(temperature, dtype=scores.dtype, device=scores.device).expand(scores.shape[:-1])
    q = (scores / lead[..., None]).softmax(-1) + floor
    q = q / q.sum(-1, keepdim=True)
    divergence = math.log(scores.shape[-1]) - torch.special.entr(q).sum(-1)
    return centre - divergence / penalty


def coded_penalty(alpha, n_classes: int, centre):
    """``alpha log K / centre``: then the temperature lies in ``[centre (1 - 1 / alpha), centre]`` for every K."""
    return alpha * math.log(n_classes) / centre


def scale_free(logits: Tensor, softplus: bool = True) -> Tensor:
    """Scores divided by the mean of their absolute values, ``K f_k / sum_j |f_j|``, f the logits or their softplus.

    The authors' code does this before its losses, which makes them blind to the scale of the scores and is part of the
    published results: LDR-KL with softplus; ALDR-KL without, but for CIFAR-100. Without softplus scores that are all 0
    have no scale and give NaN; a network must not start there.
    """
    k = logits.shape[-1]
    if not softplus:
        return k * logits / logits.abs().sum(-1, keepdim=True)
    # through the logarithm of softplus, because softplus itself is 0 far below 0, and 0 / 0 if all are there
    deep = logits < -30
    log = torch.where(deep, logits, torch.logaddexp(torch.where(deep, 0.0, logits), logits.new_zeros(())).log())
    return k * log.softmax(-1)
