"""Labels from crowds: posteriors against enumeration, EM against slow loops, defects of public code, ties, errors."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import check_grad
from scipy.special import digamma

from labkit import crowds

# crowd-kit is no test dependency: it brings transformers and pyarrow (some 350 MB), and its Wawa and ZeroBasedSkill
# fail under scikit-learn 1.7 and later. GLAD_12 is what its GLAD (1.4.2, 15 rounds of EM) says of SMALL.
SMALL = np.array([[1, -1, 1, -1], [0, 2, -1, 0], [2, 1, 2, 1], [1, 1, 1, 0], [0, 2, 2, 2], [2, 0, 1, -1],
                  [-1, 0, 0, 0], [2, -1, 0, 1], [1, 1, 1, -1], [0, 1, 1, 1], [0, -1, 0, 0], [-1, 1, 1, 1]])  # fmt: skip
GLAD_12 = np.array([
    [0.004292, 0.991415, 0.004292], [0.62352, 0.048085, 0.328395], [0.023194, 0.59465, 0.382157],
    [0.016953, 0.980479, 0.002568], [0.000334, 8.8e-05, 0.999578], [0.395803, 0.420157, 0.18404],
    [0.999978, 1.1e-05, 1.1e-05], [0.477359, 0.326581, 0.196061], [3.9e-05, 0.999922, 3.9e-05],
    [0.000334, 0.999578, 8.8e-05], [0.999862, 6.9e-05, 6.9e-05], [1.1e-05, 0.999978, 1.1e-05],
])  # fmt: skip


def crowd(n=60, workers=6, k=3, seed=0, asked=0.7, right=0.7):
    """Answers of workers who are right that often, and the classes."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, k, n)
    said = np.where(rng.random((n, workers)) < right, y[:, None], rng.integers(0, k, (n, workers)))
    asked = rng.random((n, workers)) < asked
    asked[np.arange(n), rng.integers(0, workers, n)] = True
    return np.where(asked, said, -1), y


def test_the_posterior_is_the_enumerated_one():
    """Over all labelings of three examples at once."""
    rng, k = np.random.default_rng(0), 3
    said = np.array([[0, 1], [2, -1], [1, 1]])
    emission, prior = rng.dirichlet(np.ones(k), (2, k)).transpose(0, 2, 1), rng.dirichlet(np.ones(k))
    joint = np.zeros((k,) * 3)
    for labeling in itertools.product(range(k), repeat=3):
        joint[labeling] = math.prod(
            prior[c] * math.prod(emission[w, s, c] for w, s in enumerate(row) if s >= 0)
            for c, row in zip(labeling, said)
        )
    probs, logs = crowds.posterior(crowds.answers(said, k), np.log(emission), np.log(prior))
    for i in range(3):
        others = tuple(j for j in range(3) if j != i)
        np.testing.assert_allclose(probs[i], joint.sum(others) / joint.sum(), atol=1e-14)
    assert logs.sum() == pytest.approx(np.log(joint.sum()), abs=1e-12)


def test_dawid_skene_equals_loops():
    said, _ = crowd(12, 3, asked=1.0)
    k, (n, workers) = 3, said.shape
    probs = [[sum(a == c for a in row) / workers for c in range(k)] for row in said]
    for _ in range(5):
        prior = [sum(q[c] for q in probs) / n for c in range(k)]
        table = [[[1e-10] * k for _ in range(k)] for _ in range(workers)]
        for w, a, c in itertools.product(range(workers), range(k), range(k)):
            table[w][a][c] = max(1e-10, sum(probs[i][c] for i in range(n) if said[i, w] == a))
        total = [[sum(table[w][a][c] for a in range(k)) for c in range(k)] for w in range(workers)]
        new = []
        for i in range(n):
            joint = [
                prior[c] * math.prod(table[w][said[i, w]][c] / total[w][c] for w in range(workers)) for c in range(k)
            ]
            new.append([j / sum(joint) for j in joint])
        probs = new
    np.testing.assert_allclose(crowds.dawid_skene(said, k, 5, -1.0).probs, probs, atol=1e-12)


