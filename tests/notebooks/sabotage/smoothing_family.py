"""Notebook 01_smoothing/14_the_smoothing_family."""

from __future__ import annotations

from labkit.fleet.tuned import tuned
from tests.notebooks.sabotage import made_up


def noisy(method: str, other: str, rate: float, first, second, **value):
    """Two methods at one share of wrong labels; ``value`` is the swept value of the second."""
    at = ("annotator.rate", rate)
    return {"runs": made_up({(method, at): first, (other, *value.items(), at): second}), "tuned": tuned}


def signs(name: str, negative, positive, worse=(0.3, 0.3)):
    """Rates of both signs; each side also has a rate that is worse, on noisy validation labels too."""
    rate, at = "rate.then", ("annotator.rate", 0.6)
    settings = {
        ("negative", (rate, -0.3), at): worse,
        ("negative", (rate, -2.0), at): negative,
        ("smoothing", ("smoothing", 0.1), at): positive,
        ("smoothing", ("smoothing", 0.7), at): worse,
    }
    return {name: made_up(settings), "tuned": tuned}


def focal(first, plain):
    return {"focal": made_up({("focal FLSD-53",): first, ("cross entropy",): plain})}


CASES = {
    "bootstrapping-resists-noise": (
        lambda: noisy("hard bootstrapping", "cross entropy", 0.4, (0.9, 0.8), (0.8, 0.8)),
        lambda: noisy("hard bootstrapping", "cross entropy", 0.4, (0.8, 0.8), (0.8, 0.8)),
    ),
    "online-smoothing-beats-smoothing": (
        lambda: noisy("online smoothing", "smoothing", 0.0, (0.9, 0.8), (0.8, 0.8), smoothing=0.1),
        lambda: noisy("online smoothing", "smoothing", 0.0, (0.8, 0.8), (0.9, 0.8), smoothing=0.1),
    ),
    "negative-smoothing-wins-at-high-noise": (
        lambda: signs("runs", (0.9, 0.8), (0.8, 0.8)),
        lambda: signs("runs", (0.8, 0.8), (0.9, 0.8)),
    ),
    "negative-smoothing-wins-without-memory": (
        lambda: signs("many", (0.9, 0.8), (0.8, 0.8)),
        lambda: signs("many", (0.8, 0.8), (0.9, 0.8)),
    ),
    "negative-smoothing-restores-confidence": (
        lambda: signs("many", (0.8, 0.8), (0.8, 0.3)),
        lambda: signs("many", (0.8, 0.3), (0.8, 0.8)),
    ),
    "focal-repairs-over-confidence": (
        lambda: focal((0.8, 0.8), (0.8, 0.95)),
        lambda: focal((0.8, 0.5), (0.8, 0.8)),  # cross entropy was sound, and focal makes it too unsure
    ),
}
