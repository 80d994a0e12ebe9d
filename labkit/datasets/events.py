"""Sequences in which a hidden risk rises before an event: who sees it coming, and how early?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from labkit.datasets.base import Data, Split
from labkit.names import look_up
from labkit.streams import generator

NO_EVENT = 1e6  # time to the next event, in hours, where none follows (side information must be finite)
# risk from 0 to 1 at d hours before the event; `lead` is when a gradual rise begins, `horizon` when a sudden one does
PRECURSORS = {
    "gradual": lambda d, horizon, lead: np.clip(1 - (d - 1) / lead, 0, 1),
    "abrupt": lambda d, horizon, lead: (d <= horizon).astype(float),
}


@dataclass(frozen=True, eq=False, repr=False)
class Sequences(Data):
    """Examples that are steps of sequences (``side["sequence"]``): a split keeps the steps of one sequence together."""

    def split(self, seed: int, validation: float = 0.1, test: float = 0.2) -> Split:
        """Train, validation and test indices from the stream ``(seed, "split")``, no sequence in two of them.

        Sequences are taken in random order until a part has its share of all examples. So that sizes are equal for
        all seeds, the last sequence of a part gives only its last steps, and its others are left out.
        """
        for name, fraction in (("validation", validation), ("test", test)):
            if not 0 <= fraction < 1:
                raise ValueError(f"{name} must be a fraction from 0 up to 1, got {fraction}")
        who, rng = self.side["sequence"].cpu().numpy(), generator(seed, "split")
        steps = {s: np.flatnonzero(who == s) for s in np.unique(who)}
        lost = 3 * (max(map(len, steps.values())) - 1)  # at most so many are left out
        counts = [int(test * self.n), int(validation * self.n)]
        counts.append(self.n - sum(counts) - lost)
        if counts[2] < 1:
            raise ValueError(f"{len(steps)} sequences are too few to split with validation={validation}, test={test}")
        order, parts = iter(rng.permutation(list(steps))), []
        for count in counts:
            taken = np.zeros(0, dtype=np.int64)
            while len(taken) < count:
                taken = np.concatenate([taken, steps[next(order)][-(count - len(taken)) :]])
            parts.append(torch.from_numpy(rng.permutation(taken)))
        return Split(parts[2], parts[1], parts[0])


def events(
    sequences: int = 300, hours: int = 60, horizon: int = 8, precursor: str = "gradual", channels: int = 4,
    window: int = 4, signal: float = 2.0, noise: float = 1.0, seed: int = 0,
) -> Sequences:  # fmt: skip
    """Hours of synthetic patients; the class says whether an event comes within the next ``horizon`` hours.

    Half of the sequences end in an event at a random hour, the others are observed for all ``hours``. A hidden risk
    in [0, 1] goes before the event: "gradual" rises in a straight line over 2 ``horizon`` hours (a sequence's own
    factor of 0.7 to 1.4 apart), "abrupt" jumps from 0 to 1 as the horizon begins. Channel c of the measurements stays
    silent until the risk passes ``c / channels`` and then grows to ``signal``: some organs answer late. To that come
    a patient's own offset (standard deviation ``noise / 2``) and noise (``noise``, correlation 1/2 from hour to hour).

    An example is one hour of one sequence: the last ``window`` hours of all channels, x (n, window * channels).
    ``side``: "time_to_event" (hours, ``NO_EVENT`` where none follows), "sequence" and "step" (int64). Splits keep
    sequences whole. ``seed`` moves everything that is drawn.

    Raises:
        ValueError: sizes below their least values, or an unknown precursor.
    """
    rise = look_up("precursor", precursor, PRECURSORS)
    least = dict(sequences=8, horizon=1, channels=1, window=1, hours=2 * horizon + window)
    given = dict(sequences=sequences, horizon=horizon, channels=channels, window=window, hours=hours)
    if low := [f"{k} >= {v}, got {given[k]}" for k, v in least.items() if given[k] < v]:
        raise ValueError("expected " + "; ".join(low))
    if not (noise > 0 and math.isfinite(noise) and math.isfinite(signal)):
        raise ValueError(f"expected a finite signal and a finite noise above 0, got {signal} and {noise}")
    rng = generator(seed, "data")
    first = window - 1  # the first hour with a full window
    ends = np.arange(sequences) % 2 == 0
    when = np.where(ends, rng.integers(first + horizon, hours, sequences), NO_EVENT)
    lead = 2 * horizon * np.exp(rng.uniform(math.log(0.7), math.log(1.4), sequences))
    d = when[:, None] - np.arange(hours)  # (sequences, hours)
    risk = np.where(d > 0, rise(d, horizon, lead[:, None]), 0.0)
    threshold = np.arange(channels) / channels
    answer = np.clip((risk[..., None] - threshold) / (1 - threshold), 0, None)
    measured = signal * answer + noise * _disturbance(rng, sequences, hours, channels)

    windows = np.lib.stride_tricks.sliding_window_view(measured, window, axis=1)  # (sequences, hours, c, window)
    who, at = np.nonzero(d[:, first:] > 0)  # a sequence is over when its event comes
    x = windows[who, at].reshape(len(who), -1).astype(np.float32)
    ahead = np.where(d > hours, NO_EVENT, d)[who, at + first]
    tensor = lambda a, dtype: torch.from_numpy(np.ascontiguousarray(a)).to(dtype)
    return Sequences(
        "events", torch.from_numpy(x), tensor(ahead <= horizon, torch.int64), ("no event ahead", "event ahead"),
        source=f"{precursor} precursor, horizon {horizon} h",
        side={"time_to_event": tensor(ahead, torch.float32), "sequence": tensor(who, torch.int64),
              "step": tensor(at + first, torch.int64)},
    )  # fmt: skip


def _disturbance(rng: np.random.Generator, sequences: int, hours: int, channels: int) -> np.ndarray:
    """Offsets of sequences (0.5) and noise (1, correlation 1/2 from hour to hour), ``(sequences, hours, channels)``."""
    fresh = rng.standard_normal((sequences, hours, channels))
    slow = fresh.copy()
    for t in range(1, hours):
        slow[:, t] = 0.5 * slow[:, t - 1] + math.sqrt(0.75) * fresh[:, t]
    return slow + 0.5 * rng.standard_normal((sequences, 1, channels))
