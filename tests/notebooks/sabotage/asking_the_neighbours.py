"""Notebook 02_noise/13_asking_the_neighbours."""

from __future__ import annotations

import numpy as np
import torch

from tests.notebooks.sabotage import SEEDS, made_up

N = 200


def scores(**values):
    """The same numbers as accuracies and as open-set AUROCs, noisy over seeds."""
    rng = np.random.default_rng(0)
    table = {name.replace("_", " "): value + 1e-3 * rng.random(SEEDS) for name, value in values.items()}
    return {"runs": made_up({("neighbours",): (0.9, 0.9)}), "accuracy": table, "auroc": table}


def against(other, name="neighbours"):
    return lambda: scores(**{name: 0.9, other: 0.8}), lambda: scores(**{name: 0.9, other: 0.9})


def kept(wrong_too: bool):
    """Half of the labels are right; the method keeps those, or any."""
    rng = np.random.default_rng(0)
    right = torch.from_numpy(rng.random((SEEDS, N)) < 0.5)
    dropped = torch.from_numpy(rng.random((SEEDS, N)) < 0.5) if wrong_too else ~right
    return {"runs": made_up({("relabelled",): (0.9, 0.9)}), "right": right, "fate": dropped.long()}


CASES = {
    "neighbours-beat-oneself": against("oneself"),
    "neighbours-know-strangers": against("cross_entropy"),
    "prototype-relabelling-raises-accuracy": against("neighbours", "relabelled"),
    "kept-labels-are-cleaner": (lambda: kept(False), lambda: kept(True)),
}
