"""Notebook 05_calibration/06_abstaining_well."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import torch

from labkit import metrics
from tests.notebooks.sabotage import SEEDS, made_up


def near(value, seed=0, spread=0.001):
    return value + spread * np.random.default_rng(seed).standard_normal(SEEDS)


def table(key, **values):
    """Long: one row per seed and name, ``values`` by name (underscores are spaces); more measures as dictionaries."""
    rows = []
    for i, (name, value) in enumerate(values.items()):
        value = value if isinstance(value, dict) else {"auroc": value}
        drawn = {measure: near(v, i) for measure, v in value.items()}
        rows += [{key: name.replace("_", " "), "seed": s, **{k: v[s] for k, v in drawn.items()}} for s in range(SEEDS)]
    return pd.DataFrame(rows)


RUNS = made_up({("cross entropy",): (0.8, 0.9)})


def losses(choice):
    quality = table("loss", cross_entropy=0.85, validations_choice=choice)
    quality["loss"] = quality["loss"].replace("validations choice", "validation's choice")
    return {"runs": RUNS, "quality": quality.assign(score="largest probability")}


def maps(luckiest):
    return {"runs": RUNS, "mapped": table("map", none=0.85, temperature=0.85, isotonic=0.83, vector=luckiest)}


def repair(worst):
    before = table("loss", cross_entropy=0.85, mixup=0.8).assign(score="largest probability")
    after = table("loss", cross_entropy=0.85, mixup=worst).assign(score="better on validation")
    return {"runs": RUNS, "quality": pd.concat([before, after])}


def two_measures(last):
    areas = {"a": (0.05, 0.04), "b": (0.06, 0.05), "c": (0.07, last)}
    rows = [
        {"loss": name, "seed": s, "aurc": aurc, "augrc": augrc}
        for name, (aurc, augrc) in areas.items()
        for s in range(SEEDS)
    ]
    return {"runs": RUNS, "usual": pd.DataFrame(rows)}


def strangers(none=0.82, few=0.87, mined=0.92, random=0.9, every=0.93):
    rows = [
        {"strangers": "any", "choice": choice, "words": words, "seed": s, "auroc": near(value, i)[s]}
        for i, (choice, words, value) in enumerate(
            [("none", 0, none), ("mined", 5, few), ("mined", 73, mined), ("random", 73, random), ("mined", 485, every)]
        )
        for s in range(SEEDS)
    ]
    return {"found": pd.DataFrame(rows)}


def exam(wrong=0.1, two=0.4, doubts=0.2):
    """400 pictures; a share ``two`` shows two digits, of which every other answer differs from the record; a share
    ``wrong`` of the pictures, all with one digit, is answered wrongly, with the largest probability ``doubts``."""
    n = 400
    place = torch.arange(n).expand(SEEDS, n)
    bad = place < wrong * n
    elsewhere = (place >= (1 - two) * n) & (place % 2 == 0)
    largest = torch.where(bad, doubts, torch.where(place >= (1 - two) * n, 0.5, 0.9)).double()
    largest = largest + torch.from_numpy(1e-3 * np.random.default_rng(0).random((SEEDS, n)))
    together = torch.where(bad, 0.6, 0.95).double()
    return {
        "metrics": metrics, "judged": {"record": ~(bad | elsewhere), "set": ~bad},
        "sure": {"largest": largest, "two largest together": together}, "p": SimpleNamespace(tests=n),
    }  # fmt: skip


CASES = {
    "calibrating-losses-do-not-help-to-refuse": (lambda: losses(0.84), lambda: losses(0.9)),
    "maps-do-not-help-to-refuse": (lambda: maps(0.845), lambda: maps(0.9)),
    "normalising-evens-out-the-losses": (lambda: repair(0.84), lambda: repair(0.8)),
    "aurc-and-augrc-rank-differently": (lambda: two_measures(0.045), lambda: two_measures(0.06)),
    "negative-names-find-strangers": (strangers, lambda: strangers(none=0.92)),
    "mined-names-beat-random-names": (strangers, lambda: strangers(random=0.92)),
    "more-negative-names-then-enough": (strangers, lambda: strangers(every=1.0)),
    "half-of-the-mistakes-are-none": (
        lambda: exam(wrong=0.1),
        lambda: exam(wrong=0.5),
    ),  # 20 % of the pictures are none
    "the-set-lets-more-answers-through": (lambda: exam(wrong=0.02), lambda: exam(wrong=0.02, two=0.02)),
    "two-answers-are-no-doubt": (lambda: exam(doubts=0.7), lambda: exam(doubts=0.2)),
}
