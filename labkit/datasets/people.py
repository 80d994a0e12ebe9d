"""Made-up people with attributes that know more or less of the class: bags by attribute with a known truth."""

from __future__ import annotations

import numpy as np
import torch

from labkit.datasets.base import Data
from labkit.streams import generator

CLASSES = ("low", "high")
WEIGHTS = np.array([1.6, 1.2, 0.8, 0.0, 0.0, 0.0])  # of the six measurements in the log odds
CURVE, OFFSET = 0.8, -1.9  # of the product of measurements 3 and 4; about 25 % are "high"
ATTRIBUTES = {"trade": 12, "status": 6, "region": 12}  # number of values


def people(n: int = 4000, seed: int = 0) -> Data:
    """n people, two classes: x (n, 36) holds six standard normal measurements, then one column a value of an attribute.

    ``P(high | x) = sigmoid(1.6 m_1 + 1.2 m_2 + 0.8 m_3 + 0.8 m_3 m_4 - 1.9)``: the attributes add nothing to the
    measurements. ``side["trade"]`` cuts m_1 (plus noise) into 12 parts of equal size, ``side["status"]`` cuts
    m_2 + m_5 (plus noise) into six, ``side["region"]`` is one of 12 at random: bags by trade differ much in their class
    counts, bags by region as random ones do.
    """
    if n < 24:
        raise ValueError(f"expected at least 24 people, got {n}")
    rng = generator(seed, "data")
    m = rng.standard_normal((n, 6))
    odds = m @ WEIGHTS + CURVE * m[:, 2] * m[:, 3] + OFFSET
    high = 1 / (1 + np.exp(-odds))
    side = {
        "trade": _parts(m[:, 0] + 0.5 * rng.standard_normal(n), ATTRIBUTES["trade"]),
        "status": _parts(m[:, 1] + m[:, 4] + 0.5 * rng.standard_normal(n), ATTRIBUTES["status"]),
        "region": rng.integers(ATTRIBUTES["region"], size=n),
    }
    flags = [np.eye(ATTRIBUTES[name])[value] for name, value in side.items()]
    return Data(
        "people", torch.from_numpy(np.concatenate([m, *flags], 1)).float(),
        torch.from_numpy((rng.random(n) < high).astype(np.int64)), CLASSES,
        posterior=torch.from_numpy(np.stack([1 - high, high], 1)),
        side={name: torch.from_numpy(value.astype(np.int64)) for name, value in side.items()},
    )  # fmt: skip


def _parts(score: np.ndarray, parts: int) -> np.ndarray:
    """Which of so many parts of equal size a score is in."""
    return score.argsort().argsort() * parts // len(score)
