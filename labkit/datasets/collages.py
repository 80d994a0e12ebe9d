"""Pictures with one or two digits and a single recorded label: a data set in which several labels are right."""

from __future__ import annotations

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.datasets.bundled import DIGITS_MEAN, DIGITS_STD
from labkit.streams import generator

PARTS = {"all": (0, 1797), "first": (0, 1200), "second": (1200, 1797)}  # which of scikit-learn's digits


def collages(
    n: int = 2000, several: float = 0.3, noise: float = 0.2, part: str = "all", flat: bool = True, seed: int = 0
) -> Data:
    """n pictures of 8 x 16 pixels: x (n, 128), or (n, 1, 8, 16) with ``flat=False``; y the recorded label.

    A share ``several`` (rounded) of the pictures holds two digits of different classes, left and right; the others hold
    one, on a random side. The recorded label is one of those present, each as likely: whoever wrote it down saw both
    and had room for one. So the true ``P(label | picture)`` is known: ``posterior`` is 1, or 1/2 for each of two, and
    `label_sets` reads the full set from it. Methods never see the posterior; the set is for evaluation only and is
    therefore no ``side`` information.

    Args:
        several: share of pictures with two digits. noise: standard deviation per pixel, ink is up to 1.
        part: which digits are used: "all", or "first" and "second", which share none (training and test pictures).
        seed: moves everything random. Pixels are scaled as in ``load("digits")``, whatever the options.

    Raises:
        ValueError: a number out of range or an unknown part.
    """
    from sklearn.datasets import load_digits

    if n < 2 or not 0 <= several <= 1 or not noise >= 0 or part not in PARTS:
        raise ValueError(
            f"expected n >= 2, several in [0, 1], noise >= 0 and part one of {', '.join(PARTS)}, got n={n}, "
            f"several={several}, noise={noise}, part={part!r}"
        )
    rng, bunch, (low, high) = generator(seed, "data"), load_digits(), PARTS[part]
    shown = rng.integers(low, high, (n, 2))
    while (alike := bunch.target[shown[:, 0]] == bunch.target[shown[:, 1]]).any():
        shown[alike, 1] = rng.integers(low, high, alike.sum())
    both = rng.permutation(n) < round(several * n)
    main = rng.integers(2, size=n)  # the side that is certainly there, and the one that is written down
    pictures = np.zeros((n, 8, 2, 8))
    for side in (0, 1):
        there = both | (main == side)
        pictures[there, :, side] = bunch.images[shown[there, side]] / 16
    pictures = pictures.reshape(n, 8, 16) + noise * rng.standard_normal((n, 8, 16))
    labels = bunch.target[shown]  # (n, 2)
    posterior = np.zeros((n, 10))
    posterior[np.arange(n), labels[np.arange(n), main]] = np.where(both, 0.5, 1.0)
    posterior[np.flatnonzero(both), labels[both, 1 - main[both]]] = 0.5
    x = torch.from_numpy((pictures - DIGITS_MEAN) / DIGITS_STD).float()
    return Data(
        "collages", x.flatten(1) if flat else x[:, None], torch.from_numpy(labels[np.arange(n), main]).long(),
        tuple("0123456789"), posterior=torch.from_numpy(posterior), image_shape=(8, 16), pixel_mean=(DIGITS_MEAN,),
        pixel_std=(DIGITS_STD,),
    )  # fmt: skip


def label_sets(data: Data) -> torch.Tensor:
    """``(n, K)`` booleans: every label that is right, the classes of positive true probability. Evaluation only."""
    if data.posterior is None:
        raise ValueError(f"{data.name} has no known posterior, so its full label sets are not known")
    return data.posterior > 0
