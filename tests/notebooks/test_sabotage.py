"""Each claim of a notebook can fail: its own cell, run on made-up results, gives both verdicts."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

import labkit as lk
from labkit.fleet.runs import Context, Run, Runs

ROOT = Path(__file__).parents[2]
SEEDS, N = 12, 400


def cell_that_judges(claim: str) -> str:
    for path in ROOT.glob("notebooks/*/*.ipynb"):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "code" and f'id="{claim}"' in source:
                return source
    raise LookupError(claim)


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
            runs.append(
                Run(f"{method}{values}{seed}", method, seed, dict(values), [1], {}, {"last": 1}, 0, 1.0, "cpu", {}, z,
                    {"validation": index, "test": index}, {"labels": data.y[index]})
            )  # fmt: skip
    return Runs(runs, Context(data, None, {}, torch.float32))


def smoothing(plain, smoothed):
    return made_up({("smoothing", ("smoothing", 0.0)): plain, ("smoothing", ("smoothing", 0.1)): smoothed})


def teachers(plain, smoothed):
    of = lambda a: ("student", ("teacher.smoothing", a), ("temperature", 4.0))
    return made_up({of(0.0): plain, of(0.1): smoothed})


def verdict(claim: str, **names) -> str:
    space = {
        "lk": lk,
        "np": np,
        "pd": pd,
        "p": SimpleNamespace(hidden=[128, 128]),
        "plain": {"smoothing": 0.0},
        **names,
    }
    space.setdefault("smoothed", {"smoothing": 0.1})
    exec(cell_that_judges(claim), space)
    (found,) = [v for v in space.values() if isinstance(v, lk.Verdict)]
    return found.verdict


def scatter(plain, smoothed):
    rng = np.random.default_rng(0)
    rows = [
        {"layers": "2 hidden layers", "smoothing": a, "seed": s, "value": value * (1 + 0.05 * rng.random())}
        for a, value in ((0.0, plain), (0.1, smoothed))
        for s in range(SEEDS)
    ]
    return {"runs": None, "clusters": pd.DataFrame(rows)}


CASES = {
    "mixup-resists-wrong-labels": (
        lambda: {"runs": made_up({("mixup",): (0.9, 0.8), ("cross entropy",): (0.8, 0.8)})},
        lambda: {"runs": made_up({("mixup",): (0.8, 0.8), ("cross entropy",): (0.8, 0.8)})},
    ),
    "smoothing-raises-accuracy": (
        lambda: {"runs": smoothing((0.8, 0.9), (0.9, 0.9))},
        lambda: {"runs": smoothing((0.9, 0.9), (0.8, 0.9))},
    ),
    "smoothing-lowers-ece": (
        lambda: {"runs": smoothing((0.8, 0.95), (0.8, 0.8))},  # the unsmoothed network is too sure
        lambda: {"runs": smoothing((0.9, 0.9), (0.9, 0.7))},  # smoothing makes a sound one too unsure
    ),
    "temperature-levels-smoothing": (
        lambda: {"runs": smoothing((0.8, 0.95), (0.8, 0.8))},
        lambda: {"runs": smoothing((0.8, 0.8), (0.8, 0.8))},  # nothing to level
    ),
    "smoothing-tightens-clusters": (lambda: scatter(0.5, 0.3), lambda: scatter(0.3, 0.3)),
    "smoothed-teachers-teach-worse": (
        lambda: {"students": teachers((0.9, 0.9), (0.8, 0.9))},
        lambda: {"students": teachers((0.8, 0.9), (0.9, 0.9))},
    ),
}


@pytest.mark.parametrize("claim", CASES)
def test_a_claim_can_be_supported_and_contradicted(claim):
    holds, sabotaged = CASES[claim]
    assert verdict(claim, **holds()) == "supported"
    assert verdict(claim, **sabotaged()) == "contradicted"


def test_every_claim_of_every_notebook_has_its_sabotage():
    import re

    sources = " ".join(path.read_text(encoding="utf-8") for path in ROOT.glob("notebooks/*/*.ipynb"))
    assert set(re.findall(r'id=\\"([a-z0-9-]+)\\"', sources)) == set(CASES)
