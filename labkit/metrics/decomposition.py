"""What the Brier score is made of."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .accuracy import residual
from .by_class import softmax
from .calibration import _bin, _sums
from .over_runs import check_labels, check_rows, over_runs, total


class BrierParts(NamedTuple):
    """brier = reliability - resolution + uncertainty + within_variance - within_covariance; each field (...), float64.

    reliability        squared distance of mean forecast and frequency, over bins: miscalibration, less is better
    resolution         how far the frequencies of the bins lie from the overall one: what the forecasts tell apart
    uncertainty        of the labels alone; no forecast changes it
    within_variance    of the forecasts inside a bin
    within_covariance  twice that of forecasts and outcomes inside a bin: resolution that the bins do not see
    """

    reliability: Tensor
    resolution: Tensor
    uncertainty: Tensor
    within_variance: Tensor
    within_covariance: Tensor


@torch.no_grad()
def brier_parts(logits: Tensor, labels: Tensor, bins: int = 15, binning: str = "width") -> BrierParts:
    """The Brier score of ``brier`` (summed over classes, in [0, 2]) taken apart, class by class in bins of p_k.

    Murphy (1973), "A new vector partition of the probability score", is the case of one forecast per bin (as with
    ``bins=n, binning="mass"``), where the last two parts are 0. For wider bins: Stephenson, Coelho, Jolliffe (2008),
    "Two extra components in the Brier score decomposition". Shapes, types and errors are those of ``ece``; all NaN for
    a diverged run.
    """
    check_rows("logits", logits)
    labels = check_labels(labels, logits, logits.shape[-1])

    def parts(z: Tensor, y: Tensor) -> BrierParts:
        n = z.shape[-2]
        p = softmax(z)  # (runs, K, n): each class by itself
        hit = p - residual(z, y)  # one-hot
        hit = hit.round()
        _, index = _bin(p, bins, binning)
        count = _sums(index, torch.ones_like(p), bins)
        said, came = (_sums(index, v, bins) / count.clamp(min=1) for v in (p, hit))
        overall = total(hit) / n
        away, off = p - said.gather(-1, index), hit - came.gather(-1, index)
        share = count / n
        each = (
            total(share * (said - came).square()),
            total(share * (came - overall.unsqueeze(-1)).square()),
            overall * (1 - overall),
            total(away.square()) / n,
            2 * total(away * off) / n,
        )
        return BrierParts(*(total(part) for part in each))

    return BrierParts(*over_runs(parts, tuple(logits.shape[:-2]), logits, labels))


__all__ = ["BrierParts", "brier_parts"]
