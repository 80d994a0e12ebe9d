"""Split conformal prediction: a threshold from held-out labels that makes sets right as often as was asked for.

    q = threshold(scores of the true classes of the calibration examples, miscoverage=0.1)
    sets = thr(test logits) <= q[..., None, None]

Vovk, Gammerman, Shafer (2005), "Algorithmic learning in a random world"; Papadopoulos, Proedrou, Vovk, Gammerman
(2002), "Inductive confidence machines for regression". All tensors may have leading run axes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from labkit.metrics.over_runs import check_labels, check_rows

FUZZ = 1e-9  # (n + 1)(1 - alpha) is a whole number up to rounding where it should be one


def of_labels(scores: Tensor, labels: Tensor) -> Tensor:
    """Scores ``(..., n, K)`` of the labels ``(n,)`` or ``(..., n)``: ``(..., n)``."""
    check_rows("scores", scores)
    return scores.gather(-1, check_labels(labels, scores, scores.shape[-1]).unsqueeze(-1)).squeeze(-1)


def threshold(scores: Tensor, miscoverage: float) -> Tensor:
    """The ``ceil((n + 1)(1 - miscoverage))``-th smallest of the n scores, ``(...)``; infinity if there are too few.

    Where calibration and test examples are exchangeable, a new example's score is at most this with probability at
    least ``1 - miscoverage``, and at most ``1 / (n + 1)`` more if no two scores are equal. The mean is over
    calibration *and* test; for one calibration set the coverage is a draw from :func:`coverage_law`.

    Args:
        scores: ``(..., n)``, of the true classes (:func:`of_labels`).
    """
    _check(miscoverage)
    n = scores.shape[-1]
    k = math.ceil((n + 1) * (1 - miscoverage) - FUZZ)
    if k > n:
        return torch.full(scores.shape[:-1], math.inf, dtype=scores.dtype)
    return scores.sort(-1).values[..., max(k, 1) - 1]


def noisy_threshold(scores: Tensor, targets: Tensor, miscoverage: float) -> Tensor:
    """A threshold from labels that are noisy in a known way: the smallest q with ``F(q) >= k / n``, ``(...)``.

    ``F(q) = mean over examples of sum_c t_c 1[score_c <= q]`` is an unbiased estimate of the share of true classes with
    a score up to q; k as in :func:`threshold`, which this is where the targets are one-hot. For labels redrawn from all
    classes with probability e it is the correction of Penso, Goldberger, Fetaya (2025), "Estimating the conformal
    prediction threshold from noisy labels". F may rise above 1 and fall: the guarantee holds only as n grows.

    Args:
        scores: ``(..., n, K)`` of all classes. targets: ``(n, K)`` or ``(..., n, K)``, as from
            :func:`labkit.posthoc.unbiased_targets`.
    """
    _check(miscoverage)
    check_rows("scores", scores)
    n = scores.shape[-2]
    flat, order = scores.flatten(-2).sort(-1)
    share = targets.to(scores.dtype).expand(scores.shape).flatten(-2).gather(-1, order).cumsum(-1) / n
    last = torch.cat([flat[..., 1:] != flat[..., :-1], torch.ones_like(flat[..., :1], dtype=torch.bool)], -1)
    enough = (share >= math.ceil((n + 1) * (1 - miscoverage) - FUZZ) / n - FUZZ) & last  # equal scores come together
    first = enough.long().argmax(-1, keepdim=True)
    return torch.where(enough.any(-1), flat.gather(-1, first).squeeze(-1), math.inf)


def coverage_law(n: int, miscoverage: float):
    """The law of the coverage of one calibration set of n examples with different scores, a frozen scipy Beta.

    Beta(k, n + 1 - k) with k as in :func:`threshold`: Vovk (2012), "Conditional validity of inductive conformal
    predictors", proposition 2a. Too few examples for any threshold: coverage 1, a ValueError here.
    """
    from scipy.stats import beta

    _check(miscoverage)
    k = math.ceil((n + 1) * (1 - miscoverage) - FUZZ)
    if k > n:
        raise ValueError(f"{n} examples are too few for a miscoverage of {miscoverage}: every set holds every class; "
                         f"take {math.ceil(1 / miscoverage) - 1} or more")  # fmt: skip
    return beta(k, n + 1 - k)


def coverage(sets: Tensor, labels: Tensor) -> Tensor:
    """Share of examples whose class is in their set, ``(...)``; sets ``(..., n, K)`` booleans."""
    return of_labels(sets.double(), labels).mean(-1)


def _check(miscoverage: float) -> None:
    if not 0 < miscoverage < 1:
        raise ValueError(f"miscoverage is a share between 0 and 1, got {miscoverage}")


__all__ = ["coverage", "coverage_law", "noisy_threshold", "of_labels", "threshold"]
