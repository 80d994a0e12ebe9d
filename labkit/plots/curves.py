"""Lines with intervals over seeds, and the paired effects behind a verdict."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labkit.claims import Verdict, student_interval
from labkit.plots.style import VERDICT_COLOURS


def _axes(ax):
    import matplotlib.pyplot as plt

    return plt.subplots()[1] if ax is None else ax


def intervals(table: pd.DataFrame, x: str, y: str = "value", hue: str | None = None, ax=None, **labels):
    """Mean over seeds against ``x`` with 95 % Student intervals; one line per value of ``hue``.

    Where ``x`` holds names and not numbers there is nothing between them, so there are points and no lines. ``labels``
    may hold ``title``, ``xlabel``, ``ylabel``. Returns the axes.
    """
    import seaborn as sns

    ax = _axes(ax)
    colours = None if hue is None else sns.color_palette(n_colors=table[hue].nunique())
    common = {"x": x, "y": y, "hue": hue, "ax": ax, "errorbar": student_interval, "palette": colours}
    if pd.api.types.is_numeric_dtype(table[x]):
        sns.lineplot(table, style=hue, markers=True, dashes=False, err_style="band", **common)
    else:
        thin = {"linewidth": 1.5}
        sns.pointplot(table, linestyle="none", capsize=0.08, err_kws=thin, dodge=hue is not None and 0.4, **common)
    if hue is not None:
        ax.legend(title=None)
    ax.set(**{"xlabel": x, "ylabel": y, **labels})
    return ax


def curves(runs, metric: str = "accuracy", split: str = "test", ax=None, **labels):
    """Every run's curve over epochs as a thin line, the mean over seeds as a thick one, one colour per setting."""
    import seaborn as sns

    ax = _axes(ax)
    colours = sns.color_palette()
    for i, (values, group) in enumerate(runs.by_setting()):
        name = ", ".join(f"{k} {v:g}" if k != "method" else str(v) for k, v in values.items()) or group[0].method
        lines = np.array([run.curves[f"{split}/{metric}"] for run in group])
        epochs, colour = group[0].epochs, colours[i % len(colours)]
        ax.plot(epochs, lines.T, color=colour, linewidth=0.6, alpha=0.35)
        ax.plot(epochs, np.nanmean(lines, 0), color=colour, linewidth=2.4, label=name)
    ax.legend(title=f"thick: mean of {len(group)} seeds")
    ax.set(**{"xlabel": "epoch", "ylabel": f"{split} {metric}", **labels})
    return ax


def paired_effects(verdicts: Verdict | list[Verdict], ax=None, **labels):
    """One row per verdict: a dot per paired run, the mean with its 95 % interval, a tick at the margin.

    Right of the tick the claim holds by an amount that matters.
    """
    verdicts = [verdicts] if isinstance(verdicts, Verdict) else list(verdicts)
    ax = _axes(ax)
    for row, verdict in enumerate(verdicts):
        colour = VERDICT_COLOURS[verdict.verdict]
        effects = np.array(verdict.effects)
        spread = np.linspace(-0.18, 0.18, len(effects)) if len(effects) > 1 else np.zeros(len(effects))
        ax.plot(effects, row + spread, ".", color=colour, alpha=0.35, markersize=6)
        ax.plot([verdict.low, verdict.high], [row, row], color=colour, linewidth=3)
        ax.plot([verdict.effect], [row], "o", color=colour, markersize=8)
        ax.plot([verdict.claim.margin] * 2, [row - 0.32, row + 0.32], color="black", linewidth=1.2)
    ax.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(verdicts)), [f"{v.claim.id}\n{v.verdict}" for v in verdicts], fontsize=9)
    ax.set_ylim(len(verdicts) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    ax.set(**{"xlabel": "effect in the claimed direction (black tick: smallest that matters)", **labels})
    return ax
