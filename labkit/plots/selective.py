"""Risk against coverage."""

from __future__ import annotations

import numpy as np

from labkit.plots.curves import _axes


def risk_coverage(score, correct, ax=None, name: str | None = None, least: float = 0.05, **labels):
    """Selective risk against coverage: mean over runs with a 95 % Student band.

    Args:
        score, correct: ``(runs, n)``, higher is surer. name: for the legend.
        least: smallest coverage drawn; further left the risk is that of a handful of examples.
        labels: ``title``, ``xlabel``, ``ylabel``.

    Returns the axes.
    """
    import torch
    from scipy import stats

    from labkit.metrics import risk_coverage as measure

    ax = _axes(ax)
    found = measure(torch.as_tensor(score), torch.as_tensor(correct))
    shown = np.asarray(found.coverage) >= least
    coverage, risk = np.asarray(found.coverage)[shown], np.atleast_2d(np.asarray(found.risk))[:, shown]
    risk = risk[np.isfinite(risk).all(1)]  # diverged runs have no curve
    mean = risk.mean(0)
    (line,) = ax.plot(coverage, mean, label=name)
    if len(risk) > 1:
        half = stats.t.ppf(0.975, len(risk) - 1) * risk.std(0, ddof=1) / np.sqrt(len(risk))
        ax.fill_between(coverage, mean - half, mean + half, color=line.get_color(), alpha=0.2, linewidth=0)
    ax.set(**{"xlabel": "coverage (share of examples kept)", "ylabel": "risk (share of errors among them)", **labels})
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    if name:
        ax.legend()
    return ax
