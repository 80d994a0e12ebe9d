"""Claims and verdicts: the rule, the intervals, and that sabotage flips a verdict."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import labkit as lk
from labkit.claims import MIMETYPE, VERDICTS, bootstrap_interval, decide, student_interval


def claim(**more):
    return lk.Claim(**{"id": "c", "paper": "p", "says": "a beats b", "margin": 0.01, **more})


@pytest.mark.parametrize(
    ("low", "high", "runs", "verdict"),
    [
        (0.011, 0.03, 20, "supported"),
        (-0.02, 0.009, 20, "contradicted"),
        (-0.01, 0.02, 20, "inconclusive"),
        (0.01, 0.02, 20, "inconclusive"),
        (0.5, 0.6, 9, "underpowered"),
        (math.nan, math.nan, 1, "underpowered"),
    ],
)
def test_the_rule(low, high, runs, verdict):
    assert decide(low, high, 0.01, runs, 10) == verdict


@given(st.lists(st.floats(-1, 1), min_size=10, max_size=30), st.floats(0, 0.5))
def test_a_verdict_follows_from_both_intervals(effects, margin):
    v = lk.judge(None, claim(margin=margin), effects)
    assert v.verdict in VERDICTS and v.runs == len(effects)
    if v.verdict == "supported":
        assert v.low > margin and v.boot_low > margin and v.effect > margin
    if v.verdict == "contradicted":
        assert v.high < margin and v.boot_high < margin and v.effect < margin


def test_student_interval_is_the_textbooks():
    x = np.random.default_rng(0).normal(1, 2, 15)
    theirs = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert student_interval(x) == pytest.approx((theirs.low, theirs.high))
    assert all(map(math.isnan, student_interval([1.0])))


def test_intervals_cover_their_mean_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    samples = rng.normal(0.3, 1, (400, 20))
    inside = np.mean([low <= 0.3 <= high for low, high in map(student_interval, samples)])
    assert 0.92 < inside < 0.98
    inside = np.mean(
        [low <= 0.3 <= high for low, high in (bootstrap_interval(s, resamples=400) for s in samples[:150])]
    )
    assert 0.88 < inside < 0.99


def test_bootstrap_is_repeatable_and_bears_constants():
    x = np.random.default_rng(2).normal(size=12)
    assert bootstrap_interval(x) == bootstrap_interval(x)
    assert bootstrap_interval([0.5] * 12) == (0.5, 0.5)


@pytest.fixture(scope="module")
def runs(small):
    @dataclass(kw_only=True)
    class Broken(lk.methods.CrossEntropy):
        """Learns the opposite: the sabotaged method."""

        def loss(self, logits, evidence):
            return super().loss(-logits, evidence)

    return lk.fit(
        small, methods={"good": lk.methods.CrossEntropy(), "broken": Broken()}, seeds=12, epochs=2, progress=False
    )


@pytest.mark.parametrize("metric", ["accuracy", "nll", "brier"])
def test_sabotage_flips_the_verdict(runs, metric):
    right = claim(metric=metric, better="good", than="broken")
    wrong = claim(metric=metric, better="broken", than="good")
    assert lk.judge(runs, right).verdict == "supported"
    assert lk.judge(runs, wrong).verdict == "contradicted"
    assert lk.judge(runs, wrong).effect == pytest.approx(-lk.judge(runs, right).effect)


def test_differences_are_paired_by_seed_not_by_order(runs):
    shuffled = lk.Runs(list(runs)[::-1], runs.context)
    c = claim(better="good", than="broken")
    assert lk.judge(runs, c).effect == pytest.approx(lk.judge(shuffled, c).effect)
    good, broken = (runs[name].measure("accuracy").set_index("seed")["value"] for name in ("good", "broken"))
    by_seed = lk.claims.paired_difference(shuffled, c)
    for seed in by_seed.index:
        assert by_seed[seed] == pytest.approx(good[seed] - broken[seed])


def test_few_runs_are_underpowered_and_equal_sides_contradict_a_margin(runs):
    few = runs.where(method="good")[:3]
    both = lk.Runs([*few, *runs["broken"][:3]], runs.context)
    assert lk.judge(both, claim(better="good", than="broken")).verdict == "underpowered"
    assert lk.judge(runs, claim(better="good", than="good")).verdict == "contradicted"
    assert lk.judge(runs, claim(better="good", than="good", margin=0.0)).verdict == "inconclusive"


def test_a_verdict_shows_itself_to_the_ledger_and_to_people(runs):
    verdict = lk.judge(runs, claim(better="good", than="broken"))
    bundle = verdict._repr_mimebundle_()
    record = json.loads(json.dumps(bundle[MIMETYPE]))
    for column in (
        "claim",
        "paper",
        "says",
        "dataset",
        "effect",
        "low",
        "high",
        "runs",
        "verdict",
        "seconds",
        "device",
        "versions",
    ):
        assert record[column] not in (None, ""), column
    assert record["dataset"] == "gaussians" and record["runs"] == 12 and "torch" in record["versions"]
    assert "supported" in bundle["text/html"] and "supported" in bundle["text/plain"]
    lost = lk.judge(None, claim(), [math.nan, 1.0])
    assert lost.dropped == 1 and json.loads(json.dumps(lost.record(), allow_nan=False))["low"] is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda runs: claim(metric="acuracy", better="a", than="b"), "did you mean 'accuracy'"),
        (lambda runs: claim(metric="confidence", better="a", than="b"), "neither more nor less"),
        (lambda runs: claim(margin=-0.1), "not negative"),
        (lambda runs: claim(minimum_runs=1), "at least 2"),
        (lambda runs: lk.judge(runs, claim()), "names no two sides"),
        (lambda runs: lk.judge(runs, claim(better={"seed": 1}, than={"seed": 2})), "several runs per seed"),
        (lambda runs: lk.judge(runs, claim(), [[1.0]]), "one number per seed"),
        (
            lambda runs: lk.judge(
                runs, claim(better={"method": "good", "seed": 1}, than={"method": "good", "seed": 2})
            ),
            "share no seed",
        ),
    ],
)
def test_mistakes(runs, make, message):
    with pytest.raises(ValueError, match=message):
        make(runs)
