"""Notebook 01_smoothing/05_do_smoothed_teachers_teach."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

NEAR = 2.5
COMMON = {
    "near": NEAR,
    "students": {(size, NEAR): None for size in ("small", "equal")},
    "teachers": {NEAR: None},
    "parts": None,
}


def around(value):
    """One number per seed."""
    return value + 0.002 * np.random.default_rng(round(1000 * abs(value))).standard_normal(SEEDS)


def grid(**means):
    """Accuracies; ``small_1=(0.7, 0.7)`` is the small student at T = 1 with teachers of a = 0 and a = 0.1."""
    columns = {}
    for name in ("small_1", "small_64", "equal_1", "equal_64"):
        size, temperature = name.split("_")
        for a, value in zip((0.0, 0.1), means.get(name, (0.7, 0.7))):
            columns[size, a, float(temperature)] = around(value)
    return {**COMMON, "accuracy": pd.DataFrame(columns)}


def drift(plain, smoothed):
    rows = [
        {"size": "small", "within": NEAR, "teacher.smoothing": a, "temperature": t, "seed": seed, "index": float(value)}
        for a, hot in ((0.0, plain), (0.1, smoothed))
        for t, values in ((1.0, np.zeros(SEEDS)), (64.0, around(hot)))
        for seed, value in enumerate(values)
    ]
    return {**COMMON, "drift": pd.DataFrame(rows)}


def new(name, **means):
    """``cold=(0.7, 0.7)``: values at T = 1 with new teachers of a = 0 and a = 0.1; ``warm`` at T = 3."""
    columns = {
        (a, t): around(value)
        for t, key in ((1.0, "cold"), (3.0, "warm"))
        for a, value in zip((0.0, 0.1), means.get(key, (0.0, 0.0)))
    }
    return {**COMMON, "new": None, name: pd.DataFrame(columns)}


def parts(**means):
    names = ("cross entropy", "universe", "domain", "instance", "top k", "whole teacher")
    return {**COMMON, "chosen": pd.DataFrame({n: around(means.get(n.replace(" ", "_"), 0.7)) for n in names})}


def groups(correlation):
    return {**COMMON, "known": {0.0: list(around(correlation))}}


def helps(part):
    return (lambda: parts(**{part: 0.75})), (lambda: parts(**{part: 0.65}))


CASES = {
    "smoothed-teacher-safe-at-one": (lambda: grid(small_1=(0.7, 0.72)), lambda: grid(small_1=(0.7, 0.68))),
    "smoothed-teacher-fails-hot": (lambda: grid(small_64=(0.7, 0.6)), lambda: grid(small_64=(0.7, 0.72))),
    "heat-makes-smoothing-costly": (
        lambda: grid(small_1=(0.7, 0.72), small_64=(0.7, 0.6)),
        lambda: grid(small_1=(0.7, 0.6), small_64=(0.7, 0.6)),  # it costs as much when cold
    ),
    "equal-student-is-spared": (
        lambda: grid(small_64=(0.7, 0.6), equal_64=(0.8, 0.8)),
        lambda: grid(small_64=(0.7, 0.6), equal_64=(0.8, 0.7)),  # size makes no difference
    ),
    "smoothed-teacher-diffuses": (lambda: drift(0.0, 0.2), lambda: drift(0.0, -0.1)),
    "smoothing-adds-diffusion": (lambda: drift(0.1, 0.2), lambda: drift(0.2, 0.2)),
    "warmth-makes-smoothing-costly": (
        lambda: new("new_accuracy", cold=(0.7, 0.71), warm=(0.7, 0.68)),
        lambda: new("new_accuracy", cold=(0.7, 0.68), warm=(0.7, 0.68)),
    ),
    "smoothing-adds-diffusion-when-warm": (
        lambda: new("new_drift", warm=(0.0, 0.1)),
        lambda: new("new_drift", warm=(0.1, 0.05)),
    ),
    "universe-alone-helps": helps("universe"),
    "domain-alone-helps": helps("domain"),
    "instance-alone-helps": helps("instance"),
    "top-k-is-the-whole-teacher": (
        lambda: parts(top_k=0.7, whole_teacher=0.7),
        lambda: parts(top_k=0.72, whole_teacher=0.7),  # better is not equivalent either
    ),
    "teacher-weights-know-groups": (lambda: groups(0.8), lambda: groups(0.1)),
}
