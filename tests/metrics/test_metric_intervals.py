"""Intervals over the draw of the test set: by hand, coverage, and what resampling does to a calibration error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from test_calibration import example

from labkit.metrics import accuracy, binomial_interval, bootstrap, ece, exact_calibration, metric
from labkit.streams import generator


def test_by_hand():
    logits, labels = example(50, 3)
    result = bootstrap(accuracy, logits, labels, resamples=40, kind="percentile", seed=3)
    again = []
    for i in range(40):
        draw = torch.from_numpy(generator(3, "bootstrap", i).integers(0, 50, 50))
        again.append((logits[draw].argmax(-1) == labels[draw]).double().mean().item())
    assert result.value.item() == accuracy(logits, labels).item()
    assert result.low.item() == pytest.approx(np.quantile(again, 0.025), abs=1e-12)
    assert result.high.item() == pytest.approx(np.quantile(again, 0.975), abs=1e-12)
    assert result.corrected.item() == pytest.approx(2 * result.value.item() - np.mean(again), abs=1e-12)
    basic = bootstrap(accuracy, logits, labels, resamples=40, seed=3)
    assert basic.low.item() == pytest.approx(2 * result.value.item() - result.high.item(), abs=1e-12)
    assert basic.high.item() == pytest.approx(2 * result.value.item() - result.low.item(), abs=1e-12)


def test_runs_share_the_draws():
    logits, labels = example(40, 3)
    two = bootstrap(metric("ece"), torch.stack([logits, logits]), labels, 10)
    assert all(field.shape == (2,) and field[0] == field[1] for field in two)
    alone = bootstrap(metric("ece"), logits, labels, 10)
    assert alone.low == two.low[0]


def test_percentiles_of_a_calibrated_models_ece_miss_the_truth():
    """The truth as its own prediction: its error is 0, the interval of percentiles is shifted up, away from it."""
    rng = generator(0, "data")
    posterior = torch.from_numpy(rng.dirichlet(np.ones(3), 400))
    labels = (torch.from_numpy(rng.random((400, 1))) > posterior.cumsum(-1)).sum(-1).clamp(max=2)
    logits = posterior.log()
    assert exact_calibration(logits, posterior).confidence < 1e-12
    percentile, basic = (bootstrap(ece, logits, labels, 100, kind=kind) for kind in ("percentile", "basic"))
    assert percentile.low > 0.04 and basic.low < 0.02
    assert basic.corrected < percentile.value - 0.005


@pytest.mark.parametrize("hits, trials", [(0, 5), (5, 5), (3, 10), (50, 100), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_binomial_peer(hits, trials, level):
    low, high = binomial_interval(torch.tensor(hits), torch.tensor(trials), level)
    theirs = binomtest(hits, trials).proportion_ci(level, "exact")
    assert (low.item(), high.item()) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_binomial_shapes():
    low, high = binomial_interval(torch.tensor([0, 0, 2]), torch.tensor([0, 4, 4]))
    assert (low[0], high[0]) == (0, 1) and low[1] == 0 and 0 < low[2] < 0.5 < high[2] < 1


def test_errors():
    logits, labels = example(10, 3)
    with pytest.raises(ValueError, match="'basic' or 'percentile'"):
        bootstrap(ece, logits, labels, kind="bca")
    with pytest.raises(ValueError, match="at least 2 resamples"):
        bootstrap(ece, logits, labels, 1)
    with pytest.raises(ValueError, match="level in"):
        bootstrap(ece, logits, labels, level=95)
    with pytest.raises(ValueError, match="counts from 0"):
        binomial_interval(torch.tensor(3), torch.tensor(2))
    with pytest.raises(ValueError, match=r"in \(0, 1\), got 95"):
        binomial_interval(torch.tensor(1), torch.tensor(2), 95)
