"""Losses that keep a network from becoming too sure. Logits ``(n, K)``, values ``(n,)`` in nats."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy, entropy


def smooth(target: Tensor, smoothing) -> Tensor:
    """``(1 - a) t + a / K``: the convention with a / K on every class, the true one included.

    (Where a source puts a' / (K - 1) on each *other* class, a' = a (K - 1) / K.)
    """
    return (1 - smoothing) * target + smoothing / target.shape[-1]


def label_smoothing(logits: Tensor, target: Tensor, smoothing) -> Tensor:
    """Cross entropy against :func:`smooth`; ``smoothing`` 0 is cross entropy.

    Müller, Kornblith, Hinton (2019), "When does label smoothing help?", section 1. It equals
    ``CE + a (z_y - mean_k z_k)``. The minimum is the entropy of the smoothed target, not 0.
    """
    return cross_entropy(logits, smooth(target, smoothing))


def confidence_penalty(logits: Tensor, target: Tensor, weight) -> Tensor:
    """``CE - weight * H(p)``, H summed (not averaged) over classes.

    Pereyra, Tucker, Chorowski, Kaiser, Hinton (2017), "Regularizing neural networks by penalizing confident output
    distributions", equation 2; their weight is 0.1 on images, 1 on text.
    """
    return cross_entropy(logits, target) - weight * entropy(logits)


def focal(logits: Tensor, target: Tensor, gamma) -> Tensor:
    """``-sum_k t_k (1 - p_k)^gamma log p_k``; on hard labels ``-(1 - p_y)^gamma log p_y``, gamma 0 is cross entropy.

    Lin, Goyal, Girshick, He, Dollár (2017), "Focal loss for dense object detection", equation 4; gamma 2.
    """
    log_p = torch.log_softmax(logits, -1)
    # log(1 - p_k) as the log-sum-exp of the other classes would cost K^2; -expm1 is exact for p away from 1, and the
    # floor keeps the slope of (1 - p)^gamma finite where p rounds to 1 and gamma < 1
    tiny = torch.finfo(logits.dtype).tiny
    weight = torch.exp(gamma * torch.log((-torch.expm1(log_p)).clamp_min(tiny)))
    return -(target * weight * log_p.clamp_min(torch.finfo(logits.dtype).min)).sum(-1)


def distillation(logits: Tensor, teacher_logits: Tensor, temperature) -> Tensor:
    """``T^2 KL(softmax(z_t / T) || softmax(z_s / T))``; the teacher's logits are constants.

    Hinton, Vinyals, Dean (2015), "Distilling the knowledge in a neural network", section 2. The gradient in the
    student's logits is ``T (softmax(z_s / T) - softmax(z_t / T))``.
    """
    log_q = torch.log_softmax(teacher_logits.detach() / temperature, -1)
    log_p = torch.log_softmax(logits / temperature, -1)
    return temperature**2 * (log_q.exp() * (log_q - log_p)).sum(-1)
