"""Cross entropy and the one loss behind most others: minus the log-likelihood of the evidence.

Logits are ``(n, K)``, values are in nats, one per example.
"""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.evidence import Evidence, Labels, Soft, one_hot


def target_of(evidence: Evidence, dtype: torch.dtype | None = None) -> Tensor:
    """The ``(n, K)`` target distribution of labels (one-hot) or soft labels, in ``dtype`` (the logits')."""
    dtype = dtype or torch.get_default_dtype()
    if isinstance(evidence, Labels):
        return one_hot(evidence.labels, evidence.n_classes, dtype)
    if isinstance(evidence, Soft):
        return evidence.probs.to(dtype)
    raise TypeError(f"a target distribution needs Labels or Soft evidence, got {type(evidence).__name__}")


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """``-sum_k t_k log p_k``, shape ``(n,)``.

    ``target`` is ``(n,)`` class indices or ``(n, K)`` weights. Weights may be negative, above 1, or not sum to 1:
    nothing is clipped, and the gradient in the logits is ``p sum(t) - t``.
    """
    if not target.is_floating_point():
        target = one_hot(target, logits.shape[-1], logits.dtype)
    return target.sum(-1) * logits.logsumexp(-1) - (target * logits).sum(-1)


def evidence_nll(logits: Tensor, evidence: Evidence | Tensor) -> Tensor:
    """``-log sum_c p_c L_c`` with ``L_c = P(evidence | class c)``, shape ``(n,)``.

    The gradient in the logits is ``p - posterior``, posterior proportional to ``p_c L_c``. With one-hot L this is
    cross entropy, with ``L = T[:, label]`` forward correction, with a 0/1 row the loss of a candidate set.

    Args:
        evidence: pointwise evidence, or its likelihood ``(n, K)``.
    """
    likelihood = evidence.likelihood() if isinstance(evidence, Evidence) else evidence
    return logits.logsumexp(-1) - (logits + likelihood.to(logits.dtype).log()).logsumexp(-1)


def entropy(logits: Tensor) -> Tensor:
    """``H(p) = -sum_k p_k log p_k``, shape ``(n,)``; classes of probability 0 add nothing."""
    log_p = torch.log_softmax(logits, -1)
    return -(log_p.exp() * log_p).sum(-1)


def log_of_the_rest(log_p: Tensor) -> Tensor:
    """``log(1 - p_k)`` for every class, ``(..., K)``, from the other classes: never the log of 1 - 1."""
    itself = torch.eye(log_p.shape[-1], dtype=torch.bool, device=log_p.device)
    return torch.where(itself, -1e30, log_p[..., None, :]).logsumexp(-1)
