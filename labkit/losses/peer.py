"""Losses of pairs: what is said of an example, against what is said of another one drawn at random.

A label that was not made for an example says nothing about it. Paying a model for agreeing with the labels of *others*
takes away what it could gain by guessing, or by believing labels without looking. Here ``logits[i]`` and ``labels[i]``
belong together, ``peer_labels[i]`` is the label of another training example. Logits ``(n, K)``, values ``(n,)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from labkit.losses.basic import cross_entropy
from labkit.names import look_up


def floored_cross_entropy(logits: Tensor, floor: float = 0.0) -> Tensor:
    """``-log(p_k + floor)`` of every class, ``(n, K)`` in nats: bounded by ``-log floor``; 0 is plain cross entropy."""
    log_p = torch.log_softmax(logits, -1)
    return -torch.logaddexp(log_p, log_p.new_tensor(math.log(floor))) if floor else -log_p


def _at(values: Tensor, labels: Tensor) -> Tensor:
    return values.gather(-1, labels[:, None])[:, 0]


def peer(
    logits: Tensor, labels: Tensor, peer_logits: Tensor, peer_labels: Tensor, alpha: float | Tensor = 1.0,
    floor: float = 1e-5,
) -> Tensor:  # fmt: skip
    """``l(x_i, y_i) - alpha l(x_a, y_b)``, l cross entropy, a and b two examples drawn independently.

    Liu and Guo (2020), "Peer loss functions", ICML. Where ``T[i, j] = e_j`` for all ``i != j`` (symmetric noise is
    one case) and alpha = 1 its expectation is ``1 - sum_j e_j`` times that under clean labels, whatever the model.
    Without a floor its expectation at alpha = 1 is linear in the logits and has no minimum; ``floor``, as in the
    authors' code, bounds what can be won by denying a peer's label.

    Args:
        peer_logits: of the x_a; peer_labels: the y_b. alpha: weight, 0 is cross entropy (up to the floor).
        floor: l is ``-log(p + floor)``; default 1e-5.
    """
    own = _at(floored_cross_entropy(logits, floor), labels)
    return own - alpha * _at(floored_cross_entropy(peer_logits, floor), peer_labels)


def binary_peer_weight(positive: float, miss: float, false_alarm: float) -> float:
    """The alpha at which, for two classes and 0-1 loss, the noisy peer risk is affine in the clean *risk*.

    ``1 - (1 - miss - false_alarm) (2 positive - 1) / (2 noisy - 1)``; the slope is ``1 - miss - false_alarm``.

    Args:
        positive: P(class 1). miss: P(label 0 | class 1). false_alarm: P(label 1 | class 0).

    Raises:
        ValueError: both labels are equally frequent, where there is no such alpha (or, classes balanced too, any is).
    """
    noisy = positive * (1 - miss) + (1 - positive) * false_alarm
    if abs(2 * noisy - 1) < 1e-12:
        raise ValueError(
            f"both labels are equally frequent at P(class 1) = {positive:g}, miss = {miss:g}, "
            f"false alarm = {false_alarm:g}: no alpha is singled out"
        )
    return 1 - (1 - miss - false_alarm) * (2 * positive - 1) / (2 * noisy - 1)


def _jeffrey_conjugate(t: Tensor) -> Tensor:
    """``W + 1/W + t - 2`` with ``W e^W = e^(1 - t)``, by Newton's method: t in [0, 1] gives W in [0.567, 1]."""
    w, x = torch.ones_like(t), torch.exp(1 - t)
    for _ in range(5):
        w = w - (w - x * torch.exp(-w)) / (1 + w)
    return w + 1 / w + t - 2


# name -> (g, f* after g), both functions of a probability v
DIVERGENCES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "total_variation": (lambda v: v.tanh() / 2, lambda v: v.tanh() / 2),
    "jensen_shannon": (
        lambda v: math.log(2) - torch.log1p(torch.exp(-v)),
        lambda v: v + torch.log1p(torch.exp(-v)) - math.log(2),
    ),
    "pearson": (lambda v: v, lambda v: v.square() / 4 + v),
    "kl": (lambda v: v, lambda v: torch.exp(v - 1)),
    "reverse_kl": (lambda v: -torch.exp(-v), lambda v: v - 1),
    "jeffrey": (lambda v: v, _jeffrey_conjugate),
    "squared_hellinger": (lambda v: 1 - torch.exp(-v), lambda v: torch.exp(v) - 1),
    "neyman": (lambda v: 1 - torch.exp(-v), lambda v: 2 - 2 * torch.exp(-v / 2)),
}


def f_divergence(
    logits: Tensor, labels: Tensor, peer_logits: Tensor, peer_labels: Tensor, divergence: str = "total_variation"
) -> Tensor:
    """``-g(p_y(x_i)) + f*(g(p_{y_b}(x_a)))``: minus a lower bound of the divergence of matched from mismatched pairs.

    Wei and Liu (2021), "When optimizing f-divergence is robust with label noise", ICLR, equation 4, with the output
    activations g of Nowozin, Cseke, Tomioka (2016), "f-GAN", table 6. For every divergence the loss falls with the
    probability of the given label and rises with that of the peer's. (A public version has the sign of v reversed for
    three of them, and then teaches the opposite.)

    Args:
        divergence: "total_variation", "jensen_shannon", "pearson", "kl", "reverse_kl", "jeffrey",
            "squared_hellinger" or "neyman".
    """
    g, conjugate = look_up("divergence", divergence, DIVERGENCES)
    matched, mismatched = _at(logits.softmax(-1), labels), _at(peer_logits.softmax(-1), peer_labels)
    return conjugate(mismatched) - g(matched)


def cores(
    logits: Tensor, labels: Tensor, prior: Tensor, beta: float | Tensor = 2.0, floor: float = 1e-8
) -> Tensor:  # fmt: skip
    """``CE_y - beta sum_k prior_k CE_k``: cross entropy less a reward for confidence.

    Cheng, Zhu, Li, Gong, Sun, Liu (2021), "Learning with instance-dependent label noise: a sample sieve approach",
    ICLR, equation 3. The second term is the peer loss with the peer's label averaged out.

    Args:
        prior: ``(K,)`` frequencies of the given labels. beta: 0 is cross entropy.
        floor: CE_k in the second term is ``-log(p_k + floor)``, as in the authors' code; without it (0) and for
            beta above 1 there is no minimum.
    """
    return cross_entropy(logits, labels) - beta * (floored_cross_entropy(logits, floor) @ prior.to(logits.dtype))


def sieve_score(logits: Tensor, labels: Tensor) -> Tensor:
    """``CE_y - mean_k CE_k`` ``(n,)``: an example is kept where it is not above 0.

    That is where p_y is at least the geometric mean of the probabilities. Cheng et al. (2021), equation 4, with the
    uniform mean of the authors' code.
    """
    return logits.mean(-1) - _at(logits, labels)
