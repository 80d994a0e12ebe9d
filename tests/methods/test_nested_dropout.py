"""Feature dropout, nested dropout, and co-teaching under it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.losses import cross_entropy
from labkit.methods import CoTeaching, CrossEntropy, FeatureDropout, NestedCoTeaching, NestedDropout
from labkit.methods.base import Batch, Start
from labkit.methods.nested_dropout import best_k, first_features, nested_mask, truncated_logits
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False, dtype="float64")
B, D, K = 8, 5, 3
G = torch.Generator().manual_seed(0)
X = torch.randn(B, D, generator=G, dtype=torch.float64)
Y = torch.randint(0, K, (B,), generator=G)
W = [torch.randn(D, K, generator=G, dtype=torch.float64) for _ in range(2)]


class Toy:
    """Its features are its inputs."""

    def __init__(self, w):
        self.w = w

    def features(self, x):
        return x

    def head(self, f):
        return f @ self.w

    def __call__(self, x):
        return self.head(self.features(x))


def batch_of(method, progress=1.0, **draws):
    start = Start(X, Labels(Y, K), K, 0, None, torch.arange(B))
    state = {k: v.double() for k, v in method.setup(start).items()}
    return Batch(X, Labels(Y, K), torch.arange(B), torch.tensor(progress, dtype=torch.float64), state, draws)


def number(v):
    return torch.tensor(v, dtype=torch.float64)


def shares(n, scale):
    weight = [math.exp(-((k / scale) ** 2)) for k in range(1, n + 1)]
    return [w / sum(weight) for w in weight]


@pytest.mark.parametrize("n, scale", [(5, 2.0), (8, 30.0), (6, 1.0)])
def test_how_many_features_stay(n, scale):
    """k by inversion of P(k) ~ exp(-(k / s)^2), without a factor 1/2."""
    f, p = torch.zeros(2, n, dtype=torch.float64), shares(n, scale)
    grid = (torch.arange(4000, dtype=torch.float64) + 0.5) / 4000
    masks = torch.stack([nested_mask(u, f, scale) for u in grid])
    k = masks.sum(-1)
    assert (masks == (torch.arange(n) < k[:, None])).all() and k.min() >= 1 and k.max() <= n
    found = [float((k == j).double().mean()) for j in range(1, n + 1)]
    assert found == pytest.approx(p, abs=1e-3)


def test_scales_at_the_ends():
    f = torch.zeros(1, 6)
    assert nested_mask(torch.tensor(0.99), f, 1e-3).tolist() == [1, 0, 0, 0, 0, 0]
    even = torch.stack([nested_mask(torch.tensor((i + 0.5) / 60), f, 1e6) for i in range(60)]).sum(-1)
    assert torch.bincount(even.long()).tolist() == [0, 10, 10, 10, 10, 10, 10]
    assert first_features(f, 0).tolist() == [1] * 6 and first_features(f, 2).tolist() == [1, 1, 0, 0, 0, 0]
    assert first_features(f, torch.tensor(0.0)).tolist() == [1] * 6
    assert first_features(f, torch.tensor(4.0)).tolist() == [1, 1, 1, 1, 0, 0]


def test_nested_dropout_is_cross_entropy_of_the_first_features():
    method = NestedDropout(scale=3.0)
    for u in (0.01, 0.4, 0.95):
        k = 1 + sum(u >= c for c in np.cumsum(shares(D, 3.0))[:-1])
        loss, changed = method.objective(Toy(W[0]), batch_of(method, nested=number(u)))
        assert float(loss) == pytest.approx(float(cross_entropy(X[:, :k] @ W[0][:k], Y).mean())) and changed == {}
    torch.testing.assert_close(NestedDropout(k=2).predict(Toy(W[0]), X), X[:, :2] @ W[0][:2])
    torch.testing.assert_close(NestedDropout().predict(Toy(W[0]), X), X @ W[0])


def test_feature_dropout_by_hand():
    method = FeatureDropout(rate=0.25, width=D)
    drawn = torch.from_numpy(method.draw(generator(0, "method", 0), 1, B)["bytes"][0])
    loss, _ = method.objective(Toy(W[0]), batch_of(method, bytes=drawn))
    total = 0.0
    for i in range(B):
        f = torch.tensor([float(X[i, d]) / 0.75 if drawn[i, d] >= 64 else 0.0 for d in range(D)]).double()
        total += float(cross_entropy((f @ W[0])[None], Y[i : i + 1]))
    assert float(loss) == pytest.approx(total / B, rel=1e-6)
    plain, _ = FeatureDropout(rate=0.0, width=D).objective(Toy(W[0]), batch_of(method, bytes=drawn))
    assert float(plain) == pytest.approx(float(cross_entropy(X @ W[0], Y).mean()))
    many = FeatureDropout(width=64).draw(generator(0, "method", 0), 20, 32)["bytes"]
    assert many.dtype == np.uint8 and abs((many < 128).mean() - 0.5) < 0.01


def test_nested_co_teaching_example_by_example():
    method = NestedCoTeaching(rate=0.5, scale=3.0, k=2)
    u = (0.35, 0.9)
    loss, changed = method.objective(tuple(map(Toy, W)), batch_of(method, nested=number(u)))
    judged = [cross_entropy(X[:, :2] @ w[:2], Y).tolist() for w in W]  # losses of the first k features
    picked = [sorted(range(B), key=lambda i: own[i])[: B // 2] for own in judged]
    total = 0.0
    for net in (0, 1):
        k = 1 + sum(u[net] >= c for c in np.cumsum(shares(D, 3.0))[:-1])
        rows = picked[1 - net]
        total += float(cross_entropy(X[rows][:, :k] @ W[net][:k], Y[rows]).mean())
    assert float(loss) == pytest.approx(total, rel=1e-9)
    assert changed["picked_now"].tolist() == [sum(i in p for p in picked) / 2 for i in range(B)]
    before = NestedCoTeaching(rate=0.5, warm=0.4, ramp=0.1).forget(torch.tensor(0.3))
    assert float(before) == 0  # the first stage: nested dropout alone


def test_without_compression_it_is_co_teaching():
    wide = NestedCoTeaching(rate=0.25, scale=1e-3)  # one feature, always: as co-teaching on that feature
    plain = CoTeaching(rate=0.25)
    one = [Toy(torch.cat([w[:1], torch.zeros(D - 1, K)])) for w in W]
    a, _ = wide.objective(tuple(one), batch_of(wide, nested=number((0.5, 0.5))))
    b, _ = plain.objective(tuple(one), batch_of(plain))
    assert float(a) == pytest.approx(float(b), rel=1e-12)


def test_the_answer_for_every_k(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, model=lk.models.MLP((6,)), **QUICK)
    x = small.x[:20].double()
    for make in (NestedDropout, NestedCoTeaching):
        runs = fit(make(scale=4.0))
        every = truncated_logits(runs, x)
        assert every.shape == (2, 6, 20, 3)
        torch.testing.assert_close(every[:, -1], runs.predict(x))
        runs.context.methods = {make.__name__: make(scale=4.0, k=2)}
        torch.testing.assert_close(every[:, 1], runs.predict(x))
        own = truncated_logits(runs, torch.stack([x, x + 1]))
        torch.testing.assert_close(own[1, 1], runs.predict(x + 1)[1])


def test_the_best_k():
    said = torch.tensor([[0, 1, 2, 0]])
    right = torch.eye(3)[said[0]]
    wrong = torch.eye(3)[(said[0] + 1) % 3]
    logits = torch.stack([wrong, right, right, wrong])[None]
    assert best_k(logits, said).tolist() == [2]  # of equals the smaller
    half = torch.cat([right[:2], wrong[2:]])
    assert best_k(torch.stack([half, half, right])[None], said).tolist() == [3]


@pytest.mark.parametrize(
    "method",
    [FeatureDropout(lk.sweep(0.2, 0.5)), NestedDropout(lk.sweep(32.0, 64.0)), NestedCoTeaching(lk.sweep(0.1, 0.4))],
)
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, method):
    together = lk.fit(small, Symmetric(0.3), methods=method, seeds=3, lanes=8, **QUICK)
    alone = lk.fit(small, Symmetric(0.3), methods=method, seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(together.where(seed=1).logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.45).all()


def test_dropping_nothing_is_cross_entropy(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, **QUICK)
    for a, b in zip(fit(CrossEntropy()), fit(FeatureDropout(rate=0.0))):
        for name, tensor in a.params.items():
            torch.testing.assert_close(tensor, b.params[name], rtol=1e-12, atol=1e-12)


def test_what_it_refuses(small):
    with pytest.raises(ValueError, match=r"rate is a share in \[0, 1\), got 1"):
        FeatureDropout(rate=1)
    with pytest.raises(ValueError, match="has 128 penultimate features, and width is 64"):
        lk.fit(small, methods=FeatureDropout(width=64), seeds=1, **QUICK)
