from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import detect
from labkit.annotate import ByPlace
from labkit.detect.folds import cross_fit
from labkit.streams import generator


@pytest.fixture(scope="module")
def fleet():
    data = lk.load("gaussians", n=200, classes=4, separation=6.0)
    noise = lk.annotate.PairFlip(rate=lk.sweep(0.1, 0.3))
    return data, cross_fit(data, noise, seeds=2, epochs=4, folds=3, compile=False, progress=False, out=None)


def test_an_example_is_told_one_label_per_seed_whatever_the_fold(fleet):
    data, cross = fleet
    place = torch.arange(data.n)
    for row, setting in cross.settings.iterrows():
        inner = lk.annotate.PairFlip(rate=setting["annotator.inner.rate"])
        told = inner(lk.Labels(data.y, 4), data.x, generator(int(setting["seed"]), "annotation", 0)).labels
        np.testing.assert_array_equal(cross.given[row], told)
        np.testing.assert_array_equal(cross.wrong[row], told != data.y)
        part = torch.from_numpy(np.random.default_rng(row).permutation(data.n)[:50])
        said = ByPlace(inner, data.n)(
            lk.Labels(data.y[part], 4),
            data.x[part],
            generator(int(setting["seed"]), "annotation", 0),
            place=place[part],
        )
        np.testing.assert_array_equal(said.labels, told[part])


def test_every_example_is_judged_once_from_outside_and_by_the_others_from_inside(fleet):
    _, cross = fleet
    assert np.isfinite(cross.probs).all() and np.isfinite(cross.area).all() and np.isfinite(cross.loss).all()
    np.testing.assert_allclose(cross.probs.sum(-1), 1)
    for wrong, given, probs, area, loss in zip(cross.wrong, cross.given, cross.probs, cross.area, cross.loss):
        for score in (detect.self_confidence(given, probs), area, loss):
            assert detect.auprc(wrong, score) > wrong.mean() + 0.2


def test_runs_are_chosen_by_what_was_swept(fleet):
    _, cross = fleet
    part = cross.where(**{"annotator.inner.rate": 0.3})
    np.testing.assert_array_equal(part.given, cross.given[2:])
    assert list(part.settings["seed"]) == [0, 1] and part.wrong.mean() > cross.where(seed=0, **{
        "annotator.inner.rate": 0.1}).wrong.mean()  # fmt: skip
    with pytest.raises(LookupError, match="no run has"):
        cross.where(seed=7)


def test_instance_dependent_labels_by_place():
    data, inner = lk.load("gaussians", n=60), lk.annotate.InstanceDependent(rate=0.4)
    whole = inner(lk.Labels(data.y, 3), data.x, generator(0, "annotation")).labels
    part = torch.tensor([40, 3, 17])
    said = ByPlace(inner, 60)(lk.Labels(data.y[part], 3), data.x[part], generator(0, "annotation"), place=part)
    np.testing.assert_array_equal(said.labels, whole[part])
    with pytest.raises(ValueError, match=r"places lie in 0\.\.9"):
        ByPlace(inner, 10)(lk.Labels(data.y[part], 3), data.x[part], generator(0, "annotation"), place=part)
