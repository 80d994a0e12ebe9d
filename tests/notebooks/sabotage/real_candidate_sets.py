"""Notebook 04_partial/10_real_candidate_sets."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tests.notebooks.sabotage import SEEDS

LATER = ["LWS", "CAVL", "CR-DPLL", "VALEN"]


def spread(means):
    rng = np.random.default_rng(0)
    return {name: pd.Series(mean + 0.002 * rng.standard_normal(SEEDS)) for name, mean in means.items()}


def trained(average=0.7, proden=0.7, **later):
    values = {"average": average, "PRODEN": proden, **dict.fromkeys(LATER, 0.6), **later}
    return {"runs": None, "best": spread(values), "later": LATER, "kind": "Made-up", "p": None}


def changed(given=0.7, dealt=0.7, random=0.7):
    worth = spread({"given": given, "dealt within classes": dealt, "random names": random})
    return {"teach": {"given": None}, "worth": pd.DataFrame(worth), "kind": "Made-up"}


CASES = {
    "identifying-beats-averaging-on-captions": (lambda: trained(average=0.65), lambda: trained(proden=0.65)),
    "later-methods-do-not-beat-proden-on-captions": (
        lambda: trained(LWS=0.7),
        lambda: trained(CAVL=0.75),  # one of the later ones is enough
    ),
    "captions-teach-less-than-random-sets": (
        lambda: changed(random=0.75),
        lambda: changed(dealt=0.75),  # what exchanging within classes changes is another claim
    ),
    "captions-depend-on-the-example": (lambda: changed(dealt=0.75), lambda: changed(random=0.75)),
}
