"""Notebook 02_noise/07_finding_wrong_labels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

DATA = {"data": SimpleNamespace(name="digits"), "few": 0.05, "many": 0.3}


def column(mean, seed=0):
    return mean + 0.005 * np.random.default_rng(seed).standard_normal(SEEDS)


def long(names: dict[str, float], key: str, value: str, **fixed) -> pd.DataFrame:
    """A row per name and seed."""
    frames = [
        pd.DataFrame({key: name, value: column(mean, i), "seed": range(SEEDS), **fixed})
        for i, (name, mean) in enumerate(names.items())
    ]
    return pd.concat(frames, ignore_index=True)


def flagged(column_name, noise, rate, **means):
    names = {name.replace("equal_rank", "equal rank"): mean for name, mean in means.items()}
    return {**DATA, "flagged": long(names, "set", column_name, noise=noise, rate=rate)}


def fits(recov, fast, confident):
    means = {"ReCoV": recov, "fastReCoV": fast, "confident learning": confident}
    first = long(
        {"ReCoV": 0.2, "confident learning": 0.9}, "ranking", "value", fits=5
    )  # not judged
    return {"fits": pd.concat([first, long(means, "ranking", "value", fits=150)])}


def class_loss(hardest):
    rng = np.random.default_rng(0)
    return {**DATA, "class_loss": pd.DataFrame(np.linspace(1, hardest, 10) * (1 + 0.02 * rng.random((SEEDS, 10))))}


def cleaners(prototype, mixture):
    means = {"prototype cleaner": prototype, "one mixture": mixture, "mixture per class": 0.5}
    return {**DATA, "cleaners": long(means, "cleaner", "worst class")}


def reviewed(sibling, uniform):
    """Recall at 15 %: near first, far first, confidence, for either noise; other budgets say the opposite."""
    frames = []
    for noise, means in (("sibling", sibling), ("uniform", uniform)):
        names = dict(zip(("near first", "far first", "confidence"), means))
        frames.append(long(names, "order", "value", noise=noise, budget=0.15))
        frames.append(long({k: 1 - v for k, v in names.items()}, "order", "value", noise=noise, budget=0.3))
    return {"reviewed": pd.concat(frames, ignore_index=True)}


CASES = {
    "confident-learning-beats-disagreement": (
        lambda: flagged("f1", "pair", 0.3, prune_by_noise_rate=0.8, disagreement=0.7),
        lambda: flagged("f1", "pair", 0.3, prune_by_noise_rate=0.8, disagreement=0.8),
    ),
    "confident-learning-beats-an-equal-rank": (
        lambda: flagged("precision", "pair", 0.3, prune_by_noise_rate=0.8, equal_rank=0.7),
        lambda: flagged("precision", "pair", 0.3, prune_by_noise_rate=0.7, equal_rank=0.8),
    ),
    "half-of-the-suspects-are-wrong": (
        lambda: flagged("precision", "instance", 0.05, prune_by_noise_rate=0.8),
        lambda: flagged("precision", "instance", 0.05, prune_by_noise_rate=0.4),
    ),
    "recov-beats-confident-learning": (lambda: fits(0.9, 0.5, 0.8), lambda: fits(0.5, 0.9, 0.8)),
    "fast-recov-beats-confident-learning": (lambda: fits(0.5, 0.9, 0.8), lambda: fits(0.9, 0.8, 0.8)),
    "classes-differ-in-loss": (lambda: class_loss(3.0), lambda: class_loss(1.2)),
    "prototypes-lift-the-worst-class": (lambda: cleaners(0.9, 0.8), lambda: cleaners(0.8, 0.8)),
    "near-first-beats-confidence": (
        lambda: reviewed((0.8, 0.5, 0.7), (0.1, 0.8, 0.7)),
        lambda: reviewed((0.6, 0.5, 0.7), (0.8, 0.1, 0.7)),
    ),
    "the-direction-follows-the-noise": (
        lambda: reviewed((0.8, 0.5, 0.7), (0.1, 0.8, 0.7)),
        lambda: reviewed((0.7, 0.7, 0.7), (0.1, 0.8, 0.7)),  # one direction only: the smaller gain is nothing
    ),
}
