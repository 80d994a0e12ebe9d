"""Notebook 01_smoothing/09_soft_targets_for_pairs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS, made_up


def column(mean, seed=0):
    return pd.Series(mean + 0.001 * np.random.default_rng(seed).standard_normal(SEEDS), index=range(SEEDS))


def ranking(metric, flipped, values):
    """``values``: smoothing -> mean of ``metric`` at that share of flips, and the opposite order without flips."""
    rows, levels = [], list(values.values())
    for f, means in ((flipped, levels), (0.3 - flipped, levels[::-1])):
        for i, (eps, mean) in enumerate(zip(values, means)):
            rows.append(
                pd.DataFrame({
                    "metric": metric, "eps": eps, "annotator.rate": f, "seed": range(SEEDS), "value": column(mean, i)
                })
            )  # fmt: skip
    judged = pd.concat(rows, ignore_index=True)

    def value(metric, e, f):
        chosen = np.isclose(judged["eps"], e) & np.isclose(judged["annotator.rate"], f)
        return judged[chosen].set_index("seed")["value"]

    return {"judged": judged, "value": value, "rewards": None, "duels": SimpleNamespace(name="preferences")}


def best(metric, flipped, values):
    names = ranking(metric, flipped, values)
    return {**names, "clean_nll": names["judged"]}


def towers(hard, uniform, concept):
    """Runs by (accuracy, confidence) at two temperatures; validation prefers the first."""
    settings = {}
    for name, (accuracy, confidence) in (("hard", hard), ("uniform", uniform), ("concept", concept)):
        for temperature in (0.1, 0.3):
            for a in (0.2,) if name == "hard" else (0.2, 0.5):
                values = () if name == "hard" else (("smoothing", a),)
                settings[name, *values, ("temperature", temperature)] = accuracy - 0.1 * (temperature > 0.2), confidence
    main = made_up(settings)

    def named(name):
        return main.where(method=name, temperature=0.1, **({} if name == "hard" else {"smoothing": 0.2}))

    return {"main": main, "named": named}


def duplicates(few, many):
    """Gain in accuracy with few concepts and with many."""
    rows = [
        pd.DataFrame({"method": name, "concepts": k, "seed": range(SEEDS), "value": column(0.6 + gain, i)})
        for k, ahead in ((4, few), (32, many))
        for i, (name, gain) in enumerate((("hard", 0.0), ("concept", ahead)))
    ]
    return {"crowd": pd.concat(rows, ignore_index=True), "p": SimpleNamespace(concepts=[4, 8, 32])}


GOOD, BAD = (0.85, 0.8), (0.7, 0.8)

CASES = {
    "smoothing-bounds-the-reward-gap": (
        lambda: ranking("largest gap", 0.0, {0.0: 20.0, 0.1: 6.0}),
        lambda: ranking("largest gap", 0.0, {0.0: 8.0, 0.1: 6.0}),
    ),
    "smoothing-helps-ranking-under-flips": (
        lambda: ranking("accuracy", 0.3, {0.0: 0.7, 0.1: 0.75}),
        lambda: ranking("accuracy", 0.3, {0.0: 0.7, 0.1: 0.7}),
    ),
    "smoothing-lowers-ranking-nll-under-flips": (
        lambda: ranking("nll", 0.3, {0.0: 0.7, 0.1: 0.6}),
        lambda: ranking("nll", 0.3, {0.0: 0.6, 0.1: 0.6}),
    ),
    "best-smoothing-grows-with-flips": (
        lambda: best("nll", 0.3, {0.0: 0.7, 0.1: 0.6}),
        lambda: best("nll", 0.3, {0.0: 0.6, 0.1: 0.7}),
    ),
    "smoothing-shrinks-gaps-on-top-of-flips": (
        lambda: ranking("mean gap", 0.3, {0.0: 1.4, 0.1: 0.9}),
        lambda: ranking("mean gap", 0.3, {0.0: 0.9, 0.1: 0.9}),
    ),
    "concept-targets-beat-hard-zero-shot": (lambda: towers(BAD, BAD, GOOD), lambda: towers(GOOD, GOOD, GOOD)),
    "uniform-targets-beat-hard-zero-shot": (lambda: towers(BAD, GOOD, GOOD), lambda: towers(GOOD, GOOD, GOOD)),
    "concept-targets-beat-uniform-zero-shot": (lambda: towers(BAD, BAD, GOOD), lambda: towers(BAD, GOOD, GOOD)),
    "concept-targets-mitigate-overconfidence": (
        lambda: towers((0.7, 0.95), (0.7, 0.9), (0.7, 0.72)),
        lambda: towers((0.7, 0.72), (0.7, 0.9), (0.7, 0.95)),
    ),
    "concept-targets-win-when-tuned": (lambda: towers(BAD, BAD, GOOD), lambda: towers(GOOD, GOOD, BAD)),
    "concept-gain-grows-with-duplicates": (lambda: duplicates(0.1, 0.02), lambda: duplicates(0.02, 0.05)),
}
