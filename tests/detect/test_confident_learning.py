from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import detect
from labkit.detect.confident_learning import keep_one, round_rows

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import cleanlab
    from cleanlab.count import compute_confident_joint, get_confident_thresholds
    from cleanlab.filter import _keep_at_least_n_per_class, find_label_issues
    from cleanlab.internal.util import round_preserving_row_totals
    from cleanlab.rank import get_label_quality_scores

RULES = ("confident_learning", "prune_by_noise_rate", "prune_by_class")


def drawn(seed: int, n: int, k: int, present: int, step: float):
    """Labels of ``present`` of k classes and probabilities; with ``step`` rounded so that many are tied."""
    rng = np.random.default_rng(seed)
    names = rng.permutation(k)[:present]
    labels = np.concatenate([names, rng.choice(names, n - present)])
    probs = rng.dirichlet(np.full(k, 0.7), n) + 2 * rng.random() * np.eye(k)[labels] * (rng.random(n) < 0.8)[:, None]
    if step:
        probs = np.maximum(np.round(probs / step), 0) + 1e-3
    return labels, probs / probs.sum(1, keepdims=True)


cases = st.builds(
    drawn, st.integers(0, 10**6), st.integers(8, 60), st.integers(2, 7), st.integers(2, 2), st.sampled_from([0, 0.25])
) | st.integers(2, 7).flatmap(
    lambda k: st.builds(
        drawn, st.integers(0, 10**6), st.integers(k, 80), st.just(k), st.integers(min(k, 2), k),
        st.sampled_from([0, 0.1, 0.5]),
    )
)  # fmt: skip


def theirs(labels, probs, rule):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes too small to prune
        return find_label_issues(labels, probs, filter_by=rule, n_jobs=1)


@settings(max_examples=80, deadline=None)
@given(cases)
def test_everything_equals_cleanlab(case):
    labels, probs = case
    assert cleanlab.__version__ >= "2.6"
    np.testing.assert_allclose(detect.thresholds(labels, probs), get_confident_thresholds(labels, probs), rtol=1e-12)
    for calibrate in (False, True):
        np.testing.assert_array_equal(
            detect.confident_joint(labels, probs, calibrate),
            compute_confident_joint(labels, probs, calibrate=calibrate),
        )
    for rule in RULES:
        np.testing.assert_array_equal(detect.label_issues(labels, probs, rule), theirs(labels, probs, rule))
    for ours, name in ((detect.self_confidence, "self_confidence"), (detect.margin, "normalized_margin")):
        for adjust in (False, True):
            quality = get_label_quality_scores(labels, probs, method=name, adjust_pred_probs=adjust)
            np.testing.assert_allclose(ours(labels, probs, adjust), 1 - quality, atol=1e-12)
    quality = get_label_quality_scores(labels, probs, method="confidence_weighted_entropy")
    np.testing.assert_allclose(detect.weighted_entropy(labels, probs), 1 - quality, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 8), st.booleans())
def test_rounding_and_the_last_example_equal_cleanlab(seed, k, half):
    rng = np.random.default_rng(seed)
    counts = rng.gamma(0.6, 5, (k, k))
    counts = np.round(counts * 2) / 2 if half else counts
    np.testing.assert_array_equal(round_rows(counts), round_preserving_row_totals(counts))
    np.testing.assert_array_equal(round_rows(counts).sum(1), counts.sum(1).round())
    whole = rng.integers(0, 4, (k, k)) * rng.integers(0, 2, (k, k))
    np.testing.assert_array_equal(keep_one(whole), _keep_at_least_n_per_class(whole.T, n=1).T)


def slow_joint(labels, probs):
    """The definition, one example after another, over floats."""
    n, k = probs.shape
    t = [np.mean([probs[i][c] for i in range(n) if labels[i] == c] or [2.0]) for c in range(k)]
    joint = [[0] * k for _ in range(k)]
    for i in range(n):
        bins = [c for c in range(k) if probs[i][c] >= t[c] - 1e-6]
        if len(bins) == 1:
            joint[labels[i]][bins[0]] += 1
        elif bins:
            joint[labels[i]][max(range(k), key=lambda c: probs[i][c])] += 1
    for c in range(k):
        joint[c][c] = max(joint[c][c], 1)
    return joint


