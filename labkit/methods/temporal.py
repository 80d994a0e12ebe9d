"""Early event prediction: labels that fade with the time to the event."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from labkit.evidence import Labels
from labkit.losses import temporal
from labkit.methods.base import Method


@dataclass
class TemporalSmoothing(Method):
    """Soft binary cross entropy against ``q(d)``, d the time to the next event (``batch.side["time_to_event"]``).

    Yèche, Pace, Rätsch, Kuznetsova (2023), section 4.2. ``q_exp = (e^(-gamma d) - e^(-gamma h_max)) /
    (e^(-gamma h_min) - e^(-gamma h_max))`` between the horizons, 1 before, 0 after. Published: gamma 0.05 to 0.2 per
    hour, h_min 0, h_max = 2 h (24 hours for h = 12). The class itself (event within h) is not looked at, unless
    shape is "hard".

    Args:
        gamma: strength ("exp"), width ("sigmoid") or length of a step ("step"; then it cannot be swept).
        shape: "exp", "sigmoid", "step", "linear" or "hard", see :mod:`labkit.losses.temporal`.
        h: the horizon of the evaluation, where "sigmoid" is 1/2 and "hard" ends; None is the middle.
    """

    gamma: Any = 0.2
    h_min: float = 0.0
    h_max: float = 24.0
    shape: str = "exp"
    h: float | None = None

    accepts: ClassVar = (Labels,)

    def __post_init__(self):
        if not 0 <= self.h_min <= self.h_max:
            raise ValueError(f"expected 0 <= h_min <= h_max, got {self.h_min} and {self.h_max}")

    def objective(self, net, batch):
        if "time_to_event" not in batch.side:
            raise ValueError(f"needs data with side information 'time_to_event', such as load('events'); got "
                             f"{sorted(batch.side)}")  # fmt: skip
        h = (self.h_min + self.h_max) / 2 if self.h is None else self.h
        d = batch.side["time_to_event"]
        loss = temporal.temporal_smoothing(net(batch.x), d, self.shape, self.gamma, self.h_min, self.h_max, h)
        return loss.mean(), {}
