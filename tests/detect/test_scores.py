from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import detect
from labkit.detect.prototypes import unit

RNG = np.random.default_rng(0)


# ---- how good is a score ----------------------------------------------------------------------------------------


def test_metrics_by_hand():
    wrong, score = np.array([True, False, True, False]), np.array([4.0, 3.0, 2.0, 1.0])
    assert detect.auprc(wrong, score) == pytest.approx((1 + 2 / 3) / 2)
    assert detect.recall_at(wrong, score, 0.25) == 0.5 and detect.recall_at(wrong, score, 0.75) == 1
    assert detect.recall_at(wrong, np.zeros(4), 0.3) == pytest.approx(0.3)  # saying nothing finds its share
    np.testing.assert_array_equal(detect.auroc_per_class(wrong, score, [0, 0, 1, 1], 3), [1, 1, np.nan])
    quality = detect.flagged_quality(wrong, np.array([True, True, False, False]))
    assert quality == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "ratio": 1.0}
    nothing = np.zeros(4, bool)
    assert np.isnan(detect.auprc(nothing, score)) and np.isnan(detect.recall_at(nothing, score, 0.5))
    assert np.isnan(detect.flagged_quality(wrong, nothing)["precision"])


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0, 1))
def test_recall_within_ties_is_the_mean_over_orders(seed, budget):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 12))
    wrong = rng.random(n) < 0.5
    wrong[0] = True
    score, taken = rng.integers(0, 3, n), int(budget * n)
    draws = [np.lexsort((rng.random(n), -score))[:taken] for _ in range(600)]
    mean = np.mean([wrong[d].sum() / wrong.sum() for d in draws])
    assert detect.recall_at(wrong, score, taken / n) == pytest.approx(mean, abs=0.1)
    assert detect.recall_at(wrong, score, 1.0) == 1


def test_metrics_refuse_what_is_no_score():
    with pytest.raises(ValueError, match="one boolean per example"):
        detect.auprc([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="NaN or infinite"):
        detect.auprc(np.array([True, False]), [np.nan, 0.2])
    with pytest.raises(ValueError, match="a row for each of the 2"):
        detect.auprc(np.array([True, False]), [0.1])
    with pytest.raises(ValueError, match="share of all examples"):
        detect.recall_at(np.array([True, False]), [0.1, 0.2], 5)


# ---- area under the margin --------------------------------------------------------------------------------------


def test_area_under_margin_is_minus_a_mean_over_the_epochs_that_showed_the_example():
    margins = np.array([[1.0, np.nan, np.nan], [3.0, -2.0, np.nan]])
    np.testing.assert_array_equal(detect.area_under_margin(torch.tensor(margins)), [-2, 2, 0])
    with pytest.raises(ValueError, match="infinite"):
        detect.area_under_margin([[np.inf, 0.0]])
    with pytest.raises(ValueError, match=r"\(epochs, examples\)"):
        detect.area_under_margin([1.0, 2.0])


def test_threshold_samples_are_a_fake_class_of_the_size_of_the_others():
    labels, moved = detect.threshold_samples(np.arange(110) % 10, 10, np.random.default_rng(0))
    assert moved.sum() == 10 and (labels[moved] == 10).all() and (labels[~moved] == (np.arange(110) % 10)[~moved]).all()
    score = np.where(moved, np.arange(110), -5.0)
    score[~moved] = np.linspace(-10, 200, 100)
    flagged = detect.below_threshold(score, moved)
    least = np.percentile(-score[moved], 99)
    np.testing.assert_array_equal(flagged, (-score < least) & ~moved)
    with pytest.raises(ValueError, match="too few"):
        detect.threshold_samples([0, 1], 2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="no threshold samples"):
        detect.below_threshold(score, np.zeros(110, bool))


def test_area_under_margin_of_a_watched_run_finds_flips():
    import labkit as lk

    runs = lk.fit(
        lk.load("gaussians", n=300, separation=6.0), lk.annotate.Symmetric(rate=0.2),
        methods=lk.methods.Watched(epochs=6), epochs=6, seeds=1, lanes=1, progress=False, compile=False, out=None,
    )  # fmt: skip
    wrong = (runs.told("train") != runs.labels("train"))[0].numpy()
    assert detect.auprc(wrong, detect.area_under_margin(runs.kept("margins")[0])) > 0.9


# ---- loss mixtures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gaussian", "beta"])
def test_loss_mixtures_order_losses_and_may_be_kept_per_class(kind):
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], 200)
    wrong = rng.random(400) < 0.3
    losses = np.where(wrong, 3.0, 0.5) + 0.2 * rng.random(400) + 6.0 * labels  # class 1 is hard
    everyone, own = (detect.loss_mixture(losses, kind, labels=by) for by in (None, labels))
    assert ((everyone >= 0) & (everyone <= 1)).all() and ((own >= 0) & (own <= 1)).all()
    assert detect.auprc(wrong, own) > 0.99 > detect.auprc(wrong, everyone)
    assert (everyone[labels == 1].min() >= everyone[labels == 0].max() - 1e-6) and own.dtype == np.float64
    with pytest.raises(ValueError, match="did you mean 'beta'"):
        detect.loss_mixture(losses, "beat")