@settings(max_examples=40, deadline=None)
@given(cases)
def test_the_joint_is_its_definition(case):
    labels, probs = case
    np.testing.assert_array_equal(detect.confident_joint(labels, probs, calibrate=False), slow_joint(labels, probs))
    joint = detect.confident_joint(labels, probs)
    assert joint.sum() == len(labels)
    np.testing.assert_array_equal(joint.sum(1), np.bincount(labels, minlength=probs.shape[1]))


def test_a_joint_that_is_passed_in_is_used_as_it_is():
    labels, probs = drawn(0, 60, 3, 3, 0)
    joint = np.array([[5, 9, 0], [0, 20, 1], [2, 0, 20]])
    for rule in RULES[1:]:
        found = find_label_issues(labels, probs, filter_by=rule, n_jobs=1, confident_joint=joint)
        np.testing.assert_array_equal(detect.label_issues(labels, probs, rule, joint), found)
    assert (detect.label_issues(labels, probs, joint=joint) != detect.label_issues(labels, probs)).any()


def test_certain_predictions_are_ranked_by_whether_they_agree():
    """cleanlab 2.9.0 calls the surest correct label the worst of all; the limit says the opposite."""
    labels, probs = np.array([0, 0, 0, 1]), np.array([[1.0, 0.0], [0.0, 1.0], [0.7, 0.3], [0.4, 0.6]])
    quality = get_label_quality_scores(labels, probs, method="confidence_weighted_entropy")
    assert quality[0] == 0 and quality.argmin() == 0
    score = detect.weighted_entropy(labels, probs)
    assert score[0] == 0 and score[1] == 1 and 0 < score[2] < 1
    near = np.array([[1 - 1e-4, 1e-4], [1e-4, 1 - 1e-4], [0.7, 0.3], [0.4, 0.6]])
    assert detect.weighted_entropy(labels, near)[0] < 1e-3 and detect.weighted_entropy(labels, near)[1] > 0.8
    quality = get_label_quality_scores(labels, near, method="confidence_weighted_entropy")
    np.testing.assert_allclose(detect.weighted_entropy(labels, near), 1 - quality, atol=1e-12)


def test_scores_and_sets_find_planted_errors():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 4, 400)
    probs = np.full((400, 4), 0.05)
    probs[np.arange(400), truth] = 0.85
    wrong = rng.random(400) < 0.1
    labels = np.where(wrong, (truth + 1) % 4, truth)
    for score in detect.SCORES.values():
        assert detect.auprc(wrong, score(labels, probs)) == 1
    for rule in RULES:
        assert (detect.label_issues(labels, probs, rule) == wrong).all()
    np.testing.assert_array_equal(detect.label_issues(torch.tensor(labels), torch.tensor(probs)), wrong)


@pytest.mark.parametrize(
    ("labels", "probs", "says"),
    [
        ([0, 1], [[0.5, 0.5]], "2 labels and 1 rows"),
        ([0, 2], [[0.5, 0.5]] * 2, "outside 0..1"),
        ([0, 1], [[3.0, -2.0], [0.5, 0.5]], "logits need a softmax"),
        ([0, 1], [[np.nan, 1.0], [0.5, 0.5]], "are no probabilities"),
        ([0, 1], [[1.0], [1.0]], "a matrix"),
        ([0.0, 1.0], [[0.5, 0.5]] * 2, "one whole number per example"),
    ],
)
def test_bad_input_is_named(labels, probs, says):
    with pytest.raises(ValueError, match=says):
        detect.self_confidence(labels, probs)


def test_an_unknown_rule_and_a_joint_of_other_classes_are_refused():
    labels, probs = drawn(0, 20, 3, 3, 0)
    with pytest.raises(ValueError, match="did you mean 'prune_by_class'"):
        detect.label_issues(labels, probs, "prune_by_clas")
    with pytest.raises(ValueError, match="square matrix"):
        detect.label_issues(labels, probs, joint=np.eye(2))
