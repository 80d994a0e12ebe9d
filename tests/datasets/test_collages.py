from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.datasets.collages import PARTS, collages, label_sets


def test_shares_and_sets():
    data = lk.load("collages", n=400, several=0.25)
    sets = label_sets(data)
    assert (sets.sum(1) == 2).sum() == 100 and (sets.sum(1) >= 1).all()
    assert sets[torch.arange(400), data.y].all()  # the recorded label is one of those present
    assert data.posterior[sets].unique().tolist() == [0.5, 1.0] and data.side == {}
    assert label_sets(collages(n=50, several=0.0)).sum() == 50 and label_sets(collages(n=50, several=1.0)).sum() == 100
    assert collages(n=50, flat=False).shape == (1, 8, 16) and data.image(0).shape == (8, 16)


def test_which_of_two_is_recorded_is_a_coin():
    data = collages(n=4000, several=1.0, noise=0.0)
    sets = label_sets(data)
    lower = sets.double().argmax(1)
    assert float((data.y == lower).double().mean()) == pytest.approx(0.5, abs=0.03)
    ink = (data.x.view(-1, 8, 2, 8) * data.pixel_std[0] + data.pixel_mean[0]).sum((1, 3))
    assert (ink > 5).all()  # both halves hold a digit
    one = collages(n=400, several=0.0, noise=0.0)
    ink = (one.x.view(-1, 8, 2, 8) * one.pixel_std[0] + one.pixel_mean[0]).sum((1, 3))
    assert ((ink > 5).sum(1) == 1).all() and 0.4 < float((ink[:, 0] > 5).double().mean()) < 0.6


def test_the_halves_are_the_digits_of_the_set():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    known = {image.tobytes(): int(label) for image, label in zip(bunch.images, bunch.target)}
    data = collages(n=60, several=0.5, noise=0.0, part="second")
    ink = data.x.double().numpy() * data.pixel_std[0] + data.pixel_mean[0]
    pixels = np.round(ink * 16).reshape(-1, 8, 2, 8) + 0.0
    for picture, present in zip(pixels, label_sets(data)):
        halves = {known[np.ascontiguousarray(picture[:, s]).tobytes()] for s in (0, 1) if picture[:, s].any()}
        assert halves == set(present.nonzero().flatten().tolist())
    allowed = {image.tobytes() for image in bunch.images[PARTS["second"][0] :]}
    assert all(np.ascontiguousarray(p[:, s]).tobytes() in allowed for p in pixels for s in (0, 1) if p[:, s].any())


def test_no_method_sees_the_sets():
    """What a run learns from is x and the recorded label; two data sets that differ in the sets only train alike."""
    data = collages(n=200, several=0.5)
    from dataclasses import replace

    blind = replace(data, posterior=None)
    options = dict(
        methods=lk.methods.CrossEntropy(), seeds=1, epochs=1, lanes=1, compile=False, progress=False, out=None
    )
    first, second = (lk.fit(d, **options)[0].params for d in (data, blind))
    assert all(torch.equal(first[k], second[k]) for k in first)
    with pytest.raises(ValueError, match="not known"):
        label_sets(blind)


def test_seeds_and_bad_options():
    assert torch.equal(collages(n=20, seed=3).x, collages(n=20, seed=3).x)
    assert not torch.equal(collages(n=20, seed=3).x, collages(n=20, seed=4).x)
    with pytest.raises(ValueError, match="several in"):
        collages(several=1.5)
    with pytest.raises(ValueError, match="first, second"):
        collages(part="third")
