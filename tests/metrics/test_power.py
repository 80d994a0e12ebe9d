from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from labkit.metrics.power import power, runs_needed


@pytest.mark.parametrize(("runs", "paired"), [(5, True), (20, True), (8, False)])
def test_power_is_how_often_the_test_finds_it(runs, paired):
    rng, effect, sd, trials = np.random.default_rng(0), 0.8, 1.0, 20_000
    if paired:
        found = stats.ttest_1samp(rng.normal(effect, sd, (trials, runs)), 0, axis=1).pvalue < 0.05
    else:
        a, b = rng.normal(effect, sd, (trials, runs)), rng.normal(0, sd, (trials, runs))
        found = stats.ttest_ind(a, b, axis=1).pvalue < 0.05
    assert power(runs, effect, sd, paired) == pytest.approx(found.mean(), abs=0.01)


def test_no_effect_is_found_at_the_level():
    assert power(10, 0.0, 1.0) == pytest.approx(0.05)


def test_runs_needed_is_the_first_that_suffices():
    for effect, paired in ((0.5, True), (0.5, False), (3.0, True)):
        n = runs_needed(effect, 1.0, paired)
        assert power(n, effect, 1.0, paired) >= 0.8 and (n == 2 or power(n - 1, effect, 1.0, paired) < 0.8)
    assert runs_needed(0.5, 1.0) == 34 and runs_needed(0.5, 1.0, paired=False) == 64  # Cohen's tables
    assert runs_needed(1e-9, 1.0, most=1000) == 1000 and runs_needed(0.1, 0.0) == 2


def test_what_it_refuses():
    with pytest.raises(ValueError, match="at least 2 runs and sd of at least 0, got runs = 1"):
        power(1, 1.0, 1.0)
