"""Notebook 04_partial/11_implicit_posteriors."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS


def frame(**levels: float) -> pd.DataFrame:
    """Tuned accuracies per seed, one column per method; methods share most of what a seed brings."""
    rng = np.random.default_rng(0)
    shared = 0.02 * rng.standard_normal(SEEDS)
    return pd.DataFrame(
        {name.replace("_", " "): v + shared + 0.001 * rng.standard_normal(SEEDS) for name, v in levels.items()}
    )


def hard(weak: dict | None = None, sharp: dict | None = None) -> dict:
    """The cell of the first claim takes ``weak`` and ``sharp`` out of ``at``; those after it read the names."""
    at = {1: frame(**(weak or {})), 8: frame(**(sharp or {}))}
    runs = dict.fromkeys(at)
    return {"p": SimpleNamespace(counts=[1, 4, 8]), "at": at, "hard_runs": runs, "weak": at[1], "sharp": at[8]}


def soft(**levels: float) -> dict:
    held = frame(**levels)
    kinds = ("wrong labels", "another program")
    return {"by_kind": dict.fromkeys(kinds, held), "soft_runs": dict.fromkeys(kinds), "noisy": held}


def gain(rq: float, likelihood: float, balanced: float = 0.5) -> dict:
    held = frame(RQ=rq, likelihood=likelihood)
    held["likelihood, balanced"] = frame(x=balanced)["x"]
    return {"weak": held, "tail": held, "one": None, "long_runs": None}


CASES = {
    "rq-beats-cross-entropy-on-weak-beliefs": (
        lambda: hard({"RQ": 0.9, "cross_entropy": 0.5}),
        lambda: hard({"RQ": 0.5, "cross_entropy": 0.5}),
    ),
    "rq-beats-likelihood-on-weak-beliefs": (
        lambda: hard({"RQ": 0.9, "likelihood": 0.6}),
        lambda: hard({"RQ": 0.6, "likelihood": 0.6}),
    ),
    "losses-tie-on-sharp-beliefs": (
        lambda: hard(sharp={"RQ": 0.95, "cross_entropy": 0.951}),
        lambda: hard(sharp={"RQ": 0.96, "cross_entropy": 0.93}),  # no tie, though RQ wins
    ),
    "rq-learns-from-soft-beliefs": (
        lambda: soft(RQ=0.9, likelihood=0.9, QR_free_energy=0.1),
        lambda: soft(RQ=0.1, likelihood=0.9, QR_free_energy=0.9),
    ),
    "qr-learns-from-soft-beliefs": (
        lambda: soft(QR_free_energy=0.9, likelihood=0.9, RQ=0.1),
        lambda: soft(QR_free_energy=0.8, likelihood=0.9, RQ=0.9),
    ),
    "qr-beats-cross-entropy-on-handed-beliefs": (
        lambda: soft(QR_free_energy=0.92, cross_entropy=0.88),
        lambda: soft(QR_free_energy=0.88, cross_entropy=0.88),  # as good as its teacher's voice
    ),
    "rq-is-likelihood-plus-balance": (lambda: gain(0.9, 0.5, 0.9), lambda: gain(0.9, 0.5, 0.8)),
    "rq-beats-likelihood-on-a-long-tail": (lambda: gain(0.9, 0.8), lambda: gain(0.8, 0.8)),
}
