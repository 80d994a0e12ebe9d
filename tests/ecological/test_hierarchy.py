from __future__ import annotations

import math

import numpy as np
import pytest

from labkit.ecological import effective_size, multinomial_dirichlet, several, split_rhat
from labkit.ecological.hierarchy import Chains


def slow_kernel(beta, alpha, rows, columns, shape, rate):
    """Log posterior of one chain up to what depends on the data alone: beta (P, R, C), alpha (R, C)."""
    total = 0.0
    for i in range(len(rows)):
        n = sum(rows[i])
        for c in range(len(columns[i])):
            theta = sum(rows[i][r] / n * beta[i][r][c] for r in range(len(rows[i])))
            total += columns[i][c] * math.log(theta)
        for r in range(len(rows[i])):
            if rows[i][r] > 0:
                total += math.lgamma(sum(alpha[r]))
                for c in range(len(columns[i])):
                    total += (alpha[r][c] - 1) * math.log(beta[i][r][c]) - math.lgamma(alpha[r][c])
    for a in np.ravel(alpha):
        total += (shape - 1) * math.log(a) - rate * a
    return total


ROWS = np.array([[30, 10, 5], [4, 50, 0], [25, 25, 25], [1, 2, 40]])
COLUMNS = np.array([[20, 15, 10], [30, 20, 4], [5, 60, 10], [40, 1, 2]])


def fresh(seed=0, chains=3):
    rng = np.random.default_rng(seed)
    beta = np.moveaxis(rng.dirichlet(np.ones(3), (chains, 4, 3)), (0, 1), (2, 3))
    return Chains(ROWS, COLUMNS, beta, rng.gamma(4, 0.5, (3, 3, chains)), 4.0, 2.0, rng)


def test_the_kernel_is_the_slow_loop():
    state = fresh()
    slow = [
        slow_kernel(state.beta[:, :, k].transpose(2, 0, 1), state.alpha[..., k], ROWS, COLUMNS, 4, 2) for k in range(3)
    ]
    np.testing.assert_allclose(state.log_kernel(), slow, rtol=1e-10)


def test_the_state_stays_one_of_tables_and_its_sums_stay_right():
    state = fresh()
    for _ in range(49):
        state.sweep(0.1)
    np.testing.assert_allclose(state.beta.sum(1), 1, atol=1e-10)
    assert (state.beta > 0).all()
    carried = state.log_kernel()
    state._refresh()
    np.testing.assert_allclose(carried, state.log_kernel(), atol=1e-6)


def test_a_step_along_the_line_leaves_the_margins_of_every_unit():
    state = fresh()
    theta = state.theta.copy()
    before = state.beta.copy()
    accepted = sum(state._along(*key).sum() for key in state.along)
    state._refresh()
    np.testing.assert_allclose(state.theta, theta, atol=1e-12)
    assert accepted > 0 and not np.array_equal(before, state.beta)
    np.testing.assert_array_equal(before[2, :, :, 1], state.beta[2, :, :, 1])  # a row without members does not move


def test_sweeps_leave_the_joint_distribution_as_it_is():
    """Parameters from the prior, data from them, then sweeps: parameters must still be as from the prior.

    Geweke (2004), "Getting it right". One chain per draw, each with data of its own.
    """
    rng = np.random.default_rng(1)
    n, shape, rate = 3000, 4.0, 2.0
    rows = np.array([[6, 3], [2, 5]])

    def prior():
        alpha = rng.gamma(shape, 1 / rate, (2, 3, n))
        gamma = rng.gamma(np.repeat(alpha[..., None], 2, 3))
        return alpha, gamma / gamma.sum(1, keepdims=True)

    alpha, beta = prior()
    theta = np.einsum("pr,rckp->kpc", rows / rows.sum(1, keepdims=True), beta)
    columns = rng.multinomial(rows.sum(1), theta / theta.sum(2, keepdims=True))
    state = Chains(rows, columns, beta, alpha, shape, rate, rng)
    for _ in range(40):
        state.sweep()
    again_alpha, again_beta = prior()
    compared = {
        "alpha": (state.alpha, again_alpha), "log alpha": (np.log(state.alpha), np.log(again_alpha)),
        "beta": (state.beta, again_beta), "beta^2": (state.beta**2, again_beta**2),
        "log beta": (np.log(state.beta), np.log(again_beta)),
        "rows": (state.beta[0] * state.beta[1], again_beta[0] * again_beta[1]),
        "both": (state.beta * state.alpha[..., None], again_beta * again_alpha[..., None]),
    }  # fmt: skip
    for name, (one, other) in compared.items():
        axis = 2 if name != "rows" else 1
        gap = (one.mean(axis) - other.mean(axis)) / np.sqrt((one.var(axis) + other.var(axis)) / n)
        assert np.abs(gap).max() < 4, (name, gap)
    assert np.abs(state.beta - beta).mean() > 0.1  # they did move


