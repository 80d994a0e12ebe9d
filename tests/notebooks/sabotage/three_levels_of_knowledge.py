"""Notebook 01_smoothing/10_three_levels_of_knowledge."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit.theory import knowledge_transfer as kt
from tests.notebooks.sabotage import SEEDS

NAMES = {"kt": kt, "p": SimpleNamespace(dataset="simulation")}


def power_law(learner, exponent, x="n", points=(500, 4000, 32000)):
    """Errors that fall (or grow) as that power of n (or of the number of labels), with a little noise."""
    rng = np.random.default_rng(0)
    return pd.DataFrame([
        {"learner": learner, x: v, "seed": s, "error": v**exponent * np.exp(0.01 * rng.standard_normal())}
        for s in range(SEEDS)
        for v in points
    ])  # fmt: skip


def rate(learner, exponent):
    return {**NAMES, "hardest": power_law(learner, exponent)}


def ends(naive, sel):
    rng = np.random.default_rng(1)
    rows = [
        {"learner": name, "n": n, "seed": s, "error": value * n_factor * (1 + 0.01 * rng.random())}
        for name, value in (("naive cross entropy", naive), ("squared error logit", sel))
        for s in range(SEEDS)
        for n, n_factor in ((100, 0.5), (10_000, 1.0))
    ]
    return {**NAMES, "fixed": pd.DataFrame(rows)}


def alphabets(**exponents):
    names = {"hard": "hard labels", "sel": "squared error logit", "soft": "full soft labels"}
    laws = [power_law(names[k], e, "labels", (8, 16, 32)) for k, e in exponents.items()]
    return {**NAMES, "wide": pd.concat(laws)}


CASES = {
    "naive-cross-entropy-is-biased": (lambda: ends(0.45, 0.001), lambda: ends(0.45, 0.04)),
    "hard-labels-learn-at-rate-half": (lambda: rate("hard labels", -0.5), lambda: rate("hard labels", -0.65)),
    "sel-learns-at-rate-one": (lambda: rate("squared error logit", -1.0), lambda: rate("squared error logit", -0.5)),
    "soft-labels-learn-at-rate-one": (lambda: rate("full soft labels", -1.0), lambda: rate("full soft labels", -1.2)),
    "only-soft-labels-are-free-of-the-number-of-labels": (
        lambda: alphabets(hard=0.5, sel=1.0, soft=0.0),
        lambda: alphabets(hard=0.5, sel=1.0, soft=0.5),  # soft labels pay as hard ones do
    ),
}
