"""Digits on cluttered ground with a class in every pixel."""

from __future__ import annotations

import pytest
import torch

import labkit as lk


def test_shapes_values_and_reproducibility():
    data = lk.load("digit_masks", n=40)
    assert data.shape == (1, 16, 16) and data.y.shape == (40, 256) and data.classes == ("ground", "ink")
    assert data.y.unique().tolist() == [0, 1] and 0.1 < data.y.double().mean() < 0.45
    assert data.x.mean().abs() < 1e-5 and abs(data.x.std() - 1) < 1e-3
    assert data.fingerprint == lk.load("digit_masks", n=40).fingerprint
    assert data.fingerprint != lk.load("digit_masks", n=40, seed=1).fingerprint
    assert data.image(0).shape == (16, 16)


def test_every_picture_has_ink_and_the_ink_is_dark():
    data = lk.load("digit_masks", n=60, clutter=0.0, noise=0.0, size=20)
    ink = data.y.bool()
    assert data.y.shape == (60, 400) and ink.any(1).all()
    x = data.x.flatten(1)
    for i in range(60):  # without noise the mask is a threshold of the picture
        assert x[i][ink[i]].min() >= x[i][~ink[i]].max()


def test_noise_makes_it_harder():
    gap = lambda **o: (lambda d: d.x.flatten(1)[d.y == 1].mean() - d.x.flatten(1)[d.y == 0].mean())(
        lk.load("digit_masks", n=60, **o)
    )
    assert gap(clutter=0.0, noise=0.0) > gap() > gap(clutter=0.5, noise=0.5) > 0


def test_splits_and_subsets_keep_masks_with_their_pictures():
    data = lk.load("digit_masks", n=50)
    split = data.split(3)
    assert sorted(torch.cat(split).tolist()) == list(range(50))
    small = data.subset(10)
    where = [(data.x == x).flatten(1).all(1).nonzero().item() for x in small.x]
    assert torch.equal(small.y, data.y[where])


@pytest.mark.parametrize("wrong", [dict(n=1), dict(size=12), dict(noise=-1.0), dict(clutter=float("nan"))])
def test_wrong_options_are_refused(wrong):
    with pytest.raises(ValueError, match="expected n >= 2, size >= 16"):
        lk.load("digit_masks", **wrong)


def test_canvases_hold_several_digits_in_three_inks():
    data = lk.load("digit_canvas", n=40, clutter=0.0, noise=0.0)
    assert (
        data.shape == (1, 24, 24) and data.y.shape == (40, 576) and data.classes == ("ground", "pale", "grey", "black")
    )
    assert data.y.unique().tolist() == [0, 1, 2, 3]
    pixels = torch.stack([torch.as_tensor(data.image(i)).flatten() for i in range(40)])
    dark = [pixels[data.y == c].mean().item() for c in range(4)]
    assert dark == sorted(dark) and dark[1] > dark[0] + 0.2
    for c, (_, full) in enumerate([("ground", 0.45), ("pale", 0.45), ("grey", 0.7), ("black", 1.0)]):
        assert pixels[data.y == c].max() <= full + 1e-6 or c == 0
    rim = (pixels < 0.7) & (data.y == 3)  # at the rim black looks grey
    assert 0.1 < rim.sum() / (data.y == 3).sum() < 0.6
    one, many = (lk.load("digit_canvas", n=20, digits=d).y.gt(0).double().mean() for d in (1, 4))
    assert many > 1.5 * one
    assert data.fingerprint == lk.load("digit_canvas", n=40, clutter=0.0, noise=0.0).fingerprint


@pytest.mark.parametrize("wrong", [dict(n=1), dict(size=12), dict(digits=0), dict(noise=-1.0)])
def test_wrong_canvases_are_refused(wrong):
    with pytest.raises(ValueError, match="digits >= 1"):
        lk.load("digit_canvas", **wrong)
