from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.neighbors import LocalOutlierFactor

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.methods import representation_calibration as r
from labkit.methods.base import Batch, Start
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)


def example(k=4, d=3):
    rng = generator(0, "data", k)
    labels = np.repeat(np.arange(k), [60, 40, 12, 4])
    features = rng.normal(0, 1, (len(labels), d)) + 4 * np.eye(k, d)[labels]
    features[[0, 70]] = 30  # an outlier among class 0 and class 1
    return torch.from_numpy(features), torch.from_numpy(labels)


def test_means_and_covariances_leave_the_outliers_out():
    features, labels = example()
    raw, robust = r.class_gaussians(features, labels, 5, outliers=None), r.class_gaussians(features, labels, 5)
    assert raw.counts.tolist() == [60, 40, 12, 4, 0] and (robust.counts <= raw.counts).all()
    for c in range(4):
        mine = features[labels == c].numpy()
        np.testing.assert_allclose(raw.means[c], mine.mean(0))
        np.testing.assert_allclose(raw.covariances[c], np.cov(mine.T, bias=True), atol=1e-12)
        keep = LocalOutlierFactor(min(20, len(mine) - 1)).fit_predict(mine) == 1 if c < 3 else np.ones(4, bool)
        assert int(robust.counts[c]) == keep.sum()
        np.testing.assert_allclose(robust.means[c], mine[keep].mean(0))
        np.testing.assert_allclose(robust.covariances[c], np.cov(mine[keep].T, bias=True), atol=1e-12)
    assert robust.covariances[0].diagonal().max() < 3 < raw.covariances[0].diagonal().max()
    assert torch.equal(raw.covariances[4], torch.eye(3, dtype=torch.float64)) and (raw.means[4] == 0).all()


def test_a_share_of_outliers_is_a_share():
    features, labels = example()
    found = r.class_gaussians(features, labels, 4, outliers=0.25)
    assert found.counts.tolist() == [45, 30, 9, 4]  # four examples are too few to ask


@pytest.mark.parametrize("own, nearest", [(0.5, 1), (0.3, 2), (0.0, 3)])
def test_borrowing_is_the_slow_twin(own, nearest):
    found = r.class_gaussians(*example(), 4)
    moved = r.borrowed(found, own, nearest, ridge=0.2)
    counts, means = found.counts.tolist(), found.means.tolist()
    head = [c for c in range(4) if counts[c] >= sum(counts) / 4]
    assert head == [0, 1]
    for k in range(4):
        mean, covariance = found.means[k], found.covariances[k]
        if k not in head:
            distance = {c: sum((a - b) ** 2 for a, b in zip(means[k], means[c])) for c in head}
            near = sorted(head, key=distance.get)[:nearest]
            weight = {c: counts[c] / distance[c] for c in near}
            total = sum(weight.values())
            mean = own * mean + (1 - own) * sum(weight[c] / total * found.means[c] for c in near)
            covariance = own * covariance + (1 - own) * sum(weight[c] / total * found.covariances[c] for c in near)
        torch.testing.assert_close(moved.means[k], mean)
        torch.testing.assert_close(moved.covariances[k], covariance + 0.2 * torch.eye(3, dtype=torch.float64))


def test_trusting_only_oneself_changes_nothing_but_the_ridge():
    found = r.class_gaussians(*example(), 4)
    moved = r.borrowed(found, own=1.0, ridge=0.1)
    torch.testing.assert_close(moved.means, found.means)
    torch.testing.assert_close(
        moved.covariances - found.covariances, 0.1 * torch.eye(3, dtype=torch.float64).expand(4, 3, 3)
    )


def begun(**options):
    features, labels = example()
    method = m.RepresentationCalibration(**options)
    n = len(labels)
    return method, method.setup(Start(features, lk.Labels(labels, 4), 4, 0, generator(0, "method"), torch.arange(n)))


@pytest.mark.parametrize("fill", [1.0, 2.0])
def test_an_epoch_shows_every_class_equally_often(fill):
    _, state = begun(fill=fill)
    counts = torch.tensor([60, 40, 12, 4], dtype=torch.float64)
    share = state["cumulative"].diff(prepend=torch.zeros(1))
    expected = counts + share * state["weight"] * counts.sum()  # the weight is that of drawn points per real example
    torch.testing.assert_close(expected, torch.full((4,), 60.0 * fill, dtype=torch.float64))


def test_draws_have_the_gaussians_moments_and_the_loss_is_the_slow_twin():
    method, state = begun(fill=2.0)
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(generator(1, "method"), 1, 30_000).items()}
    seen = []

    def net(x):
        seen.append(x)
        return x[:, :1] * torch.arange(4.0, dtype=torch.float64)

    labels = torch.zeros(30_000, dtype=torch.long)
    x = torch.ones(30_000, 3, dtype=torch.float64)
    batch = Batch(x, lk.Labels(labels, 4), labels, torch.tensor(0.0), state, draws)
    loss, changed = method.objective(net, batch)
    drawn, cumulative = seen[1], state["cumulative"].tolist()
    which = np.array([sum(u >= c for c in cumulative) for u in draws["which"].tolist()])
    features, given = example()
    found = r.borrowed(r.class_gaussians(features, given, 4), 0.5, 3, 0.1)
    for k in range(4):
        mine = drawn[which == k].numpy()
        assert np.abs(mine.mean(0) - found.means[k].numpy()).max() < 0.12
        assert np.abs(np.cov(mine.T) - found.covariances[k].numpy()).max() < 0.25
    total = sum(
        -math.log(math.exp(row[y]) / sum(map(math.exp, row))) for row, y in zip(net(drawn[:500]).tolist(), which)
    )
    real = math.log(sum(math.exp(j) for j in range(4)))
    made = torch.nn.functional.cross_entropy(net(drawn[:500]), torch.from_numpy(which[:500]))
    assert made.item() == pytest.approx(total / 500)
    made, w = torch.nn.functional.cross_entropy(net(drawn), torch.from_numpy(which)), state["weight"]
    torch.testing.assert_close(loss, (real + w * made) / (1 + w))
    assert changed == {}


def test_on_balanced_clean_data_nothing_is_drawn():
    labels = torch.arange(40) % 4
    method = m.RepresentationCalibration()
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    state = method.setup(Start(x, lk.Labels(labels, 4), 4, 0, generator(0, "method"), torch.arange(40)))
    assert float(state["weight"]) == 0 and state["cumulative"].isfinite().all()
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(generator(1, "method"), 1, 40).items()}
    net = lambda v: v @ torch.arange(12.0, dtype=torch.float64).reshape(3, 4) / 12
    loss, _ = method.objective(net, Batch(x, lk.Labels(labels, 4), torch.arange(40), torch.tensor(0.0), state, draws))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(net(x), labels))


@pytest.mark.parametrize("calibrate", [True, False])
def test_alone_and_in_a_fleet_the_numbers_are_equal(calibrate):
    data = lk.load("gaussians", n=200)
    options = dict(
        methods={"rcal": m.RepresentationCalibration(fill=1.5, calibrate=calibrate)}, dtype="float64", **QUICK
    )
    together = lk.fit(data, Symmetric(0.2), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, Symmetric(0.2), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()


@pytest.mark.parametrize("options", [dict(own=1.5), dict(nearest=0), dict(ridge=0.0), dict(fill=0.5)])
def test_refusals(options):
    with pytest.raises(ValueError, match="own lies in"):
        m.RepresentationCalibration(**options)
