"""Notebook 03_proportions/06_skewed_and_clustered_bags."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

SKEWED = {"mean map": 0.90, "EasyLLP": 0.84, "LMM": 0.92, "count likelihood": 0.91}
CLUSTERED = {"mean map": 0.84, "LMM": 0.87, "count likelihood": 0.90}


def made(skewed=SKEWED, random=0.83, clustered=CLUSTERED):
    """Accuracies on skewed bags (of the mean map on nearly random ones too) and on clustered ones, by method."""
    rng = np.random.default_rng(0)
    settings = {("concentration", c, m): value for m, value in skewed.items() for c in (0.3, 1.0)}
    settings["concentration", 100.0, "mean map"] = random
    settings |= {("mixing", 0.0, m): value for m, value in clustered.items()}
    rows = [
        {"method": m, f"annotator.{name}": v, "seed": s, "value": value + 0.002 * rng.random()}
        for (name, v, m), value in settings.items()
        for s in range(SEEDS)
    ]
    table = pd.DataFrame(rows)

    def accuracy(table, method, **setting):
        ((name, value),) = setting.items()
        hit = (table["method"] == method) & (table[f"annotator.{name}"] == value)
        return table[hit].set_index("seed")["value"]

    at = lambda method, c: accuracy(table, method, concentration=c)
    inside = lambda method: accuracy(table, method, mixing=0.0)
    lost = {m: at(m, 1.0) - inside(m) for m in ("mean map", "count likelihood")}
    return {
        "on_skewed": table, "on_clustered": table, "accuracy": accuracy, "at": at, "inside": inside, "lost": lost,
        "skew": None, "runs": [None, None],
    }  # fmt: skip


CASES = {
    "skewed-bags-feed-the-mean-map": (made, lambda: made(random=0.90)),
    "easyllp-misreads-skewed-bags": (made, lambda: made({**SKEWED, "EasyLLP": 0.90})),
    "laplacian-helps-skewed-bags": (made, lambda: made({**SKEWED, "LMM": 0.90})),
    "counts-survive-clusters": (made, lambda: made(clustered={**CLUSTERED, "count likelihood": 0.84})),
    "laplacian-helps-clustered-bags": (made, lambda: made(clustered={**CLUSTERED, "LMM": 0.84})),
    "clusters-mislead-the-mean-map": (made, lambda: made(clustered={**CLUSTERED, "mean map": 0.90})),
    "clusters-cost-counts-less": (made, lambda: made(clustered={**CLUSTERED, "count likelihood": 0.85})),  # as much
}
