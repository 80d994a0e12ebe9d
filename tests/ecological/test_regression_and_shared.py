from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from labkit.counts import count_log_likelihood, count_posterior, tilted
from labkit.ecological import (
    exact_fit,
    exact_log_likelihood,
    goodman,
    mean_field_fit,
    mean_field_log_likelihood,
    neighbourhood,
    rake,
)
from labkit.ecological.shared import _tables

BETA = np.array([[0.5, 0.3, 0.2], [0.9, 0.05, 0.05]])


@pytest.fixture
def units():
    """40 units of two rows by three columns, drawn with one table for all."""
    rng = np.random.default_rng(0)
    rows = rng.integers(20, 200, (40, 2))
    return rows, rng.multinomial(rows, BETA).sum(1)


def test_goodman_recovers_what_it_assumes_and_equals_the_normal_equations(units):
    rows, columns = units
    beta, error = goodman(rows, columns)
    exact = rows @ BETA  # no noise at all: exact whatever the weights
    np.testing.assert_allclose(goodman(rows, exact)[0], BETA, atol=1e-12)
    a, b = np.zeros((2, 2)), np.zeros((2, 3))  # sum over units of N x x', N x t, with x and t shares
    for g, t in zip(rows, columns):
        n = g.sum()
        for r in range(2):
            for s in range(2):
                a[r, s] += n * (g[r] / n) * (g[s] / n)
            for c in range(3):
                b[r, c] += n * (g[r] / n) * (t[c] / n)
    np.testing.assert_allclose(beta, np.linalg.solve(a, b), rtol=1e-10)
    np.testing.assert_allclose(beta.sum(1), 1)
    residual = sum(g.sum() * (t / g.sum() - g / g.sum() @ beta) ** 2 for g, t in zip(rows, columns)) / 38
    np.testing.assert_allclose(error**2, np.diag(np.linalg.inv(a))[:, None] * residual, rtol=1e-10)
    assert (np.abs(beta - BETA) < 4 * error).all()


def test_goodman_refuses_what_cannot_be_told_apart():
    with pytest.raises(ValueError, match="combination"):
        goodman([[10, 10], [20, 20], [5, 5]], [[4, 16], [20, 20], [5, 5]])
    with pytest.raises(ValueError, match="more units"):
        goodman([[10, 10]], [[4, 16]])


def test_a_neighbourhood_is_its_margin():
    np.testing.assert_allclose(neighbourhood([[3, 7]], [[4, 6]]), [[[0.4, 0.6], [0.4, 0.6]]])


def test_raking_keeps_both_margins_and_the_odds_ratios(units):
    rows, columns = units
    shares = rake(BETA, rows, columns)
    np.testing.assert_allclose(shares.sum(2), 1)
    np.testing.assert_allclose((rows[:, :, None] * shares).sum(1), columns, rtol=1e-6)
    odds = lambda b: b[..., 0, 0] * b[..., 1, 1] / (b[..., 0, 1] * b[..., 1, 0])
    np.testing.assert_allclose(odds(shares), odds(BETA), rtol=1e-6)
    np.testing.assert_allclose(rake(np.ones((2, 3)) / 3, rows, columns), neighbourhood(rows, columns), rtol=1e-6)


def test_raking_is_the_step_to_the_members_given_the_counts_of_their_bag():
    rows, columns = np.array([[4, 3]]), np.array([[4, 2, 1]])
    log_p = torch.from_numpy(np.log(np.repeat(BETA, rows[0], axis=0)))
    members = tilted(log_p, torch.tensor([4.0, 2.0, 1.0]).double())
    np.testing.assert_allclose(rake(BETA, rows, columns)[0], members[[0, 4]], atol=1e-5)


def test_a_negative_share_of_regression_is_raked_as_nearly_nothing():
    shares = rake([[1.2, -0.2], [0.3, 0.7]], [[30, 20]], [[25, 25]])
    assert (shares > 0).all()
    np.testing.assert_allclose((np.array([30, 20])[:, None] * shares[0]).sum(0), [25, 25], rtol=1e-5)