# ---- prototypes -------------------------------------------------------------------------------------------------


def slow_prototype(labels, features, i):
    others = [
        features[j] / np.linalg.norm(features[j]) for j in range(len(labels)) if labels[j] == labels[i] and j != i
    ]
    if not others:
        return 0.5
    mean, own = np.mean(others, 0), features[i]
    return (1 - mean @ own / np.linalg.norm(mean) / np.linalg.norm(own)) / 2


def test_prototype_score_leaves_the_example_itself_out():
    features, labels = RNG.standard_normal((12, 3)), np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 3])
    score = detect.prototype_score(labels, features)
    np.testing.assert_allclose(score, [slow_prototype(labels, features, i) for i in range(12)], atol=1e-12)
    assert score[11] == 0.5
    with_itself = detect.prototype_score(labels, features, leave_one_out=False)
    assert (with_itself <= score + 1e-12).all() and with_itself[11] == pytest.approx(0, abs=1e-12)
    np.testing.assert_allclose(detect.prototype_score(labels, 7 * features), score, atol=1e-12)
    np.testing.assert_array_equal(unit(np.zeros((1, 2))), np.zeros((1, 2)))


def test_prototype_cleaner_learns_per_class_from_sure_verdicts_only():
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 2, 400)
    wrong = rng.random(400) < 0.3
    labels = np.where(wrong, 1 - truth, truth)
    features = np.eye(2)[truth] + 0.1 * rng.standard_normal((400, 2))
    noisy = np.where(rng.random(400) < 0.5, np.where(wrong, 0.95, 0.05), 0.5)  # half of the verdicts are open
    score = detect.prototype_cleaner(labels, features, noisy)
    assert detect.auprc(wrong, score) > 0.99 > detect.auprc(wrong, noisy)
    silent = np.where(labels == 1, 0.5, noisy)  # nothing is sure about class 1: it keeps the mixture's word
    np.testing.assert_array_equal(detect.prototype_cleaner(labels, features, silent)[labels == 1], 0.5)
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        detect.prototype_cleaner(labels, features, noisy * 3)
    with pytest.raises(ValueError, match=r"in \[0.5, 1\)"):
        detect.prototype_cleaner(labels, features, noisy, confident=1.0)


# ---- hierarchy --------------------------------------------------------------------------------------------------


def test_tree_distances_count_edges():
    names = ["a/x/1", "a/x/2", "a/y", "b"]
    by_hand = [[0, 2, 3, 4], [2, 0, 3, 4], [3, 3, 0, 3], [4, 4, 3, 0]]
    np.testing.assert_array_equal(detect.tree_distances(names), by_hand)
    with pytest.raises(ValueError, match="same path"):
        detect.tree_distances(["a/1", "a/1"])


def test_hierarchy_orders_disagreements_by_distance_and_ties_by_margin():
    distances = detect.tree_distances(["A/1", "A/2", "B/1"])
    probs = np.array([[0.1, 0.8, 0.1], [0.3, 0.6, 0.1], [0.1, 0.1, 0.8], [0.9, 0.05, 0.05], [0.5, 0.3, 0.2]])
    labels = np.zeros(5, int)  # near and sure, near, far, agrees, agrees less
    order = lambda first: np.argsort(-detect.by_hierarchy(labels, probs, distances, first)).tolist()
    assert order("near") == [0, 1, 2, 4, 3] and order("far") == [2, 0, 1, 4, 3]
    with pytest.raises(ValueError, match='"near" or "far"'):
        detect.by_hierarchy(labels, probs, distances, "next")
    with pytest.raises(ValueError, match="square matrix"):
        detect.by_hierarchy(labels, probs, distances[:2])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_in_a_flat_tree_hierarchy_is_margin_among_those_that_disagree(seed):
    rng = np.random.default_rng(seed)
    probs, labels = rng.dirichlet(np.ones(4), 30), rng.integers(0, 4, 30)
    flat = 2.0 * (1 - np.eye(4))
    by_margin = np.argsort(-detect.margin(labels, probs), kind="stable")  # margin > 1/2 is disagreement
    for first in ("near", "far"):
        np.testing.assert_array_equal(
            np.argsort(-detect.by_hierarchy(labels, probs, flat, first), kind="stable"), by_margin
        )
