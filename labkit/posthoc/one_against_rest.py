"""Recalibration of each class's probability by itself: a map of one number, then rows are made to sum to 1 again.

Every class k is a yes-or-no question with the score p_k; K maps are fitted and the K answers divided by their sum.
That may change the predicted class, which a temperature cannot. The evidence is labels, or whatever
:func:`labkit.posthoc.unbiased_targets` turns into targets: labels with a known transition matrix, complementary labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import betaln, expit, logit
from torch import Tensor

from labkit.posthoc.maps import SMALLEST, Recalibration, check_fitted
from labkit.posthoc.unbiased import unbiased_targets


class OneAgainstRest(Recalibration):
    """Base. A subclass says ``fit_one(p, t)``, giving anything, and ``apply_one(fitted, p)``; arrays ``(n,)``.

    Targets t are 0 or 1 for clean labels. For imperfect evidence they are unbiased estimates of that, which may lie
    outside [0, 1]; probabilities are put back between 0 and 1 after the fit.
    """

    def fit(self, logits, evidence):
        """Raises TypeError for evidence that has no unbiased targets, ValueError for shapes that do not fit."""
        p = logits.detach().double().softmax(-1).numpy()
        t = unbiased_targets(evidence, logits.shape[-1]).double().numpy()
        if p.shape != t.shape or p.ndim != 2:
            raise ValueError(f"a map is fitted to one run: logits {tuple(p.shape)} and targets {tuple(t.shape)} differ")
        self.coef_ = [self.fit_one(p[:, k], t[:, k]) for k in range(p.shape[1])]
        return self

    def __call__(self, logits) -> Tensor:
        check_fitted(self)
        p = logits.detach().double().softmax(-1).numpy()
        q = np.stack([np.clip(self.apply_one(c, p[:, k]), 0.0, 1.0) for k, c in enumerate(self.coef_)], 1)
        lost = q.sum(1) == 0  # every map says no: nothing is known better than before
        q[lost] = p[lost]
        return torch.from_numpy(np.log(np.maximum(q / q.sum(1, keepdims=True), SMALLEST)))


@dataclass
class PlattScaling(OneAgainstRest):
    """``sigma(A s + B)`` of the log odds s = log p/(1-p), with Platt's targets (n1 + 1)/(n1 + 2) and 1/(n0 + 2).

    Platt (1999), "Probabilistic outputs for support vector machines", eq. 11 and section 2.2.
    """

    def fit_one(self, p, t):
        yes = t.sum()
        no = len(t) - yes
        high, low = (yes + 1) / (yes + 2), 1 / (no + 2)
        return logistic_regression(log_odds(p)[:, None], low + t * (high - low))

    def apply_one(self, fitted, p):
        return expit(log_odds(p) * fitted[0] + fitted[1])


@dataclass
class BetaCalibration(OneAgainstRest):
    """``sigma(a log p - b log(1 - p) + c)`` with a and b not negative, which makes it rise with p.

    Kull, Silva Filho, Flach (2017), "Beta calibration", eq. 1. The constraint is part of the fit. (The authors' package
    fits without it, drops a feature with a negative weight and fits again, and keeps what is then negative.)
    """

    def fit_one(self, p, t):
        return logistic_regression(self.features(p), t, [(0, None), (0, None), (None, None)], start=(1.0, 1.0, 0.0))

    def apply_one(self, fitted, p):
        return expit(self.features(p) @ fitted[:2] + fitted[2])

    def features(self, p):
        return np.stack([np.log(np.maximum(p, SMALLEST)), -np.log(np.maximum(1 - p, SMALLEST))], 1)


@dataclass
class HistogramBinning(OneAgainstRest):
    """The mean target of the bin; the middle of an empty bin.

    A bin whose corrected targets add up to nothing answers 0, which log-likelihood does not forgive: judge maps that
    are fitted to imperfect evidence by the Brier score, or take a map with few numbers.

    Zadrozny, Elkan (2001), "Obtaining calibrated probability estimates from decision trees and naive Bayesian
    classifiers", section 4.

    Args:
        bins: at most so many (equal scores share one). binning: "mass", as many examples in each, or "width".
    """

    bins: int = 15
    binning: str = "mass"

    def fit_one(self, p, t):
        edges = bin_edges(p, self.bins, self.binning)
        place = np.searchsorted(edges, p)
        count = np.bincount(place, minlength=len(edges) + 1)
        middle = (np.r_[0.0, edges] + np.r_[edges, 1.0]) / 2
        value = np.bincount(place, t, minlength=len(edges) + 1) / np.maximum(count, 1)
        return edges, np.where(count > 0, value, middle)

    def apply_one(self, fitted, p):
        edges, value = fitted
        return value[np.searchsorted(edges, p)]


@dataclass
class IsotonicCalibration(OneAgainstRest):
    """The best rising step function, by scikit-learn; constant beyond the scores seen. May answer exactly 0 or 1.

    Zadrozny, Elkan (2002), "Transforming classifier scores into accurate multiclass probability estimates".
    """

    def fit_one(self, p, t):
        from sklearn.isotonic import IsotonicRegression

        return IsotonicRegression(out_of_bounds="clip").fit(p, t)

    def apply_one(self, fitted, p):
        return fitted.predict(p)


@dataclass
class BBQ(OneAgainstRest):
    """Bayesian binning into quantiles: histograms with many numbers of bins, averaged by their evidence.

    Naeini, Cooper, Hauskrecht (2015), "Obtaining well calibrated probabilities using Bayesian binning", eqs. 4 to 6.
    Numbers of bins from n^(1/3)/10 to 10 n^(1/3); each bin has a Beta prior of total weight N0 / bins around its
    middle. (A public package of that name uses bins of equal width, scores by BIC or AIC, and drops most models.)
    Counts need labels: targets outside {0, 1} are refused.

    Args:
        strength: N0, published 2.
    """

    strength: float = 2.0

    def fit_one(self, p, t):
        if not np.isin(t, (0.0, 1.0)).all():
            raise TypeError("BBQ counts labels; for imperfect evidence use HistogramBinning or IsotonicCalibration")
        root = len(p) ** (1 / 3)
        models, evidence = [], []
        for bins in range(max(1, int(root / 10)), int(np.ceil(10 * root)) + 1):
            edges = bin_edges(p, bins, "mass")
            if models and len(edges) == len(models[-1][0]):
                continue  # ties: the same histogram again
            place, size = np.searchsorted(edges, p), len(edges) + 1
            n, m = np.bincount(place, minlength=size), np.bincount(place, t, minlength=size)
            middle = np.clip((np.r_[0.0, edges] + np.r_[edges, 1.0]) / 2, 1e-6, 1 - 1e-6)
            a, b = self.strength / size * middle, self.strength / size * (1 - middle)
            models.append((edges, (m + a) / (n + a + b)))
            evidence.append((betaln(m + a, n - m + b) - betaln(a, b)).sum())
        weight = np.exp(np.array(evidence) - max(evidence))
        return list(zip(weight / weight.sum(), models))

    def apply_one(self, fitted, p):
        return sum(weight * value[np.searchsorted(edges, p)] for weight, (edges, value) in fitted)


def log_odds(p: np.ndarray) -> np.ndarray:
    return logit(np.clip(p, SMALLEST, 1 - SMALLEST))


def bin_edges(p: np.ndarray, bins: int, binning: str) -> np.ndarray:
    """Inner edges, rising: bin b is (edge b-1, edge b]. Equal mass: between different scores, as even as ties let."""
    if binning == "width":
        return np.arange(1, bins) / bins
    if binning != "mass":
        raise ValueError(f'binning is "mass" or "width", got {binning!r}')
    ordered = np.sort(p)
    last = np.array([len(part) for part in np.array_split(ordered, bins)]).cumsum()[:-1]
    last = np.searchsorted(ordered, ordered[last[last > 0] - 1], side="right")  # equal scores stay together
    last = np.unique(last[last < len(ordered)])
    return (ordered[last - 1] + ordered[last]) / 2


def logistic_regression(x: np.ndarray, t: np.ndarray, bounds=None, start=None) -> np.ndarray:
    """Weights and, last, the offset that minimise the mean of ``log(1 + e^s) - t s``; t may be any number."""
    from scipy.optimize import minimize
    from threadpoolctl import threadpool_limits

    x = np.c_[x, np.ones(len(x))]

    def loss(w):
        s = x @ w
        return np.logaddexp(0, s).mean() - (t * s).mean(), x.T @ (expit(s) - t) / len(t)

    begin = np.r_[np.ones(x.shape[1] - 1), 0.0] if start is None else np.array(start)
    options = {"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    with threadpool_limits(1):
        return minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds, options=options).x


__all__ = ["BBQ", "BetaCalibration", "HistogramBinning", "IsotonicCalibration", "OneAgainstRest", "PlattScaling"]
