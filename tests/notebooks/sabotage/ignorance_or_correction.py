"""Notebook 02_noise/02_ignorance_or_correction."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

P = SimpleNamespace(dataset="digits")


def around(value, seed):
    return value + 0.004 * np.random.default_rng(seed).standard_normal()


def mixture(margin, instance, floor=0.2):
    """Excess risk at the largest size under margin noise and under instance-dependent noise."""
    values = {"margin": (margin, floor), "instance-dependent": (instance, 0.0)}
    rows = [
        {"noise": noise, "n": n, "seed": s, "excess": around(v, s) + 0.1 * (n < 4800), "floor": f}
        for noise, (v, f) in values.items() for n in (300, 4800) for s in range(SEEDS)
    ]  # fmt: skip
    growth = pd.DataFrame(rows)
    largest = growth[growth["n"] == 4800].set_index("seed")
    return {"growth": growth, "largest": largest, "bad": largest[largest["noise"] == "margin"]}


def flips(before, after):
    """Excess risk on either side of the majority flip."""
    values = {0.3: before, 0.45: before, 0.55: after, 0.7: after}
    return {"cliff": pd.DataFrame([
        {"rate": r, "seed": s, "excess": around(v, s + int(100 * r))} for r, v in values.items() for s in range(SEEDS)
    ])}  # fmt: skip


def linear(trial, ignore, rival):
    """Accuracy of the parties on trained features; what happens elsewhere must not matter."""
    values = {"ignore": ignore, "GCE": rival - 0.05, "bootstrap": rival, "forward": rival - 0.02}
    here = lambda v, f, t: v if (f, t) == ("trained", trial) else 0.5
    rows = [
        {"features": f, "trial": t, "method": m, "seed": s, "value": around(here(v, f, t), s)}
        for f in ("trained", "pixels") for t in ("symmetric 40 %", "instance 40 %") for m, v in values.items()
        for s in range(SEEDS)
    ]  # fmt: skip
    return {"p": P, "scores": pd.DataFrame(rows)}


def end_to_end(symmetric, asymmetric):
    """Gains of M-DYR over cross entropy."""
    gains = {"symmetric 50 %": symmetric, "asymmetric 40 %": asymmetric}
    rows = [
        {"trial": t, "method": m, "seed": s, "value": around(0.8 + g * (m == "M-DYR"), s + 50 * (m == "M-DYR"))}
        for t, g in gains.items() for m in ("cross entropy", "M-DYR") for s in range(SEEDS)
    ]  # fmt: skip
    return {"p": P, "ends": pd.DataFrame(rows)}


CASES = {
    "ignorance-ends-where-the-noise-moved-the-majority": (lambda: mixture(0.2, 0.0), lambda: mixture(0.1, 0.0)),
    "ignorance-costs-nothing-where-the-majority-stays": (lambda: mixture(0.2, 0.0), lambda: mixture(0.2, 0.2)),
    "ignorance-falls-at-the-majority-flip": (lambda: flips(0.1, 0.7), lambda: flips(0.3, 0.5)),
    "ignorance-keeps-up-under-symmetric-noise": (
        lambda: linear("symmetric 40 %", 0.93, 0.93),
        lambda: linear("symmetric 40 %", 0.93, 0.96),
    ),
    "ignorance-keeps-up-under-instance-noise": (
        lambda: linear("instance 40 %", 0.95, 0.93),
        lambda: linear("instance 40 %", 0.85, 0.93),
    ),
    "mixture-bootstrap-beats-cross-entropy": (lambda: end_to_end(0.1, 0.0), lambda: end_to_end(0.0, 0.1)),
    "mixture-bootstrap-gains-less-from-asymmetric-noise": (
        lambda: end_to_end(0.1, 0.02),
        lambda: end_to_end(0.1, 0.1),
    ),
}
