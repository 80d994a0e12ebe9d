"""Notebook 01_smoothing/13_smoothing_the_environment."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def per_seed(**means):
    """``smoothed_noisy=0.8`` is the accuracy (or wobble) of one method at one noise level, a little apart per seed."""
    held = {}
    for i, (name, mean) in enumerate(means.items()):
        method, level = name.split("_")
        noise = 0.4 if level == "noisy" else 0.0
        values = mean * (1 + 0.01 * np.random.default_rng(i).standard_normal(SEEDS))
        held[{"dann": "DANN"}.get(method, method), noise] = pd.Series(values, index=range(SEEDS))
    return held


def accuracies(**means):
    return {"runs": None, "best": per_seed(**means)}


def wobbles(**means):
    return {"runs": None, "spread": per_seed(**means)}


CASES = {
    "environment-smoothing-helps-under-noise": (
        lambda: accuracies(smoothed_noisy=0.75, dann_noisy=0.7),
        lambda: accuracies(smoothed_noisy=0.7, dann_noisy=0.72),
    ),
    "environment-smoothing-schedule-helps-under-noise": (
        lambda: accuracies(schedule_noisy=0.75, dann_noisy=0.7),
        lambda: accuracies(schedule_noisy=0.7, dann_noisy=0.72),
    ),
    "environment-smoothing-gains-more-under-noise": (
        lambda: accuracies(smoothed_noisy=0.75, dann_noisy=0.65, smoothed_clean=0.75, dann_clean=0.73),
        lambda: accuracies(smoothed_noisy=0.75, dann_noisy=0.73, smoothed_clean=0.75, dann_clean=0.65),
    ),
    "environment-smoothing-steadies-training": (
        lambda: wobbles(dann_clean=0.03, smoothed_clean=0.01),
        lambda: wobbles(dann_clean=0.02, smoothed_clean=0.02),
    ),
}
