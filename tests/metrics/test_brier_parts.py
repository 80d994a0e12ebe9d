"""The parts of the Brier score: they add up, and a slow loop agrees."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import brier_score_loss
from test_calibration import ADVERSARIAL, DIGITS, example, slow_bins

from labkit.metrics import brier, brier_parts

cases = pytest.mark.parametrize("case", ADVERSARIAL)


def whole(parts) -> torch.Tensor:
    return (parts.reliability - parts.resolution + parts.uncertainty + parts.within_variance - parts.within_covariance)


def slow(logits, labels, bins, binning):
    p, n = logits.double().softmax(-1), len(labels)
    sums = [0.0] * 5
    for k in range(logits.shape[-1]):
        f, o = p[:, k].tolist(), (labels == k).int().tolist()
        base, where = sum(o) / n, slow_bins(f, bins, binning)
        for b in set(where):
            rows = [i for i in range(n) if where[i] == b]
            said, came = math.fsum(f[i] for i in rows) / len(rows), sum(o[i] for i in rows) / len(rows)
            sums[0] += len(rows) / n * (said - came) ** 2
            sums[1] += len(rows) / n * (came - base) ** 2
            sums[3] += sum((f[i] - said) ** 2 for i in rows) / n
            sums[4] += 2 * sum((f[i] - said) * (o[i] - came) for i in rows) / n
        sums[2] += base * (1 - base)
    return sums


@cases
@pytest.mark.parametrize("binning", ["width", "mass"])
@pytest.mark.parametrize("bins", [1, 5, 15])
def test_slow_loops_and_the_sum(case, binning, bins):
    logits, labels = ADVERSARIAL[case]
    parts = brier_parts(logits, labels, bins, binning)
    assert [v.item() for v in parts] == pytest.approx(slow(logits, labels, bins, binning), abs=DIGITS)
    assert whole(parts).item() == pytest.approx(brier(logits, labels).item(), abs=DIGITS)
    assert all(v >= 0 for v in parts[:4])


def test_one_forecast_per_bin_is_murphys():
    logits, labels = example(300, 3)
    logits = logits.round(decimals=0)  # a few distinct forecasts
    parts = brier_parts(logits, labels, len(labels), "mass")
    assert parts.within_variance.item() == pytest.approx(0, abs=DIGITS)
    assert parts.within_covariance.item() == pytest.approx(0, abs=DIGITS)
    assert whole(parts).item() == pytest.approx(brier(logits, labels).item(), abs=DIGITS)


def test_two_classes_are_twice_scikit_learns():
    logits, labels = example(200, 2)
    p = logits.softmax(-1)[:, 1]
    assert whole(brier_parts(logits, labels)).item() == pytest.approx(
        2 * brier_score_loss(labels.numpy(), p.numpy()), abs=1e-12)  # fmt: skip


def test_a_constant_forecast_of_the_base_rate_is_all_uncertainty():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    logits = torch.tensor([0.6, 0.3, 0.1]).log().expand(10, 3)
    parts = brier_parts(logits, labels)
    assert parts.uncertainty.item() == pytest.approx(0.24 + 0.21 + 0.09, abs=1e-6)
    assert all(abs(v.item()) < 1e-6 for v in parts[:2])


def test_runs_and_diverged_runs():
    logits, labels = example(30, 3)
    several = torch.stack([logits, logits * 2, logits.clone()])
    several[2, 3, 1] = math.nan
    parts = brier_parts(several, labels)
    assert all(v.shape == (3,) and v[2].isnan() for v in parts)
    for run in range(2):
        assert [v[run].item() for v in parts] == [v.item() for v in brier_parts(several[run], labels)]
    with pytest.raises(ValueError, match="unknown binning"):
        brier_parts(logits, labels, 15, "none")