def test_one_unit_of_two_by_two_is_integrated_on_a_grid():
    rows, columns = np.array([[12, 8]]), np.array([[9, 11]])
    alpha = np.array([[2.0, 1.0], [0.8, 3.0]])
    b = (np.arange(400) + 0.5) / 400
    one, other = np.meshgrid(b, b, indexing="ij")
    log = 9 * np.log(0.6 * one + 0.4 * other) + 11 * np.log(0.6 * (1 - one) + 0.4 * (1 - other))
    log += np.log(one) - 0.2 * np.log(other) + 2 * np.log(1 - other)
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    rng = np.random.default_rng(0)
    beta = np.moveaxis(rng.dirichlet(np.ones(2), (200, 1, 2)), (0, 1), (2, 3))
    state = Chains(rows, columns, beta, np.repeat(alpha[..., None], 200, 2), 4.0, 2.0, rng)
    state._alpha_step = lambda column: np.zeros((2, 200))  # alpha is given
    seen = []
    for t in range(260):
        state.sweep(0.3 if t < 60 else 0.0)
        if t >= 60:
            seen.append(state.beta[:, 0, :, 0].copy())
    seen = np.stack(seen, -1)
    for found, exact in ((seen[0], one), (seen[1], other), (seen[0] * seen[1], one * other), (seen[1] ** 2, other**2)):
        assert found.mean() == pytest.approx((weight * exact).sum(), abs=0.004)


def test_known_tables_are_found_within_their_intervals():
    rng = np.random.default_rng(3)
    rows = rng.integers(20, 300, (60, 2))
    rows[0] = [100, 0]
    truth = np.stack([rng.dirichlet([12, 6, 2], 60), rng.dirichlet([2, 4, 14], 60)], 1)
    theta = np.einsum("pr,prc->pc", rows / rows.sum(1, keepdims=True), truth)
    columns = rng.multinomial(rows.sum(1), theta)
    found = multinomial_dirichlet(rows, columns, rng=np.random.default_rng(0), chains=3, draws=200, warmup=250, thin=3)
    assert found.beta.shape == (3, 200, 60, 2, 3) and found.alpha.shape == (3, 200, 2, 3)
    assert np.isnan(found.mean[0, 1]).all() and not np.isnan(found.mean[1:]).any()
    low, high = found.interval()
    inside = (low <= truth) & (truth <= high)
    assert inside[rows > 0].mean() > 0.88
    overall = (rows[..., None] * truth).sum(0) / rows.sum(0)[:, None]
    assert np.abs(found.totals.mean((0, 1)) - overall).max() < 0.05
    assert (split_rhat(found.totals) < 1.2).all() and (effective_size(found.totals) > 10).all()
    assert all(least > 0.15 and most < 0.75 for least, most in found.acceptance.values())
    again = multinomial_dirichlet(rows, columns, rng=np.random.default_rng(0), chains=3, draws=5, warmup=3)
    same = multinomial_dirichlet(rows, columns, rng=np.random.default_rng(0), chains=3, draws=5, warmup=3)
    np.testing.assert_array_equal(again.alpha, same.alpha)


def test_several_sets_are_sampled_each_on_its_own():
    """The second set is a hundred times the first in another order: its posterior is the same place, much narrower."""
    other = (100 * ROWS[::-1], 100 * COLUMNS[::-1])
    options = dict(chains=2, draws=100, warmup=100)
    first, second = several([(ROWS, COLUMNS), other], rng=np.random.default_rng(0), **options)
    assert first.beta.shape == second.beta.shape == (2, 100, 4, 3, 3)
    assert np.isnan(first.mean[1, 2]).all() and np.isnan(second.mean[2, 2]).all()
    for found, (rows, columns), off in ((first, (ROWS, COLUMNS), 0.12), (second, other, 0.012)):
        theta = np.einsum("pr,prc->pc", rows / rows.sum(1, keepdims=True), np.nan_to_num(found.mean))
        assert np.abs(theta - columns / columns.sum(1, keepdims=True)).max() < off
    with pytest.raises(ValueError, match="equal shapes"):
        several([(ROWS, COLUMNS), (ROWS[:2], COLUMNS[:2])], rng=np.random.default_rng(0))


def test_what_cannot_be_sampled_is_refused():
    with pytest.raises(ValueError, match="positive shape"):
        multinomial_dirichlet(ROWS, COLUMNS, rng=np.random.default_rng(0), rate=0)
    with pytest.raises(ValueError, match="unit 0"):
        multinomial_dirichlet(ROWS + 1, COLUMNS, rng=np.random.default_rng(0))


def test_chains_that_agree_and_chains_that_do_not():
    rng = np.random.default_rng(0)
    fine = rng.standard_normal((4, 1000, 2))
    assert (np.abs(split_rhat(fine) - 1) < 0.01).all()
    assert (np.abs(effective_size(fine) / 4000 - 1) < 0.2).all()
    apart = fine + np.arange(4)[:, None, None]
    assert (split_rhat(apart) > 1.3).all() and (effective_size(apart) < 20).all()
    drifting = fine + np.linspace(0, 3, 1000)[None, :, None]
    assert (split_rhat(drifting) > 1.2).all()
    slow = np.zeros((4, 4000))
    for t in range(1, 4000):  # an autoregression of 0.9 is worth (1 - 0.9) / (1 + 0.9) of its length
        slow[:, t] = 0.9 * slow[:, t - 1] + rng.standard_normal(4)
    assert effective_size(slow) == pytest.approx(16000 / 19, rel=0.2)
    assert split_rhat(np.ones((2, 8))) == 1
    with pytest.raises(ValueError, match="at least 4"):
        split_rhat(np.ones((2, 3)))


def test_rhat_by_hand():
    draws = np.array([[1.0, 2.0, 4.0, 3.0], [2.0, 2.0, 5.0, 7.0]])
    halves = [[1, 2], [4, 3], [2, 2], [5, 7]]
    means = [1.5, 3.5, 2.0, 6.0]
    within = np.mean([np.var(h, ddof=1) for h in halves])
    between = 2 * np.var(means, ddof=1)
    assert split_rhat(draws) == pytest.approx(math.sqrt((0.5 * within + between / 2) / within))
