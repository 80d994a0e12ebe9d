"""Notebook 05_calibration/08_calibrated_from_imperfect_labels."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def table(unbiased: float = 0.0, **values: float) -> dict:
    """``kind__way__method`` (words joined by one underscore) -> the mean over seeds of any metric."""
    held = {tuple(part.replace("_", " ") for part in name.split("__")): v for name, v in values.items()}
    seeds = lambda mean: pd.Series(mean + 0.001 * np.random.default_rng(0).random(SEEDS))

    def of(metric, kind, way="as trained", method="likelihood"):
        return seeds(held[kind, way, method])

    return {"runs": defaultdict(lambda: None), "of": of, "unbiased_ece": seeds(unbiased)}


def alike(*kinds: str, through: float, oracle: float = 0.02) -> dict:
    """What a temperature through the likelihood leaves, and one from clean labels."""
    ways = {"through_likelihood": through, "oracle": oracle}
    return table(**{f"{kind}__{way}__likelihood": v for kind in kinds for way, v in ways.items()})


WORD = {"at_its_word": 0.3, "through_likelihood": 0.02}
CASES = {
    "a-temperature-at-its-word-learns-the-noise": (
        lambda: table(**{f"symmetric_noise__{way}__likelihood": v for way, v in WORD.items()}),
        lambda: table(**{f"symmetric_noise__{way}__likelihood": 0.05 for way in WORD}),  # both leave the same
    ),
    "temperature-through-the-matrix": (
        lambda: alike("symmetric_noise", "pair_noise", through=0.022),
        lambda: alike("symmetric_noise", "pair_noise", through=0.05),
    ),
    **{
        f"temperature-from-{claim}": (
            lambda kind=kind: alike(kind, through=0.022),
            lambda kind=kind: alike(kind, through=0.05),
        )
        for claim, kind in (("candidates", "candidates"), ("noes", "noes"), ("a-crowd", "crowd"), ("counts", "bags"))
    },
    "temperature-from-unbiased-targets": (
        lambda: table(0.022, symmetric_noise__oracle__likelihood=0.02),
        lambda: table(0.05, symmetric_noise__oracle__likelihood=0.02),
    ),
    "an-average-matrix-leaves-miscalibration": (
        lambda: alike("hard_cases", through=0.05),
        lambda: alike("hard_cases", through=0.022),
    ),
    "no-temperature-unlearns-pair-noise": (
        lambda: table(pair_noise__oracle__usual=0.9, pair_noise__through_likelihood__likelihood=0.6),
        lambda: table(pair_noise__oracle__usual=0.61, pair_noise__through_likelihood__likelihood=0.6),
    ),
}
