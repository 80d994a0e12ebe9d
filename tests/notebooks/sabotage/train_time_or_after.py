"""Notebook 05_calibration/02_train_time_or_after."""

from __future__ import annotations

import torch

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import made_up

CROSS = ("cross entropy",)


def enough(loss):
    """Cross entropy is far too sure, which a temperature repairs; the rival has one sound and one bad strength."""
    runs = made_up({CROSS: (0.8, 0.95), ("focal", ("gamma", 2.0)): loss, ("focal", ("gamma", 5.0)): (0.8, 0.2)})
    return {"runs": runs, "tuned": tuned}


def bent(settings: dict) -> dict:
    """Half of the test examples of every run get logits times its factor: no temperature repairs both halves."""
    runs = made_up({key: (0.8, 0.8) for key in settings})
    for run in runs:
        factor = settings[(run.method, *run.values.items())]
        z = run.logits["last/test"]
        half = torch.arange(len(z)) % 2 == 0
        run.logits["last/test"] = torch.where(half[:, None], z * factor, z)
    return {"runs": runs, "tuned": tuned}


def penalty(method: str, loss):
    return {
        "runs": made_up({CROSS: (0.8, 0.95), (method, ("weight", 1.0)): loss, (method, ("weight", 4.0)): (0.8, 0.2)}),
        "tuned": tuned,
    }


SMOOTHED = ("label smoothing", ("smoothing", 0.05))
CASES = {
    "one-temperature-is-enough": (
        lambda: enough((0.8, 0.88)),
        lambda: bent({CROSS: 5.0, ("focal", ("gamma", 2.0)): 1.0}),  # the rival is sound, cross entropy beyond repair
    ),
    "focal-ahead-after-temperature": (
        lambda: bent({CROSS: 4.0, ("focal FLSD-53",): 1.0}),
        lambda: bent({CROSS: 1.0, ("focal FLSD-53",): 4.0}),
    ),
    "smoothing-behind-after-temperature": (
        lambda: bent({CROSS: 1.0, SMOOTHED: 4.0}),
        lambda: bent({CROSS: 4.0, SMOOTHED: 1.0}),
    ),
    **{
        f"{method.lower()}-lowers-ece": (
            lambda method=method: penalty(method, (0.8, 0.8)),
            lambda method=method: penalty(method, (0.8, 0.95)),  # as sure as without it
        )
        for method in ("MMCE", "DCA", "MDCA")
    },
}
