"""Notebook 04_partial/06_wrong_about_the_annotator."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from tests.notebooks.sabotage import SEEDS

P = SimpleNamespace(dataset="digits")
UNTOLD = ("SCL-NL", "SCL-EXP")


def near(values, seed=0) -> pd.DataFrame:
    """One row per seed, every value a little off."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame([{k: v + 0.002 * rng.random() for k, v in values.items()} for _ in range(SEEDS)])


def foretold(this, other):
    return pd.Series({s: spearmanr(this.loc[s], other.drop(index=s).mean()).statistic for s in this.index})


def ranked(*under):
    """Accuracies of three methods under the uniform and under another annotator."""
    uniform, other = (near(dict(zip(("SCL-NL", "SCL-EXP", "forward"), values)), i) for i, values in enumerate(under))
    wide = {"uniform": uniform, "weak bias": other, "noise": other}
    return {"wide": wide, "foretold": foretold, "untold": dict.fromkeys(UNTOLD), "p": P}


def costs(noise, bias):
    cost = {"noise": near(dict.fromkeys(UNTOLD, noise), 1), "weak bias": near(dict.fromkeys(UNTOLD, bias), 2)}
    return {"cost": cost, "p": P}


def told(**accuracy):
    """Accuracy under weak bias without and with slips, by what was told: nothing, the bias, bias and slips."""
    names = {"nothing": "uniform", "bias": "weak bias", "both": "the truth"}
    rows = []
    for i, (short, values) in enumerate(accuracy.items()):
        made = near(dict(zip(("weak bias", "weak bias, noise"), values)), i)
        rows += [
            {"told": names[short], "annotator": a, "seed": s, "value": v} for a in made for s, v in made[a].items()
        ]
    return {"assumed": pd.DataFrame(rows), "p": P}


CASES = {
    "ranking-changes-under-bias": (
        lambda: ranked((0.7, 0.6, 0.5), (0.5, 0.6, 0.7)),
        lambda: ranked((0.7, 0.6, 0.5), (0.4, 0.3, 0.2)),  # everybody worse, in the same order
    ),
    "ranking-changes-under-slips": (
        lambda: ranked((0.7, 0.6, 0.5), (0.5, 0.6, 0.7)),
        lambda: ranked((0.7, 0.6, 0.5), (0.4, 0.3, 0.2)),
    ),
    "being-told-the-bias-wins": (
        lambda: ranked((0.7, 0.6, 0.7), (0.6, 0.5, 0.7)),
        lambda: ranked((0.7, 0.6, 0.7), (0.5, 0.7, 0.7)),  # level with the better of the others
    ),
    "noise-costs-more-than-bias": (lambda: costs(0.3, 0.1), lambda: costs(0.1, 0.1)),
    "slips-shrink-the-lead-of-the-told": (
        lambda: told(nothing=(0.7, 0.5), bias=(0.8, 0.5), both=(0.8, 0.6)),
        lambda: told(nothing=(0.7, 0.5), bias=(0.8, 0.6), both=(0.8, 0.6)),  # both fall by as much
    ),
    "being-told-of-slips-pays": (
        lambda: told(nothing=(0.7, 0.5), bias=(0.8, 0.5), both=(0.8, 0.6)),
        lambda: told(nothing=(0.7, 0.5), bias=(0.8, 0.6), both=(0.8, 0.6)),
    ),
}
