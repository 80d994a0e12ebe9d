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


INKS = (("pale", 0.45), ("grey", 0.7), ("black", 1.0))  # the class of a digit's pixels, and how dark full ink is


def digit_canvas(
    n: int = 60, size: int = 24, digits: int = 3, clutter: float = 0.1, noise: float = 0.1, seed: int = 0
) -> Data:
    """Several digits on one canvas, each in one of three inks: x (n, 1, size, size), y (n, size * size).

    Classes are 0 for ground, then pale, grey and black ink. Each digit is enlarged by a factor between 1.3 and 1.8 and
    put at a random place, over those before it; its mask is where its own ink is above 0.45 of full. The ink fades
    towards a digit's edge, so at the rim of a black digit a pixel looks grey: what it is shows in the pixels around it.
    Ground and noise are as in :func:`digit_masks`.

    Args:
        n: canvases. size: their side in pixels, from 16. digits: on each, from 1. clutter: standard deviation of the
            ground. noise: standard deviation per pixel. seed: moves everything random.
    """
    from scipy.ndimage import gaussian_filter, zoom
    from sklearn.datasets import load_digits

    if n < 2 or size < 16 or digits < 1 or not min(clutter, noise) >= 0:
        raise ValueError(
            f"expected n >= 2, size >= 16, digits >= 1, clutter and noise >= 0, got n={n}, size={size}, "
            f"digits={digits}, clutter={clutter}, noise={noise}"
        )
    rng = generator(seed, "data")
    bunch = load_digits().images / 16
    pictures, masks = np.zeros((n, size, size)), np.zeros((n, size, size), dtype=np.int64)
    for i in range(n):
        for _ in range(digits):
            digit = zoom(bunch[rng.integers(len(bunch))], rng.uniform(1.3, 1.8), order=1, mode="nearest")
            kind = int(rng.integers(len(INKS)))
            down, right = (rng.integers(size - side + 1) for side in digit.shape)
            place = slice(down, down + digit.shape[0]), slice(right, right + digit.shape[1])
            full = digit > INK
            ink = INKS[kind][1] * digit
            pictures[i][place] = np.where(full, ink, np.maximum(pictures[i][place], ink))
            masks[i][place] = np.where(full, 1 + kind, masks[i][place])
        ground = gaussian_filter(rng.standard_normal((size, size)), 1.5)
        pictures[i] += clutter * ground / ground.std() + noise * rng.standard_normal((size, size))
    mean, std = float(pictures.mean()), float(pictures.std())
    return Data(
        "digit_canvas",
        torch.from_numpy((pictures - mean) / std).float()[:, None],
        torch.from_numpy(masks).flatten(1),
        ("ground", *(name for name, _ in INKS)),
        image_shape=(size, size),
        pixel_mean=(mean,),
        pixel_std=(std,),
    )
