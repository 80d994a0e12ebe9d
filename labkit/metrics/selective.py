"""Selective classification: keep the examples with the highest scores, refuse the rest, count the errors kept.

Everywhere: ``score (..., n)`` of any floating type, higher is surer, any leading run axes or none; ``correct (n,)`` or
``(..., n)``, True (or 1) where the prediction is right, broadcast over the runs. Results are float64. A run with a NaN
or infinite score (a diverged run) gives NaN and leaves the others as they are.

Ties: tied examples are taken in a random order, and every number here is the expected value over these orders. That is
the same as letting each tied example carry the mean error of its tie, so no result depends on how the examples lie in
the file. (``coverage_at_risk`` asks for a threshold, and a threshold cannot split a tie.)
Raises TypeError for scores that are not floating-point or for ``correct`` that is, ValueError for shapes that do not
fit, no examples, or entries of ``correct`` other than 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .by_class import ascending, ranked, top_label
from .over_runs import describe, mean, over_runs, per_run, spread, total


class RiskCoverage(NamedTuple):
    """A curve of n points: accepting the share ``coverage`` (n,) of surest examples errs at ``risk`` (..., n)."""

    coverage: Tensor
    risk: Tensor


def _check(score: object, correct: object) -> Tensor:
    """``correct`` as booleans, broadcast to the shape of the scores."""
    if not isinstance(score, Tensor) or not score.is_floating_point():
        raise TypeError(f"score must be a floating-point tensor (..., n), got {describe(score)}")
    if score.dim() < 1 or score.shape[-1] == 0:
        raise ValueError(f"score must have shape (..., n) with n at least 1, got {describe(score)}")
    if not isinstance(correct, Tensor) or correct.is_floating_point() or correct.dim() == 0:
        raise TypeError(
            f"correct must be a boolean tensor (n,) or (..., n), got {describe(correct)}; "
            "for example logits.argmax(-1) == labels"
        )
    if not bool(((correct == 0) | (correct == 1)).all()):
        raise ValueError(
            "correct holds values other than 0 and 1; did you pass labels for logits.argmax(-1) == labels?"
        )
    return spread("correct", correct.to(score.device).bool(), tuple(score.shape))


def _measure(formula: Callable, score: Tensor, correct: Tensor) -> Tensor:
    with torch.no_grad():
        right = _check(score, correct)
        return over_runs(lambda s, c: formula(*_ranked(s, ~c)), tuple(score.shape[:-1]), score, right)


def _ranked(score: Tensor, wrong: Tensor, order: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """By descending score, all (runs, n): errors (0 or 1; a tie's mean), their running sum, whether a tie ends here."""
    s, order = (v.flip(-1) for v in order or ascending(score))
    error = wrong.gather(-1, order).double()
    differs = s[:, 1:] != s[:, :-1]
    edge = torch.ones_like(s[:, :1], dtype=torch.bool)
    if not differs.all():
        tie = torch.cat([~edge, differs], 1).long().cumsum(-1)  # number of the tie, from 0
        sums, sizes = (torch.zeros_like(s).scatter_add_(-1, tie, v) for v in (error, torch.ones_like(error)))
        error = sums.gather(-1, tie) / sizes.gather(-1, tie)
    return error, error.cumsum(-1), torch.cat([differs, edge], 1)


def _risk(error: Tensor, errors: Tensor, last: Tensor) -> Tensor:
    return errors / torch.arange(1, errors.shape[-1] + 1, dtype=errors.dtype, device=errors.device)


def _aurc(error: Tensor, errors: Tensor, last: Tensor) -> Tensor:
    return mean(_risk(error, errors, last))


def _augrc(error: Tensor, errors: Tensor, last: Tensor) -> Tensor:
    return mean(errors - error / 2) / errors.shape[-1]  # trapezoids under errors / n, from 0 errors at coverage 0


def _failure_auroc(error: Tensor, errors: Tensor, last: Tensor) -> Tensor:
    misordered = total((1 - error) * (errors - error / 2))  # pairs with the error above; within a tie, half of them
    wrong = errors[:, -1]
    return 1 - misordered / (wrong.round() * (errors.shape[-1] - wrong.round()))


def risk_coverage(score: Tensor, correct: Tensor) -> RiskCoverage:
    """Selective risk r_k at coverage k / n, k = 1..n: the share of errors among the k surest examples.

    El-Yaniv, Wiener (2010), "On the foundations of noise-free selective classification".
    """
    n = score.shape[-1] if isinstance(score, Tensor) and score.dim() else 1
    risk = _measure(_risk, score, correct)
    return RiskCoverage(torch.arange(1, n + 1, dtype=torch.float64, device=risk.device) / n, risk)


def aurc(score: Tensor, correct: Tensor) -> Tensor:
    """Area under the risk-coverage curve, the mean of r_1 .. r_n. Shape (...), in [0, 1], less is better.

    Geifman, Uziel, El-Yaniv (2019), "Bias-reduced uncertainty estimation for deep neural classifiers". Other libraries
    use trapezoids from another first point, and multiply by 1000; such numbers differ a little from these.
    """
    return _measure(_aurc, score, correct)


def augrc(score: Tensor, correct: Tensor) -> Tensor:
    """Area under the generalised risk (errors accepted / n) over coverage. Shape (...), in [0, 1/2], less is better.

    Exactly (1/n^2) sum_i wrong_i (#{score_j < score_i} + #{score_j = score_i} / 2), j = i included, which is
    (1 - AUROC) a (1 - a) + (1 - a)^2 / 2 with the accuracy a and the AUROC of ``failure_auroc``.
    Traub et al. (2024), "Overcoming common flaws in the evaluation of selective classification systems".
    """
    return _measure(_augrc, score, correct)


def failure_auroc(score: Tensor, correct: Tensor) -> Tensor:
    """Probability that a right prediction scores above a wrong one, ties counting 1/2. Shape (...), more is better.

    NaN for a run that is always right or always wrong.
    """
    return _measure(_failure_auroc, score, correct)


def coverage_at_risk(score: Tensor, correct: Tensor, risk: float) -> Tensor:
    """The largest coverage that some threshold on the score gives at a selective risk of at most ``risk``.

    Shape (...), in [0, 1]; 0 where no threshold keeps the risk. The curve need not be monotone: the largest such
    coverage counts, also behind a bump. Raises ValueError for a risk outside [0, 1].
    """
    if not 0 <= risk <= 1:
        raise ValueError(f"risk is a share of errors in [0, 1], got {risk}; give 0.01 for one per cent")

    def largest(error: Tensor, errors: Tensor, last: Tensor) -> Tensor:
        n = errors.shape[-1]
        k = torch.arange(1, n + 1, dtype=errors.dtype, device=errors.device)
        kept = last & (errors <= risk * k * (1 + 1e-12) + 1e-12)  # a risk of exactly 1 % is allowed, rounding or not
        return (k * kept).amax(-1) / n

    return _measure(largest, score, correct)


def _of_softmax(formula: Callable, logits: Tensor, labels: Tensor) -> Tensor:
    confidence, which = top_label(logits)
    return formula(*_ranked(confidence, which != labels, ranked(logits)))


@per_run
def softmax_aurc(logits: Tensor, labels: Tensor) -> Tensor:
    """:func:`aurc` with the largest softmax probability as the score: ``logits (..., n, K)``, ``labels`` -> (...)."""
    return _of_softmax(_aurc, logits, labels)


@per_run
def softmax_augrc(logits: Tensor, labels: Tensor) -> Tensor:
    """:func:`augrc` with the largest softmax probability as the score: ``logits (..., n, K)``, ``labels`` -> (...)."""
    return _of_softmax(_augrc, logits, labels)


__all__ = [
    "RiskCoverage",
    "augrc",
    "aurc",
    "coverage_at_risk",
    "failure_auroc",
    "risk_coverage",
    "softmax_augrc",
    "softmax_aurc",
]
