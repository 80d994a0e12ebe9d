"""Further ways to soften a target or to trust it less. Logits and targets ``(..., K)``, values ``(...)`` in nats.

Generalised (positive or negative) smoothing is :func:`labkit.losses.label_smoothing` at any rate up to 1;
:func:`equivalent_rate` says which rate belongs to which noise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy, entropy
from labkit.losses.smoothing import focal


def equivalent_rate(noise: float, n_classes: int, clean_rate: float = 0.0) -> float:
    """The smoothing rate r that on symmetric-noise labels does what ``clean_rate`` r* does on clean ones, on average.

    ``r = 1 - (1 - r*) / (1 - e K / (K - 1))``, in expectation over the noise, example by example. With r* = 0 smoothing
    at rate r is cross entropy with backward correction (Patrini et al., 2017), so r < 0 for every noise rate.

    Wei, Liu, Liu, Niu, Sugiyama, Liu (2022), "To smooth or not? When label smoothing meets noisy labels", whose result
    for two classes is ``(r* - 2 e) / (1 - 2 e)``.

    Args:
        noise: e, the probability that a label is wrong, uniform over the other classes, in ``[0, (K - 1) / K)``.

    Raises:
        ValueError: at ``e = (K - 1) / K`` labels say nothing, and no rate repairs that.
    """
    if n_classes < 2:
        raise ValueError(f"smoothing is over two or more classes, got n_classes = {n_classes}")
    kept = 1 - noise * n_classes / (n_classes - 1)
    if not 0 < kept <= 1:
        raise ValueError(
            f"labels wrong at rate {noise:g} cannot be corrected with {n_classes} classes; give a rate from 0 to below "
            f"{(n_classes - 1) / n_classes:.4g}"
        )
    return 1 - (1 - clean_rate) / kept


def soft_bootstrapping(logits: Tensor, target: Tensor, beta) -> Tensor:
    """``beta CE(t) + (1 - beta) H(p)``: cross entropy against ``beta t + (1 - beta) p``, the gradient through both.

    Reed, Lee, Anguelov, Szegedy, Erhan, Rabinovich (2015), "Training deep neural networks on noisy labels with
    bootstrapping", the soft variant; beta 0.95. (With p held constant in the target the value is the same and the
    gradient only ``beta`` times cross entropy's.)
    """
    return beta * cross_entropy(logits, target) + (1 - beta) * entropy(logits)


def hard_bootstrapping(logits: Tensor, target: Tensor, beta) -> Tensor:
    """``beta CE(t) + (1 - beta) (-log max_k p_k)``: part of the target moves to the predicted class.

    Reed et al. (2015), the hard variant; beta 0.8.
    """
    predicted = logits.logsumexp(-1) - logits.max(-1).values
    return beta * cross_entropy(logits, target) + (1 - beta) * predicted


def adaptive_focal(logits: Tensor, target: Tensor, threshold=0.2, unsure=5.0, sure=3.0) -> Tensor:
    """Focal loss whose exponent depends on the example: ``unsure`` where ``p_y < threshold``, ``sure`` elsewhere.

    Mukhoti, Kulharia, Sanyal, Golodetz, Torr, Dokania (2020), "Calibrating deep neural networks using focal loss":
    "FLSD-53" is the defaults. The exponent is held constant in the gradient.
    """
    p = logits.detach().softmax(-1)
    gamma = torch.where(p < threshold, torch.as_tensor(unsure).to(p), torch.as_tensor(sure).to(p))
    return focal(logits, target, gamma)


def dual_focal(logits: Tensor, target: Tensor, gamma) -> Tensor:
    """``-(1 - p_y + p_j)^gamma log p_y``, p_j the largest probability strictly below p_y (0 if there is none).

    Tao, Dong, Xu (2023), "Dual focal loss for calibration". The gradient goes through p_j too.
    ``target`` must be one-hot. gamma 0 is cross entropy.
    """
    log_p = torch.log_softmax(logits, -1)
    p = log_p.exp()
    log_label = (target * log_p).sum(-1)
    below = p < (target * p).sum(-1, keepdim=True)
    rival = torch.where(below, p, torch.zeros_like(p)).max(-1).values
    # as in focal: the floor keeps slopes finite where p_y rounds to 1
    base = (rival - torch.expm1(log_label)).clamp_min(torch.finfo(logits.dtype).tiny)
    return -torch.exp(gamma * base.log()) * log_label


def thresholded_confidence_penalty(logits: Tensor, target: Tensor, weight, threshold) -> Tensor:
    """``CE + weight max(0, threshold - H(p))``: entropy is asked for only up to ``threshold`` nats.

    Pereyra, Tucker, Chorowski, Kaiser, Hinton (2017), "Regularizing neural networks by penalizing confident output
    distributions" (annealing and thresholding). A threshold of log K never stops asking: it is
    :func:`labkit.losses.confidence_penalty` plus ``weight log K``.
    """
    return cross_entropy(logits, target) + weight * (threshold - entropy(logits)).relu()
