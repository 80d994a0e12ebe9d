"""Notebook 04_partial/07_candidates_or_the_best_guess."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

P = SimpleNamespace(annotator="3x2", better="4x4")
MASSES = (0.0, 0.5, 0.7, 0.9, 0.99)


def per_seed(mean, seed=0):
    return pd.Series(mean + 0.004 * np.random.default_rng(seed).standard_normal(SEEDS), index=range(SEEDS))


def students(**accuracy):
    """Tuned accuracies; what a claim does not name is far away and must not be looked at."""
    names = {
        "on_guesses": ("guess", "cross entropy"), "candist_on_guesses": ("guess", "CanDist"),
        "candist": ("set", "CanDist"), "proden": ("set", "PRODEN"), "refinery": ("set", "refinery alone"),
    }  # fmt: skip
    value = {name: per_seed(accuracy[short], i) for i, (short, name) in enumerate(names.items()) if short in accuracy}
    return {"value": value, "curve": None, "sets": None}


def sizes(follows):
    """CanDist's accuracy rises with F1, or falls with it."""
    f1 = pd.DataFrame({m: per_seed(0.8 + 0.03 * i) for i, m in enumerate(MASSES)})
    wide = pd.DataFrame({m: per_seed(0.8 + (0.03 if follows else -0.03) * i, i) for i, m in enumerate(MASSES)})
    return {"f1": f1, "wide": wide, "curve": None}


def weaker(guess, sets):
    """What the weaker annotator costs CanDist."""
    rows = []
    for told, cost in (("guess", guess), ("set", sets)):
        for eyes, level in (("4x4", 0.9), ("3x2", 0.9 - cost)):
            values = per_seed(level, len(rows))
            rows += [{"told": told, "annotator": eyes, "seed": s, "value": v} for s, v in values.items()]
    return {"cost": pd.DataFrame(rows), "told": {"guess": 0.0, "set": 0.9}, "p": P, "curve": None}


CASES = {
    "candist-beats-training-on-guesses": (
        lambda: students(candist=0.85, on_guesses=0.75),
        lambda: students(candist=0.8, on_guesses=0.8),
    ),
    "sets-beat-guesses-with-candist": (
        lambda: students(candist=0.85, candist_on_guesses=0.8),
        lambda: students(candist=0.85, candist_on_guesses=0.85),
    ),
    "candist-beats-proden": (
        lambda: students(candist=0.85, proden=0.8, refinery=0.7),
        lambda: students(candist=0.85, proden=0.85, refinery=0.7),
    ),
    "the-refinery-alone-beats-proden": (
        lambda: students(refinery=0.83, proden=0.8, candist=0.7),
        lambda: students(refinery=0.8, proden=0.8, candist=0.9),
    ),
    "f1-ranks-the-students": (lambda: sizes(True), lambda: sizes(False)),
    "sets-tolerate-a-weaker-annotator": (lambda: weaker(0.1, 0.03), lambda: weaker(0.05, 0.08)),
}
