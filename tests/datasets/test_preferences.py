from __future__ import annotations

import pytest
import torch

import labkit.datasets as datasets


def test_the_better_item_is_preferred():
    data = datasets.load("preferences", n=500)
    u = datasets.utility(data.x)
    assert data.x.shape == (500, 2, 10)
    assert ((u[:, 1] > u[:, 0]) == (data.y == 1)).all()
    assert (data.posterior.argmax(1) == data.y).all() and (data.posterior.max(1).values == 1).all()


def test_utility_has_mean_zero_and_variance_one():
    u = datasets.utility(datasets.load("preferences", n=40_000).x)
    assert abs(float(u.mean())) < 0.02 and abs(float(u.var()) - 1) < 0.05


def test_a_finite_sharpness_is_bradley_terry():
    data = datasets.load("preferences", n=20_000, sharpness=1.5)
    u = datasets.utility(data.x)
    e = (1.5 * u).exp()
    torch.testing.assert_close(data.posterior, e / e.sum(1, keepdim=True))
    unsure = data.posterior[:, 1] < 0.3
    seen, promised = data.y[unsure].double().mean(), data.posterior[unsure, 1].mean()
    assert abs(float(seen - promised)) < 0.02


def test_larger_digits_are_better_and_test_images_are_apart():
    data, digits = datasets.load("preferences", items="digits", n=600), datasets.load("digits")
    assert data.x.shape == (600, 2, 64) and len(data.test) == 240
    value = {tuple(row.tolist()): int(c) for row, c in zip(digits.x, digits.y)}
    for (a, b), y in zip(data.x[:50], data.y[:50]):
        first, second = value[tuple(a.tolist())], value[tuple(b.tolist())]
        assert first != second and (second > first) == bool(y)
    images = [{tuple(row.tolist()) for row in data.x[index].flatten(0, 1)} for index in (slice(0, 360), data.test)]
    assert not images[0] & images[1]


def test_seeds_and_bad_options():
    load = lambda **options: datasets.load("preferences", n=50, **options)
    assert load().fingerprint == load(seed=0).fingerprint != load(seed=1).fingerprint
    for bad in (dict(items="cars"), dict(dimensions=3), dict(sharpness=0.0), dict(items="digits", sharpness=1.0)):
        with pytest.raises(ValueError):
            load(**bad)
