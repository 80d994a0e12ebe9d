"""One look for all notebooks."""

from __future__ import annotations

COLOURS = ["#3366aa", "#dd7733", "#449966", "#aa4466", "#7755aa", "#998833", "#5599bb", "#666666"]
VERDICT_COLOURS = {
    "supported": "#2e7d32",
    "contradicted": "#c62828",
    "inconclusive": "#8a6d00",
    "underpowered": "#666666",
}


def style() -> None:
    """Set matplotlib's defaults: readable sizes, light grid, colours that survive colour blindness and greyscale."""
    import matplotlib as mpl
    import seaborn as sns

    sns.set_theme(context="notebook", style="whitegrid", palette=COLOURS)
    mpl.rcParams.update({
        "figure.figsize": (7.0, 4.0), "figure.dpi": 96, "savefig.dpi": 96, "axes.spines.top": False,
        "axes.spines.right": False, "axes.titleweight": "bold", "axes.titlesize": 12, "axes.labelsize": 11,
        "legend.frameon": False, "legend.fontsize": 10, "grid.alpha": 0.4, "figure.constrained_layout.use": True,
    })  # fmt: skip
