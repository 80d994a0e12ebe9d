"""Several augmented views of a batch, and what a method keeps of its training."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.augment import Noise

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False)


@dataclass(kw_only=True)
class TwoViews(m.CrossEntropy):
    """Remembers, per example, its label and how far apart the two views of it were."""

    views = 2
    keeps = ("told", "apart")

    def setup(self, start):
        n = len(start.evidence)
        return {"told": torch.full((n,), -1), "apart": torch.zeros(n)}

    def objective(self, net, batch):
        apart = (batch.views[0] - batch.views[1]).flatten(1).abs().mean(1)
        changed = {
            "told": batch.state["told"].index_put((batch.index,), batch.evidence.labels),
            "apart": batch.state["apart"].index_put((batch.index,), apart),
        }
        return self.loss(net(batch.x), batch.evidence).mean(), changed


def test_views_are_independent_paired_and_the_first_is_what_other_methods_see(small):
    methods = {"one": m.CrossEntropy(), "two": TwoViews()}
    runs = lk.fit(small, methods=methods, seeds=2, augmentation=Noise(0.5), **QUICK)
    for one, two in zip(runs["one"], runs["two"]):
        assert all(torch.allclose(one.params[k], two.params[k], rtol=0, atol=1e-12) for k in one.params)
    seen = runs["two"].kept("told") >= 0
    apart = runs["two"].kept("apart")[seen]
    assert abs(apart.mean() - 0.5 * 2 / torch.pi**0.5) < 0.05  # E|difference of two normals|


def test_without_augmentation_the_views_are_the_inputs(small):
    runs = lk.fit(small, methods=TwoViews(), seeds=1, **QUICK)
    assert (runs.kept("apart") == 0).all()


def test_kept_entries_follow_the_training_split_and_survive_the_disk(small, tmp_path):
    for _ in range(2):  # the second time from disk
        runs = lk.fit(small, Symmetric(0.5), methods=TwoViews(), seeds=3, out=tmp_path, **QUICK)
        told, clean = runs.told(), small.y[runs.index("train")]
        assert told.shape == runs.kept("told").shape == clean.shape
        seen = runs.kept("told") >= 0  # what is left over at an epoch's end may never have been drawn
        assert seen.double().mean() > 0.9
        assert (runs.kept("told") == told)[seen].all()
        assert 0.3 < (told != clean).double().mean() < 0.7
        assert torch.equal(runs.told("validation"), torch.stack([r.given["labels"] for r in runs]))
        assert runs.index(runs[1]) == 1
    with pytest.raises(LookupError, match=r"keeps .*'apart'.*not 'margin'"):
        runs.kept("margin")
