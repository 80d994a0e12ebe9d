"""The risk-coverage figure: its line and band are the means and Student intervals over runs."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from labkit import plots
from labkit.claims import student_interval
from labkit.metrics import risk_coverage
from labkit.streams import generator


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def example(runs: int, n: int):
    rng = generator(0, "data", runs, n)
    correct = torch.from_numpy(rng.random((runs, n)) < 0.7)
    return torch.from_numpy(rng.normal(0, 1, (runs, n))) + correct, correct


def test_line_and_band():
    score, correct = example(6, 50)
    _, ax = plt.subplots()
    assert plots.risk_coverage(score, correct, ax, name="made up", least=0.1, title="t") is ax
    (line,) = ax.lines
    risk = risk_coverage(score, correct).risk.numpy()
    np.testing.assert_allclose(line.get_xdata(), np.arange(5, 51) / 50)
    np.testing.assert_allclose(line.get_ydata(), risk[:, 4:].mean(0))
    low, high = student_interval(risk[:, 19])
    at = ax.collections[0].get_paths()[0].vertices
    at = at[np.isclose(at[:, 0], 0.4)][:, 1]
    assert at.min() == pytest.approx(low) and at.max() == pytest.approx(high)
    assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title() == "t"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["made up"]


def test_one_run_has_no_band_and_diverged_runs_no_curve():
    score, correct = example(3, 40)
    assert not plots.risk_coverage(score[0], correct[0]).collections
    score[1, 3] = torch.nan
    ax = plots.risk_coverage(score, correct, least=0.0)
    expected = risk_coverage(score[[0, 2]], correct[[0, 2]]).risk.mean(0)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected)
