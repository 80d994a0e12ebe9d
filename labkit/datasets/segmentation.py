"""Small pictures with a class in every pixel."""

from __future__ import annotations

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.streams import generator

INK = 0.45  # a pixel of a digit is foreground above this share of full ink


def digit_masks(n: int = 200, size: int = 16, clutter: float = 0.2, noise: float = 0.15, seed: int = 0) -> Data:
    """Digits on cluttered ground: x (n, 1, size, size), y (n, size * size) with 0 for ground and 1 for ink.

    Each picture holds one of scikit-learn's digits, enlarged by a factor between 1.4 and 2 and put at a random place.
    Its mask is where the ink is dark enough. On top come a smooth random ground that can look like faint ink, and
    noise in every pixel. Pixels run along rows, so ``y.view(n, size, size)`` are the masks.

    Args:
        n: pictures. size: their side in pixels, from 16. clutter: standard deviation of the ground. noise: standard
            deviation per pixel; ink is between 0.6 and 1. seed: moves everything random.
    """
    from scipy.ndimage import gaussian_filter, zoom
    from sklearn.datasets import load_digits

    if n < 2 or size < 16 or not min(clutter, noise) >= 0:
        raise ValueError(
            f"expected n >= 2, size >= 16, clutter and noise >= 0, got n={n}, size={size}, "
            f"clutter={clutter}, noise={noise}"
        )
    rng = generator(seed, "data")
    bunch = load_digits().images / 16
    pictures, masks = np.zeros((n, size, size)), np.zeros((n, size, size), dtype=np.int64)
    for i in range(n):
        digit = zoom(bunch[rng.integers(len(bunch))], rng.uniform(1.4, 2.0), order=1, mode="nearest")
        down, right = (rng.integers(size - side + 1) for side in digit.shape)
        place = slice(down, down + digit.shape[0]), slice(right, right + digit.shape[1])
        pictures[i][place] = rng.uniform(0.6, 1.0) * digit
        masks[i][place] = digit > INK
        ground = gaussian_filter(rng.standard_normal((size, size)), 1.5)
        pictures[i] += clutter * ground / ground.std() + noise * rng.standard_normal((size, size))
    mean, std = float(pictures.mean()), float(pictures.std())
    x = torch.from_numpy((pictures - mean) / std).float()[:, None]
    return Data(
        "digit_masks",
        x,
        torch.from_numpy(masks).flatten(1),
        ("ground", "ink"),
        image_shape=(size, size),
        pixel_mean=(mean,),
        pixel_std=(std,),
    )
