"""Notebook 05_calibration/09_on_real_predictions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NETWORKS = {"old": SimpleNamespace(name="old"), "new": SimpleNamespace(name="new")}


def near(value, seed=0):
    return value * np.exp(0.01 * np.random.default_rng(seed).standard_normal(SEEDS))


def calibration(old=0.02, new=0.06, after=0.01):
    error = {("old", "as recorded"): near(old), ("new", "as recorded"): near(new, 1)}
    return {**NETWORKS, "error": {**error, ("new", "after temperature"): near(after, 2)}}


def maps(temperature=(0.40, 0.40), matrix=0.9, dirichlet=0.37):
    values = {
        ("temperature", "100"): temperature[0], ("temperature", "1000"): temperature[1],
        ("matrix", "100"): matrix, ("Dirichlet", "1000"): dirichlet,
    }  # fmt: skip
    rows = [
        {"map": kind, "labels": labels, "seed": s, "NLL": v}
        for i, ((kind, labels), value) in enumerate(values.items())
        for s, v in enumerate(near(value, i))
    ]
    return {**NETWORKS, "p": SimpleNamespace(sizes=[100, 1000]), "fitted": pd.DataFrame(rows)}


def people(votes=2.0, labels=1.5, old=0.2, new=0.5):
    return {
        **NETWORKS, "by_votes": {"new": near(votes)}, "by_labels": {"new": near(labels, 1)},
        "alike": {"old": near(old), "new": near(new, 1)},
    }  # fmt: skip


CASES = {
    "recorded-better-network-is-worse-calibrated": (calibration, lambda: calibration(old=0.06)),
    "recorded-one-temperature-halves-the-error": (calibration, lambda: calibration(after=0.05)),
    "recorded-matrix-scaling-overfits": (maps, lambda: maps(matrix=0.4)),
    "recorded-dirichlet-beats-temperature": (maps, lambda: maps(dirichlet=0.41)),
    "recorded-people-ask-for-more-doubt": (people, lambda: people(votes=1.5)),
    "recorded-better-network-doubts-like-people": (people, lambda: people(new=0.2)),
}