def test_the_mean_field_likelihood_is_a_multinomial(units):
    rows, columns = units[0][:5], units[1][:5]
    found = mean_field_log_likelihood(BETA, rows, columns)
    for value, g, t in zip(found, rows, columns):
        log = math.lgamma(sum(t) + 1)
        for c in range(3):
            theta = sum(g[r] / g.sum() * BETA[r, c] for r in range(2))
            log += t[c] * math.log(theta) - math.lgamma(t[c] + 1)
        assert value == pytest.approx(log, rel=1e-12)
    per_unit = np.repeat(BETA[None], 5, 0)
    np.testing.assert_array_equal(mean_field_log_likelihood(per_unit, rows, columns), found)
    outcomes = [(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]
    values = mean_field_log_likelihood(BETA, [[2, 4]] * len(outcomes), outcomes)
    assert np.exp(values).sum() == pytest.approx(1)


def test_em_climbs_to_a_place_where_no_direction_is_better(units):
    rows, columns = units
    beta = mean_field_fit(rows, columns)
    np.testing.assert_allclose(beta.sum(1), 1)
    best = mean_field_log_likelihood(beta, rows, columns).sum()
    assert best >= mean_field_log_likelihood(BETA, rows, columns).sum()
    for r, (c, d), size in itertools.product(range(2), itertools.permutations(range(3), 2), (1e-3, 1e-2)):
        moved = beta.copy()
        moved[r, c] += size
        moved[r, d] -= size
        if moved.min() > 0:
            assert mean_field_log_likelihood(moved, rows, columns).sum() <= best + 1e-9
    assert np.abs(beta - BETA).max() < 0.06


def brute(beta, sizes, total):
    """Every assignment of every member, one by one."""
    p = np.repeat(beta, sizes)
    row = np.repeat(np.arange(len(sizes)), sizes)
    whole, cells = 0.0, np.zeros(len(sizes))
    for chosen in itertools.product((0, 1), repeat=len(p)):
        if sum(chosen) == total:
            weight = np.prod([q if c else 1 - q for q, c in zip(p, chosen)])
            whole += weight
            cells += weight * np.bincount(row, chosen, len(sizes))
    return cells / whole, math.log(whole)


@pytest.mark.parametrize("sizes", [[3, 2], [2, 3, 4], [1, 0, 5]])
def test_the_exact_likelihood_is_the_sum_over_all_assignments(sizes):
    beta = np.array([0.2, 0.7, 0.9])[: len(sizes)]
    n, logs = sum(sizes), []
    for total in range(n + 1):
        cells, log = brute(beta, sizes, total)
        found, value = _tables(beta, np.array(sizes), total)
        np.testing.assert_allclose(found, cells, atol=1e-10)
        assert value == pytest.approx(log, rel=1e-10)
        logs.append(exact_log_likelihood(beta, [sizes], [[total, n - total]])[0])
        assert logs[-1] == value
    assert np.exp(logs).sum() == pytest.approx(1)


def test_a_unit_is_a_bag_and_its_share_a_classifier():
    sizes, beta = np.array([5, 8]), np.array([0.3, 0.8])
    p = np.repeat(beta, sizes)
    log_p = torch.from_numpy(np.log(np.stack([p, 1 - p], 1)))
    counts = torch.tensor([7.0, 6.0]).double()
    value = exact_log_likelihood(beta, [sizes], [[7, 6]])
    np.testing.assert_allclose(value, count_log_likelihood(log_p, counts), rtol=1e-9)
    members = count_posterior(log_p, counts)[:, 0]
    np.testing.assert_allclose(_tables(beta, sizes, 7)[0], [members[:5].sum(), members[5:].sum()], rtol=1e-9)


def test_the_exact_likelihood_is_the_sharper_one():
    """Same mean, less variance: members' rows are known, not drawn."""
    sizes, beta = [[30, 70]] * 101, np.array([0.1, 0.9])
    outcomes = np.array([[t, 100 - t] for t in range(101)])
    exact = np.exp(exact_log_likelihood(beta, sizes, outcomes))
    field = np.exp(mean_field_log_likelihood(np.stack([beta, 1 - beta], 1), sizes, outcomes))
    t = outcomes[:, 0]
    assert exact @ t == pytest.approx(66) and field @ t == pytest.approx(66)
    assert exact @ (t - 66) ** 2 == pytest.approx(30 * 0.09 + 70 * 0.09)
    assert field @ (t - 66) ** 2 == pytest.approx(100 * 0.66 * 0.34)


def test_the_exact_fit_is_a_maximum():
    rng = np.random.default_rng(1)
    rows = rng.integers(5, 40, (30, 2))
    first = rng.binomial(rows, [0.2, 0.8]).sum(1)
    columns = np.stack([first, rows.sum(1) - first], 1)
    beta = exact_fit(rows, columns)
    best = exact_log_likelihood(beta, rows, columns).sum()
    for r, by in itertools.product(range(2), (-0.01, 0.01)):
        assert exact_log_likelihood(beta + by * np.eye(2)[r], rows, columns).sum() < best
    assert np.abs(beta - [0.2, 0.8]).max() < 0.08


def test_what_is_out_of_reach_is_said():
    with pytest.raises(ValueError, match="two columns, got 3"):
        exact_log_likelihood([0.5, 0.5], [[1, 2]], [[1, 1, 1]])
    with pytest.raises(ValueError, match="tables and"):
        exact_log_likelihood([0.5] * 3, [[4000, 4000, 4000]], [[6000, 6000]])
