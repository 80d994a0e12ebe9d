"""Notebook 03_proportions/09_bags_by_attribute."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def scored(table="scores", **means):
    """One number per seed for ``kind__method`` names."""
    rng = np.random.default_rng(0)
    columns = {tuple(name.split("__")): value + 0.004 * rng.random(SEEDS) for name, value in means.items()}
    return {
        "p": SimpleNamespace(size=32), "data": SimpleNamespace(name="made up"), "telling": "trade", "mute": "region",
        "fits": {"trade": None}, table: pd.DataFrame(columns),
    }  # fmt: skip


CASES = {
    "telling-bags-teach-more-than-mute-ones": (
        lambda: scored(trade__counts=0.85, region__counts=0.8),
        lambda: scored(trade__counts=0.8, region__counts=0.8),
    ),
    "easyllp-loses-on-telling-bags": (
        lambda: scored(dealt__EasyLLP=0.8, trade__EasyLLP=0.7),
        lambda: scored(dealt__EasyLLP=0.7, trade__EasyLLP=0.75),
    ),
    "counts-beat-proportions-on-telling-bags": (
        lambda: scored(trade__counts=0.85, trade__proportions=0.8),
        lambda: scored(trade__counts=0.8, trade__proportions=0.8),
    ),
    "telling-bags-hide-what-differs-inside": (
        lambda: scored("ranked", dealt__counts=0.8, trade__counts=0.7),
        lambda: scored("ranked", dealt__counts=0.7, trade__counts=0.75),
    ),
}
