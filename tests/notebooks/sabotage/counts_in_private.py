"""Notebook 03_proportions/07_counts_in_private."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

WAYS = {"proportion loss, clipped": 0.80, "counts at their word": 0.77, "noisy-count likelihood": 0.83}
# (kind of bags, small or large, strong or weak noise)
SIZED = {
    ("random", 1, 0.1): 0.60, ("random", 64, 0.1): 0.70, ("random", 1, 3.0): 0.91, ("random", 64, 3.0): 0.80,
    ("clustered", 1, 0.1): 0.60, ("clustered", 64, 0.1): 0.82, ("clustered", 1, 3.0): 0.91,
    ("clustered", 64, 3.0): 0.86,
}  # fmt: skip


def made(ways=WAYS, sized=SIZED):
    """Accuracies of the three ways at one budget, and by kind of bags, size and budget."""
    rng = np.random.default_rng(0)
    jitter = lambda value: [value + 0.002 * rng.random() for _ in range(SEEDS)]
    rows = [
        {"way": w, "epsilon": 0.3, "seed": s, "value": v}
        for w, value in ways.items()
        for s, v in enumerate(jitter(value))
    ]
    table = pd.DataFrame(rows)
    held = {key: pd.Series(jitter(value)) for key, value in sized.items()}
    return {
        "ways": table, "way": {w: t.set_index("seed")["value"] for w, t in table.groupby("way")},
        "accuracy": lambda kind, size, epsilon: held[kind, size, epsilon],
        "small": 1, "large": 64, "strong": 0.1, "weak": 3.0,
        "p": SimpleNamespace(epsilon=0.3), "data": SimpleNamespace(name="digits"),
    }  # fmt: skip


CASES = {
    "noise-likelihood-beats-clipping": (made, lambda: made({**WAYS, "proportion loss, clipped": 0.83})),
    "noise-likelihood-beats-taking-counts-at-their-word": (
        made,
        lambda: made({**WAYS, "counts at their word": 0.83}),
    ),
    "small-random-bags-teach-more": (made, lambda: made(sized={**SIZED, ("random", 64, 3.0): 0.90})),
    "noise-favours-large-random-bags": (made, lambda: made(sized={**SIZED, ("random", 64, 0.1): 0.60})),
    "noise-favours-large-clustered-bags": (made, lambda: made(sized={**SIZED, ("clustered", 64, 0.1): 0.65})),
    "weak-noise-favours-small-bags": (made, lambda: made(sized={**SIZED, ("clustered", 64, 3.0): 0.91})),
}
