"""What can be said about a model from imperfect test labels: scores that are right on average over the annotator.

Each is an ordinary metric with the one-hot row of the label replaced by an unbiased estimate of it
(:func:`labkit.posthoc.unbiased_targets`), of which it is a linear function. Single values may lie outside their range,
and vary the more the worse the annotator.
"""

from __future__ import annotations

from torch import Tensor

from labkit.metrics.calibration import _bin, _sums
from labkit.metrics.over_runs import check_rows, mean, over_runs, spread, total


def corrected_accuracy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean target of the predicted class: unbiased for the accuracy. Shape (...); logits and targets (..., n, K)."""
    return _measure(lambda z, t: mean(_of_predicted(z, t)), logits, targets)


def corrected_brier(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``sum_k p_k^2 - 2 sum_k t_k p_k + sum_k t_k``: unbiased for the Brier score. Shape (...)."""

    def formula(z, t):
        p = z.softmax(-1)
        return mean(total(p * p - 2 * p * t + t))

    return _measure(formula, logits, targets)


def corrected_nll(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of ``-sum_k t_k log p_k``: unbiased for the negative log-likelihood, in nats. Shape (...)."""
    return _measure(lambda z, t: mean(-total(t * z.log_softmax(-1))), logits, targets)


def corrected_ece(logits: Tensor, targets: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """``sum_b (n_b / n) |mean confidence_b - corrected accuracy_b|``. Shape (...), from 0.

    The bins depend on the predictions only, so the difference in each is unbiased; its absolute value is too large on
    average, as that of the ECE on clean labels is, and by more: the corrected accuracy of a bin varies more.
    """

    def formula(z, t):
        confidence = z.softmax(-1).amax(-1)
        _, index = _bin(confidence, bins, binning)
        return total(_sums(index, confidence - _of_predicted(z, t), bins).abs()) / z.shape[-2]

    return _measure(formula, logits, targets)


def _of_predicted(z: Tensor, t: Tensor) -> Tensor:
    return t.gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1)


def _measure(formula, logits: Tensor, targets: Tensor) -> Tensor:
    check_rows("logits", logits)
    check_rows("targets", targets)
    return over_runs(formula, tuple(logits.shape[:-2]), logits, spread("targets", targets, tuple(logits.shape), 2))


__all__ = ["corrected_accuracy", "corrected_brier", "corrected_ece", "corrected_nll"]
