"""Notebook 03_proportions/10_which_hidden_labels."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

PROBLEMS = ("ten, small bags", "ten, large bags", "odd or even")
METHODS = ("proportion loss", "transported", "hard, two stages", "online", "LLPFC", "averaged")


def world(**changed):
    """Accuracies of all methods around 0.7, the same where nothing is said; changes by "problem | method"."""
    rng = np.random.default_rng(0)
    accuracy, runs = {}, {}
    for problem in PROBLEMS:
        shared = rng.normal(0, 0.02, SEEDS)  # seeds are paired
        for name in METHODS:
            mean = changed.get(f"{problem} | {name}", 0.7)
            accuracy[problem, name] = pd.Series(mean + shared + rng.normal(0, 0.003, SEEDS))
            runs[problem, name] = None
    gain = lambda problem, better, than="proportion loss": accuracy[problem, better] - accuracy[problem, than]
    return {"accuracy": accuracy, "runs": runs, "gain": gain}


def beats(problem, name):
    """The method ahead by a tenth; and no more than level."""
    return lambda: world(**{f"{problem} | {name}": 0.8}), lambda: world()


CASES = {
    "transported-labels-beat-proportions": beats("ten, large bags", "transported"),
    "two-stages-of-hard-labels-beat-proportions": beats("ten, large bags", "hard, two stages"),
    "online-labels-withstand-large-bags": (
        lambda: world(**{"ten, large bags | proportion loss": 0.4}),
        lambda: world(**{"ten, large bags | proportion loss": 0.6, "ten, large bags | online": 0.6}),  # both lose
    ),
    "forward-correction-beats-proportions": beats("ten, large bags", "LLPFC"),
    "exact-averages-beat-proportions": beats("odd or even", "averaged"),
}
