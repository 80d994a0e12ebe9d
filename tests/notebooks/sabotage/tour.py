"""Notebook 00_start/01_tour."""

from __future__ import annotations

from tests.notebooks.sabotage import made_up


def pair(mixup, plain):
    return {"runs": made_up({("mixup",): mixup, ("cross entropy",): plain})}


CASES = {
    "mixup-resists-wrong-labels": (lambda: pair((0.9, 0.8), (0.8, 0.8)), lambda: pair((0.8, 0.8), (0.8, 0.8))),
}
