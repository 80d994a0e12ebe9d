"""Notebook 02_noise/06_noise_with_a_long_tail."""

from __future__ import annotations

import numpy as np
import torch

from labkit.metrics.imbalanced import Selection
from tests.notebooks.sabotage import SEEDS, made_up

HEAD, TAIL = [1, 2, 3], [7, 8, 9]


def selected(scores):
    """``(method, group) -> score``, noisy over seeds, as F1 and recall of what that method selects in that group."""

    def quality(found, classes):
        name, group = found[0].method, "tail" if classes == TAIL else "head"
        rng = np.random.default_rng(len(name + group))
        value = torch.from_numpy(scores[name, group] + 0.02 * rng.random(SEEDS))
        return Selection(value, value, value)

    names = {name for name, _ in scores}
    fleet = made_up({(name,): (0.8, 0.9) for name in names})
    return {"quality": quality, "runs": {("uniform", r): fleet for r in (10.0, 50.0)}, "ratio": 10.0, "steep": 50.0,
            "head": HEAD, "tail": TAIL}  # fmt: skip


def f1(divergence, centroid, both):
    found = {"divergence": divergence, "centroid": centroid, "TABASCO": both}
    names = selected({(name, "tail"): value for name, value in found.items()})
    rng = np.random.default_rng(0)
    return {**names, "f1": {name: value + 0.02 * rng.random(SEEDS) for name, value in found.items()}}


def recall(head, tail):
    names = selected({("small loss, once", "head"): head, ("small loss, once", "tail"): tail})
    rng = np.random.default_rng(0)
    return {**names, "lost": {50.0: head - tail + 0.02 * rng.random(SEEDS)}}


def trained(noise, **accuracy):
    fleet = made_up({(name.replace("_", " ").replace("  ", ", "),): (value, 0.9) for name, value in accuracy.items()})
    return {"runs": {(noise, 10.0): fleet}, "ratio": 10.0}


CASES = {
    "two-scores-beat-the-divergence": (lambda: f1(0.8, 0.9, 0.9), lambda: f1(0.9, 0.8, 0.9)),
    "two-scores-beat-the-centroid": (lambda: f1(0.9, 0.8, 0.9), lambda: f1(0.8, 0.9, 0.9)),
    "small-loss-drops-the-tail": (lambda: recall(0.95, 0.6), lambda: recall(0.95, 0.95)),
    "small-loss-drops-the-steep-tail": (lambda: recall(0.95, 0.6), lambda: recall(0.95, 0.95)),
    "rcal-raises-balanced-accuracy": (
        lambda: trained("in proportion", RCAL=0.9, cross_entropy=0.8),
        lambda: trained("in proportion", RCAL=0.8, cross_entropy=0.9),
    ),
    "recovered-gaussians-beat-polluted-ones": (
        lambda: trained("in proportion", RCAL=0.9, draws=0.8),
        lambda: trained("in proportion", RCAL=0.9, draws=0.9),
    ),
    "tabasco-classifies-better-than-small-loss": (
        lambda: trained("uniform", TABASCO=0.9, small_loss__once=0.8),
        lambda: trained("uniform", TABASCO=0.8, small_loss__once=0.9),
    ),
}
