"""Scatter of features and the three-class picture against slow loops and exact identities."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labkit.metrics import template_projection, within_between
from labkit.streams import generator


def example(runs: int = 3, n: int = 60, d: int = 6, K: int = 5):
    rng = generator(0, "data", runs, n, d, K)
    labels = rng.integers(0, K, (runs, n))
    centres = rng.normal(0, 3, (runs, K, d))
    features = centres[np.arange(runs)[:, None], labels] + rng.normal(0, 1, (runs, n, d)) + 7
    weights, bias = rng.normal(0, 1, (runs, K, d)), rng.normal(0, 2, (runs, K))
    return [torch.from_numpy(x) for x in (features, labels, weights, bias)]


def test_scatter_by_slow_loop():
    features, labels, *_ = example()
    got = within_between(features, labels, 5)
    for run in range(3):
        x, y = features[run].numpy(), labels[run].numpy()
        centre = x.mean(0)
        within = np.mean([np.sum((a - x[y == k].mean(0)) ** 2) for a, k in zip(x, y)])
        between = sum(np.mean(y == k) * np.sum((x[y == k].mean(0) - centre) ** 2) for k in range(5))
        expected = (within / between, within, between)
        assert tuple(part[run].item() for part in got) == pytest.approx(expected, rel=1e-12)


def test_scatter_splits_the_total_and_ignores_shift_and_absent_classes():
    features, labels, *_ = example()
    got = within_between(features, labels, 5)
    whole = (features - features.mean(1, keepdim=True)).square().sum(-1).mean(-1)
    assert torch.allclose(got.within + got.between, whole, rtol=1e-13, atol=0)
    assert torch.allclose(within_between(features + 100, labels, 5).ratio, got.ratio, rtol=1e-9, atol=0)
    assert torch.allclose(within_between(features * 3, labels, 5).ratio, got.ratio, rtol=1e-12, atol=0)
    assert torch.allclose(within_between(features, labels, 9).ratio, got.ratio, rtol=1e-13, atol=0)


def test_scatter_limits():
    points = torch.tensor([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])
    collapsed = within_between(points, torch.tensor([0, 0, 1, 1]), 2)
    assert (collapsed.ratio, collapsed.within, collapsed.between) == (0, 0, 6.25)
    mixed = within_between(points, torch.tensor([0, 1, 0, 1]), 2)
    assert (mixed.ratio.item(), mixed.within, mixed.between) == (math.inf, 6.25, 0)
    single = within_between(torch.rand(9, 3, generator=torch.Generator().manual_seed(0)) + 5, torch.full((9,), 3), 4)
    assert single.between == 0 and single.ratio.item() == math.inf
    same = within_between(torch.ones(4, 2), torch.tensor([0, 1, 0, 1]), 2)
    assert same.ratio.isnan() and same.within == 0


def test_scatter_by_hand():
    x = torch.tensor([[0.0], [2.0], [10.0]])
    got = within_between(x, torch.tensor([0, 0, 1]), 2)  # means 1 and 10, global 4
    assert got.within.item() == pytest.approx(2 / 3, rel=1e-15)
    assert got.between.item() == pytest.approx((2 * 9 + 36) / 3, rel=1e-15)


def slow_projection(x, w, b, chosen, fit):
    """Least squares onto the span of the extended templates, then principal components by SVD in the full space."""
    templates = np.stack([np.append(w[k], b[k]) for k in chosen], 1)
    project = lambda rows: (lambda e: e @ templates @ np.linalg.pinv(templates))(np.c_[rows, np.ones(len(rows))])
    cloud = project(fit)
    axes = np.linalg.svd(cloud - cloud.mean(0))[2][:2]
    return (project(x) - cloud.mean(0)) @ axes.T


@pytest.mark.parametrize("chosen", [(0, 1, 2), (4, 1, 3)])
def test_projection_by_another_route(chosen):
    features, _, weights, bias = example()
    fit = features[:, :40]
    picture = template_projection(features, weights, bias, chosen, fit)
    assert picture.shape == (3, 60, 2) and picture.dtype == torch.float64
    for run in range(3):
        expected = slow_projection(*(t[run].numpy() for t in (features, weights, bias)), chosen, fit[run].numpy())
        for axis in range(2):  # up to the sign, which is a convention
            a, b = picture[run, :, axis].numpy(), expected[:, axis]
            assert min(np.abs(a - b).max(), np.abs(a + b).max()) < 1e-10


def test_the_bias_belongs_to_the_chosen_classes():
    features, _, weights, bias = example()
    picture = template_projection(features, weights, bias, (4, 1, 3))
    unused, first_rows = bias.clone(), bias.clone()
    unused[:, [0, 2]] += 5
    assert torch.equal(template_projection(features, weights, unused, (4, 1, 3)), picture)
    first_rows[:, [4, 1, 3]] = bias[:, [0, 1, 2]]  # the slip: rows 0, 1, 2 whatever the classes
    assert (template_projection(features, weights, first_rows, (4, 1, 3)) - picture).abs().max() > 0.1


def test_axes_are_those_of_the_fit():
    features, _, weights, bias = example()
    picture = template_projection(features, weights, bias, (0, 1, 2))
    part = template_projection(features[:, 5:9], weights, bias, (0, 1, 2), features)
    assert torch.allclose(part, picture[:, 5:9], atol=1e-12)
    assert torch.allclose(picture.mean(1), torch.zeros(3, 2, dtype=torch.float64), atol=1e-12)
    variance = picture.var(1)
    assert (variance[:, 0] >= variance[:, 1]).all()
    covariance = (picture[..., 0] * picture[..., 1]).mean(1)
    assert covariance.abs().max() < 1e-10


def test_points_in_the_plane_of_the_templates_keep_their_distances():
    _, _, weights, bias = example(runs=1, d=4)
    w, b = weights[0], bias[0]
    extended = torch.cat([w[:3], b[:3, None]], 1)
    rng = generator(5, "data")
    mix, last = torch.from_numpy(rng.normal(0, 1, (30, 3))), extended[:, -1]
    mix = mix + torch.outer(1 - mix @ last, last) / last.square().sum()
    points = mix @ extended
    assert torch.allclose(points[:, -1], torch.ones(30, dtype=torch.float64))  # so they are features with a 1 appended
    picture = template_projection(points[:, :-1], w, b, (0, 1, 2))  # a plane in the span of three templates: no loss
    assert torch.allclose(torch.cdist(picture, picture), torch.cdist(points, points), atol=1e-6)


def test_orientation_is_fixed_by_the_templates():
    features, _, weights, bias = example()
    picture = template_projection(features, weights, bias, (0, 1, 2))
    turned = template_projection(features, weights, bias, (1, 0, 2))
    assert torch.allclose(picture.abs(), turned.abs(), atol=1e-10)  # the same axes, other signs at most
    d = 3  # one-hot templates without bias: coordinates are the features; classes spread along the first two
    cloud = torch.tensor([[4.0, -4.0, 0.0], [-4.0, 4.0, 0.0], [1.0, 1.0, 0.0], [-1.0, -1.0, 0.0]])
    flat = template_projection(cloud, torch.eye(d), torch.zeros(d), (0, 1, 2))
    assert flat[0, 0] > 0 and flat[1, 0] < 0  # the first template lies to the right


def test_run_axes_types_and_diverged_runs():
    features, _, weights, bias = example()
    each = template_projection(features, weights, bias, (0, 2, 4))
    alone = torch.stack([template_projection(*t, (0, 2, 4)) for t in zip(features, weights, bias)])
    assert torch.allclose(each, alone, atol=1e-12)
    shared = template_projection(features, weights[0], bias[0], (0, 2, 4), features[0])
    assert torch.allclose(shared[0], each[0], atol=1e-12)
    assert template_projection(features.reshape(3, 1, 60, 6), weights[:, None], bias[:, None], (0, 2, 4)).shape == (
        3, 1, 60, 2)
    for broken in range(4):
        inputs = [features.clone(), weights.clone(), bias.clone(), features.clone()]
        inputs[broken][1].view(-1)[4] = math.nan
        got = template_projection(*inputs[:3], (0, 2, 4), inputs[3])
        assert got[1].isnan().all()
        assert torch.allclose(got[[0, 2]], each[[0, 2]], atol=1e-12)
    unused = weights.clone()
    unused[1, 3] = math.nan  # a class that is not in the picture
    assert torch.allclose(template_projection(features, unused, bias, (0, 2, 4)), each, atol=1e-12)
    low = template_projection(features.float(), weights.float(), bias.float(), (0, 2, 4))
    assert low.dtype == torch.float64 and torch.allclose(low, each, atol=1e-3)


def test_errors():
    features, labels, weights, bias = example()
    for wrong in [(0, 1), (0, 1, 1), (0, 1, 5), (-1, 0, 1), (0, 1, 2, 3)]:
        with pytest.raises(ValueError, match=r"three different classes of 0\.\.4"):
            template_projection(features, weights, bias, wrong)
    with pytest.raises(ValueError, match=r"weights: got shape \(3, 5, 5\), expected \(3, 5, 6\)"):
        template_projection(features, weights[..., :5], bias, (0, 1, 2))
    with pytest.raises(ValueError, match="bias: got shape"):
        template_projection(features, weights, bias[:, :4], (0, 1, 2))
    with pytest.raises(ValueError, match="fit: got shape"):
        template_projection(features, weights, bias, (0, 1, 2), features[..., :4])
    with pytest.raises(TypeError, match="bias must be a tensor"):
        template_projection(features, weights, None, (0, 1, 2))
    with pytest.raises(ValueError, match="at least 2 numbers, got d = 1"):
        template_projection(features[..., :1], weights[..., :1], bias, (0, 1, 2))
    with pytest.raises(ValueError, match=r"features must have shape \(\.\.\., n, d\)"):
        within_between(features[0, 0], labels[0], 5)
    with pytest.raises(ValueError, match=r"0\.\.3 for 4 classes"):
        within_between(features, labels, 4)
