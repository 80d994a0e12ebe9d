"""Notebook 03_proportions/02_accuracy_by_bag_size."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit.theory import bag_risk
from tests.notebooks.sabotage import SEEDS

COMPARED = [4, 16, 64]
P = SimpleNamespace(sizes=[1, *COMPARED], compared=COMPARED)
METHODS = ("DLLP", "exact counts", "EasyLLP", "MixBag", "LLP-VAT", "ROT")


def ahead(gain: float) -> dict:
    """All rivals of DLLP that much more accurate."""
    rng = np.random.default_rng(0)
    average = {name: pd.Series(0.8 + gain * (name != "DLLP") + 0.002 * rng.standard_normal(SEEDS)) for name in METHODS}
    return {
        "average": average, "runs": {(name, 64): None for name in METHODS}, "p": P,
        "says": lambda name: f"{name} is ahead", "display": lambda *shown: None,
    }  # fmt: skip


def law(power: float) -> dict:
    rng = np.random.default_rng(0)
    values = np.array([0.005 * k**power for k in COMPARED]) * (1 + 0.02 * rng.random((SEEDS, len(COMPARED))))
    return {"excess": lambda name, sizes: values, "runs": {("EasyLLP", 64): None}, "p": P, "bag_risk": bag_risk}


GAIN = (lambda: ahead(0.02), lambda: ahead(0.0))
CASES = {
    **dict.fromkeys(
        ("exact-counts-beat-proportions-by-size", "mixbag-beats-proportions-by-size",
         "llpvat-beats-proportions-by-size", "rot-beats-proportions-by-size"), GAIN,
    ),
    "easyllp-error-law-of-ten-classes": (lambda: law(0.8), lambda: law(1.5)),
}  # fmt: skip
