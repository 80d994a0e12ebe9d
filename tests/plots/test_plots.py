"""Figures: axes in and out, labelled, from real runs; explore live and headless."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest

import labkit as lk
from labkit import plots


@pytest.fixture(scope="module")
def runs(small):
    methods = {"s": lk.methods.LabelSmoothing(lk.sweep(0.0, 0.1))}
    return lk.fit(small, methods=methods, seeds=3, epochs=2, progress=False)


@pytest.fixture(autouse=True)
def closed():
    plots.style()
    yield
    plt.close("all")


def test_every_figure_takes_axes_and_labels_them(runs, small):
    digits = lk.load("digits")
    verdict = lk.judge(None, lk.Claim("c", "p", "s", margin=0.1), np.linspace(-0.1, 0.5, 12))
    table = runs.measure("ece")
    grid = table.assign(other=[0, 1] * 3)
    drawn = {
        "curves": lambda ax: plots.curves(runs, ax=ax),
        "intervals": lambda ax: plots.intervals(table, "smoothing", ax=ax),
        "paired_effects": lambda ax: plots.paired_effects(verdict, ax),
        "reliability": lambda ax: plots.reliability(runs.logits(), runs.labels(), ax=ax, name="all"),
        "grid": lambda ax: plots.grid(grid, "smoothing", "other", ax=ax),
        "projection": lambda ax: plots.projection(
            np.random.default_rng(0).normal(size=(9, 2)), [0, 1, 2] * 3, "abc", ax
        ),
        "evidence": lambda ax: plots.evidence([0.1, 0.9], ["a", "b"], 1, ax),
    }
    for name, draw in drawn.items():
        _, ax = plt.subplots()
        assert draw(ax) is ax, name
        assert ax.get_xlabel() and (ax.get_ylabel() or name == "paired_effects"), name
        ax.figure.canvas.draw()
    assert plots.example(digits, 3).get_title() == "digits #3"
    assert plots.curves(runs).get_ylabel() == "test accuracy"  # without axes it makes its own


def test_interval_bands_are_students(runs):
    ax = plots.intervals(runs.measure("accuracy"), "smoothing")
    low, high = lk.claims.student_interval(runs.where(smoothing=0.1).measure("accuracy")["value"])
    band = ax.collections[0].get_paths()[0].vertices
    at = band[np.isclose(band[:, 0], 0.1)][:, 1]
    assert at.min() == pytest.approx(low) and at.max() == pytest.approx(high)


def test_nothing_is_drawn_between_names(runs):
    table = runs.measure("accuracy")
    table["which"] = table["smoothing"].map(lambda e: f"at {e:g}")
    table["half"] = ["ab"[i % 2] for i in range(len(table))]
    for hue in (None, "half"):
        _, ax = plt.subplots()
        plots.intervals(table, "which", hue=hue, ax=ax)
        drawn = [line.get_xdata() for line in ax.lines if line.get_linestyle() != "None"]
        assert drawn and all(np.nanmax(x) - np.nanmin(x) < 0.2 for x in drawn)  # intervals and their caps
    low, high = lk.claims.student_interval(runs.where(smoothing=0.1).measure("accuracy")["value"])
    _, ax = plt.subplots()
    plots.intervals(table, "which", ax=ax)
    ends = np.concatenate([line.get_ydata() for line in ax.lines])
    assert np.isclose(ends, low).any() and np.isclose(ends, high).any()


def test_headless_explore_draws_stills_and_lets_errors_through(monkeypatch):
    monkeypatch.setenv("LABKIT_HEADLESS", "1")
    monkeypatch.setattr(plt, "show", lambda: None)
    seen = []
    lk.explore(lambda ax, a, b: seen.append((a, b)), a=[0, 1, 2, 3, 4, 5, 6], b=["x", "y"])
    assert seen == [(0, "x"), (2, "x"), (4, "x"), (6, "x")]
    with pytest.raises(ZeroDivisionError):
        lk.explore(lambda ax, a: 1 / 0, a=[1])


def test_live_explore_is_sliders_that_redraw(monkeypatch):
    monkeypatch.setenv("LABKIT_HEADLESS", "0")
    monkeypatch.setattr(plt, "show", lambda: None)
    shown, seen = [], []
    monkeypatch.setattr("IPython.display.display", shown.append)
    lk.explore(lambda ax, a: seen.append(a), a=[0, 1, 2])
    slider = shown[-1].children[0]
    assert slider.options == (0, 1, 2) and seen == [0]
    slider.value = 2
    assert seen == [0, 2]


@pytest.mark.parametrize("choices", [{}, {"a": []}])
def test_explore_needs_choices(choices):
    with pytest.raises(ValueError, match="choice"):
        lk.explore(lambda ax: None, **choices)
