"""Runs that start from other runs: whose weights, which are made anew, which are held fast."""

from __future__ import annotations

import pytest
import torch
from toys import Pair

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False)


@pytest.fixture(scope="module")
def first(small):
    return lk.fit(small, Symmetric(0.3), methods=m.CrossEntropy(), seeds=3, **QUICK)


def test_zero_epochs_from_a_run_are_that_run(small, first):
    again = lk.fit(small, methods=m.CrossEntropy(), seeds=[2, 0], start=first, **{**QUICK, "epochs": 0})
    for run in again:
        old = first.one(seed=run.seed)[0]
        assert all(torch.equal(run.params[k], old.params[k]) for k in old.params)
    assert not torch.equal(again[0].params["head.weight"], again[1].params["head.weight"])


def test_what_is_fresh_is_the_seeds_own_initialisation_and_what_is_not_trained_stays(small, first):
    untrained = lk.fit(small, methods=m.CrossEntropy(), seeds=3, **{**QUICK, "epochs": 0})
    fresh = lk.fit(small, methods=m.CrossEntropy(), seeds=3, start=first, fresh=["head"], **{**QUICK, "epochs": 0})
    tuned = lk.fit(small, methods=m.CrossEntropy(), seeds=3, start=first, fresh=["head"], only=["head"], **QUICK)
    for new, head, old, later in zip(fresh, untrained, first, tuned):
        for name in old.params:
            begins = (head if name.startswith("head") else old).params[name]
            assert torch.equal(new.params[name], begins)
            assert torch.equal(later.params[name], begins) == (not name.startswith("head"))


def test_held_fast_also_under_weight_decay_momentum_and_ema(small, first):
    for optimiser in (lk.SGD(weight_decay=0.1), lk.AdamW(weight_decay=0.1)):
        later = lk.fit(small, methods=m.CrossEntropy(ema=0.9), optimiser=optimiser, seeds=2, start=first,
                       only=["body.1"], **QUICK)  # fmt: skip
        for run, old in zip(later, first):
            changed = {k for k in old.params if not torch.equal(run.params[k], old.params[k])}
            assert changed and all(k.startswith("body.1") for k in changed)


def test_alone_and_in_a_fleet_and_after_an_interruption(small, first, tmp_path):
    options = dict(methods=m.LabelSmoothing(lk.sweep(0.0, 0.1)), start=first, only=["head"], **QUICK)
    together = lk.fit(small, seeds=3, lanes=64, out=tmp_path, **options)
    alone = lk.fit(small, seeds=[1], lanes=1, **options)
    for a, b in zip(together.where(seed=1), alone):
        assert all(torch.allclose(a.params[k], b.params[k], rtol=0, atol=1e-12) for k in a.params)
        assert a.key == b.key
    assert len(list(tmp_path.glob("*.npz"))) == 6
    elsewhere = lk.fit(small, seeds=[1], lanes=1, **{**options, "only": [""]})
    assert {r.key for r in elsewhere}.isdisjoint(together.keys)
    assert {r.key for r in lk.fit(small, seeds=[1], methods=options["methods"], **QUICK)}.isdisjoint(together.keys)


def test_two_networks_start_from_two_or_from_one(small, first):
    pair = lk.fit(small, methods=Pair(), seeds=2, **QUICK)
    for start, name in ((pair, "1.head.weight"), (first, "head.weight")):
        later = lk.fit(small, methods=Pair(), seeds=2, start=start, only=["body"], **QUICK)
        assert torch.equal(later[1].params["1.head.weight"], start[1].params[name])
        assert not torch.equal(later[1].params["1.body.1.weight"], start[1].params[name.replace("head", "body.1")])


def test_errors_say_what_is_missing(small, first):
    go = lambda **more: lk.fit(small, methods=m.CrossEntropy(), **{**QUICK, "seeds": 3, **more})
    with pytest.raises(ValueError, match="seed 3 should start from one run, and `start` has 0"):
        go(start=first, seeds=[3])
    with pytest.raises(ValueError, match="no parameter begins with 'tail'"):
        go(start=first, fresh=["tail"])
    with pytest.raises(ValueError, match="same model"):
        go(start=first, model="linear")
    with pytest.raises(TypeError, match="beginnings of parameter names"):
        go(start=first, fresh="head")
    with pytest.raises(ValueError, match="no `start`"):
        go(only=["head"])
    with pytest.raises(TypeError, match="result of an earlier"):
        go(start="head")
