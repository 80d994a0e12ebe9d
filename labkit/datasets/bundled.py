"""The three sets that come with scikit-learn: no network, no cache."""

from __future__ import annotations

import numpy as np
import torch

from labkit.datasets.base import Data

# Mean and standard deviation of all 1,797 x 64 digit pixels after division by 16. One pair for the whole array, not
# one per pixel, so that a standardised digit is still an image up to brightness and contrast.
DIGITS_MEAN, DIGITS_STD = 0.3053, 0.3760


def digits(flat: bool = True) -> Data:
    """1,797 handwritten digits of 8 x 8 grey pixels: x (1797, 64), or (1797, 1, 8, 8) with ``flat=False``.

    Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository; its test part.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    x = torch.from_numpy((bunch.data / 16 - DIGITS_MEAN) / DIGITS_STD).float()
    return Data("digits", x if flat else x.reshape(-1, 1, 8, 8), torch.from_numpy(bunch.target).long(),
                tuple("0123456789"), image_shape=(8, 8), pixel_mean=(DIGITS_MEAN,), pixel_std=(DIGITS_STD,))


def breast_cancer() -> Data:
    """569 tumours, 30 measurements, malignant or benign: x (569, 30), each feature standardised.

    Mean and standard deviation are those of the whole set, test examples included. No label is used; with features
    this plain it does not move accuracy, and x does not depend on the seed of a split.
    Wolberg, Mangasarian, Street, Street (1993), Breast Cancer Wisconsin (Diagnostic), UCI Machine Learning Repository.
    """
    from sklearn.datasets import load_breast_cancer

    return _table("breast_cancer", load_breast_cancer())


def wine() -> Data:
    """178 wines of three cultivars, 13 chemical measurements: x (178, 13), standardised as in `breast_cancer`.

    Aeberhard, Forina (1992), Wine, UCI Machine Learning Repository.
    """
    from sklearn.datasets import load_wine

    return _table("wine", load_wine())


def standardise(x: np.ndarray) -> np.ndarray:
    """(n, d) -> float32 with mean 0 and standard deviation 1 in every column; a constant column becomes 0."""
    x = np.asarray(x, dtype=np.float64)
    std = x.std(axis=0)
    return ((x - x.mean(axis=0)) / np.where(std > 0, std, 1.0)).astype(np.float32)


def _table(name: str, bunch) -> Data:
    return Data(name, torch.from_numpy(standardise(bunch.data)), torch.from_numpy(bunch.target).long(),
                tuple(bunch.target_names))
