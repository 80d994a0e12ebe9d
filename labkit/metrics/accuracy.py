"""Accuracy and proper scores, for any number of runs at once.

Everywhere: ``logits (..., n, K)`` of any floating type with any leading run axes or none; ``labels (n,)`` or
``(..., n)`` of class indices, broadcast over the runs. The result has shape ``(...)`` and is float64. A run with a NaN
or infinite logit (a diverged run) gives NaN and leaves the others as they are.
Raises TypeError for logits that are not floating-point or labels that are not integers, ValueError for shapes that do
not fit, no examples, or labels outside 0..K-1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .by_class import predicted, softmax, surprise, top_label
from .over_runs import check_rows, mean, over_classes, over_runs, per_run, total


def residual(logits: Tensor, labels: Tensor) -> Tensor:
    """softmax(logits) - onehot(labels), class by class: shape (..., K, n)."""
    p = softmax(logits)
    index = labels.unsqueeze(-2)
    return p.scatter_add(-2, index, p.new_full((), -1.0).expand(index.shape))


@per_run
def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of examples whose largest logit is the label's; ties go to the lower index. Shape (...), in [0, 1].

    >>> accuracy(torch.tensor([[2.0, 1.0], [0.0, 0.0], [0.0, 3.0], [0.0, 3.0]]), torch.tensor([0, 0, 1, 0])).item()
    0.75
    """
    return (predicted(logits) == labels).double().mean(-1)  # whole numbers: exact in any order


@per_run
def error(logits: Tensor, labels: Tensor) -> Tensor:
    """1 - accuracy. Shape (...), in [0, 1]."""
    return (predicted(logits) != labels).double().mean(-1)


@per_run
def nll(logits: Tensor, labels: Tensor) -> Tensor:
    """Negative log-likelihood, mean of -log p_y in nats. Shape (...), from 0.

    Computed from the logits, so a probability that rounds to 0 costs its finite log rather than infinity.
    """
    return mean(surprise(logits, labels))


@per_run
def brier(logits: Tensor, labels: Tensor) -> Tensor:
    """Brier score, mean of sum_k (p_k - 1[k = y])^2. Shape (...), in [0, 2].

    The sum goes over all classes, as in Brier (1950), "Verification of forecasts expressed in terms of probability";
    for two classes it is twice the score of the positive class alone, which many libraries call by the same name.
    """
    return mean(over_classes(residual(logits, labels).square_()))


@torch.no_grad()
def mean_confidence(logits: Tensor) -> Tensor:
    """Mean over examples of the largest probability. Shape (...), in [1/K, 1]."""
    check_rows("logits", logits)
    return over_runs(lambda z: mean(top_label(z)[0]), tuple(logits.shape[:-2]), logits)


@per_run
def confidence_on_errors(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean over *wrongly* predicted examples of the largest probability; NaN without any. Shape (...), in [1/K, 1]."""
    confidence, which = top_label(logits)
    wrong = (which != labels).double()
    return total(wrong * confidence) / total(wrong)


@torch.no_grad()
def mean_entropy(logits: Tensor) -> Tensor:
    """Mean over examples of the predictive entropy -sum_k p_k log p_k, in nats. Shape (...), in [0, log K]."""
    check_rows("logits", logits)
    return over_runs(_entropy, tuple(logits.shape[:-2]), logits)


def _entropy(logits: Tensor) -> Tensor:
    log_p = logits.log_softmax(-1)
    p = logits.softmax(-1)
    return mean(-total((p * log_p).where(p > 0, 0.0)))  # 0 log 0 = 0
