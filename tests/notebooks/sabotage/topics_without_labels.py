"""Notebook 03_proportions/11_topics_without_labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

WAYS = ("DDFA, random start", "DDFA, anchors start", "k-means on p(d|x)", "k-means on x", "guessing")


def per_seed(table, way, c, what="accuracy"):
    return table[(table["way"] == way) & np.isclose(table["c"], c)].set_index("seed")[what]


def accuracies(diverse, alike, clusters):
    """Accuracy of DDFA at c = 0.5 and 10, and of k-means on the inputs."""
    rng, rows = np.random.default_rng(0), []
    for way in WAYS:
        for c, ours in ((0.5, diverse), (10.0, alike)):
            base = ours if way.startswith("DDFA") else clusters
            rows += [{"way": way, "c": c, "seed": s, "accuracy": base + 0.01 * rng.random()} for s in range(SEEDS)]
    table = pd.DataFrame(rows)
    worlds = ("pairs", "stripes")
    return {
        "found": table, "per_seed": per_seed, "runs": None,
        "grouped": dict.fromkeys(worlds, table), "misled": dict.fromkeys(worlds),
    }  # fmt: skip


def texts(random, anchors):
    """Errors of the exact tables; the finite ones say the opposite and must not be looked at."""
    rng, rows = np.random.default_rng(1), []
    for start, exact, finite in (("random", random, anchors), ("anchors", anchors, random)):
        for length, error in ((300, finite), (np.inf, exact)):
            rows += [
                {"start": start, "length": length, "seed": s, "error": error + 0.01 * rng.random()}
                for s in range(SEEDS)
            ]
    return {"texts": pd.DataFrame(rows)}


def sizes(counted, equal):
    rng = np.random.default_rng(2)
    table = {"counted": counted + 0.01 * rng.random(SEEDS), "taken as equal": equal + 0.01 * rng.random(SEEDS)}
    return {"accuracy": pd.DataFrame(table), "sized": None}


CASES = {
    "domains-beat-k-means": (lambda: accuracies(0.95, 0.5, 0.85), lambda: accuracies(0.85, 0.5, 0.85)),
    "ddfa-falls-as-domains-become-alike": (lambda: accuracies(0.95, 0.5, 0.85), lambda: accuracies(0.95, 0.93, 0.5)),
    "ddfa-wins-where-clusters-mislead": (lambda: accuracies(0.9, 0.5, 0.4), lambda: accuracies(0.45, 0.9, 0.4)),
    "ddfa-joins-what-looks-unlike": (lambda: accuracies(0.9, 0.5, 0.5), lambda: accuracies(0.55, 0.9, 0.5)),
    "anchors-find-the-exact-topics": (lambda: texts(0.1, 0.0), lambda: texts(0.0, 0.1)),
    "sizes-of-domains-count": (lambda: sizes(0.9, 0.8), lambda: sizes(0.9, 0.9)),
}