def test_em_climbs():
    said, _ = crowd()
    trace = crowds.dawid_skene(said, 3, 40, -1.0).trace
    assert len(trace) == 40 and min(np.diff(trace)) > -1e-6 and trace[-1] > trace[0] + 1
    trace = crowds.mace(said, 3, variational=False, steps=40).trace
    assert min(np.diff(trace)) > -1e-2 and trace[-1] > trace[0] + 1  # counts are smoothed a little
    trace = crowds.glad(said, 3).trace
    assert min(np.diff(trace)) > -1e-9


def test_mace_equals_a_sum_over_who_knew():
    """One start, two steps, by enumerating for every vote whether its worker knew; both kinds of M step."""
    said, _ = crowd(8, 3, asked=0.8, seed=3)
    k, workers, votes = 3, 3, [(i, w, a) for (i, w), a in np.ndenumerate(said) if a >= 0]
    for variational in (True, False):
        rng = np.random.default_rng(0)
        knows, habit = (d / d.sum(-1, keepdims=True) for d in (rng.uniform(1, 2.5, (1, workers, m)) for m in (2, k)))
        knows, habit = knows[0], habit[0]
        for step in range(3):
            probs = np.zeros((8, k))
            for i, c in itertools.product(range(8), range(k)):
                probs[i, c] = math.prod(
                    knows[w, 0] * habit[w, a] + knows[w, 1] * (a == c) for j, w, a in votes if j == i
                )
            probs /= probs.sum(1, keepdims=True)
            if step == 2:
                break
            spam, known = np.zeros((workers, k)), np.zeros(workers)
            for i, w, a in votes:
                for c in range(k):
                    both = [knows[w, 0] * habit[w, a], knows[w, 1] * (a == c)]
                    spam[w, a] += probs[i, c] * both[0] / sum(both)
                    known[w] += probs[i, c] * both[1] / sum(both)
            shares = np.stack([spam.sum(1), known], 1)
            if variational:
                mean = lambda v: np.exp(digamma(v) - digamma(v.sum(1, keepdims=True)))
                knows, habit = mean(shares + 0.5), mean(spam + 10)
            else:
                part = lambda v: (v + 0.01 / k) / (v + 0.01 / k).sum(1, keepdims=True)
                knows, habit = part(shares), part(spam)
        got = crowds.mace(said, k, variational, starts=1, steps=2)
        np.testing.assert_allclose(got.probs, probs, atol=1e-12)
        np.testing.assert_allclose(got.skill, knows[:, 1], atol=1e-12)


def test_the_starts_of_mace_differ_and_the_best_is_kept():
    """crowd-kit hands one seed to every start: ten times the same one."""
    said, _ = crowd(seed=5, right=0.4)
    reached = [[crowds.mace(said, 3, starts=s, steps=3, seed=seed).trace[-1] for s in (1, 10)] for seed in range(5)]
    gain = np.diff(reached)
    assert (gain >= 0).all() and gain.max() > 0.01


def test_relabelling_classes_and_workers_relabels_the_result():
    """crowd-kit's MACE pairs habits in sorted order with classes in order of appearance, so there it does not."""
    said, _ = crowd(seed=2)
    to = np.array([2, 0, 1])
    turned = np.where(said >= 0, to[said], -1)[:, ::-1]
    for way in ("normalised counts", "softmax of counts", "Dawid-Skene", "GLAD", "ZeroBasedSkill"):
        np.testing.assert_allclose(crowds.aggregate(turned, 3, way)[:, to], crowds.aggregate(said, 3, way), atol=1e-3)
    settled = [crowds.mace(s, 3, starts=3, steps=400).probs for s in (turned, said)]
    np.testing.assert_allclose(settled[0][:, to], settled[1], atol=1e-4)


def test_glad():
    task, worker = np.nonzero(SMALL >= 0)
    cell, sizes = task * 3 + SMALL[task, worker], (12, 4, 3)
    x = np.random.default_rng(0).normal(1, 0.5, 16)
    value, slope, probs = crowds.glad_objective(x, task, worker, cell, sizes)
    assert (
        check_grad(*(lambda v, i=i: crowds.glad_objective(v, task, worker, cell, sizes)[i] for i in (0, 1)), x) < 1e-5
    )
    total = 0.0
    for i in range(12):
        joint = [1 / 3] * 3
        for c, w in itertools.product(range(3), range(4)):
            if SMALL[i, w] >= 0:
                p = 1 / (1 + math.exp(-x[w] * math.exp(x[4 + i])))
                joint[c] *= p if SMALL[i, w] == c else (1 - p) / 2
        total += math.log(sum(joint))
        np.testing.assert_allclose(probs[i], np.array(joint) / sum(joint), atol=1e-12)
    assert value == pytest.approx(total - ((x - 1) ** 2).sum() / 2, abs=1e-9)
    assert slope.shape == (16,)
    np.testing.assert_allclose(crowds.glad(SMALL, 3, 1000, 1e-14).probs, GLAD_12, atol=3e-3)  # EM there is not done yet


