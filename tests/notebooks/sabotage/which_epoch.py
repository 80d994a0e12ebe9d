"""Notebook 02_noise/09_which_epoch_which_split_how_many_seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

METHODS = ("cross entropy", "GCE", "ELR")


def gap(noise, last, selected, oracle):
    rng = np.random.default_rng(0)
    rows = [
        {"method": "cross entropy", "noise": noise, "at": at, "seed": seed, "value": value + 0.01 * rng.random()}
        for at, value in (("last", last), ("selected", selected), ("oracle", oracle))
        for seed in range(SEEDS)
    ]
    return {"answers": pd.DataFrame(rows)}


def tables(last, oracle, luck=0.0):
    """Accuracies of the three methods in two tables; ``luck`` is what all runs of a seed share."""
    rng = np.random.default_rng(0)
    seed = pd.Index(range(SEEDS), name="seed")
    make = lambda means: pd.DataFrame(
        {m: v + luck * np.sin(2.4 * seed) + 0.005 * rng.standard_normal(SEEDS) for m, v in zip(METHODS, means)},
        index=seed,
    )
    return {"wide": {"last": make(last), "oracle": make(oracle)}}


SYMMETRIC, PAIR = "symmetric 40%", "pair 40%"
CASES = {
    "noisy-validation-recovers-half": (
        lambda: gap(SYMMETRIC, 0.8, 0.9, 0.91),
        lambda: gap(SYMMETRIC, 0.8, 0.81, 0.91),
    ),
    "noisy-validation-recovers-half-of-pair-flips": (
        lambda: gap(PAIR, 0.8, 0.9, 0.91),
        lambda: gap(PAIR, 0.8, 0.81, 0.91),
    ),
    "oracle-epoch-changes-the-winner": (
        lambda: tables((0.8, 0.85, 0.9), (0.95, 0.9, 0.91)),
        lambda: tables((0.8, 0.85, 0.9), (0.9, 0.9, 0.95)),
    ),
    "oracle-epoch-halves-a-lead": (
        lambda: tables((0.8, 0.85, 0.9), (0.9, 0.9, 0.91)),
        lambda: tables((0.8, 0.85, 0.9), (0.81, 0.9, 0.9)),
    ),
    "pairing-saves-seeds": (
        lambda: tables((0.8, 0.85, 0.9), (0.9, 0.9, 0.9), luck=0.03),
        lambda: tables((0.8, 0.85, 0.9), (0.9, 0.9, 0.9)),
    ),
}
