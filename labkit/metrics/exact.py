"""The true calibration error, where the probability of every class is known: no labels, so no sampling noise."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .calibration import _sums
from .over_runs import check_rows, over_runs, spread, total


class ExactCalibration(NamedTuple):
    """True calibration errors of a run; every field has shape (...) and is float64.

    confidence        E |P(right | confidence) - confidence|, what ``ece`` estimates
    rms               root of E (P(right | confidence) - confidence)^2, what ``debiased_ece`` estimates
    top_label         E |P(right | confidence, predicted class) - confidence|, from ``confidence`` up
    classwise         mean over k of E |P(k | p_k) - p_k|
    canonical         E of half the absolute difference of P(class | p) and p, from ``top_label`` up
    calibration_loss  E sum_k (P(k | p) - p_k)^2: what perfect recalibration takes off the Brier score
    grouping_loss     E sum_k (P(k | x) - P(k | p))^2: what it cannot take off, as unlike examples share one output
    """

    confidence: Tensor
    rms: Tensor
    top_label: Tensor
    classwise: Tensor
    canonical: Tensor
    calibration_loss: Tensor
    grouping_loss: Tensor


@torch.no_grad()
def exact_calibration(
    logits: Tensor, posterior: Tensor, weights: Tensor | None = None, bins: int | None = None
) -> ExactCalibration:
    """Calibration errors of softmax(logits) against P(class | x), over a population of points x.

    logits     (..., n, K)
    posterior  (n, K) or (..., n, K), rows sum to 1: ``Data.posterior`` or ``Mixture.posterior`` of the same points
    weights    (n,) or (..., n), from 0: the share of each point in the population (a grid times its density); equal for
               points that were drawn
    bins       None: points whose outputs are equal to the last bit form a group, and the result is exact for them. For
               a model whose outputs all differ every point would be alone; then give a number: points form this many
               groups of equal weight along the confidence (or along p_k), and the result tends to the exact one with
               more points and more groups. The last three fields always take equal outputs for groups; where no two
               outputs agree, that is right if no two unlike points of the population share an output, and too large
               (grouping_loss: too small, 0) otherwise.

    Brier score = calibration_loss + grouping_loss + E sum_k P(k | x) (1 - P(k | x)).
    Vaicenavicius et al. (2019), "Evaluating model calibration in classification"; top label: Gupta, Ramdas (2022);
    grouping: Kull, Flach (2015), "Novel decompositions of proper scoring rules for classification".
    Raises ValueError for a posterior that is no distribution, for weights below 0 or all 0, and for shapes that do not
    fit.
    """
    check_rows("logits", logits)
    check_rows("posterior", posterior)
    if bins is not None and (isinstance(bins, bool) or not isinstance(bins, int) or bins < 1):
        raise ValueError(f"bins must be a whole number from 1, or None for groups of equal outputs, got {bins!r}")
    posterior = posterior.to(logits.device).double()
    if not bool(((posterior >= 0).all(-1) & ((posterior.sum(-1) - 1).abs() < 1e-5)).all()):
        raise ValueError("every row of the posterior must be a distribution: from 0, with sum 1")
    n = logits.shape[-2]
    weights = torch.ones(n) if weights is None else weights
    weights = weights.to(logits.device).double()
    if not bool((weights >= 0).all()) or not bool((weights.sum(-1) > 0).all()):
        raise ValueError("weights are shares of a population: finite, from 0 and not all 0")
    posterior = spread("posterior", posterior, tuple(logits.shape), 2)
    weights = spread("weights", weights / weights.sum(-1, keepdim=True), tuple(logits.shape[:-1]))
    return ExactCalibration(
        *over_runs(lambda z, q, w: _exact(z, q, w, bins), tuple(logits.shape[:-2]), logits, posterior, weights)
    )


def _exact(z: Tensor, posterior: Tensor, weights: Tensor, bins: int | None) -> ExactCalibration:
    n, K = z.shape[-2:]
    p = z.softmax(-1)
    predicted = z.argmax(-1)
    each = p.transpose(-1, -2).contiguous()  # (runs, K, n)

    def error(cells: Tensor, number: int, w: Tensor, gap: Tensor) -> Tensor:
        return total(_sums(cells, w * gap, number).abs())

    groups = lambda scores, w: _ranks(scores) if bins is None else _even(scores, w, bins)
    number = n if bins is None else bins
    gap = posterior - p
    top_gap = gap.gather(-1, predicted.unsqueeze(-1)).squeeze(-1)
    by_confidence = groups(p.gather(-1, predicted.unsqueeze(-1)).squeeze(-1), weights)
    share = _sums(by_confidence, weights, number)
    square = _sums(by_confidence, weights * top_gap, number).square() / share.where(share > 0, 1.0)
    wide = weights.unsqueeze(-2).expand_as(each)

    same = torch.zeros_like(predicted)  # points with equal outputs: refined class by class
    for k in range(K):
        same = _ranks(same * n + _ranks(each[:, k]))
    held = _sums(same, weights, n)
    mean_given_p = torch.stack([
        (_sums(same, weights * posterior[..., k], n) / held.where(held > 0, 1.0)).gather(-1, same) for k in range(K)
    ], -1)
    off = mean_given_p - p
    return ExactCalibration(
        error(by_confidence, number, weights, top_gap),
        total(square).sqrt(),
        error(by_confidence + number * predicted, number * K, weights, top_gap),
        total(error(groups(each, wide), number, wide, gap.transpose(-1, -2).contiguous())) / K,
        total(weights * total(off.abs()) / 2),
        total(weights * total(off.square())),
        total(weights * total((posterior - mean_given_p).square())),
    )


def _ranks(scores: Tensor) -> Tensor:
    """The group of every score (..., n) among the distinct ones, from 0."""
    ordered, order = scores.sort(-1)
    step = torch.cat([torch.zeros_like(order[..., :1]), (ordered[..., 1:] != ordered[..., :-1]).long()], -1)
    return torch.zeros_like(order).scatter_(-1, order, step.cumsum(-1))


def _even(scores: Tensor, weights: Tensor, bins: int) -> Tensor:
    """Groups of equal weight along the scores."""
    order = scores.argsort(dim=-1, stable=True)
    w = weights.gather(-1, order)
    cell = ((w.cumsum(-1) - w / 2) * bins).long().clamp(0, bins - 1)
    return torch.zeros_like(order).scatter_(-1, order, cell)


__all__ = ["ExactCalibration", "exact_calibration"]
