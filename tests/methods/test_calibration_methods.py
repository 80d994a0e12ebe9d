"""MbLS, ACLS, MMCE, DCA, MDCA and RankMixup in a fleet, and RankMixup against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit import losses
from labkit import methods as m
from labkit.evidence import Labels, Soft
from labkit.methods.base import Batch

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, evaluate_every=1, compile=False)
METHODS = {
    "Brier": m.Brier(ema=lk.sweep(0.0, 0.5)),
    "MbLS": m.MbLS(lk.sweep(0.1, 1.0), margin=1.0),
    "ACLS": m.ACLS(margin=lk.sweep(0.5, 2.0)),
    "conditional": m.ACLS(lk.sweep(0.1, 0.5), margin=0.5, adaptive=False),
    "MMCE": m.MMCE(lk.sweep(0.5, 4.0)),
    "unbalanced MMCE": m.MMCE(2.0, width=lk.sweep(0.2, 0.8), balanced=False),
    "DCA": m.DCA(lk.sweep(0.5, 4.0)),
    "MDCA": m.MDCA(lk.sweep(0.5, 8.0)),
    "RankMixup": m.RankMixup(weight=lk.sweep(0.1, 1.0)),
    "M-NDCG": m.RankMixup(alpha=lk.sweep(0.5, 2.0), weight=1.0, ranking="ndcg"),
}


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal_and_it_learns(small, name):
    together = lk.fit(small, methods=METHODS[name], seeds=2, lanes=64, **QUICK)
    alone = lk.fit(small, methods=METHODS[name], seeds=[1], lanes=1, **QUICK)
    for x, y in zip(together.where(seed=1), alone, strict=True):
        for key, tensor in x.params.items():
            torch.testing.assert_close(tensor, y.params[key], rtol=1e-12, atol=1e-12)
    assert together.measure("accuracy")["value"].min() > 0.6  # 0.33 is chance
    low, high = together[:2].weights(), together[2:].weights()
    assert not torch.equal(low["head.weight"], high["head.weight"])  # the number is used


def batch_of(x, evidence, draws=None):
    return Batch(x, evidence, torch.arange(len(x)), torch.tensor(0.0), {}, draws or {})


def test_methods_hand_their_own_numbers_to_their_loss():
    z = 3 * torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    labels, t = Labels(y, 3), F.one_hot(y, 3).double()
    same = lambda a, b: torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    same(m.MbLS(0.3, 1.5).loss(z, labels), losses.mbls(z, y, 0.3, 1.5))
    same(m.Brier().loss(z, labels), losses.brier(z, y))
    same(m.ACLS(0.3, 1.5, 0.7, 0.2).loss(z, Soft(t)), losses.acls(z, y, 0.3, 0.7, 0.2, 1.5))
    same(m.ACLS(0.3, 1.5, adaptive=False).loss(z, labels), losses.acls(z, y, 0.3, 1.0, 0.1, 1.5, adaptive=False))
    plain = losses.cross_entropy(z, y).mean()
    for method, penalty in (
        (m.MMCE(3.0, 0.2), losses.mmce(z, y, 0.2, balanced=True)),
        (m.MMCE(3.0, 0.2, balanced=False), losses.mmce(z, y, 0.2)),
        (m.DCA(3.0), losses.dca(z, y)),
        (m.MDCA(3.0), losses.mdca(z, y)),
    ):
        value, changed = method.objective(lambda x: z, batch_of(z, labels))
        same(value, plain + 3 * penalty)
        assert changed == {} and penalty > 0
    assert (m.MbLS().weight, m.MbLS().margin) == (0.1, 6.0)
    assert (m.ACLS().weight, m.ACLS().margin, m.ACLS().positive, m.ACLS().negative) == (0.1, 10.0, 1.0, 0.1)
    assert (m.RankMixup().alpha, m.RankMixup().weight, m.RankMixup().margin) == (2.0, 0.1, 2.0)


def ranked(method):
    g = torch.Generator().manual_seed(1)
    x, w = torch.randn(5, 4, generator=g, dtype=torch.float64), torch.randn(4, 3, generator=g, dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 2, 0])
    share = torch.tensor([0.7, 0.2, 0.55], dtype=torch.float64)[: method.count]
    net = lambda a: torch.tanh(a) @ w
    return float(method.objective(net, batch_of(x, Labels(y, 3), {"weight": share}))[0]), net, x, y, share


@pytest.mark.parametrize("mixtures", [1, 2])
def test_the_margin_ranking_equals_its_slow_twin(mixtures):
    found, net, x, y, share = ranked(m.RankMixup(weight=0.4, margin=0.5, mixtures=mixtures))
    hinges = []
    for i in range(mixtures):
        for n in range(5):
            partner = (n - i - 1) % 5
            mixed = net(share[i] * x[n] + (1 - share[i]) * x[partner]).max()
            hinges.append(max(float(mixed - net(x[n]).max()) + 0.5, 0) if y[n] != y[partner] else 0.0)
    assert any(hinges) and hinges.count(0.0) >= 1
    assert found == pytest.approx(float(F.cross_entropy(net(x), y)) + 0.4 * np.mean(hinges))


def test_the_ndcg_ranking_equals_its_slow_twin():
    found, net, x, y, share = ranked(m.RankMixup(weight=0.4, ranking="ndcg"))
    total = 0.0
    for n in range(5):
        places = [(1.0, float(net(x[n]).softmax(-1).max()))]
        mixtures = []
        for i in range(3):
            partner = (n - i - 1) % 5
            mixed = net(share[i] * x[n] + (1 - share[i]) * x[partner])
            relevance = 1.0 if y[n] == y[partner] else max(float(share[i]), 1 - float(share[i]))
            mixtures.append((relevance, float(mixed.softmax(-1).max())))
        places += sorted(mixtures, key=lambda pair: -pair[0])
        dcg = sum(c / np.log2(r + 2) for r, (_, c) in enumerate(places))
        idcg = sum(w / np.log2(r + 2) for r, (w, _) in enumerate(places))
        total += 1 - min(dcg / idcg, idcg / dcg)
    assert found == pytest.approx(float(F.cross_entropy(net(x), y)) + 0.4 * total / 5)


def test_weights_are_beta_one_a_mixed_batch():
    from scipy import stats

    weights = m.RankMixup(alpha=2.0, ranking="ndcg").draw(np.random.default_rng(0), 500, 8)["weight"]
    assert weights.shape == (500, 3) and stats.kstest(weights.ravel(), stats.beta(2, 2).cdf).pvalue > 0.01
    assert m.RankMixup().draw(np.random.default_rng(0), 5, 8)["weight"].shape == (5, 1)


def test_weight_zero_is_cross_entropy_and_no_label_is_mixed(small):
    plain = lk.fit(small, methods=m.CrossEntropy(), seeds=1, **QUICK)
    for method in (m.RankMixup(weight=0.0), m.RankMixup(weight=0.0, ranking="ndcg"), m.MMCE(0.0), m.MbLS(0.0)):
        runs = lk.fit(small, methods=method, seeds=1, **QUICK)
        torch.testing.assert_close(runs.logits(), plain.logits(), rtol=1e-9, atol=1e-9)


def test_what_it_refuses():
    with pytest.raises(ValueError, match="margin, ndcg, got 'both'"):
        m.RankMixup(ranking="both")
    with pytest.raises(ValueError, match="0 for the default; got -1"):
        m.RankMixup(mixtures=-1)
    assert not issubclass(Soft, m.RankMixup.accepts)
