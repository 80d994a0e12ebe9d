"""The label powerset: pruned search against enumeration, thirty labels, exact coverage."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from labkit.conformal import answers_within, p_values, powerset_score, powerset_threshold


def multi_label(n, labels, seed=0, sharp=3.0):
    """Outputs of a calibrated network, and answers drawn from them."""
    rng = np.random.default_rng(seed)
    outputs = 1 / (1 + np.exp(-sharp * rng.normal(-1, 1, (n, labels))))
    return outputs, (rng.random((n, labels)) < outputs).astype(int)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 8), st.floats(0.01, 0.9), st.sampled_from([1.0, 2.0, 3.0]), st.integers(0, 1000))
def test_the_search_keeps_what_enumeration_keeps(labels, miscoverage, power, seed):
    rng = np.random.default_rng(seed)
    outputs, answers = multi_label(40, labels, seed)
    outputs = np.round(outputs, rng.integers(1, 4))  # ties among costs and with the threshold
    calibration = powerset_score(outputs[:-1], answers[:-1], power)
    every = np.array(list(itertools.product((0, 1), repeat=labels)))
    kept = p_values(calibration, powerset_score(outputs[-1], every, power)) > miscoverage
    found = answers_within(outputs[-1], powerset_threshold(calibration, miscoverage), power)
    assert {tuple(row) for row in every[kept]} == {tuple(row) for row in found.astype(int)}
    assert len(found) == kept.sum()


def test_twelve_labels_exactly():
    outputs, answers = multi_label(200, 12)
    calibration = powerset_score(outputs[:150], answers[:150])
    limit = powerset_threshold(calibration, 0.1)
    every = np.array(list(itertools.product((False, True), repeat=12)))
    for row in outputs[150:]:
        scores = powerset_score(row, every)
        expected = every[scores <= limit]
        found = answers_within(row, limit)
        assert len(found) == len(expected) and (np.diff(powerset_score(row, found)) >= 0).all()
        assert {r.tobytes() for r in found} == {r.tobytes() for r in expected}


def test_thirty_labels_without_a_thousand_million_answers():
    outputs, answers = multi_label(300, 30, sharp=6.0)
    calibration = powerset_score(outputs[:200], answers[:200])
    limit, start = powerset_threshold(calibration, 0.2), time.perf_counter()
    sizes = [len(answers_within(row, limit)) for row in outputs[200:]]
    assert max(sizes) < 100_000 and time.perf_counter() - start < 60  # 2^30 answers would take hours


def test_over_a_thousand_repetitions_errors_are_within_exact_bounds():
    n, repeats = 19, 1000
    outputs, answers = multi_label(repeats * (n + 1), 5, seed=4)
    scores = powerset_score(outputs, answers).reshape(repeats, n + 1)
    errors = sum(row[-1] > powerset_threshold(row[:-1], 0.1) for row in scores)
    low, high = binom(repeats, 2 / 20).ppf([0.0005, 0.9995])
    assert low <= errors <= high


def test_p_values_and_threshold_say_the_same():
    calibration = np.array([0.5, 0.1, 0.9, 0.9, 0.3])
    np.testing.assert_allclose(p_values(calibration, np.array([0.0, 0.9, 1.0])), [1.0, 3 / 6, 1 / 6])
    assert powerset_threshold(calibration, 0.34) == 0.9 and powerset_threshold(calibration, 0.1) == math.inf
    assert len(answers_within(np.array([0.2, 0.7, 0.5]), math.inf)) == 8
    assert len(answers_within(np.array([0.2, 0.7]), 0.1)) == 0  # not even the best answer


def test_what_it_refuses():
    with pytest.raises(ValueError, match="from 0 to 1"):
        answers_within(np.array([0.5, 1.2]), 1.0)
    with pytest.raises(OverflowError, match="less coverage"):
        answers_within(np.full(20, 0.5), math.inf, most=100)
    with pytest.raises(ValueError, match="miscoverage"):
        powerset_threshold(np.array([1.0]), 1.0)
