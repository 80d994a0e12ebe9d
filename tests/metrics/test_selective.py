"""Risk and coverage against enumeration over orders, slow loops, scikit-learn and exact identities."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from labkit.metrics import augrc, aurc, coverage_at_risk, failure_auroc, metric, risk_coverage
from labkit.streams import generator

AREAS = (aurc, augrc, failure_auroc)


def example(*shape: int, levels: int = 0, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores (many ties with few ``levels``) that know something about correctness."""
    rng = generator(seed, "data", *shape)
    correct = rng.random(shape) < 0.7
    score = rng.normal(0, 1, shape) + correct
    score = np.round(score * levels / 4) if levels else score
    return torch.from_numpy(score), torch.from_numpy(correct)


def slow_curve(order, correct):
    """(risks, generalised risks) of one order of the examples, surest first."""
    errors, risks, general = 0, [], []
    for k, i in enumerate(order, start=1):
        errors += not correct[i]
        risks.append(errors / k)
        general.append(errors / len(order))
    return risks, general


def orders(score):
    """Every order that the scores allow."""
    values = sorted(set(score), reverse=True)
    ties = [[i for i, s in enumerate(score) if s == v] for v in values]
    for choice in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield [i for tie in choice for i in tie]


@pytest.mark.parametrize("levels", [0, 1, 2, 4])
def test_the_expected_value_over_all_orders_of_ties(levels):
    for seed in range(6):
        score, correct = example(6, levels=levels, seed=seed)
        curves = [slow_curve(order, correct.tolist()) for order in orders(score.tolist())]
        risks, general = (np.mean([c[i] for c in curves], 0) for i in (0, 1))
        found = risk_coverage(score, correct)
        assert found.coverage.tolist() == [k / 6 for k in range(1, 7)]
        np.testing.assert_allclose(found.risk, risks, atol=1e-15)
        assert aurc(score, correct).item() == pytest.approx(risks.mean(), abs=1e-15)
        trapezoids = sum((a + b) / 2 for a, b in zip([0, *general[:-1]], general)) / 6
        assert augrc(score, correct).item() == pytest.approx(trapezoids, abs=1e-15)


@pytest.mark.parametrize("levels", [0, 3, 8])
def test_augrc_is_its_two_exact_forms(levels):
    score, correct = example(4, 200, levels=levels)
    for s, c, found, auroc in zip(
        score.tolist(), correct.tolist(), augrc(score, correct), failure_auroc(score, correct)
    ):
        counted = sum(sum(t < v for t in s) + sum(t == v for t in s) / 2 for v, right in zip(s, c) if not right)
        assert found.item() == pytest.approx(counted / 200**2, abs=1e-14)
        a = sum(c) / 200
        assert found.item() == pytest.approx((1 - auroc.item()) * a * (1 - a) + (1 - a) ** 2 / 2, abs=1e-14)


@pytest.mark.parametrize("levels", [0, 3, 8])
def test_failure_auroc_is_scikit_learns(levels):
    score, correct = example(5, 300, levels=levels)
    theirs = [roc_auc_score(c, s) for s, c in zip(score, correct)]
    np.testing.assert_allclose(failure_auroc(score, correct), theirs, atol=1e-14)


def test_perfect_useless_and_reversed_scores():
    correct = torch.tensor([True] * 6 + [False] * 4)
    perfect, useless = torch.arange(10.0).flip(0), torch.zeros(10)
    best = sum(max(0, k - 6) / k for k in range(1, 11)) / 10
    assert aurc(perfect, correct).item() == pytest.approx(best, abs=1e-15)
    assert augrc(perfect, correct).item() == pytest.approx(0.4**2 / 2, abs=1e-15)
    assert aurc(useless, correct).item() == pytest.approx(0.4) and augrc(useless, correct).item() == pytest.approx(0.2)
    assert [failure_auroc(s, correct).item() for s in (perfect, useless, -perfect)] == pytest.approx([1, 0.5, 0])
    big = torch.arange(20_000.0).flip(0)
    limit = 0.4 + 0.6 * math.log(0.6)  # what the least AURC tends to
    assert aurc(big, big >= 8_000).item() == pytest.approx(limit, abs=1e-4)


def test_all_right_or_all_wrong():
    score = torch.tensor([0.3, 0.1, 0.3])
    for right in (True, False):
        correct = torch.tensor([right] * 3)
        assert (aurc(score, correct).item(), augrc(score, correct).item()) == (1 - right, (1 - right) / 2)
        assert failure_auroc(score, correct).isnan()
        assert coverage_at_risk(score, correct, 0.01).item() == float(right)


