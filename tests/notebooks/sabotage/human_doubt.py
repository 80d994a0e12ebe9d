"""Notebook 01_smoothing/08_learning_from_human_doubt."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from labkit import losses
from labkit.evidence import one_hot
from tests.notebooks.sabotage import SEEDS, made_up

FEW, MIDDLE, MANY = 100, 300, 1000
DATA = {"data": SimpleNamespace(name="gaussians"), "few": FEW, "middle": MIDDLE, "many": MANY}


def column(mean, seed=0):
    return pd.Series(mean + 0.005 * np.random.default_rng(seed).standard_normal(SEEDS), index=range(SEEDS))


def measured(votes, majority):
    """Test NLL of the two, on each size of training set."""
    rows = [
        pd.DataFrame({"way": way, "examples": size, "metric": "nll", "seed": range(SEEDS), "value": column(mean, i)})
        for way, means in (("all votes", votes), ("majority", majority))
        for i, (size, mean) in enumerate(zip((FEW, MIDDLE, MANY), means))
    ]
    return pd.concat(rows, ignore_index=True)


def votes(ours, theirs):
    return {**DATA, "measured": measured([ours] * 3, [theirs] * 3)}


def truth(ours, smoothed):
    rival = pd.DataFrame({0.0: column(1.0), 0.1: column(smoothed, 1), 0.2: column(smoothed + 0.1, 2)})
    return {**DATA, "rival": rival, "value": lambda way, size, metric: column(ours, 3)}


def sizes(at_few, at_many):
    gains = {FEW: at_few, MANY: at_many}
    return {**DATA, "gain": lambda size, than: column(gains[size], size)}


def shift(near, far):
    rows = [
        pd.DataFrame({"labels": way, "noise": a, "seed": range(SEEDS), "value": column(mean, i)})
        for i, (way, a, mean) in enumerate(
            [
                ("all votes", 0.0, 0.7),
                ("all votes", 1.0, 0.9),
                ("majority", 0.0, 0.7 + near),
                ("majority", 1.0, 0.9 + far),
            ]
        )
    ]
    return {**DATA, "moved": pd.concat(rows, ignore_index=True)}


def scaled(own, uniform, permuted):
    """Runs by (accuracy, confidence), whose validation evidence are the votes."""
    settings = {"own doubt": own, "uniform": uniform, "permuted": permuted}
    runs = {
        name: made_up({(name, ("smoothing", a)): (accuracy - 0.1 * (a > 0.1), confidence) for a in (0.1, 0.2)})
        for name, (accuracy, confidence) in settings.items()
    }
    for fleet in runs.values():
        for run in fleet:
            run.given = {"likelihood": one_hot(run.given["labels"], 10)}
    return {"scaled": runs, "losses": losses}


GOOD, BAD = (0.9, 0.85), (0.7, 0.85)

CASES = {
    "votes-beat-majority-in-nll": (lambda: votes(0.7, 1.2), lambda: votes(0.7, 0.7)),
    "votes-come-closer-to-the-truth": (lambda: truth(0.01, 0.2), lambda: truth(0.2, 0.19)),
    "votes-help-most-with-few-examples": (lambda: sizes(0.5, 0.2), lambda: sizes(0.3, 0.5)),
    "votes-help-more-far-from-home": (lambda: shift(0.2, 0.5), lambda: shift(0.2, 0.2)),
    "doubt-scaled-smoothing-beats-uniform": (lambda: scaled(GOOD, BAD, BAD), lambda: scaled(BAD, GOOD, BAD)),
    "doubt-scaled-smoothing-beats-permuted": (lambda: scaled(GOOD, GOOD, BAD), lambda: scaled(GOOD, GOOD, GOOD)),
    "doubt-scaled-smoothing-wins-when-tuned": (lambda: scaled(GOOD, BAD, BAD), lambda: scaled(BAD, GOOD, BAD)),
}
