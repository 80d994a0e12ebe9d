"""How far a number measured on n examples can be trusted: intervals over the draw of the test set.

(Intervals over *training* runs are in ``labkit.claims``: another question.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from labkit.streams import generator

from .over_runs import check_labels, check_rows


class Bootstrap(NamedTuple):
    """Every field (...), float64: the metric itself, the same less its estimated bias, and the ends of the interval."""

    value: Tensor
    corrected: Tensor
    low: Tensor
    high: Tensor


@torch.no_grad()
def bootstrap(
    metric: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    labels: Tensor,
    resamples: int = 200,
    level: float = 0.95,
    kind: str = "basic",
    seed: int = 0,
) -> Bootstrap:
    """Interval of ``metric(logits (..., n, K), labels)`` by drawing the n examples again with replacement.

    All runs share the draws, so differences between runs on one test set stay paired.

    kind  "basic" (the quantiles of the resamples mirrored at the value) or "percentile" (the quantiles as they are).
          Resampling adds a second helping of sampling noise, and a binned calibration error rises with noise: for a
          model that is well calibrated the percentiles are shifted *up*, away from the truth. The basic interval is
          shifted down instead, by about the bias. For an accuracy the two hardly differ.
    corrected = 2 value - mean over resamples: the bias correction that Kumar, Liang, Ma (2019), "Verified uncertainty
    calibration", use for ECE with absolute values.

    Efron, Tibshirani (1993), "An introduction to the bootstrap", chapters 10 and 13.
    Raises ValueError for an unknown kind, fewer than 2 resamples and a level outside (0, 1).
    """
    if kind not in ("basic", "percentile"):
        raise ValueError(f"kind must be 'basic' or 'percentile', got {kind!r}")
    if resamples < 2 or not 0 < level < 1:
        raise ValueError(f"bootstrap needs at least 2 resamples and a level in (0, 1), got {resamples} and {level}")
    check_rows("logits", logits)
    labels = check_labels(labels, logits, logits.shape[-1])
    n = logits.shape[-2]
    draws = (torch.from_numpy(generator(seed, "bootstrap", i).integers(0, n, n)) for i in range(resamples))
    again = torch.stack([metric(logits[..., d, :], labels[..., d]) for d in (d.to(logits.device) for d in draws)])
    value = metric(logits, labels)
    tail = (1 - level) / 2
    low, high = again.quantile(tail, 0), again.quantile(1 - tail, 0)
    if kind == "basic":
        low, high = 2 * value - high, 2 * value - low
    return Bootstrap(value, 2 * value - again.mean(0), low, high)


def binomial_interval(hits: Tensor, trials: Tensor, level: float = 0.95) -> tuple[Tensor, Tensor]:
    """Exact interval of a probability after ``hits`` of ``trials``, as for a bin of a reliability curve. Any shape.

    It holds the truth with at least the given level. (0, 1) where there were no trials.
    Clopper, Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of the binomial".
    Raises ValueError unless 0 <= hits <= trials and level is in (0, 1).
    """
    from scipy.special import betaincinv

    if not 0 < level < 1:
        raise ValueError(f"a level is a probability in (0, 1), got {level}")
    hits, trials = (torch.as_tensor(v, dtype=torch.float64) for v in (hits, trials))
    if not bool(((hits >= 0) & (hits <= trials)).all()):
        raise ValueError("hits must be counts from 0 to the number of trials")
    hits, trials = torch.broadcast_tensors(hits, trials)
    tail = (1 - level) / 2
    quantile = lambda a, b, at: torch.as_tensor(betaincinv(a.clamp(min=1).numpy(), b.clamp(min=1).numpy(), at))
    low = quantile(hits, trials - hits + 1, tail).where(hits > 0, 0.0)
    high = quantile(hits + 1, trials - hits, 1 - tail).where(hits < trials, 1.0)
    return low, high


__all__ = ["Bootstrap", "binomial_interval", "bootstrap"]
