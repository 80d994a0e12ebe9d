"""Calibration error and reliability curves, for any number of runs at once.

Shapes, types, errors and diverged runs are as in ``accuracy``. Scores are put into ``bins`` bins in one of two ways:

``"width"``  bin b holds the scores in (b/bins, (b+1)/bins]; a score of 0 goes to the first. The edges are the quotients
             b/bins correctly rounded, so a confidence of exactly 1/3 lies in the fifth of 15 bins.
``"mass"``   The n scores in ascending order are cut into runs as even as possible, the first n mod bins one longer. The
             upper edge of a bin is the largest score of its run, and a score goes to the first bin whose upper edge is
             not below it. So equal scores stay together, in the bin of the lowest of their ranks, and the result does
             not depend on the order of the examples; without ties the bins are the runs. A tie that is longer than a
             run leaves bins empty.

The correctness of a prediction is judged on the logits (largest logit, ties to the lower index), not on rounded
probabilities. Binned errors are statistics of a sample: with few examples per bin a calibrated model scores above 0.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from labkit.names import look_up

from .accuracy import residual
from .by_class import ascending, softmax, top_label
from .memo import shared
from .over_runs import check_labels, check_rows, mean, over_runs, per_run, total


def _width(scores: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    edges = torch.arange(1, bins + 1, dtype=scores.dtype, device=scores.device) / bins
    # A search would guess, and often wrong, at every step. The product may be rounded over an edge, so both ends of its
    # bin are looked at again; the first has no lower end here and the last no upper.
    ends = torch.cat([edges.new_tensor([-torch.inf]), edges[:-1], edges.new_tensor([torch.inf])])
    index = (scores * bins).ceil_().sub_(1).clamp_(0, bins - 1).long()
    return edges, index - (scores <= ends.take(index)).long() + (scores > ends[1:].take(index)).long()


def _mass(scores: Tensor, bins: int) -> tuple[Tensor, Tensor]:
    size, longer = divmod(scores.shape[-1], bins)
    number = torch.arange(1, bins + 1, device=scores.device)
    last = number * size + number.clamp(max=longer) - 1  # rank of the last score of each run
    edges = ascending(scores)[0][..., last].contiguous()
    return edges, torch.searchsorted(edges, scores.contiguous()).clamp_(max=bins - 1)


BINNINGS = {"width": _width, "mass": _mass}


def _bin(scores: Tensor, bins: int, binning: str) -> tuple[Tensor, Tensor]:
    """Upper edges, (bins,) or (..., bins), and the bin of every score of (..., n)."""
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ValueError(f"bins must be a whole number from 1, got {bins!r}")
    return look_up("binning", binning, BINNINGS)(scores, bins)


@shared
def _top_bins(logits: Tensor, bins: int, binning: str) -> tuple[Tensor, Tensor]:
    """:func:`_bin` of the top label's confidence."""
    return _bin(top_label(logits)[0], bins, binning)


def _sums(index: Tensor, values: Tensor, bins: int) -> Tensor:
    """Sum of values (..., n) in each bin, (..., bins)."""
    return values.new_zeros(*values.shape[:-1], bins).scatter_add_(-1, index, values)


@shared
def _top_label(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Confidence and correctness (0 or 1) of the predicted class, both (..., n)."""
    confidence, which = top_label(logits)
    return confidence, (which == labels).double()


@shared
def _counts(logits: Tensor, bins: int, binning: str) -> Tensor:
    """How many examples each bin of the top label's confidence has, (..., bins)."""
    index = _top_bins(logits, bins, binning)[1]
    return _sums(index, torch.ones_like(index, dtype=torch.double), bins)


@shared
def _gaps(logits: Tensor, labels: Tensor, bins: int, binning: str) -> Tensor:
    """Sum of confidence less correctness in each of those bins, (..., bins)."""
    confidence, hit = _top_label(logits, labels)
    return _sums(_top_bins(logits, bins, binning)[1], confidence - hit, bins)


@shared
def _hits(logits: Tensor, labels: Tensor, bins: int, binning: str) -> Tensor:
    """How many examples of each of those bins are predicted right, (..., bins)."""
    return _sums(_top_bins(logits, bins, binning)[1], _top_label(logits, labels)[1], bins)


@per_run
def ece(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """Expected calibration error of the top label: sum_b (n_b / n) |mean confidence_b - accuracy_b|. Shape (...).

    From 0 to 1. Guo, Pleiss, Sun, Weinberger (2017), "On calibration of modern neural networks", eq. 3, with 15 bins of
    equal width as published; bins of equal mass after Nguyen and O'Connor (2015), "Posterior calibration and
    exploratory analysis for natural language processing models".
    """
    return total(_gaps(logits, labels, bins, binning).abs()) / labels.shape[-1]


@per_run
def mce(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """Maximum calibration error of the top label: the largest |mean confidence_b - accuracy_b|. Shape (...), in [0, 1].

    Guo, Pleiss, Sun, Weinberger (2017), eq. 5. Empty bins have no part in it. One example in a bin can set it: read it
    with the counts of ``reliability`` beside it.
    """
    return (_gaps(logits, labels, bins, binning).abs() / _counts(logits, bins, binning).clamp(min=1)).amax(-1)


@per_run
def classwise_ece(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Tensor:
    """Mean over all K classes of sum_b (n_bk / n) |mean p_k - frequency of class k| in the bins of p_k. Shape (...).

    From 0 to 1. Kull, Perello-Nieto, Kängsepp, Silva Filho, Song, Flach (2019), "Beyond temperature scaling: obtaining
    well-calibrated multiclass probabilities with Dirichlet calibration". Every class counts, also one that no label or
    no prediction names, and every example counts in every class, also where p_k is 0.
    """
    _, index = _bin(softmax(logits), bins, binning)  # (runs, K, n): each class is binned by itself
    return mean(total(_sums(index, residual(logits, labels), bins).abs())) / labels.shape[-1]


class Reliability(NamedTuple):
    """A reliability curve per run; every field has shape (..., bins) and is float64.

    lower, upper   the bin's edges; it holds confidences in (lower, upper], the first also those at its lower edge
    confidence     mean confidence of its examples, NaN where it has none
    accuracy       share of its examples that are predicted right, NaN where it has none
    count          how many examples it has
    """

    lower: Tensor
    upper: Tensor
    confidence: Tensor
    accuracy: Tensor
    count: Tensor


@torch.no_grad()
def reliability(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> Reliability:
    """Confidence against accuracy in bins of the top label's confidence; all NaN for a diverged run.

    ``ece`` is the sum over bins of count / n |confidence - accuracy|. DeGroot and Fienberg (1983), "The comparison and
    evaluation of forecasters".
    """
    check_rows("logits", logits)
    labels = check_labels(labels, logits, logits.shape[-1])

    def curve(z: Tensor, y: Tensor) -> Reliability:
        upper, index = _top_bins(z, bins, binning)
        upper = upper.expand(z.shape[0], bins)
        lower = torch.cat([torch.zeros_like(upper[:, :1]), upper[:, :-1]], 1)
        count = _counts(z, bins, binning)  # 0/0 below is the NaN of an empty bin
        confidence = _sums(index, top_label(z)[0], bins) / count
        return Reliability(lower, upper, confidence, _hits(z, y, bins, binning) / count, count)

    return Reliability(*over_runs(curve, tuple(logits.shape[:-2]), logits, labels))
