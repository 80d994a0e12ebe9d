"""Notebook 01_smoothing/07_early_events."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up

ABOUT = made_up({("temporal",): (0.9, 0.9)})  # gives the verdict its data set, device and seconds
NAMES = {"p": SimpleNamespace(), "fleets": {"gradual": ABOUT, "abrupt": ABOUT}}


def recalls(temporal: float, plain: float, abrupt_temporal: float = 0.6, abrupt_plain: float = 0.6):
    """The notebook's table with these event recalls, a little noise added."""
    rng = np.random.default_rng(0)
    sides = {("gradual", "temporal", 0.2): temporal, ("gradual", "uniform", 0.0): plain,
             ("abrupt", "temporal", 0.2): abrupt_temporal, ("abrupt", "uniform", 0.0): abrupt_plain}  # fmt: skip
    rows = [
        {"world": world, "method": method, "strength": strength, "seed": seed, "recall": mean + 0.003 * rng.normal()}
        for (world, method, strength), mean in sides.items()
        for seed in range(SEEDS)
    ]
    return {**NAMES, "table": pd.DataFrame(rows)}


def tuned(temporal: float, uniform: float):
    rng = np.random.default_rng(0)
    noisy = lambda mean: mean + 0.003 * rng.normal(size=SEEDS)
    return {**NAMES, "tuned": pd.DataFrame({"temporal": noisy(temporal), "uniform": noisy(uniform)})}


CASES = {
    "temporal-labels-catch-more-events": (lambda: recalls(0.7, 0.6), lambda: recalls(0.6, 0.6)),
    "temporal-labels-beat-uniform-smoothing": (lambda: tuned(0.7, 0.6), lambda: tuned(0.6, 0.7)),
    "temporal-gain-needs-a-gradual-precursor": (
        lambda: recalls(0.7, 0.6),
        lambda: recalls(0.7, 0.6, 0.7, 0.6),  # the same gain where nothing fades
    ),
}
