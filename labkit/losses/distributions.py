"""Learning a whole distribution over the classes. Logits ``(n, K)``, values ``(n,)`` in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy


def label_distribution(logits: Tensor, target: Tensor) -> Tensor:
    """``KL(d || p) = sum_k d_k log(d_k / p_k)`` with ``0 log 0 = 0``; ``target`` d is ``(n, K)``, not negative.

    Geng (2016), "Label distribution learning": d is to be matched, not its largest entry to be hit. It is cross entropy
    less the entropy of d, which does not depend on the network: the same gradient, and a minimum of 0 at p = d.
    """
    return cross_entropy(logits, target) - torch.special.entr(target).sum(-1)
