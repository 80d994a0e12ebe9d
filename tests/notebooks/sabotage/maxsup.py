"""Notebook 01_smoothing/02_maxsup_and_the_representation."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up


def runs(maxsup, smoothing, without=(0.8, 0.8)):
    return {"runs": made_up({("MaxSup",): maxsup, ("smoothing",): smoothing, ("without error term",): without})}


def table(name: str, maxsup: float, smoothing: float) -> dict:
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "seed": seed, "value": value * (1 + 0.01 * rng.random())}
        for method, value in (("MaxSup", maxsup), ("smoothing", smoothing))
        for seed in range(SEEDS)
    ]
    return {"runs": None, "learned": None, name: pd.DataFrame(rows)}


CASES = {
    "maxsup-as-accurate-as-smoothing": (
        lambda: runs((0.8, 0.8), (0.8, 0.8)),  # equal is good enough
        lambda: runs((0.75, 0.8), (0.8, 0.8)),
    ),
    "maxsup-leaves-within-class-variation": (lambda: table("clusters", 0.5, 0.4), lambda: table("clusters", 0.4, 0.4)),
    "maxsup-less-sure-when-wrong": (
        lambda: runs((0.8, 0.6), (0.8, 0.8)),
        lambda: runs((0.9, 0.8), (0.8, 0.8)),  # fewer mistakes, but as sure of them
    ),
    "error-term-makes-errors-sure": (
        lambda: runs((0.8, 0.8), (0.8, 0.8), without=(0.8, 0.6)),
        lambda: runs((0.8, 0.6), (0.8, 0.8), without=(0.8, 0.8)),  # MaxSup's success is not the reason's
    ),
    "maxsup-transfers-better": (lambda: table("probed", 0.9, 0.85), lambda: table("probed", 0.85, 0.85)),
}
