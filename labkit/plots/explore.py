"""Sliders over precomputed results; a small grid of still pictures where nobody can slide."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from labkit.progress import headless


def explore(plot: Callable, **choices: Sequence):
    """Show ``plot(ax, **state)`` for states a reader chooses.

    ``plot`` draws one state on the axes it is given and must be quick: results are computed beforehand. Live, every
    choice becomes a slider. Headless (``LABKIT_HEADLESS=1``, in reports) no widget is made, so errors are errors;
    instead the first choice's values are drawn side by side (at most four), the others at their first value.

    >>> explore(lambda ax, smoothing: ax.set_title(f"a = {smoothing}"), smoothing=[0, 0.1, 0.2])  # doctest: +SKIP
    """
    if not choices:
        raise ValueError("explore needs at least one choice, such as smoothing=[0, 0.1]")
    for name, values in choices.items():
        if len(values) == 0:
            raise ValueError(f"choice {name!r} has no values")
    return _still(plot, choices) if headless() else _live(plot, choices)


def _still(plot: Callable, choices: dict[str, Sequence]):
    import matplotlib.pyplot as plt
    import numpy as np

    (name, values), *others = choices.items()
    fixed = {other: vals[0] for other, vals in others}
    picked = [values[i] for i in np.unique(np.linspace(0, len(values) - 1, min(4, len(values))).round().astype(int))]
    figure, axes = plt.subplots(1, len(picked), figsize=(3.4 * len(picked), 3.2), squeeze=False)
    for ax, value in zip(axes[0], picked):
        plot(ax, **{name: value}, **fixed)
        title = ax.get_title()
        ax.set_title(f"{title}\n{name} = {value}" if title else f"{name} = {value}", fontsize=10)
    figure.suptitle(
        "in JupyterLab this is a slider" if not fixed else f"in JupyterLab these are sliders (here {fixed})", fontsize=9
    )
    plt.show()


def _live(plot: Callable, choices: dict[str, Sequence]):
    import ipywidgets as widgets
    import matplotlib.pyplot as plt
    from IPython.display import display

    sliders = {
        name: widgets.SelectionSlider(
            options=list(values), description=name, continuous_update=True, style={"description_width": "initial"}
        )
        for name, values in choices.items()
    }

    def draw(**state):
        _, ax = plt.subplots(figsize=(6.4, 4.0))
        plot(ax, **state)
        plt.show()

    display(widgets.VBox([*sliders.values(), widgets.interactive_output(draw, sliders)]))
