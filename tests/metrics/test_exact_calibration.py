"""The exact calibration error: by hand, by loops, by theory, and as what the estimates tend to."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labkit.datasets.synthetic import gaussian_mixture
from labkit.metrics import brier, debiased_ece, ece, exact_calibration, top_label_ece
from labkit.streams import generator

DIGITS = 1e-12


def population(n: int = 60, K: int = 3, outputs: int = 7, seed: int = 0):
    """Points that share a few outputs, random posteriors and weights."""
    rng = generator(seed, "data")
    logits = torch.from_numpy(rng.normal(0, 1, (outputs, K)))[torch.from_numpy(rng.integers(0, outputs, n))]
    return logits, torch.from_numpy(rng.dirichlet(np.ones(K), n)), torch.from_numpy(rng.random(n))


def slow(logits, posterior, weights):
    p, w = logits.softmax(-1), (weights / weights.sum()).tolist()
    n, K = p.shape
    pred = logits.argmax(-1).tolist()

    def grouped(keys, gap):
        cells = {}
        for i in range(n):
            cells[keys[i]] = cells.get(keys[i], 0.0) + w[i] * gap[i]
        return sum(abs(v) for v in cells.values())

    top = [(posterior[i, pred[i]] - p[i, pred[i]]).item() for i in range(n)]
    confidence = [p[i, pred[i]].item() for i in range(n)]
    rows = [tuple(p[i].tolist()) for i in range(n)]
    held = {r: sum(w[i] for i in range(n) if rows[i] == r) for r in set(rows)}
    mean = {r: [sum(w[i] * posterior[i, k].item() for i in range(n) if rows[i] == r) / held[r] for k in range(K)]
            for r in held}
    shares = {c: sum(w[i] for i in range(n) if confidence[i] == c) for c in set(confidence)}
    gaps = {c: sum(w[i] * top[i] for i in range(n) if confidence[i] == c) for c in shares}
    return [
        grouped(confidence, top),
        math.sqrt(sum(gaps[c] ** 2 / shares[c] for c in shares)),
        grouped(list(zip(confidence, pred)), top),
        sum(grouped(p[:, k].tolist(), (posterior - p)[:, k].tolist()) for k in range(K)) / K,
        sum(held[r] * sum(abs(m - v) for m, v in zip(mean[r], r)) / 2 for r in held),
        sum(held[r] * sum((m - v) ** 2 for m, v in zip(mean[r], r)) for r in held),
        sum(w[i] * sum((posterior[i, k].item() - mean[rows[i]][k]) ** 2 for k in range(K)) for i in range(n)),
    ]


@pytest.mark.parametrize("seed", range(4))
def test_slow_loops(seed):
    logits, posterior, weights = population(seed=seed)
    exact = exact_calibration(logits, posterior, weights)
    assert [v.item() for v in exact] == pytest.approx(slow(logits, posterior, weights), abs=DIGITS)
    assert exact.confidence <= exact.rms
    assert exact.confidence <= exact.top_label + DIGITS and exact.top_label <= exact.canonical + DIGITS


def test_the_brier_score_is_the_sum_of_its_causes():
    logits, posterior, _ = population(n=40)
    exact = exact_calibration(logits, posterior)
    noise = (posterior * (1 - posterior)).sum(-1).mean()
    expected = sum((posterior[:, k] * torch.stack([brier(z[None], torch.tensor([k])) for z in logits])).mean()
                   for k in range(3))  # fmt: skip
    assert (exact.calibration_loss + exact.grouping_loss + noise).item() == pytest.approx(expected.item(), abs=DIGITS)


def test_the_truth_is_calibrated_and_a_constant_is_all_grouping():
    _, posterior, weights = population()
    exact = exact_calibration(posterior.log(), posterior, weights)
    assert all(v.abs() < DIGITS for v in exact)
    base = (posterior * weights[:, None]).sum(0) / weights.sum()
    exact = exact_calibration(base.log().expand(60, 3), posterior, weights)
    assert exact.calibration_loss < DIGITS and exact.grouping_loss > 0.05 and exact.canonical < DIGITS


def test_two_wrongs_that_cancel():
    logits = torch.tensor([[0.7, 0.3], [0.3, 0.7]], dtype=torch.float64).log()
    posterior = torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64)
    exact = exact_calibration(logits, posterior)
    assert exact.confidence < DIGITS and exact.top_label.item() == pytest.approx(0.2, abs=DIGITS)
    assert exact.classwise.item() == pytest.approx(0.2, abs=DIGITS)
    assert exact.canonical.item() == pytest.approx(0.2, abs=DIGITS)


def test_a_sharpened_posterior_on_a_mixture():
    """One dimension, two classes: outputs differ wherever the posterior does, so the error is E |q - p| itself."""
    mixture = gaussian_mixture(classes=2, dimensions=1, separation=2.0, priors=[0.3, 0.7])
    x = torch.linspace(-8, 8, 20_001, dtype=torch.float64)[:, None]
    weights, posterior = mixture.log_joint(x).logsumexp(-1).exp(), mixture.posterior(x)
    logits = 2 * posterior.log()
    gap = (logits.softmax(-1) - posterior)[:, 0].abs()
    truth = ((weights * gap).sum() / weights.sum()).item()
    for bins in (None, 400):
        exact = exact_calibration(logits, posterior, weights, bins)
        assert exact.top_label.item() == pytest.approx(truth, rel=2e-3)
        assert exact.confidence.item() == pytest.approx(truth, rel=2e-3)  # too sure everywhere: nothing cancels
    assert exact.canonical.item() == pytest.approx(truth, abs=DIGITS)
    assert exact.calibration_loss.item() == pytest.approx(
        2 * ((weights * gap.square()).sum() / weights.sum()).item(), abs=DIGITS)  # fmt: skip


def test_estimates_from_labels_tend_to_it():
    logits, posterior, _ = population(n=14, outputs=4)
    exact = exact_calibration(logits, posterior)
    rng = generator(1, "data")
    i = torch.from_numpy(rng.integers(0, 14, 60_000))
    labels = (torch.from_numpy(rng.random((60_000, 1))) > posterior[i].cumsum(-1)).sum(-1).clamp(max=2)
    for f, truth in ((ece, exact.confidence), (top_label_ece, exact.top_label)):
        assert f(logits[i], labels, 1000).item() == pytest.approx(truth.item(), abs=0.01)
    assert debiased_ece(logits[i], labels, 1000, "width").item() == pytest.approx(exact.rms.item(), abs=0.01)


def test_runs_types_and_diverged_runs():
    logits, posterior, weights = population()
    several = torch.stack([logits, logits.flip(0), logits.clone()])
    several[2, 0, 0] = math.inf
    exact = exact_calibration(several, posterior, weights)
    assert all(v.shape == (3,) and v.dtype == torch.float64 and v[2].isnan() for v in exact)
    for run in range(2):
        alone = exact_calibration(several[run], posterior, weights)
        assert [v[run].item() for v in exact] == [v.item() for v in alone]
    assert exact_calibration(logits.float(), posterior.float()).confidence.isfinite()


def test_errors():
    logits, posterior, weights = population()
    with pytest.raises(ValueError, match="must be a distribution"):
        exact_calibration(logits, posterior * 2)
    with pytest.raises(ValueError, match="not all 0"):
        exact_calibration(logits, posterior, weights * 0)
    with pytest.raises(ValueError, match="from 0"):
        exact_calibration(logits, posterior, -weights)
    with pytest.raises(ValueError, match="posterior: got shape"):
        exact_calibration(logits, posterior[:, :2] / posterior[:, :2].sum(-1, keepdim=True))
    with pytest.raises(ValueError, match="weights: got shape"):
        exact_calibration(logits, posterior, weights[:5])
    with pytest.raises(ValueError, match="or None for groups of equal outputs"):
        exact_calibration(logits, posterior, weights, 0)
