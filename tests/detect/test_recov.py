from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.naive_bayes import GaussianNB

from labkit import detect
from labkit.detect.recov import _out_of_fold


def problem(n=120, rate=0.15, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, n)
    x = 2.5 * np.eye(3)[truth] + rng.standard_normal((n, 3))
    wrong = rng.random(n) < rate
    return x, np.where(wrong, (truth + 1) % 3, truth), wrong, rng


def test_out_of_fold_equals_scikit_learn():
    x, labels, _, rng = problem()
    _, place = detect.cross_validations(GaussianNB(), x, labels, 3, 1, 4, rng)
    splits = [(np.flatnonzero(place[0] != f), np.flatnonzero(place[0] == f)) for f in range(4)]
    expected = cross_val_predict(GaussianNB(), x, labels, cv=splits, method="predict_proba")
    np.testing.assert_allclose(_out_of_fold(GaussianNB(), x, labels, 3, place[0]), expected)


def test_a_class_missing_from_a_training_part_has_probability_zero():
    x, labels = np.array([[0.0], [1.0], [0.1], [9.0]]), np.array([0, 1, 0, 2])
    probs = _out_of_fold(GaussianNB(), x, labels, 4, np.array([0, 0, 1, 1]))
    assert (probs[2:, 2] == 0).all() and (probs[:, 3] == 0).all()
    np.testing.assert_allclose(probs.sum(1), 1)


def slow_recov(labels, probs, place):
    counts = np.zeros(len(labels))
    for p, fold in zip(probs, place):
        best, worst = np.inf, None
        for f in range(fold.max() + 1):
            mine = [i for i in range(len(labels)) if fold[i] == f]
            accuracy = sum(p[i].argmax() == labels[i] for i in mine) / len(mine)
            if accuracy < best:  # of equals the first
                best, worst = accuracy, f
        counts += fold == worst
    return counts / len(probs)


def test_recov_counts_the_worst_folds():
    x, labels, wrong, rng = problem(n=41)
    probs, place = detect.cross_validations(GaussianNB(), x, labels, 3, 60, 5, rng)
    score = detect.recov(labels, probs, place)
    np.testing.assert_allclose(score, slow_recov(labels, probs, place))
    assert detect.auprc(wrong, score) > wrong.mean() + 0.2
    sizes = np.array([np.bincount(p) for p in place])
    assert (sizes.min(), sizes.max()) == (8, 9) and abs(score.sum() - sizes.mean()) < 1


def test_without_noise_counts_are_binomial_and_the_cuts_keep_their_level():
    rng = np.random.default_rng(0)
    labels = np.zeros(500, int)
    probs = np.zeros((400, 500, 2))
    probs[..., 0] = rng.random((400, 500))  # right at random, whoever is asked
    probs[..., 1] = 1 - probs[..., 0]
    place = np.stack([rng.permutation(500) % 5 for _ in range(400)])
    score = detect.recov(labels, probs, place)
    # being wrong makes one's fold worse, so counts scatter a little more than Binomial(400, 1/5)
    assert score.mean() == pytest.approx(0.2) and 0.9 < (score * 400).std() / np.sqrt(400 * 0.2 * 0.8) < 1.2
    assert detect.recov_cut(score, 400, 5).mean() < 0.08
    assert detect.recov_cut(score, 400, 5, "false discovery").sum() <= 1
    planted = score.copy()
    planted[:10] = 0.5
    assert detect.recov_cut(planted, 400, 5, "false discovery")[:10].all()
    limit = 400 / 5 + 2 * np.sqrt(400 * 4 / 25)
    np.testing.assert_array_equal(detect.recov_cut(score, 400, 5), score * 400 > limit)
    with pytest.raises(ValueError, match="two sigma, false discovery"):
        detect.recov_cut(score, 400, 5, "three sigma")


def test_fast_recov_remembers_confidence_and_starts_from_zero():
    x, labels, wrong, _ = problem()
    score, noisy = detect.fast_recov(LogisticRegression(), x, labels, 3, np.random.default_rng(0))
    assert detect.auprc(wrong, score) > 0.7 and detect.flagged_quality(wrong, noisy)["precision"] > 0.7
    again, _ = detect.fast_recov(LogisticRegression(), x, labels, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(score, again)
    once, called = detect.fast_recov(GaussianNB(), x, labels, 3, np.random.default_rng(1), runs=1)
    assert (1 - once).max() == pytest.approx(0.3) and called.all()  # 0.3 w + 0.7 * 0, w at most 1: biased low
    kept_ten = 1 - 0.7**10
    assert (1 - score).max() <= kept_ten + 1e-12


class Recorder(GaussianNB):
    sizes: list = []

    def fit(self, x, y):
        Recorder.sizes.append(len(x))
        return super().fit(x, y)


def test_fast_recov_counts_its_fits_and_drops_most_suspects_from_training():
    x, labels, _, _ = problem(n=100)
    Recorder.sizes = []
    detect.fast_recov(Recorder(), x, labels, 3, np.random.default_rng(0), runs=3, folds=5, threshold=0.0)
    assert Recorder.sizes == [80] * 15  # a memory of at most 0: nobody
    Recorder.sizes = []
    detect.fast_recov(Recorder(), x, labels, 3, np.random.default_rng(0), runs=2, threshold=0.12)
    assert Recorder.sizes[:5] == [80] * 5 and max(Recorder.sizes[5:]) < 80


def test_bad_numbers_are_named():
    x, labels, _, rng = problem(n=12)
    with pytest.raises(ValueError, match="2 <= folds <= 12"):
        detect.cross_validations(GaussianNB(), x, labels, 3, 1, 13, rng)


def test_the_false_discovery_cut_is_benjamini_and_hochberg_on_exact_binomial_tails():
    from math import comb

    repeats, rng = 20, np.random.default_rng(3)
    for _ in range(20):
        counts = rng.integers(2, 12, 15)
        tails = [sum(comb(20, c) * 0.2**c * 0.8 ** (20 - c) for c in range(k, 21)) for k in counts]  # P(count >= k)
        ordered = sorted(tails)
        limit = max((p for i, p in enumerate(ordered, 1) if p <= 0.05 * i / 15), default=-1.0)
        by_hand = [p <= limit * (1 + 1e-9) for p in tails]
        np.testing.assert_array_equal(detect.recov_cut(counts / repeats, repeats, 5, "false discovery"), by_hand)
