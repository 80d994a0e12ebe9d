"""Notebook 04_partial/04_the_price_of_a_no."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

BITS, BOUND, K = 22, 81, 10


def table(**columns):
    """Columns of numbers that differ a little between seeds."""
    rng = np.random.default_rng(0)
    return pd.DataFrame({name: value + 0.002 * rng.random(SEEDS) for name, value in columns.items()})


def names(**values):
    return {"ended": None, "runs": None, "noes": None, "K": K, "display": lambda *shown: None, **values}


def ends(difference):
    return names(distance=pd.DataFrame({"negative learning": np.zeros(SEEDS), "URE": np.full(SEEDS, difference)}))


def road(one, two, together, apart):
    held = table(one=one, two=two, together=together, apart=apart)
    return names(road={"together": {1: held["one"], 2: held["two"], 5: held["together"]}, "apart": {5: held["apart"]}})


def prices(noes, at_bits, at_bound):
    held = table(noes=noes, bits=at_bits, bound=at_bound)
    return names(bits=BITS, bound=BOUND, no={1: held["noes"]}, yes={BITS: held["bits"], BOUND: held["bound"]})


def spent(spread_out, gathered):
    held = table(one=spread_out, all=gathered)
    return names(spent={1: held["one"], K - 1: held["all"]})


CASES = {
    "all-noes-are-a-label": (lambda: ends(1e-12), lambda: ends(1e-3)),  # one of them is another loss
    "the-second-no-helps": (lambda: road(0.8, 0.85, 0.9, 0.9), lambda: road(0.85, 0.85, 0.9, 0.9)),
    "noes-together-beat-noes-apart": (lambda: road(0.8, 0.9, 0.95, 0.9), lambda: road(0.8, 0.9, 0.9, 0.95)),
    "a-no-is-worth-less-than-its-bits": (lambda: prices(0.7, 0.8, 0.5), lambda: prices(0.8, 0.8, 0.5)),
    "a-no-is-worth-more-than-its-bound": (lambda: prices(0.7, 0.8, 0.5), lambda: prices(0.5, 0.8, 0.5)),
    "noes-belong-on-few-examples": (lambda: spent(0.8, 0.9), lambda: spent(0.9, 0.8)),
}
