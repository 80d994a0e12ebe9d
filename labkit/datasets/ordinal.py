"""Classes that have an order: a measured quantity cut into levels, and one whose posterior is known."""

from __future__ import annotations

import math

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.bundled import standardise
from labkit.streams import generator


def diabetes_levels(levels: int = 5) -> Data:
    """442 patients, 10 measurements, the progress of diabetes a year later in levels of equal frequency: x (442, 10).

    Level k holds the quantities between the quantiles k / levels and (k + 1) / levels of all patients.
    Efron, Hastie, Johnstone, Tibshirani (2004), "Least angle regression"; comes with scikit-learn.
    """
    from sklearn.datasets import load_diabetes

    if not 2 <= levels <= 50:
        raise ValueError(f"expected 2 to 50 levels, got {levels}")
    bunch = load_diabetes(scaled=False)
    cuts = np.quantile(bunch.target, np.arange(1, levels) / levels)
    y = np.searchsorted(cuts, bunch.target, side="right")
    x = torch.from_numpy(standardise(bunch.data))
    return Data("diabetes_levels", x, torch.from_numpy(y).long(), _names(levels))


def ordinal(n: int = 1500, levels: int = 5, dimensions: int = 10, noise: float = 1.0, seed: int = 0) -> Data:
    """n draws of an ordered probit: a hidden quantity ``w . x + noise * e``, cut into levels of equal probability.

    x (n, dimensions) is standard normal, w has length 1 (equal entries), e is standard normal and ``noise`` its
    weight (above 0). So ``P(level k | x) = F((c_(k+1) - w.x) / noise) - F((c_k - w.x) / noise)``, F the normal
    distribution function: known exactly. ``seed`` moves the draws only.
    McCullagh (1980), "Regression models for ordinal data".
    """
    if n < 1 or levels < 2 or dimensions < 1 or not 0 < noise < math.inf:
        raise ValueError(
            f"expected n >= 1, levels >= 2, dimensions >= 1 and a finite noise above 0, got n={n}, "
            f"levels={levels}, dimensions={dimensions}, noise={noise}"
        )
    from scipy.special import ndtr, ndtri

    rng = generator(seed, "data")
    x = rng.standard_normal((n, dimensions)).astype(np.float32)
    signal = x.astype(np.float64).sum(1) / math.sqrt(dimensions)
    cuts = ndtri(np.arange(levels + 1) / levels) * math.hypot(1, noise)  # -inf, ..., inf
    y = np.searchsorted(cuts[1:-1], signal + noise * rng.standard_normal(n), side="right")
    below = ndtr((cuts - signal[:, None]) / noise)
    posterior = np.maximum(np.diff(below, axis=1), 0)
    return Data(
        "ordinal",
        torch.from_numpy(x),
        torch.from_numpy(y).long(),
        _names(levels),
        posterior=torch.from_numpy(posterior / posterior.sum(1, keepdims=True)),
    )


def _names(levels: int) -> tuple[str, ...]:
    return tuple(f"level {k + 1}" for k in range(levels))
