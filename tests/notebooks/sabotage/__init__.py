"""Made-up results for the claims of the notebooks, one module per notebook with its ``CASES``.

``CASES``: claim id -> two functions, each giving the names that the judging cell of the notebook reads: with the first
the claim holds, with the second it is sabotaged.
"""

from __future__ import annotations

import numpy as np
import torch

import labkit as lk
from labkit.fleet.runs import Context, Run, Runs

SEEDS, N = 12, 400


def logits(accuracy: float, confidence: float, labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Predictions that are right about that often and that sure of themselves."""
    rng = np.random.default_rng(seed)
    n, k = len(labels), 10
    right = torch.from_numpy(rng.random(n) < accuracy)
    said = torch.where(right, labels, (labels + 1) % k)
    z = torch.zeros(n, k)
    z[torch.arange(n), said] = float(np.log(confidence * (k - 1) / (1 - confidence)))
    return z


def made_up(settings: dict[tuple, tuple[float, float]]) -> Runs:
    """``(method, swept values as items) -> (accuracy, confidence)``, each over SEEDS seeds."""
    data = lk.load("digits")
    index = torch.arange(N)
    runs = []
    for (method, *values), (accuracy, confidence) in settings.items():
        for seed in range(SEEDS):
            z = {
                f"last/{s}": logits(accuracy, confidence, data.y[index], seed + 100 * i)
                for i, s in enumerate(("validation", "test"))
            }
            agreement = (z["last/validation"].argmax(-1) == data.y[index]).double().mean()
            curves = {"validation/agreement": [float(agreement)]}
            runs.append(
                Run(f"{method}{values}{seed}", method, seed, dict(values), [1], curves, {"last": 1}, 0, 1.0, "cpu", {},
                    z, {"validation": index, "test": index}, {"labels": data.y[index]})
            )  # fmt: skip
    return Runs(runs, Context(data, None, {}, torch.float32))
