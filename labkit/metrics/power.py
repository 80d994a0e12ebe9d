"""How many runs a comparison of two methods needs, paired by seed or not."""

from __future__ import annotations

import math


def power(runs: int, effect: float, sd: float, paired: bool = True, level: float = 0.05) -> float:
    """Probability that the interval of a difference leaves out 0 when the true difference is ``effect``.

    Two-sided Student test (exactly, by the non-central t distribution). Cohen (1988), "Statistical power analysis for
    the behavioral sciences", section 2.

    Args:
        runs: seeds per method, from 2. sd: standard deviation over seeds, of the *difference* if ``paired`` (both
            methods run on the same seeds), else of one method (the root mean square of the two).
        level: 1 - confidence.
    """
    from scipy import stats

    if runs < 2 or not sd >= 0:
        raise ValueError(f"power needs at least 2 runs and sd of at least 0, got runs = {runs}, sd = {sd:g}")
    if sd == 0:
        return float(effect != 0)
    freedom = runs - 1 if paired else 2 * runs - 2
    shift = effect / (sd * math.sqrt((1 if paired else 2) / runs))
    edge = stats.t.ppf(1 - level / 2, freedom)
    other = stats.nct.cdf(-edge, freedom, shift)  # not a number where it is far too small to matter
    return float(stats.nct.sf(edge, freedom, shift) + (0.0 if math.isnan(other) else other))


def runs_needed(effect: float, sd: float, paired: bool = True, wanted: float = 0.8, most: int = 100_000) -> int:
    """Smallest number of seeds per method with a power of at least ``wanted``; ``most`` if more would be needed."""
    low, high = 1, 2
    while high < most and power(high, effect, sd, paired) < wanted:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle, effect, sd, paired) >= wanted else (middle, high)
    return min(high, most)


__all__ = ["power", "runs_needed"]
