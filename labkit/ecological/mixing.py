"""Have the chains met, and how much are their draws worth?"""

from __future__ import annotations

import numpy as np


def split_rhat(draws) -> np.ndarray:
    """Potential scale reduction of ``(chains, draws, ...)``, each chain cut in two: near 1 when all halves agree.

    ``sqrt(((n - 1) / n W + B / n) / W)``, W the mean variance within halves and n B-over-n the variance of their means.
    1 where nothing varies. Source: Gelman, Carlin, Stern, Dunson, Vehtari, Rubin (2013), Bayesian Data Analysis, 3rd
    edition, sec. 11.4.
    """
    halves = _halves(draws)
    n = halves.shape[1]
    within = halves.var(1, ddof=1).mean(0)
    between = halves.mean(1).var(0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.sqrt((n - 1) / n + between / within)
    return np.where(within > 0, value, np.where(between > 0, np.inf, 1.0))


def effective_size(draws) -> np.ndarray:
    """Independent draws that ``(chains, draws, ...)`` are worth for a mean, ``(...)``.

    ``chains x draws / (1 + 2 sum of autocorrelations)``, over split chains, the sum ended by Geyer's initial monotone
    positive pairs. Source: the same, sec. 11.5; Geyer (1992), "Practical Markov chain Monte Carlo".
    """
    halves = _halves(draws)
    m, n = halves.shape[:2]
    centred = halves - halves.mean(1, keepdims=True)
    spectrum = np.fft.rfft(centred, 2 * n, axis=1)
    covariance = np.fft.irfft(spectrum * spectrum.conj(), 2 * n, axis=1)[:, :n].mean(0) / n  # (n, ...)
    within = covariance[0] * n / (n - 1)
    plus = covariance[0] + halves.mean(1).var(0, ddof=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = 1 - (within - covariance) / plus
    rho[0] = 1.0
    pairs = rho[0 : n - n % 2 : 2] + rho[1:n:2]
    positive = np.logical_and.accumulate(pairs > 0, axis=0)
    kept = np.minimum.accumulate(np.where(positive, pairs, 0.0), axis=0)
    time = np.maximum(2 * kept.sum(0) - 1, 1 / np.log10(m * n))
    return np.where(plus > 0, m * n / time, np.nan)


def _halves(draws) -> np.ndarray:
    draws = np.asarray(draws, np.float64)
    if draws.ndim < 2 or draws.shape[1] < 4:
        raise ValueError(f"expected (chains, draws, ...) with at least 4 draws, got {draws.shape}")
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])
