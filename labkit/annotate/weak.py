"""A weak classifier as annotator: it sees little, was taught clean labels, and errs where classes look alike."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from labkit.datasets import Data
from labkit.streams import generator


def weak_posterior(
    data: Data, pixels: tuple[int, int] = (3, 2), rate: float | None = None, folds: int = 5, name: str = "weak"
) -> Data:
    """``data`` with ``side[name]`` ``(n, K)``: what a short-sighted classifier believes of each example.

    Softmax regression on images averaged down to ``pixels`` (rows, columns), fitted to the clean labels of the other
    folds, so no belief is about an example it was fitted to. Labels are drawn from these beliefs
    (:class:`labkit.annotate.DrawnFrom`). Such noise depends on the features: an example that looks like another class
    gets that label, as with human annotators, and unlike any matrix. On digits, 3 x 2 pixels give 39 % wrong labels
    and 3 x 3 give 23 %.

    Args:
        pixels: what it sees; of data that are not images, as many leading principal components. folds: from 2.
        rate: mean probability of a wrong label, set by one exponent on all beliefs (far from where they are by
            themselves this makes them either certain or uniform); None leaves the beliefs as they are.

    Raises:
        ValueError: the classifier cannot be wrong that seldom (its smallest rate is said), or rate is beyond 1 - 1/K.
    """
    if folds < 2:
        raise ValueError(f"beliefs are out of fold: folds is at least 2, got {folds}")
    beliefs = _out_of_fold(_coarse(data, pixels), data.y.numpy(), data.n_classes, folds)
    log_p = torch.from_numpy(beliefs)
    probs = torch.softmax(log_p, 1) if rate is None else _at_rate(log_p, data.y, rate)
    return replace(data, side={**data.side, name: probs})


def _coarse(data: Data, pixels: tuple[int, int]) -> np.ndarray:
    """``(n, d)`` standardised features of low resolution."""
    x = data.x.double()
    if data.image_shape is not None:
        shape = data.image_shape if len(data.image_shape) == 3 else (1, *data.image_shape)
        x = torch.nn.functional.adaptive_avg_pool2d(x.reshape(-1, *shape), tuple(pixels)).flatten(1)
    else:
        x = x.flatten(1) - x.flatten(1).mean(0)
        x = x @ torch.linalg.svd(x, full_matrices=False).Vh[: math.prod(pixels)].mT
    return ((x - x.mean(0)) / x.std(0).clamp_min(1e-9)).numpy()


def _out_of_fold(x: np.ndarray, y: np.ndarray, classes: int, folds: int) -> np.ndarray:
    """``(n, K)`` log probabilities."""
    from sklearn.linear_model import LogisticRegression

    fold = generator(0, "data", 1).permutation(len(y)) % folds
    log_p = np.full((len(y), classes), -30.0)  # a class that a fold never saw
    for f in range(folds):
        model = LogisticRegression(max_iter=500).fit(x[fold != f], y[fold != f])
        log_p[np.ix_(fold == f, model.classes_)] = model.predict_log_proba(x[fold == f])
    return log_p


def _at_rate(log_p: Tensor, truth: Tensor, rate: float) -> Tensor:
    """``softmax(b log_p)`` with b such that the mean probability of the true class is ``1 - rate``."""
    at = lambda b: torch.softmax(b * log_p, 1)
    wrong = lambda b: 1 - float(at(b).gather(1, truth[:, None]).mean())
    low, high = 0.0, 64.0  # the error falls from 1 - 1/K to that of the most probable class
    if not wrong(high) < rate < wrong(low):
        raise ValueError(
            f"labels of this classifier can be wrong at rates from {wrong(high):.3f} to {wrong(low):.3f}, not "
            f"{rate:g}; let it see more pixels for less noise"
        )
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if wrong(middle) > rate else (low, middle)
    return at(high)


__all__ = ["weak_posterior"]
