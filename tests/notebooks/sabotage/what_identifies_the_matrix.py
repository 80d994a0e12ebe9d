"""Notebook 02_noise/03_what_identifies_the_matrix."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def recovered(**exponents):
    """Errors that fall as these powers of n, for one, two and three labels."""
    rng = np.random.default_rng(0)
    return {
        "recovery": pd.DataFrame([
            {"labels": labels, "seed": seed, "n": n, "value": n**power * np.exp(0.05 * rng.standard_normal())}
            for labels, power in zip((1, 2, 3), (exponents["one"], exponents["two"], exponents["three"]))
            for seed in range(SEEDS)
            for n in (300, 3000, 30000)
        ])
    }  # fmt: skip


def errors(noise="human", **means):
    """A table of one number per seed with these means, columns (noise, method)."""
    rng = np.random.default_rng(1)
    names = {
        "anchor": "anchor", "features": "consensus, features", "pixels": "consensus, pixels", "dual": "dual T",
        "volume": "VolMinNet", "revision": "T-revision",
    }  # fmt: skip
    return {"errors": pd.DataFrame({(noise, names[k]): v + 0.004 * rng.random(SEEDS) for k, v in means.items()})}


def accuracies(true, plain):
    rng = np.random.default_rng(2)
    named = {"true T": true, "cross entropy": plain}
    return {"accuracies": pd.DataFrame({("human", k): v + 0.002 * rng.random(SEEDS) for k, v in named.items()})}


CASES = {
    "three-labels-identify-the-matrix": (
        lambda: recovered(one=0.0, two=-0.05, three=-0.5),
        lambda: recovered(one=0.0, two=-0.5, three=-0.5),  # two labels are as good
    ),
    "neighbours-beat-anchors-human-noise": (
        lambda: errors(anchor=0.4, features=0.2),
        lambda: errors(anchor=0.2, features=0.2),
    ),
    "neighbours-beat-anchors-pair-flips": (
        lambda: errors("pair", anchor=0.4, features=0.2),
        lambda: errors("pair", anchor=0.2, features=0.4),
    ),
    "learned-features-help-consensus": (
        lambda: errors(pixels=0.4, features=0.2),
        lambda: errors(pixels=0.3, features=0.3),
    ),
    "dual-t-beats-anchors": (lambda: errors(anchor=0.4, dual=0.2), lambda: errors(anchor=0.2, dual=0.4)),
    "least-volume-beats-anchors": (lambda: errors(anchor=0.4, volume=0.2), lambda: errors(anchor=0.2, volume=0.4)),
    "revision-improves-the-anchors": (
        lambda: errors(anchor=0.3, revision=0.25),
        lambda: errors(anchor=0.3, revision=0.35),
    ),
    "forward-with-true-t-beats-cross-entropy": (lambda: accuracies(0.9, 0.8), lambda: accuracies(0.8, 0.8)),
}
