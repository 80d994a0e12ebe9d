"""Notebook 05_calibration/07_sets_with_a_guarantee."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from tests.notebooks.sabotage import SEEDS

PARAMETERS = SimpleNamespace(alpha=0.1, calibration=200, noise=[0.0, 0.3])


def near(value, spread=0.002, seed=0):
    return value + spread * np.random.default_rng(seed).standard_normal(SEEDS)


def sections_one_and_two(thr=0.9, shortcut=0.85, aps=0.9, sizes=(1.9, 2.2)):
    """Mean coverage and size per network of every kind of set, as tensors (seeds, splits, examples)."""
    spread = lambda values: torch.from_numpy(np.asarray(values))[:, None, None].expand(-1, 2, 3)
    return {
        "p": PARAMETERS, "k": 181,
        "covered": {
            "THR": spread(near(thr)), "APS": spread(near(aps, seed=1)), "shortcut": spread(near(shortcut, seed=2)),
        },
        "size": {"THR": spread(near(sizes[0])), "APS": spread(near(sizes[1], seed=1))},
    }  # fmt: skip


def fifths(thr=0.8, aps=0.9):
    """Coverage of the last of five groups; the others are as asked."""
    of = {
        kind: np.stack([near(0.9, seed=g) for g in range(4)] + [near(v, seed=9)], 1)
        for kind, v in (("THR", thr), ("APS", aps))
    }
    return {"p": PARAMETERS, "covered": None, "by_group": lambda kind, what: of[kind]}


def noisy(plain=0.97, corrected=0.9):
    return {
        "p": PARAMETERS,
        "under": {0.3: {"at their word": (near(plain), None), "corrected": (near(corrected, seed=1), None)}},
    }


def powerset(error=0.1, strong=2.0**8, weak=2.0**12):
    return {
        "p": PARAMETERS, "L": 30, "errors": near(error, 0.001)[:, None],
        "number": {"strong": strong * np.exp(near(0)), "weak": weak * np.exp(near(0, seed=1))},
    }  # fmt: skip


CASES = {
    "conformal-keeps-its-promise": (sections_one_and_two, lambda: sections_one_and_two(thr=0.87)),
    "shortcut-breaks-its-promise": (sections_one_and_two, lambda: sections_one_and_two(shortcut=0.9)),
    "thr-sets-are-smallest": (sections_one_and_two, lambda: sections_one_and_two(sizes=(2.2, 2.2))),
    "adaptive-sets-serve-hard-examples": (fifths, lambda: fifths(thr=0.9)),
    "adaptive-sets-are-fairer": (fifths, lambda: fifths(thr=0.9, aps=0.8)),
    "noisy-calibration-over-covers": (noisy, lambda: noisy(plain=0.9)),
    "known-noise-repairs-the-threshold": (noisy, lambda: noisy(corrected=0.97)),
    "powerset-keeps-its-promise": (powerset, lambda: powerset(error=0.2)),
    "better-networks-give-smaller-answer-sets": (powerset, lambda: powerset(weak=2.0**8)),
    "pruning-makes-thirty-labels-easy": (powerset, lambda: powerset(strong=2.0**25)),
}
