"""Learning a whole distribution over the classes. Logits ``(n, K)``, values ``(n,)`` in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy


def label_distribution(logits: Tensor, target: Tensor) -> Tensor:
    """``KL(d || p) = sum_k d_k log(d_k / p_k)`` with ``0 log 0 = 0``; ``target`` d is ``(n, K)``, not negative.

    Geng (2016), "Label distribution learning": d is to be matched, not its largest entry to be hit. It is cross entropy
    less the entropy of d, which does not depend on the network: the same gradient, and a minimum of 0 at p = d.
    """
    return cross_entropy(logits, target) - torch.special.entr(target).sum(-1)


def dirichlet_kl(alpha: Tensor) -> Tensor:
    """``KL(Dirichlet(alpha) || Dirichlet(1))`` for ``alpha`` ``(n, K)`` above 0: how far from knowing nothing.

    ``lnG(A) - sum lnG(a_k) - lnG(K) + sum (a_k - 1)(psi(a_k) - psi(A))`` with ``A = sum a_k``; 0 at ``alpha = 1``.
    """
    total = alpha.sum(-1, keepdim=True)
    volume = total[..., 0].lgamma() - alpha.lgamma().sum(-1) - math.lgamma(alpha.shape[-1])
    return volume + ((alpha - 1) * (alpha.digamma() - total.digamma())).sum(-1)
