"""Pairs of items, one of which is better under a known utility."""

from __future__ import annotations

import math

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.bundled import digits
from labkit.streams import generator

CLASSES = ("first is better", "second is better")
TEST_SHARE = 0.4


def utility(items: torch.Tensor) -> torch.Tensor:
    """``u(v) = (v_0 + v_1 v_2 + (v_3^2 - 1) / sqrt 2) / sqrt 3``: ``(..., d >= 4)`` to ``(...)``.

    The three terms are uncorrelated; for standard normal items u has mean 0 and variance 1.
    """
    a, b, c, d = items[..., :4].double().unbind(-1)
    return (a + b * c + (d.square() - 1) / math.sqrt(2)) / math.sqrt(3)


def preferences(n: int = 2000, dimensions: int = 10, sharpness: float = math.inf, items: str = "synthetic",
                seed: int = 0) -> Data:
    """n pairs of items: x (n, 2, d), y = 0 where the first item is preferred and 1 where the second is.

    items: "synthetic", standard normal vectors of ``dimensions`` (from 4) entries whose `utility` uses the first four;
        or "digits", two digit images of different classes, of which the larger digit is better (d = 64). Two fifths of
        the images are used for the official test pairs and no others.
    sharpness: the second is preferred with probability sigmoid(sharpness (u_2 - u_1)), the model of Bradley, Terry
        (1952); infinite: the better one always is. Synthetic items only; the posterior is exact.
    seed: moves the draws.
    """
    if items not in ("synthetic", "digits"):
        raise ValueError(f"items are 'synthetic' or 'digits', got {items!r}")
    if n < 4 or dimensions < 4 or not sharpness > 0:
        raise ValueError(f"expected n and dimensions from 4 and a positive sharpness, got n={n}, "
                         f"dimensions={dimensions}, sharpness={sharpness}")
    rng = generator(seed, "data")
    if items == "digits":
        if sharpness != math.inf:
            raise ValueError("digits are compared without error; leave sharpness out")
        return _digits(n, rng)
    x = torch.from_numpy(rng.standard_normal((n, 2, dimensions))).float()
    gap = utility(x[:, 1]) - utility(x[:, 0])
    second = (gap > 0).double() if sharpness == math.inf else torch.sigmoid(sharpness * gap)
    y = (torch.from_numpy(rng.random(n)) < second).long()
    return Data("preferences", x, y, CLASSES, posterior=torch.stack([1 - second, second], 1))


def _digits(n: int, rng: np.random.Generator) -> Data:
    data = digits()
    order = rng.permutation(data.n)
    cut, n_test = round(data.n * TEST_SHARE), round(n * TEST_SHARE)
    pairs = np.concatenate([_different(data.y.numpy(), order[cut:], n - n_test, rng),
                            _different(data.y.numpy(), order[:cut], n_test, rng)])
    x, u = data.x[torch.from_numpy(pairs)], data.y[torch.from_numpy(pairs)]
    better = (u[:, 1] > u[:, 0]).long()
    return Data("preferences", x, better, CLASSES, test=torch.arange(n - n_test, n), source="digits")


def _different(values: np.ndarray, pool: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    """n pairs ``(n, 2)`` of positions in ``pool`` whose values differ."""
    pairs = pool[rng.integers(len(pool), size=(4 * n + 100, 2))]
    return pairs[values[pairs[:, 0]] != values[pairs[:, 1]]][:n]
