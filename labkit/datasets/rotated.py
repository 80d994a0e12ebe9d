"""Rotated digits: the same digits in several environments, one angle each, and an angle nobody trains on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.bundled import DIGITS_MEAN, DIGITS_STD
from labkit.streams import generator


def rotated_digits(angles: Sequence[float] = (0, 15, 30, 45, 60), unseen: int = 1, seed: int = 0) -> Data:
    """1,797 digits of 8 x 8 pixels, each turned anticlockwise by one of ``angles`` (degrees): x (1797, 64).

    ``side["environment"]`` (n,) is the position of an example's angle in ``angles``. The last ``unseen`` angles are
    the official test set; training and validation never show them. The digits are dealt out evenly, each into one
    environment, by ``seed``. Pixels are interpolated linearly; what turns in from outside is background.
    After the rotated digits of Ghifary, Kleijn, Zhang, Balduzzi (2015), "Domain generalization for object recognition
    with multi-task autoencoders". ValueError for fewer than two training angles or no unseen one.
    """
    from scipy.ndimage import rotate
    from sklearn.datasets import load_digits

    angles, seen = [float(a) for a in angles], len(angles) - unseen
    if unseen < 1 or seen < 2 or len(set(angles)) < len(angles):
        raise ValueError(f"expected different angles, at least two to train on and one unseen; got {angles}, "
                         f"unseen={unseen}")
    bunch = load_digits()
    environment = generator(seed, "data").permutation(np.arange(len(bunch.target)) % len(angles))
    images = bunch.images / 16
    for i, angle in enumerate(angles):
        inside = environment == i
        images[inside] = rotate(images[inside], angle, axes=(1, 2), reshape=False, order=1)
    x = (images.reshape(len(images), -1).clip(0, 1) - DIGITS_MEAN) / DIGITS_STD
    environment = torch.from_numpy(environment).long()
    return Data("rotated_digits", torch.from_numpy(x).float(), torch.from_numpy(bunch.target).long(),
                tuple("0123456789"), test=(environment >= seen).nonzero().flatten(), image_shape=(8, 8),
                pixel_mean=(DIGITS_MEAN,), pixel_std=(DIGITS_STD,), side={"environment": environment},
                source="angles " + ", ".join(f"{a:g}" for a in angles) + f"; unseen: the last {unseen}")
