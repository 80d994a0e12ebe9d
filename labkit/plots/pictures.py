"""Evidence, reliability, grids, projections."""

from __future__ import annotations

import numpy as np
import pandas as pd

from labkit.plots.curves import _axes


def example(data, i: int, ax=None, title: str | None = None):
    """Example ``i`` as an image where the data are images."""
    ax = _axes(ax)
    image = data.image(i)
    ax.imshow(image, cmap="gray_r" if image.ndim == 2 else None, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.set_title(title or f"{data.name} #{i}")
    return ax


def evidence(likelihood, classes, truth: int | None = None, ax=None, **labels):
    """Bars of ``P(evidence | class)`` for one example, the true class (if told) in a second colour."""
    import seaborn as sns

    ax = _axes(ax)
    first, second = sns.color_palette()[:2]
    colours = [second if c == truth else first for c in range(len(classes))]
    ax.bar(range(len(classes)), np.asarray(likelihood, float), color=colours)
    ax.set_xticks(range(len(classes)), classes)
    ax.set(**{"ylim": (0, 1.05), "xlabel": "class", "ylabel": "P(evidence | class)", **labels})
    return ax


def reliability(logits, labels, bins: int = 10, ax=None, name: str | None = None, **axes_labels):
    """Accuracy against confidence in equal-width bins, mean over runs with the runs as faint lines.

    Args:
        logits: ``(runs, n, K)``. labels: ``(runs, n)``.
    """
    import torch

    from labkit.metrics import reliability as measure

    ax = _axes(ax)
    found = measure(torch.as_tensor(logits), torch.as_tensor(labels), bins=bins)
    confidence, accuracy = np.asarray(found.confidence), np.asarray(found.accuracy)
    (line,) = ax.plot([], [], "o-", label=name)
    ax.plot(confidence.T, accuracy.T, color=line.get_color(), linewidth=0.6, alpha=0.25)
    enough = np.isfinite(accuracy).mean(0) >= 0.5  # bins that at least half of the runs fill
    with np.errstate(all="ignore"):
        line.set_data(np.nanmean(confidence[:, enough], 0), np.nanmean(accuracy[:, enough], 0))
    ax.plot([0, 1], [0, 1], color="grey", linestyle=":", linewidth=1)
    ax.set(**{"xlabel": "confidence", "ylabel": "accuracy", "xlim": (0, 1), "ylim": (0, 1.02), **axes_labels})
    if name:
        ax.legend()
    return ax


def grid(table: pd.DataFrame, rows: str, columns: str, value: str = "value", ax=None, form: str = ".3f", **labels):
    """Mean of ``value`` over seeds as an annotated heat map, ``rows`` downwards, ``columns`` to the right."""
    import seaborn as sns

    ax = _axes(ax)
    wide = table.pivot_table(index=rows, columns=columns, values=value, aggfunc="mean")
    sns.heatmap(wide, annot=True, fmt=form, cmap="viridis", ax=ax, cbar_kws={"label": labels.pop("clabel", value)})
    ax.set(**{"xlabel": columns, "ylabel": rows, **labels})
    return ax


def projection(points, labels, classes, ax=None, **axes_labels):
    """Two-dimensional points ``(n, 2)`` coloured by class."""
    import seaborn as sns

    ax = _axes(ax)
    points, labels = np.asarray(points), np.asarray(labels)
    for colour, c in zip(sns.color_palette(), np.unique(labels)):
        ax.scatter(*points[labels == c].T, s=12, alpha=0.6, color=colour, label=str(classes[c]), linewidths=0)
    ax.legend(title="class", markerscale=1.8)
    ax.set(**{"xlabel": "first direction", "ylabel": "second direction", **axes_labels})
    return ax
