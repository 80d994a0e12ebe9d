"""Figures that notebooks share: tidy tables and axes in, axes out."""

from labkit.plots.curves import curves, intervals, paired_effects
from labkit.plots.explore import explore
from labkit.plots.pictures import evidence, example, grid, projection, reliability
from labkit.plots.selective import risk_coverage
from labkit.plots.style import style

__all__ = [
    "curves",
    "evidence",
    "example",
    "explore",
    "grid",
    "intervals",
    "paired_effects",
    "projection",
    "reliability",
    "risk_coverage",
    "style",
]
