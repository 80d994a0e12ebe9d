"""Implicit posteriors: the network is the posterior of a generative model that nobody wrote down.

If ``q_i(l) = p(l | x_i)`` and all examples of a batch are equally likely, then ``p(x_i | l) = q_i(l) / S_l`` with
``S_l = sum_j q_j(l)`` over the batch. With beliefs ``pi_i`` about example i, known beforehand, its label has the
posterior ``r_i(l) = pi_i(l) q_i(l) / (S_l Z_i)``. Source: Rolf, Malkin, Graikos, Jojic, Robinson, Jojic (2022),
"Resolving label uncertainty with implicit posterior models". Nothing is held constant: gradients flow through r and S.

Logits ``(..., K)``; beliefs ``(..., K)``, every row with something above 0 and a sum of 1. Values ``(...)`` in nats,
whose mean is the loss. All examples (and places of an example) of the batch are in S, so a value depends on who else is
in the batch, by design; a small batch makes S, the batch's idea of how common a class is, a rough one.

RQ and normalised QR are 0 at every sure prediction that no belief rules out, right or wrong (r is then one-hot where q
is). Beliefs above 0 for all classes, such as those of noisy labels, hold only the free-energy form for good; the floor
that QR needs makes all beliefs so. From an even prediction normalised QR even moves *away* from a fairly sure belief.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

FORMS = ("normalised", "free_energy")


def implicit_posterior(logits: Tensor, beliefs: Tensor) -> Tensor:
    """``r_i(l)``, ``(..., K)``: belief times prediction, a class the less the more others in the batch have it.

    Flat beliefs: ``q_i(l) / S_l`` renormalised. One-hot beliefs: one-hot.
    """
    return (logits.log_softmax(-1) + _against(logits, beliefs, 0.0)).softmax(-1)


def log_normaliser(logits: Tensor, beliefs: Tensor, floor: float = 0.0) -> Tensor:
    """``log Z_i = log sum_l pi_i(l) q_i(l) / S_l``, ``(...)``."""
    return (logits.log_softmax(-1) + _against(logits, beliefs, floor)).logsumexp(-1)


def implicit_rq(logits: Tensor, beliefs: Tensor) -> Tensor:
    """RQ: ``KL(r_i || q_i)``, at least 0. One-hot beliefs make it cross entropy.

    A class that is ruled out (belief 0) is no more than that: the loss is finite, so this is the form for candidate
    sets and complementary labels.
    """
    r = implicit_posterior(logits, beliefs)
    per_class = torch.where(beliefs > 0, _against(logits, beliefs, 0.0), 0.0)  # log(r / q) + log Z
    return (r * per_class).sum(-1) - log_normaliser(logits, beliefs)


def implicit_qr(logits: Tensor, beliefs: Tensor, form: str = "normalised", floor: float = 1e-9) -> Tensor:
    """QR, in one of its two public forms, which differ in their gradient.

    - "normalised" (the authors' classification code): ``KL(q_i || r_i)``; its mean is at least 0.
    - "free_energy" (their land-cover code, torchgeo): ``sum_l q_i(l) (log qbar_l - log pi_i(l))``, ``qbar = S / n``;
      its mean is ``sum_l qbar_l log qbar_l - mean_i sum_l q_i(l) log pi_i(l)``. Flat beliefs: ``log K - H(qbar)``.

    Mean for mean, normalised = free energy + mean_i log Z_i + log n.

    Args:
        floor: beliefs below it count as this much in the logarithm. QR is infinite where a class that was ruled out has
            mass; published 1e-9 makes that ``20.7 q_i(l)``. 0 leaves beliefs as they are: for those without a 0.

    Raises:
        ValueError: another form.
    """
    if form not in FORMS:
        raise ValueError(f"form is one of {', '.join(FORMS)}, got {form!r}")
    q = logits.softmax(-1)
    free = -(q * _against(logits, beliefs, floor)).sum(-1)
    if form == "normalised":
        return free + log_normaliser(logits, beliefs, floor)
    return free - math.log(math.prod(logits.shape[:-1]))


def _against(logits: Tensor, beliefs: Tensor, floor: float) -> Tensor:
    """``log pi_i(l) - log S_l``, ``(..., K)``."""
    log_q = logits.log_softmax(-1)
    return beliefs.to(logits.dtype).clamp_min(floor).log() - log_q.flatten(0, -2).logsumexp(0)


__all__ = ["implicit_posterior", "implicit_qr", "implicit_rq", "log_normaliser"]
