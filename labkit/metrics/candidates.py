"""How good candidate sets are: do they hold the truth, and how much do they rule out?"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .over_runs import describe, spread, total


class CandidateQuality(NamedTuple):
    """Of an annotator's sets, each ``(...)``, float64.

    covered    share of sets that hold the true class, in [0, 1] (1 - alpha)
    ruled_out  mean of (K - s) / (K - 1), in [0, 1]: 1 for single labels, 0 for full sets (beta)
    f1         harmonic mean of the two
    size       mean number of candidates s
    """

    covered: Tensor
    ruled_out: Tensor
    f1: Tensor
    size: Tensor


def candidate_quality(mask: Tensor, labels: Tensor) -> CandidateQuality:
    """Coverage, what is ruled out, and their harmonic mean, for sets ``mask`` ``(..., n, K)`` and clean ``labels``.

    Xia et al. (2025), "Prompt candidates, then distill", who compare ways of prompting by F1. Single labels: their
    accuracy a, and F1 = 2a / (1 + a). Full sets: 1, 0, 0. Evaluation only: it looks at the truth.

    Args:
        mask: booleans, at least one True per set, K from 2. labels: ``(n,)`` or ``(..., n)`` class indices.

    Raises:
        TypeError, ValueError: a mask that is not boolean, has no example or an empty set; labels that do not fit.
    """
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        raise TypeError(f"candidate sets are a boolean tensor (..., n, K), got {describe(mask)}")
    if mask.dim() < 2 or mask.shape[-2] < 1 or mask.shape[-1] < 2:
        raise ValueError(f"candidate sets have shape (..., n, K), n from 1 and K from 2; got {describe(mask)}")
    if not mask.any(-1).all():
        raise ValueError("some candidate sets are empty; an example without information has the full set")
    k = mask.shape[-1]
    whole = isinstance(labels, Tensor) and not labels.is_floating_point() and labels.dtype != torch.bool
    if not whole or not 0 <= int(labels.min()) <= int(labels.max()) < k:
        raise ValueError(f"labels are class indices from 0 to {k - 1}, (n,) or (..., n); got {describe(labels)}")
    truth = spread("labels", labels.to(mask.device, torch.long), tuple(mask.shape[:-1]))
    mean = lambda values: total(values.double()) / mask.shape[-2]
    size = mean(mask.sum(-1))
    covered, ruled_out = mean(mask.gather(-1, truth[..., None])[..., 0]), (k - size) / (k - 1)
    return CandidateQuality(covered, ruled_out, 2 * covered * ruled_out / (covered + ruled_out), size)


__all__ = ["CandidateQuality", "candidate_quality"]
