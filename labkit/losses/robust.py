"""Losses that limit what a wrong label can do. Logits ``(..., K)``, values ``(...)``.

Each is a loss of a label, ``l(z, y)``; for a target distribution it is the average over it, ``sum_k t_k l(z, k)``, so a
target of ones sums over all labels. A loss is *symmetric* if that sum is the same whatever the network says: its
minimum then does not move under symmetric noise (Ghosh, Kumar, Sastry, 2017). The Jensen-Shannon loss compares
distributions instead. Bootstrapping is in :mod:`labkit.losses.soft_targets`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.evidence import one_hot
from labkit.names import look_up

FULL_MAE = 2.0  # ||p - onehot(y)||_1 = 2 (1 - p_y); ours is the reduced form 1 - p_y
REVERSE_CE = -math.log(1e-4)  # 9.2103: log 0 in reverse cross entropy, as the code has it (the papers speak of -4)


def of_label(per_class: Tensor, target: Tensor) -> Tensor:
    """The loss of the label, given the losses ``(..., K)`` of all labels; of a distribution, the average over it."""
    if not target.is_floating_point():
        target = one_hot(target, per_class.shape[-1], per_class.dtype)
    return (target * per_class).sum(-1)


def mae(logits: Tensor, target: Tensor) -> Tensor:
    """``1 - p_y``: half (see ``FULL_MAE``) the absolute error between prediction and label; in [0, 1], symmetric.

    Ghosh, Kumar, Sastry (2017), "Robust loss functions under label noise for deep neural networks".
    """
    return of_label(_miss(torch.log_softmax(logits, -1)), target)


def gce(logits: Tensor, target: Tensor, q) -> Tensor:
    """``(1 - p_y^q) / q``; q = 1 is :func:`mae`, q = 0 (the limit) cross entropy. Its gradient is ``p_y^q`` times that
    of cross entropy.

    Zhang, Sabuncu (2018), "Generalized cross entropy loss for training deep neural networks with noisy labels",
    equation 6; q in [0, 1], published 0.7.
    """
    return of_label(_gce(torch.log_softmax(logits, -1), q), target)


def truncated_gce(logits: Tensor, target: Tensor, q, k) -> Tensor:
    """:func:`gce` where ``p_y > k``, elsewhere its value at k, a constant: an example doubted so much teaches nothing.

    Zhang, Sabuncu (2018), equation 9; k in [0, 1), published q = 0.7, k = 0.5.
    """
    log_p = torch.log_softmax(logits, -1)
    log_k = torch.as_tensor(k, dtype=logits.dtype, device=logits.device).log()
    return of_label(torch.where(log_p > log_k, _gce(log_p, q), _gce(log_k, q)), target)


def sce(logits: Tensor, target: Tensor, alpha, beta) -> Tensor:
    """``alpha CE + beta RCE`` with reverse cross entropy ``RCE = 9.2103 (1 - p_y)`` (``REVERSE_CE``).

    Wang, Ma, Chen, Luo, Yi, Bailey (2019), "Symmetric cross entropy for robust learning with noisy labels", equation 5.
    Published alpha, beta: MNIST 0.01, 1; CIFAR-10 0.1, 1; CIFAR-100 6, 0.1.
    """
    log_p = torch.log_softmax(logits, -1)
    return of_label(-alpha * log_p + beta * REVERSE_CE * _miss(log_p), target)


def nce(logits: Tensor, target: Tensor) -> Tensor:
    """``log p_y / sum_k log p_k``, normalised cross entropy: in [0, 1], over all labels it sums to 1.

    Ma, Huang, Wang, Romano, Erfani, Bailey (2020), "Normalized loss functions for deep learning with noisy labels".
    """
    return of_label(_normalised(-torch.log_softmax(logits, -1)), target)


def nfl(logits: Tensor, target: Tensor, gamma=0.5, constant_weights: bool = False) -> Tensor:
    """Normalised focal loss ``f_y / sum_k f_k`` with ``f_k = -(1 - p_k)^gamma log p_k``. gamma 0 is :func:`nce`.

    Ma et al. (2020); gamma 0.5. With ``constant_weights`` the powers are held constant in the gradient, as in the
    authors' code, which therefore does not follow the gradient of the formula.
    """
    return of_label(_nfl(torch.log_softmax(logits, -1), gamma, constant_weights), target)


def ngce(logits: Tensor, target: Tensor, q) -> Tensor:
    """``(1 - p_y^q) / (K - sum_k p_k^q)``, normalised :func:`gce`; q = 0 is :func:`nce`, q = 1 ``mae / (K - 1)``.

    Ma et al. (2020); q 0.1 on MNIST and CIFAR-10, 0.7 on CIFAR-100.
    """
    return of_label(_normalised(_gce(torch.log_softmax(logits, -1), q)), target)


ACTIVE = {  # raise p_y; all normalised
    "nce": lambda log_p, gamma, q: _normalised(-log_p),
    "nfl": lambda log_p, gamma, q: _nfl(log_p, gamma),
    "ngce": lambda log_p, gamma, q: _normalised(_gce(log_p, q)),
}
PASSIVE = {  # also lower what is not y
    "mae": lambda log_p: _miss(log_p),
    "rce": lambda log_p: REVERSE_CE * _miss(log_p),  # not normalised; beta of it is 9.21 beta of "mae"
    "agce": lambda log_p: _agce(log_p, 3.0, 1.5),
    "aul": lambda log_p: _aul(log_p, 6.0, 1.5),
}


def active_passive(
    logits: Tensor, target: Tensor, alpha, beta, active: str = "nce", passive: str = "rce", gamma=0.5, q=0.1
) -> Tensor:
    """``alpha active + beta passive``: a normalised loss that raises p_y, and one that also lowers the others.

    Ma et al. (2020). ``active`` is "nce", "nfl" (takes gamma) or "ngce" (takes q); ``passive`` "mae" or "rce", or
    "agce" (a = 3, q = 1.5) or "aul" (a = 6, q = 1.5), the partners of Zhou et al. (2021). Published alpha, beta with
    "rce": MNIST 1, 10; CIFAR-10 1, 1; CIFAR-100 10, 0.1.

    Raises:
        ValueError: an unknown name.
    """
    log_p = torch.log_softmax(logits, -1)
    first, second = look_up("active loss", active, ACTIVE), look_up("passive loss", passive, PASSIVE)
    return of_label(alpha * first(log_p, gamma, q) + beta * second(log_p), target)


def agce(logits: Tensor, target: Tensor, a, q) -> Tensor:
    """``((a + 1)^q - (a + p_y)^q) / q``, asymmetric generalised cross entropy: 0 at p_y = 1.

    Zhou, Liu, Jiang, Gao, Ji (2021), "Asymmetric loss functions for learning with noisy labels"; a >= 0, q > 0,
    published a = 1, q = 2 alone. a = 0 is :func:`gce`, q = 1 :func:`mae`.
    """
    return of_label(_agce(torch.log_softmax(logits, -1), a, q), target)


def aul(logits: Tensor, target: Tensor, a, q) -> Tensor:
    """``((a - p_y)^q - (a - 1)^q) / q``, asymmetric unhinged loss: 0 at p_y = 1.

    Zhou et al. (2021); a > 1, q > 0, published a = 1.5, q = 0.9 alone. q = 1 is :func:`mae`.
    """
    return of_label(_aul(torch.log_softmax(logits, -1), a, q), target)


def jensen_shannon(logits: Tensor, target: Tensor, weight) -> Tensor:
    """``(w KL(t || m) + (1 - w) KL(p || m)) / Z``, ``m = w t + (1 - w) p``, ``Z = -(1 - w) log(1 - w)``.

    Englesson, Azizpour (2021), "Generalized Jensen-Shannon divergence loss for learning with noisy labels", equation 1
    (w is their pi_1, in (0, 1)). As w goes to 0 it becomes KL(t || p), cross entropy for one-hot t; w to 1 gives MAE.
    """
    if not target.is_floating_point():
        target = one_hot(target, logits.shape[-1], logits.dtype)
    log_p = torch.log_softmax(logits, -1)
    w = torch.as_tensor(weight, dtype=logits.dtype, device=logits.device)
    log_m = torch.logaddexp(w.log() + target.log(), torch.log1p(-w) + log_p)
    from_target = -torch.special.entr(target).sum(-1) - (target * log_m).sum(-1)
    from_prediction = (log_p.exp() * (log_p - log_m)).sum(-1)
    return (w * from_target + (1 - w) * from_prediction) / -((1 - w) * torch.log1p(-w))


def rll(logits: Tensor, target: Tensor, a) -> Tensor:
    """``-log(a + p_y) + 1 / (K - 1) sum_{k != y} log(a + p_k)``, robust log loss, a > 0; over all labels it sums to 0.

    Patel, Sastry (2021), "Memorization in deep neural networks: does the loss function matter?"; their a could not be
    read, Zhu et al. (2023) choose among 0.1, 1 and 10.
    """
    # from log p, and not log(a + p), so that a may be as small as one likes
    log = torch.logaddexp(torch.as_tensor(a, dtype=logits.dtype, device=logits.device).log(), logits.log_softmax(-1))
    return of_label((log.sum(-1, keepdim=True) - log) / (logits.shape[-1] - 1) - log, target)


# ---- per class: log p (..., K) -> the loss of every label (..., K) ---------------------------------------------------


def _miss(log_p: Tensor) -> Tensor:
    return -torch.expm1(log_p)  # 1 - p, exact where p is close to 1


def _gce(log_p: Tensor, q) -> Tensor:
    q = torch.as_tensor(q, dtype=log_p.dtype, device=log_p.device)
    safe = torch.where(q == 0, 1.0, q)  # expm1 keeps every q above 0 exact; 0 itself is the limit
    return torch.where(q == 0, -log_p, -torch.expm1(safe * log_p) / safe)


def _nfl(log_p: Tensor, gamma, constant: bool = False) -> Tensor:
    base = _miss(log_p).clamp_min(torch.finfo(log_p.dtype).tiny)  # as in focal: keeps slopes finite where p rounds to 1
    weight = torch.exp(gamma * base.log())
    return _normalised(-(weight.detach() if constant else weight) * log_p)


def _normalised(per_class: Tensor) -> Tensor:
    return per_class / per_class.sum(-1, keepdim=True)


def _agce(log_p: Tensor, a, q) -> Tensor:
    a = torch.as_tensor(a, dtype=log_p.dtype, device=log_p.device)
    return ((a + 1) ** q - torch.exp(q * torch.logaddexp(a.log(), log_p))) / q  # from log p: finite slopes at a = 0


def _aul(log_p: Tensor, a, q) -> Tensor:
    return ((a - 1 + _miss(log_p)) ** q - (a - 1) ** q) / q
