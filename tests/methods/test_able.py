from __future__ import annotations

import numpy as np
import pytest
import torch
from test_cr_dpll import softmax

import labkit as lk
from labkit import methods as m
from labkit.annotate import FlippedCandidates
from labkit.evidence import Candidates
from labkit.fleet.step import Net
from labkit.methods.base import Batch, Start
from labkit.models import MLP, WithProjection, initialised

N, K, B = 10, 3, 5
DATA = lk.load("gaussians", n=N, classes=K)
MODEL = initialised(WithProjection(MLP((6,)), outputs=3, hidden=(4,)), DATA, 0).double()
X = DATA.x.double()
QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False)


def net():
    return Net(MODEL, dict(MODEL.named_parameters()))


def sets():
    mask = torch.rand(N, K, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[torch.arange(N), torch.arange(N) % K] = True
    return mask


def views(index, seed):
    g = torch.Generator().manual_seed(seed)
    return tuple(X[index] + 0.3 * torch.randn(len(index), 2, generator=g, dtype=torch.float64) for _ in range(2))


def answers(x):
    """Logits and embeddings of length 1, as lists."""
    features = MODEL.body(x)
    e = MODEL.projection(features)
    e = e / e.square().sum(1, keepdim=True).sqrt()
    return MODEL.head(features).tolist(), e.tolist()


def twin(t, mask, seen, weight, temperature):
    """Loss and new targets of a batch whose stored targets are ``t``, in loops over numbers."""
    b, (z, first), (_, second) = len(mask), *map(answers, seen)
    p = [softmax(row) for row in z]
    best = [max((c for c in range(K) if mask[i][c]), key=lambda c: p[i][c]) for i in range(b)]
    told = -sum(t[i][c] * np.log(p[i][c]) for i in range(b) for c in range(K)) / b
    e, contrast = first + second, 0.0
    like = [[sum(u * v for u, v in zip(e[i], e[j])) / temperature for j in range(2 * b)] for i in range(2 * b)]
    for i in range(2 * b):
        total = np.log(sum(np.exp(like[i][j]) for j in range(2 * b) if j != i))
        for j in range(2 * b):
            if j != i:
                c = best[j % b]
                w = t[i % b][c] / best.count(c) if mask[i % b][c] else 0.0
                contrast -= w * (like[i][j] - total)
    loss = told + weight * (temperature / 0.07) * contrast / (2 * b)
    kept = [[p[i][c] if mask[i][c] else 0 for c in range(K)] for i in range(b)]
    return loss, [[v / sum(row) for v in row] for row in kept]


def begin(method, mask):
    start = Start(X, Candidates(mask), K, 0, np.random.default_rng(0), torch.arange(N))
    return {k: v.double() if v.is_floating_point() else v for k, v in method.setup(start).items()}


def test_equals_the_slow_twin_over_visits():
    """Visits mix examples from all over the data set: the authors' code takes the targets of the first b of it."""
    method, mask = m.ABLE(weight=0.7, temperature=0.2), sets()
    state, hand = begin(method, mask), [[v / sum(row) for v in row] for row in mask.double().tolist()]
    for visit, index in enumerate([[0, 3, 5, 9, 7], [9, 8, 1, 5, 2], [9, 5, 0, 4, 3]]):
        index = torch.tensor(index)
        seen = views(index, visit)
        batch = Batch(seen[0], Candidates(mask)[index], index, torch.tensor(0.1), state, {}, {}, seen)
        loss, changed = method.objective(net(), batch)
        value, renewed = twin([hand[i] for i in index], mask[index].tolist(), seen, 0.7, 0.2)
        assert float(loss.detach()) == pytest.approx(value)
        for i, row in zip(index.tolist(), renewed):
            hand[i] = row
        state = {**state, **changed}
        torch.testing.assert_close(state["targets"], torch.tensor(hand, dtype=torch.float64))


def test_an_anchors_matches_weigh_at_most_one_a_view_and_never_itself():
    """Itself is taken out and its share is not handed on: alone in its class, only the other view is left."""
    mask, index = torch.eye(K, dtype=torch.bool), torch.arange(K)
    method, seen = m.ABLE(temperature=0.5), views(torch.arange(K), 7)
    start = Start(X[:K], Candidates(mask), K, 0, np.random.default_rng(0), index)
    state = {k: v.double() for k, v in method.setup(start).items()}
    loss, _ = method.objective(net(), Batch(seen[0], Candidates(mask), index, torch.tensor(0.0), state, {}, {}, seen))
    e = torch.cat([torch.tensor(answers(v)[1], dtype=torch.float64) for v in seen])
    like = (e @ e.T / 0.5).masked_fill(torch.eye(2 * K, dtype=torch.bool), -torch.inf)
    info = torch.nn.functional.cross_entropy(like, torch.arange(2 * K).roll(K))
    told = torch.nn.functional.cross_entropy(MODEL(seen[0]), index)
    assert float(loss.detach()) == pytest.approx(float((told + 0.5 / 0.07 * info).detach()))


def test_no_weight_is_proden(small):
    methods = {"PRODEN": m.PRODEN(), "ABLE": m.ABLE(weight=0.0)}
    options = dict(model=WithProjection(MLP()), seeds=2, augmentation=lk.augment.Noise(0.1), **QUICK)
    runs = lk.fit(small, FlippedCandidates(0.4), methods=methods, **options)
    torch.testing.assert_close(runs["ABLE"].logits(), runs["PRODEN"].logits(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(runs["ABLE"].kept("targets"), runs["PRODEN"].kept("targets"), rtol=1e-12, atol=1e-12)


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    options = dict(methods=m.ABLE(weight=lk.sweep(0.5, 1.0)), model=WithProjection(MLP()), **QUICK)
    options["augmentation"] = lk.augment.Noise(0.1)
    together = lk.fit(small, FlippedCandidates(0.4), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, FlippedCandidates(0.4), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-10, atol=1e-10)
    assert (together.measure("accuracy")["value"] > 0.6).all()  # 1/3 by chance


def test_it_needs_a_projection(small):
    with pytest.raises(TypeError, match="model=WithProjection"):
        lk.fit(small, FlippedCandidates(0.4), methods=m.ABLE(), seeds=1, **QUICK)
