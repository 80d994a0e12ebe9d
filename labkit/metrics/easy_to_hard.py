"""How much of what hard training data give do easy ones give too?"""

from __future__ import annotations

import numpy as np


def gap_recovered(easy, hard, unsupervised, least: float = 0.02) -> np.ndarray:
    """Supervision gap recovered, ``(easy - unsupervised) / (hard - unsupervised)``, elementwise.

    Hase, Bansal, Clark, Wiegreffe (2024), section 3. All three are scores on the same hard tests, higher is better. 1:
    easy training data are as good as hard ones; 0: no better than none. Where hard data gain less than ``least`` over
    no supervision there is no gap to recover and the result is NaN (a ratio of two small numbers says nothing).

    >>> gap_recovered([0.8, 0.5], [0.9, 0.5], 0.5).round(2).tolist()
    [0.75, nan]
    """
    easy, hard, unsupervised = np.broadcast_arrays(*(np.asarray(v, float) for v in (easy, hard, unsupervised)))
    if not least > 0:
        raise ValueError(f"least is the smallest gap that counts, above 0, got {least}")
    gap = hard - unsupervised
    return np.divide(easy - unsupervised, gap, out=np.full(gap.shape, np.nan), where=gap >= least)


def crossing(rates, above, below) -> float:
    """The rate at which ``below`` first falls to ``above``: where two curves over increasing ``rates`` cross.

    Linear between the rates. ``rates[0]`` if it lies below from the beginning, NaN if it never does.
    """
    rates, gap = np.asarray(rates, float), np.asarray(below, float) - np.asarray(above, float)
    if gap.shape != rates.shape or (np.diff(rates) <= 0).any():
        raise ValueError("expected increasing rates and a value for each of them")
    under = np.flatnonzero(gap <= 0)
    if len(under) == 0:
        return float("nan")
    i = under[0]
    return float(rates[0]) if i == 0 else float(np.interp(0, [gap[i], gap[i - 1]], [rates[i], rates[i - 1]]))
