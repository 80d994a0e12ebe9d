"""Crowds: who says what, nesting, spammers, the label that is made of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import crowds
from labkit.annotate import Crowd
from labkit.evidence import Labels, Soft
from labkit.streams import generator

N, K = 2000, 3
LABELS = Labels(torch.zeros(N, dtype=torch.long), K)
POSTERIOR = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).expand(N, K).contiguous()


def said(seed=0, **options):
    return Crowd(**options).said(POSTERIOR, generator(seed, "annotation"))


def test_so_many_are_asked_and_more_votes_extend_fewer():
    few, many = said(votes=3), said(votes=7)
    assert ((few >= 0).sum(1) == 3).all() and ((many >= 0).sum(1) == 7).all()
    assert (many[few >= 0] == few[few >= 0]).all()


def test_reliable_workers_say_opinions_and_spammers_do_not():
    told = said(votes=20, least=1.0, most=1.0, spammers=0.1)
    shares = (told[:, :, None] == np.arange(K)).mean(0)
    np.testing.assert_allclose(shares[2:], np.tile(POSTERIOR[0].numpy(), (18, 1)), atol=0.05)
    assert (np.abs(shares[:2] - POSTERIOR[0].numpy()).max(1) > 0.05).all()  # habits, drawn once
    sure = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64).expand(N, K).contiguous()
    assert (Crowd(votes=20, least=1.0, spammers=0.0).said(sure, generator(0, "annotation")) == 1).all()


def test_more_spammers_replace_workers():
    none, some = said(spammers=0.0, votes=20), said(spammers=0.3, votes=20)
    assert (none[:, 6:] == some[:, 6:]).all() and (none[:, :6] != some[:, :6]).any()


def test_the_way_changes_the_label_and_not_the_crowd():
    rng = lambda: generator(3, "annotation")
    make = lambda by: Crowd(by=by)(LABELS, None, rng(), posterior=POSTERIOR)
    stream = rng()
    tie = stream.random(N)
    answers = Crowd().said(POSTERIOR, stream)
    for by in (*crowds.WAYS, "mean of all"):
        soft = make(by)
        assert isinstance(soft, Soft)
        np.testing.assert_array_equal(soft.probs.numpy(), crowds.aggregate(answers, K, by))
    hard = make("majority")
    assert isinstance(hard, Labels)
    np.testing.assert_array_equal(hard.labels.numpy(), crowds.majority(answers, K, tie))


@pytest.mark.parametrize("options", [{"votes": 0}, {"votes": 21}, {"votes": 2.5}, {"least": 1.2}, {"spammers": -0.1}])
def test_bad_settings(options):
    with pytest.raises(ValueError, match=r"votes|probability"):
        said(**options)


def test_it_trains():
    data = lk.load("gaussians", n=200, classes=3)
    crowd = Crowd("mean of all", votes=lk.sweep(1, 5))
    runs = lk.fit(data, crowd, methods=lk.methods.CrossEntropy(), seeds=2, epochs=2, compile=False, progress=False)
    assert len(runs) == 4 and np.isfinite(runs.measure("nll")["value"]).all()
