"""Notebook 01_smoothing/06_ordinal_soft_labels."""

from __future__ import annotations

import numpy as np
import torch

import labkit as lk
from labkit import metrics
from labkit.fleet.runs import Context, Run, Runs
from tests.notebooks.sabotage import SEEDS

N, LEVELS, DOUBT = 500, 5, 0.6
SETTINGS = {
    "one-hot": ("one-hot",), "SORD": ("SORD", ("alpha", 1.0)), "uniform": ("uniform", ("smoothing", DOUBT)),
    "shuffled": ("shuffled", ("alpha", 1.0)), "Gaussian": ("Gaussian",),
}  # fmt: skip


def answers(labels: torch.Tensor, right: float, together: float, seed: int) -> torch.Tensor:
    """Right that often, else off by two; the second choice is a neighbour of the first that often."""
    rng = np.random.default_rng(seed)
    chance = lambda share: torch.from_numpy(rng.random(len(labels)) < share)
    said = torch.where(chance(right), labels, (labels + 2) % LEVELS)
    beside = torch.where(said > 0, said - 1, said + 1)
    second = torch.where(chance(together), beside, (said + 2) % LEVELS)
    z = torch.zeros(len(labels), LEVELS)
    rows = torch.arange(len(labels))
    z[rows, second] = 2.0
    z[rows, said] = 6.0  # over half of the probability, so that the median is the mode
    return z


def made_up(**quality: tuple[float, float]) -> Runs:
    data = lk.load("ordinal", n=N)
    index, runs = torch.arange(N), []
    for name, (right, together) in quality.items():
        method, *values = SETTINGS[name]
        for seed in range(SEEDS):
            z = {"last/test": answers(data.y, right, together, seed)}
            runs.append(
                Run(f"{name}{seed}", method, seed, dict(values), [1], {}, {"last": 1}, 0, 1.0, "cpu", {}, z,
                    {"test": index}, {})
            )  # fmt: skip
    return Runs(runs, Context(data, None, {}, torch.float32))


def case(fleet: str = "runs", **quality):
    names = {"metrics": metrics, "published": {"method": "SORD", "alpha": 1.0}, "doubt": {1.0: DOUBT}}
    return lambda: {**names, fleet: made_up(**{name.replace("one_hot", "one-hot"): q for name, q in quality.items()})}


GOOD, POOR = (0.8, 0.9), (0.6, 0.4)
CASES = {
    "ordinal-labels-lower-rank-error": (case(SORD=GOOD, one_hot=POOR), case(SORD=GOOD, one_hot=GOOD)),
    "ordinal-labels-beat-equal-doubt": (case(SORD=GOOD, uniform=POOR), case(SORD=POOR, uniform=GOOD)),
    "ordinal-gain-needs-the-order": (case(SORD=GOOD, shuffled=POOR), case(SORD=GOOD, shuffled=GOOD)),
    "ordinal-gain-beyond-the-median": (case(SORD=GOOD, one_hot=POOR), case(SORD=GOOD, one_hot=GOOD)),
    "gaussian-labels-raise-seq2hr-hard": (case(Gaussian=GOOD, one_hot=POOR), case(Gaussian=GOOD, one_hot=GOOD)),
    "gaussian-labels-raise-seq2hr-easy": (
        case("easy", Gaussian=GOOD, one_hot=POOR),
        case("easy", Gaussian=POOR, one_hot=POOR),
    ),
    "gaussian-labels-keep-f1": (case(Gaussian=GOOD, one_hot=GOOD), case(Gaussian=POOR, one_hot=GOOD)),
}
