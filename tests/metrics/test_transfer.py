"""The linear probe against scikit-learn's pipeline, and confidence on errors by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from labkit import metrics
from labkit.streams import generator


def clouds(n: int, gap: float, seed: int = 0):
    rng = generator(seed, "data")
    y = np.arange(n) % 3
    x = rng.normal(size=(n, 4)) + gap * np.eye(3, 4)[y]
    return torch.from_numpy(x).float(), torch.from_numpy(y)


@pytest.mark.parametrize("penalty", [0.1, 1.0, 50.0])
def test_the_probe_is_logistic_regression_on_standardised_features(penalty):
    (x, y), (x_test, y_test) = clouds(60, 1.0), clouds(300, 1.0, seed=1)
    peer = make_pipeline(StandardScaler(), LogisticRegression(C=1 / penalty, max_iter=1000)).fit(x.double(), y)
    found = metrics.linear_probe(x, y, x_test, y_test, penalty)
    assert found == pytest.approx(peer.score(x_test.double(), y_test), abs=1 / 300 + 1e-12)
    assert 0.45 < found < 0.8


def test_it_does_not_see_scale_shift_or_features_that_are_dead_in_training():
    (x, y), (x_test, y_test) = clouds(60, 1.5), clouds(300, 1.5, seed=1)
    found = metrics.linear_probe(x, y, x_test, y_test)
    assert metrics.linear_probe(100 * x + 3, y, 100 * x_test + 3, y_test) == pytest.approx(found, abs=0.01)
    g = torch.Generator().manual_seed(0)
    dead = torch.cat([x, torch.zeros(60, 1)], 1), torch.cat([x_test, 1e6 * torch.randn(300, 1, generator=g)], 1)
    assert metrics.linear_probe(dead[0], y, dead[1], y_test) == pytest.approx(found, abs=0.005)
    nothing = torch.randn(60, 4, generator=g), torch.randn(300, 4, generator=g)
    assert metrics.linear_probe(nothing[0], y, nothing[1], y_test) < 0.45


def test_bad_probes_say_why():
    x, y = clouds(12, 1.0)
    with pytest.raises(ValueError, match="one run's features"):
        metrics.linear_probe(x, y, x[:, :3], y)
    with pytest.raises(ValueError, match="all 12 training labels are 1"):
        metrics.linear_probe(x, torch.ones_like(y), x, y)
    with pytest.raises(ValueError, match="above 0"):
        metrics.linear_probe(x, y, x, y, 0.0)


def test_confidence_on_errors_by_hand():
    logits = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1], [0.1, 0.1, 0.8]], dtype=torch.float64).log()
    labels = torch.tensor([[2, 1, 0], [2, 0, 2]])
    found = metrics.confidence_on_errors(logits.expand(2, 3, 3), labels)
    assert found[0].item() == pytest.approx((0.6 + 0.8) / 2, abs=1e-15) and math.isnan(found[1])
    assert metrics.metric("confidence_on_errors").higher_is_better is False