def test_coverage_at_risk_is_the_largest_of_all_thresholds():
    for levels in (0, 3, 8):
        score, correct = example(150, levels=levels)
        for allowed in (0.0, 0.05, 0.1, 0.2, 0.9):
            kept = [(score >= t) for t in score.unique()]
            coverages = [k.sum().item() / 150 for k in kept if (~correct[k]).sum().item() <= allowed * k.sum().item()]
            assert coverage_at_risk(score, correct, allowed).item() == pytest.approx(max(coverages, default=0.0))


def test_coverage_at_risk_by_hand():
    score, correct = torch.tensor([4.0, 3, 2, 1]), torch.tensor([False, True, True, True])
    assert coverage_at_risk(score, correct, 0.25).item() == 1  # behind the bump of the first, wrong example
    assert coverage_at_risk(score, correct, 0.2).item() == 0
    tied = torch.tensor([4.0, 1, 1, 1]), torch.tensor([True, True, True, False])
    assert coverage_at_risk(*tied, 0.0).item() == 0.25  # a threshold cannot split the tie
    many = torch.arange(300.0).flip(0), torch.arange(300) != 99
    assert coverage_at_risk(*many, 0.01).item() == 1  # 1 error in 100 is allowed, as are 1 in 300
    assert 0.29 * 100 < 29  # rounded; 29 errors in 100 are a risk of 29 %, whatever floats say
    assert coverage_at_risk(torch.arange(100.0).flip(0), torch.arange(100) >= 29, 0.29).item() == 1


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(1, 40), st.sampled_from([0, 2, 5]))
@settings(max_examples=25)
def test_runs_orders_and_monotone_maps_change_nothing(seed, runs, n, levels):
    score, correct = example(runs, n, levels=levels, seed=seed)
    order = torch.from_numpy(generator(seed, "order").permutation(n))
    for f in (*AREAS, lambda s, c: risk_coverage(s, c).risk, lambda s, c: coverage_at_risk(s, c, 0.1)):
        together = f(score, correct)
        alone = torch.stack([f(s, c) for s, c in zip(score, correct)])
        assert torch.equal(alone.nan_to_num(-1), together.nan_to_num(-1))
        shuffled, stretched = f(score[:, order], correct[:, order]), f(3 * score - 7, correct)
        torch.testing.assert_close(shuffled, together, rtol=0, atol=1e-14, equal_nan=True)
        assert torch.equal(stretched.nan_to_num(-1), together.nan_to_num(-1))


def test_run_axes_types_and_diverged_runs():
    score, correct = example(2, 3, 20)
    for f in (*AREAS, lambda s, c: coverage_at_risk(s, c, 0.2)):
        whole = f(score, correct)
        assert whole.shape == (2, 3) and whole.dtype == torch.float64
        assert torch.equal(f(score, correct[0, 0])[0, 0], whole[0, 0])
        assert torch.equal(f(score.float().double(), correct), f(score.float(), correct.long()))
        broken = score.clone()
        broken[1, 1, 4] = math.nan
        found = f(broken, correct)
        assert found.isnan().tolist() == [[False] * 3, [False, True, False]]
        assert torch.equal(found[0], whole[0])


def test_the_named_metrics_use_the_largest_probability():
    rng = generator(1, "data")
    logits, labels = torch.from_numpy(rng.normal(0, 2, (3, 90, 4))), torch.from_numpy(rng.integers(0, 4, (3, 90)))
    for name, function in (("aurc", aurc), ("augrc", augrc)):
        assert metric(name).higher_is_better is False
        expected = function(logits.softmax(-1).amax(-1), logits.argmax(-1) == labels)
        assert torch.equal(metric(name)(logits, labels), expected)


def test_errors():
    score, correct = example(10)
    for f in (*AREAS, risk_coverage):
        with pytest.raises(TypeError, match="score must be a floating-point tensor"):
            f(correct, correct)
        with pytest.raises(TypeError, match="correct must be a boolean tensor"):
            f(score, score)
        with pytest.raises(ValueError, match="labels for logits"):
            f(score, torch.arange(10))
        with pytest.raises(ValueError, match=r"correct: got shape \(9,\)"):
            f(score, correct[:9])
        with pytest.raises(ValueError, match="n at least 1"):
            f(score[:0], correct[:0])
    with pytest.raises(ValueError, match=r"0\.01 for one per cent"):
        coverage_at_risk(score, correct, 5)