def test_weights_of_workers_by_hand():
    said = np.array([[0, 0, 1], [1, 1, 0], [1, 1, 1], [0, -1, 1]])  # the last is a tie: class 0
    skill = np.array([1.0, 1.0, 0.25])
    want = [[2, 0.25], [0.25, 2], [0, 2.25], [1, 0.25]]
    np.testing.assert_allclose(crowds.wawa(said, 2), np.array(want) / np.sum(want, 1, keepdims=True))
    np.testing.assert_allclose(crowds.zero_based_skill(said, 2), crowds.wawa(said, 2))  # settled at once
    np.testing.assert_allclose(crowds.normalised(said, 2)[0], [2 / 3, 1 / 3])
    np.testing.assert_allclose(crowds.softmax_of_counts(said, 2)[0], np.array([np.e**2, np.e]) / (np.e**2 + np.e))
    lone = np.array([[0, -1], [1, -1], [-1, 0]])
    assert skill.shape == (3,) and np.isfinite(crowds.wawa(lone, 2)).all()


def test_softmax_of_counts_saturates_and_shares_do_not():
    five, fifty = (np.tile([[0, 0, 0, 1, 1]], (1, times)) for times in (1, 10))
    assert crowds.softmax_of_counts(five, 2)[0, 0] < 0.75 and crowds.softmax_of_counts(fifty, 2)[0, 0] > 0.9999
    np.testing.assert_allclose(crowds.normalised(five, 2), crowds.normalised(fifty, 2))


def test_the_mean_is_the_mean_and_all_are_distributions():
    said, y = crowd(200, 8, right=0.8)
    each = {way: crowds.aggregate(said, 3, way) for way in crowds.WAYS}
    assert len(each) == 7
    for way, probs in each.items():
        assert probs.shape == (200, 3) and (probs >= 0).all(), way
        np.testing.assert_allclose(probs.sum(1), 1)
        assert (probs.argmax(1) == y).mean() > 0.9, way
    np.testing.assert_allclose(crowds.aggregate(said, 3, "mean of all"), np.mean(list(each.values()), 0))
    got = crowds.aggregate(said, 3, "Wawa")
    got[:] = 0  # what it remembers is its own
    assert crowds.aggregate(said, 3, "Wawa").sum() == pytest.approx(200)


def test_models_find_the_spammer():
    said, _ = crowd(300, 6, asked=1.0, right=0.8)
    said[:, 0] = np.random.default_rng(9).integers(0, 3, 300)
    for fitted in (crowds.mace(said, 3), crowds.glad(said, 3)):
        assert fitted.skill[0] < min(fitted.skill[1:]) - 0.3
    confusion = crowds.dawid_skene(said, 3).skill
    assert np.trace(confusion[0]) < 1.3 and all(np.trace(c) > 2 for c in confusion[1:])
    np.testing.assert_allclose(confusion.sum(1), 1)


def test_ties_of_the_majority():
    said = np.array([[0, 2, 2, 0, 1]] * 4)
    assert crowds.majority(said, 3).tolist() == [0] * 4
    assert crowds.majority(said, 3, [0.0, 0.49, 0.5, 0.99]).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([[0.0, 1.0]], "whole numbers"),
        ([0, 1], "whole numbers"),
        ([[0, 3]], "0..2"),
        ([[0, 1], [-1, -1]], "first is 1"),
    ],
)
def test_what_is_no_crowd(said, says):
    for way in (crowds.normalised, crowds.glad, crowds.aggregate):
        with pytest.raises(ValueError, match=says):
            way(np.array(said), 3)
    with pytest.raises(ValueError, match="Dawid-Skene"):
        crowds.aggregate(np.array([[0, 1]]), 3, "dawid skene")
