"""Scores of classes: how little a class fits an example. Small is good; a conformal set takes all up to a threshold."""

from __future__ import annotations

import torch
from torch import Tensor

from labkit.metrics.over_runs import check_rows, spread


def thr(logits: Tensor) -> Tensor:
    """``1 - p_k``, ``(..., n, K)`` float64. The smallest sets on average, where p is right.

    Sadinle, Lei, Wasserman (2019), "Least ambiguous set-valued classifiers with bounded error levels" (also LAC).
    """
    check_rows("logits", logits)
    return 1 - logits.double().softmax(-1)


def aps(logits: Tensor, u: Tensor | None = None) -> Tensor:
    """The mass of all more probable classes plus ``u p_k``, ``(..., n, K)`` float64: sets that adapt to the example.

    Romano, Sesia, Candès (2020), "Classification with valid and adaptive coverage", eq. 6. Equal probabilities do not
    count as more probable. Public implementations differ: one takes a plain quantile, one a new u for every class and
    puts the top class into every set; the coverage is then no longer exact.

    Args:
        u: ``(..., n)`` uniform random numbers, one for each example, shared by its classes; None is 1 everywhere:
            no chance, coverage above what was asked for.
    """
    check_rows("logits", logits)
    p = logits.double().softmax(-1)
    ordered = p.sort(-1, descending=True).values
    above = ordered.cumsum(-1) - ordered  # at a rank: the mass of the ranks before
    first = torch.searchsorted(-ordered, -p)  # the first rank that has this probability
    return above.gather(-1, first) + _times(u, p) * p


def raps(logits: Tensor, u: Tensor | None = None, weight: float = 0.1, free: int = 1) -> Tensor:
    """:func:`aps` plus ``weight * max(rank - free, 0)``; ranks from 1, equal probabilities share the best of theirs.

    Angelopoulos, Bates, Malik, Jordan (2021), "Uncertainty sets for image classifiers using conformal prediction",
    eq. 4. Their code adds only the first penalty where u is not drawn; here the sum.
    """
    if weight < 0 or free < 0:
        raise ValueError(f"weight and free are not negative, got {weight} and {free}")
    p = logits.double().softmax(-1)
    rank = torch.searchsorted(-p.sort(-1, descending=True).values, -p) + 1
    return aps(logits, u) + weight * (rank - free).clamp_min(0)


def _times(u: Tensor | None, p: Tensor) -> Tensor | float:
    if u is None:
        return 1.0
    u = torch.as_tensor(u, dtype=p.dtype, device=p.device)
    if bool(((u < 0) | (u > 1)).any()):
        raise ValueError("u holds numbers from 0 to 1, one for each example")
    return spread("u", u, tuple(p.shape[:-1])).unsqueeze(-1)


SCORES = {"thr": thr, "aps": aps, "raps": raps}

__all__ = ["SCORES", "aps", "raps", "thr"]
