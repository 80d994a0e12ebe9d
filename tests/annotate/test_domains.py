from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Domains
from labkit.evidence import Labels
from labkit.streams import generator


def labels(n=6000, classes=3, room=5):
    return Labels(torch.arange(n) % classes, room)


def test_domains_are_drawn_by_the_law_given_the_class_alone():
    annotator, rng = Domains(3, count=5, concentration=1.0, spread=0.5), lambda part=0: generator(4, "annotation", part)
    law = annotator.law(rng())
    np.testing.assert_allclose(law.sum(1), 1)
    told = annotator(labels(60000), None, rng())
    assert told.n_classes == 5
    counted = np.zeros((3, 5))
    np.add.at(counted, (np.arange(60000) % 3, told.labels.numpy()), 1 / 20000)
    assert np.abs(counted - law).max() < 0.02


def test_parts_of_one_seed_share_the_law_and_draw_apart():
    annotator = Domains(3, count=5)
    train, held = (generator(1, "annotation", part) for part in (0, 1))
    np.testing.assert_array_equal(annotator.law(train), annotator.law(held))
    assert (annotator(labels(), None, train).labels != annotator(labels(), None, held).labels).any()
    assert not np.allclose(annotator.law(generator(1, "annotation")), annotator.law(generator(2, "annotation")))
    before = generator(1, "annotation")
    annotator.law(before)  # asking for the law takes nothing from the stream
    assert before.random() == generator(1, "annotation").random()


def test_concentration_condition_and_sizes():
    far = lambda c: np.mean(
        [Domains(4, 8, c, max_condition=1e6).law(generator(s, "annotation")).std() for s in range(9)]
    )
    assert far(0.5) > far(5.0) > far(100.0) > 0
    for seed in range(5):
        law = Domains(4, 8, 3.0, max_condition=4.0).law(generator(seed, "annotation"))
        assert np.linalg.cond((law / law.sum(0)).T) <= 4
    spread = Domains(4, 8, 3.0, spread=1.0).law(generator(0, "annotation")).sum(0)
    assert spread.max() / spread.min() > 3


def test_a_network_learns_domains_in_a_fleet_and_truth_stays_hidden():
    data = lk.datasets.latent_shift(lk.load("digits").subset(400), [[0, 3], [1, 4], [2, 5]], domains=5)
    assert data.n_classes == 5 and data.y.unique().tolist() == [0, 1, 2] and data.classes[0] == "0+3"
    runs = lk.fit(
        data, Domains(3, 5, lk.sweep(0.5, 3.0)), methods=lk.methods.CrossEntropy(), seeds=2, epochs=2, batch_size=32,
        validation=0.3, compile=False, progress=False,
    )  # fmt: skip
    assert len(runs) == 4 and runs.logits("validation").shape[-1] == 5
    told, hidden = runs.told("validation"), runs.labels("validation")
    assert told.max() > 2 >= hidden.max()
    with pytest.raises(LookupError):
        runs.where(**{"annotator.concentration": 9.0})


def test_refusals():
    with pytest.raises(ValueError, match="two hidden classes"):
        Domains(1)
    with pytest.raises(ValueError, match="as many answers"):
        Domains(3, count=6)(labels(), None, generator(0, "annotation"))
    with pytest.raises(ValueError, match="one of 2 hidden classes"):
        Domains(2, count=5)(labels(), None, generator(0, "annotation"))
    with pytest.raises(ValueError, match="no draw of 4 domains"):
        Domains(4, count=4, concentration=100.0, max_condition=1.5).law(generator(0, "annotation"))
    with pytest.raises(TypeError, match=r"labkit\.streams"):
        Domains(3).law(np.random.default_rng(0))
    digits = lk.load("digits")
    for groups, domains, what in (
        ([[0], [0, 1]], 5, "different classes"), ([[0], []], 5, "different classes"), ([[0], [10]], 5, "0 .. 9"),
        ([[0], [1], [2]], 2, "at least as many domains"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=what):
            lk.datasets.latent_shift(digits, groups, domains)
