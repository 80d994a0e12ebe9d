"""Conformal sets of *sets of labels*: every example has any number of L labels, and 2^L answers are possible.

Maltoudoglou, Paisios, Lenc, Martínek, Král, Papadopoulos (2022), "Well-calibrated confidence measures for multi-label
text classification with a large number of labels" (label powerset, inductive). The score of an answer is
``a(Y) = sum_j |Y_j - o_j|^power`` for a network's outputs o in [0, 1]. It falls apart into labels, so the answers up to
a threshold can be listed without looking at the others: the best one is o rounded, and leaving it in label j costs
``max(o_j, 1 - o_j)^power - min(...)^power``, whatever the other labels do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from labkit.conformal.split import FUZZ, _check


def powerset_score(outputs: np.ndarray, answers: np.ndarray, power: float = 2.0) -> np.ndarray:
    """Scores ``(...)`` of answers ``(..., L)``, 0 or 1, under outputs ``(..., L)``; added up label by label."""
    distance = np.abs(np.asarray(answers, dtype=np.float64) - outputs) ** power
    return distance.cumsum(-1)[..., -1]


def p_values(calibration: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """``(#{calibration scores >= score} + 1) / (n + 1)``; of the true answer it is at most e with probability <= e."""
    ordered = np.sort(calibration)
    return (len(ordered) - np.searchsorted(ordered, scores, side="left") + 1) / (len(ordered) + 1)


def powerset_threshold(calibration: np.ndarray, miscoverage: float) -> float:
    """The largest score whose p-value is above ``miscoverage``: the ``floor(miscoverage (n + 1))``-th largest
    calibration score; infinity where that is none (too few examples: every answer is kept)."""
    _check(miscoverage)
    place = math.floor(miscoverage * (len(calibration) + 1) + FUZZ)
    return math.inf if place == 0 else float(np.sort(calibration)[-place])


def answers_within(outputs: np.ndarray, limit: float, power: float = 2.0, most: int = 100_000) -> np.ndarray:
    """All answers with a score up to ``limit``, ``(m, L)`` booleans, best first: exactly those that enumeration keeps.

    A depth-first search over the labels by what leaving the best answer costs: it visits kept answers and at most one
    more for each. Labels at 1/2 cost nothing either way.

    Raises:
        ValueError: outputs outside [0, 1]. OverflowError: more than ``most`` answers (a threshold that says little).
    """
    outputs = np.asarray(outputs, dtype=np.float64)
    if outputs.ndim != 1 or not ((outputs >= 0) & (outputs <= 1)).all():
        raise ValueError(f"outputs are (L,) numbers from 0 to 1, got shape {outputs.shape}")
    best = outputs > 0.5
    base = powerset_score(outputs, best, power)
    far, near = np.maximum(outputs, 1 - outputs) ** power, np.minimum(outputs, 1 - outputs) ** power
    order = np.argsort(far - near, kind="stable")
    costs = (far - near)[order]
    slack = 1e-9 * max(1.0, len(outputs))  # the search adds in another order; the last word has the score itself
    found = []
    for chosen in _within(costs, limit - base + slack):
        if len(found) == most:
            raise OverflowError(f"more than {most} answers have a score up to {limit:g}; ask for less coverage")
        answer = best.copy()
        answer[order[chosen]] ^= True
        found.append(answer)
    kept = np.array(found, dtype=bool).reshape(-1, len(outputs))
    scores = powerset_score(outputs, kept, power)
    rank = np.argsort(scores, kind="stable")
    return kept[rank[scores[rank] <= limit]]


def _within(costs: np.ndarray, budget: float) -> Iterator[list[int]]:
    """Subsets of rising ``costs`` with a sum up to ``budget``: each extends a kept subset by a later place."""
    stack = [([], 0, 0.0)] if budget >= 0 else []
    while stack:
        chosen, first, spent = stack.pop()
        yield chosen
        for place in range(first, len(costs)):
            if spent + costs[place] > budget:
                break  # later ones cost more
            stack.append(([*chosen, place], place + 1, spent + costs[place]))


__all__ = ["answers_within", "p_values", "powerset_score", "powerset_threshold"]
