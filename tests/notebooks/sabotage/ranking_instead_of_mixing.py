"""Notebook 05_calibration/04_ranking_instead_of_mixing."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import SEEDS, made_up

SETTING = {"mixup": "alpha", "MRL": "weight", "M-NDCG": "weight"}


def against(rival: str, ranking, theirs):
    """M-NDCG and a rival; each has a second strength that is far too unsure, which validation must leave out."""
    settings = {("M-NDCG", ("weight", 0.1)): ranking, ("M-NDCG", ("weight", 10.0)): (0.8, 0.2)}
    if rival in SETTING:
        settings |= {(rival, (SETTING[rival], 0.1)): theirs, (rival, (SETTING[rival], 1.0)): (0.8, 0.2)}
    else:
        settings[(rival,)] = theirs
    return {"runs": made_up(settings), "tuned": tuned}


def ordered(ranking: float, plain: float):
    rng = np.random.default_rng(0)
    rows = [
        {"method": method, "seed": seed, "value": value + 0.005 * rng.random()}
        for method, value in (("M-NDCG", ranking), ("cross entropy", plain))
        for seed in range(SEEDS)
    ]
    return {"runs": None, "orders": pd.DataFrame(rows)}


def sure(rival: str):
    return (
        lambda: against(rival, (0.8, 0.8), (0.8, 0.95)),
        lambda: against(rival, (0.8, 0.95), (0.8, 0.8)),
    )


CASES = {
    "ranking-calibrates-better-than-mixup": sure("mixup"),
    "ranking-calibrates-better-than-cross-entropy": sure("cross entropy"),
    "several-mixtures-rank-better-than-one": sure("MRL"),
    "ranking-as-accurate-as-mixup": (
        lambda: against("mixup", (0.8, 0.8), (0.8, 0.8)),  # equal is good enough
        lambda: against("mixup", (0.75, 0.8), (0.8, 0.8)),
    ),
    "ranking-orders-confidences": (lambda: ordered(0.95, 0.9), lambda: ordered(0.9, 0.9)),
}
