"""The hierarchy of classes: distances as stated, posterior exact, groups read from names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

import labkit.datasets as datasets

DESIGNS = [
    dict(),
    dict(groups=2, classes=3, within=1.0, between=4.0, dimensions=6),
    dict(groups=5, classes=1, within=2.0, between=3.0),
    dict(groups=3, classes=2, within=5.0, between=0.0),
]


@pytest.mark.parametrize("design", DESIGNS)
def test_distances_are_the_stated_ones(design):
    given = dict(groups=4, classes=4, within=2.5, between=6.0, dimensions=20) | design
    means = datasets.hierarchical_mixture(**design).means
    g, c, within, between = (given[k] for k in ("groups", "classes", "within", "between"))
    centres = means.reshape(g, c, -1).mean(1)
    for a in range(g * c):
        for b in range(a):
            same = a // c == b // c
            expected = within if same else (between**2 + within**2 * (c - 1) / c) ** 0.5
            assert float((means[a] - means[b]).norm()) == pytest.approx(expected, rel=1e-12)
    for a in range(g):
        for b in range(a):
            assert float((centres[a] - centres[b]).norm()) == pytest.approx(between, rel=1e-12, abs=1e-12)
    np.testing.assert_allclose(means.mean(0), 0, atol=1e-12)
    assert means.shape == (g * c, given["dimensions"]) and not means[:, g * c :].any()


def test_posterior_against_bayes_rule():
    design = dict(groups=2, classes=3, within=1.5, between=3.0, dimensions=8)
    data, truth = datasets.load("hierarchy", n=30, **design), datasets.hierarchical_mixture(**design)
    joint = np.array([[multivariate_normal.pdf(x, mean) for mean in truth.means] for x in data.x.double().numpy()])
    np.testing.assert_allclose(data.posterior, joint / joint.sum(1, keepdims=True), rtol=1e-9, atol=1e-12)
    assert data.posterior.dtype == torch.float64 and data.x.dtype == torch.float32


def test_classes_of_a_group_are_what_is_confused():
    data = datasets.load("hierarchy", n=4000, groups=3, classes=3, within=1.0, between=8.0)
    groups, best = datasets.class_groups(data), data.posterior.argmax(1)
    wrong = best != data.y
    assert wrong.double().mean() > 0.2 and (groups[best] == groups[data.y])[wrong].all()


def test_groups_are_read_from_names_of_any_data():
    data = datasets.load("hierarchy", n=50, groups=3, classes=2)
    assert data.classes == ("A/1", "A/2", "B/1", "B/2", "C/1", "C/2")
    assert datasets.class_groups(data).tolist() == [0, 0, 1, 1, 2, 2]
    many = datasets.load("hierarchy", n=50, groups=28, classes=1, dimensions=28)
    assert many.classes[25:] == ("Z/1", "AA/1", "AB/1") and datasets.class_groups(many).tolist() == list(range(28))
    own = datasets.Data("zoo", torch.zeros(2, 1), torch.tensor([0, 1]), ("bird/owl", "fish/eel", "bird/jay"))
    assert datasets.class_groups(own).tolist() == [0, 1, 0]
    with pytest.raises(ValueError, match=r"digits: class '0' names no group.*'group/class'"):
        datasets.class_groups(datasets.load("digits"))


def test_seed_moves_the_draws_only():
    one, two, again = (datasets.load("hierarchy", n=50, seed=s) for s in (0, 1, 0))
    assert one.fingerprint == again.fingerprint != two.fingerprint and one.shape == (20,)


@pytest.mark.parametrize("options, message", [
    (dict(groups=1), "groups >= 2"), (dict(classes=0), "classes >= 1"), (dict(within=-1.0), "finite distances >= 0"),
    (dict(between=float("inf")), "finite distances"), (dict(dimensions=15), "need 16 dimensions, got 15"),
    (dict(n=0), "n must be at least 1")])  # fmt: skip
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        datasets.load("hierarchy", **options)
