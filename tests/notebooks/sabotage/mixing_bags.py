"""Notebook 03_proportions/04_mixing_bags."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import SEEDS, made_up

P = SimpleNamespace(bags=32, sizes=[8, 16, 32])
NAMES = {"p": P, "small": 8, "middle": 16, "large": 32, "data": SimpleNamespace(name="digits"), "tuned": tuned}
SURE = 0.9


def plain(fine, coarse, few, many):
    """Runs of the first section: bags of 8 and of 32 from equal examples, then 32 bags of 8 and of 32."""
    level = {(64, 8): fine, (16, 32): coarse, (32, 8): few, (32, 32): many, (32, 16): 0.8}
    runs = {setting: made_up({("no mixing",): (value, SURE)}) for setting, value in level.items()}
    names = {**NAMES, "plain": runs, "score": {}}
    names["score"] = {k: r.measure("accuracy").set_index("seed")["value"] for k, r in runs.items()}
    names["more_bags"] = names["score"][64, 8] - names["score"][16, 32]
    return names


def ways(none, point, interval):
    rng = np.random.default_rng(0)
    by = pd.DataFrame({"no mixing": none, "point target": point, "interval": interval}, index=range(SEEDS))
    return {**NAMES, "by": by + 1e-3 * rng.random(by.shape)}


def widths(published, exact):
    runs = lambda name, value: made_up({(name, ("z", 2.5758)): (value, SURE)})
    return {**NAMES, "widths": runs("exact variance", exact), "mixed": {16: runs("MixBag", published)}}


def on_consistency(none, vat, both):
    rng = np.random.default_rng(0)
    level = pd.DataFrame({"no mixing": none, "LLP-VAT": vat, "LLP-VAT + interval": both}, index=range(SEEDS))
    return {**NAMES, "vat": None, "level": level + 1e-3 * rng.random(level.shape)}


CASES = {
    "more-bags-at-equal-examples": (
        lambda: plain(0.95, 0.8, 0.8, 0.8),
        lambda: plain(0.8, 0.8, 0.8, 0.8),  # cutting the same examples finer brings nothing
    ),
    "bags-beat-examples": (
        lambda: plain(0.95, 0.8, 0.8, 0.81),
        lambda: plain(0.95, 0.8, 0.6, 0.9),  # more examples bring more
    ),
    "interval-beats-point-target": (lambda: ways(0.9, 0.8, 0.9), lambda: ways(0.9, 0.9, 0.9)),
    "mixing-beats-not-mixing": (lambda: ways(0.8, 0.8, 0.9), lambda: ways(0.9, 0.8, 0.9)),
    "point-mixing-beats-not-mixing": (lambda: ways(0.8, 0.9, 0.9), lambda: ways(0.9, 0.8, 0.9)),
    "correct-width-matters": (lambda: widths(0.8, 0.9), lambda: widths(0.9, 0.9)),
    "consistency-helps-proportions": (lambda: on_consistency(0.8, 0.9, 0.9), lambda: on_consistency(0.9, 0.9, 0.9)),
    "mixing-helps-on-top-of-consistency": (
        lambda: on_consistency(0.8, 0.9, 0.95),
        lambda: on_consistency(0.8, 0.9, 0.9),
    ),
}
