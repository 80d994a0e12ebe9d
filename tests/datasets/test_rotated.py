from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import labkit.datasets as datasets


def test_every_digit_is_in_one_environment_and_the_last_angle_is_the_test_set():
    data = datasets.load("rotated_digits")
    environment = data.side["environment"]
    assert data.shape == (64,) and data.n == 1797 and torch.equal(data.y, torch.from_numpy(load_digits().target))
    assert torch.bincount(environment).tolist() == [360, 360, 359, 359, 359]
    assert torch.equal(data.test, (environment == 4).nonzero().flatten())
    split = data.split(0, validation=0.2)
    assert environment[split.train].unique().tolist() == environment[split.validation].unique().tolist() == [0, 1, 2, 3]


def test_angles_are_turns_of_the_image():
    """Quarter turns need no interpolation: they are numpy's."""
    data = datasets.load("rotated_digits", angles=(0, 90, 180), seed=3)
    source, environment = load_digits().images / 16, data.side["environment"].numpy()
    for i in range(40):
        np.testing.assert_allclose(data.image(i), np.rot90(source[i], environment[i]), atol=1e-6)


def test_interpolation_keeps_the_middle_and_the_scale():
    data = datasets.load("rotated_digits", angles=(0, 10, 30), unseen=1, seed=1)
    assert data.x.min() >= -0.3053 / 0.3760 - 1e-5 and data.x.max() <= 0.6947 / 0.3760 + 1e-5
    source, environment = load_digits().images / 16, data.side["environment"]
    turned = np.stack([data.image(i) for i in range(data.n)])
    tilted = (environment == 1).numpy()
    assert np.corrcoef(turned[tilted].ravel(), source[tilted].ravel())[0, 1] > 0.8
    assert not np.allclose(turned[tilted], source[tilted], atol=0.2)


def test_the_seed_deals_the_digits():
    one, two, again = (datasets.load("rotated_digits", seed=s) for s in (0, 1, 0))
    assert one.fingerprint == again.fingerprint != two.fingerprint


@pytest.mark.parametrize("options", [dict(unseen=0), dict(angles=(0, 45)), dict(angles=(0, 0, 45)), dict(unseen=4)])
def test_too_few_angles(options):
    with pytest.raises(ValueError, match="at least two to train on and one unseen"):
        datasets.load("rotated_digits", **options)
