"""ELR and ELR+: what is remembered, when, and by whom."""

from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import ELR, CrossEntropy, ELRPlus
from labkit.methods.base import Batch, Start
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False, dtype="float64")
N, B, D, K = 9, 5, 4, 3
G = torch.Generator().manual_seed(0)
X = torch.randn(N, D, generator=G, dtype=torch.float64)
Y = torch.randint(0, K, (N,), generator=G)
W = [torch.randn(D, K, generator=G, dtype=torch.float64) for _ in range(2)]


def begin(method):
    start = Start(X, Labels(Y, K), K, 0, None, torch.arange(N))
    return {k: v.double() for k, v in method.setup(start).items()}


def batch_of(state, index, progress=0.5, **draws):
    draws = {k: torch.tensor(v, dtype=torch.float64) for k, v in draws.items()}
    return Batch(X[index], Labels(Y[index], K), index, torch.tensor(progress, dtype=torch.float64), state, draws)


def p_of(x, w):
    z = [sum(float(x[d]) * float(w[d, k]) for d in range(D)) for k in range(K)]
    e = [math.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


def clip(p):
    return [min(max(v, 1e-4), 1 - 1e-4) for v in p]


def remembered(t, p, decay):
    p = clip(p)
    return [decay * a + (1 - decay) * b / sum(p) for a, b in zip(t, p)]


def test_elr_example_by_example():
    """Two visits with a step between: the memory takes in the present prediction before the loss is made."""
    method = ELR(strength=3.0, decay=0.7)
    state, memory = begin(method), [[0.0] * K for _ in range(N)]
    for visit, index in enumerate((torch.tensor([7, 0, 3, 4, 1]), torch.tensor([0, 8, 7, 2, 4]))):
        w = W[visit]
        loss, changed = method.objective(lambda x, w=w: x @ w, batch_of(state, index))
        total = 0.0
        for i in index.tolist():
            p = p_of(X[i], w)
            memory[i] = remembered(memory[i], p, 0.7)
            total += -math.log(p[Y[i]]) + 3 * math.log(1 - sum(a * b for a, b in zip(memory[i], clip(p))))
        assert float(loss) == pytest.approx(total / B, rel=1e-12)
        state = {**state, **changed}
        torch.testing.assert_close(state["targets"], torch.tensor(memory, dtype=torch.float64))


def test_elr_plus_example_by_example():
    method = ELRPlus(strength=2.0, decay=0.9, ramp=0.8)
    state = begin(method)
    index, weight, r = torch.tensor([7, 0, 3, 4, 1]), (0.3, 0.85), math.exp(-5 * (1 - 0.5 / 0.8) ** 2)
    state["targets"] = 0.2 + 0.1 * torch.rand(2, N, K, generator=G, dtype=torch.float64)
    before = state["targets"].clone()
    loss, changed = method.objective(
        tuple((lambda x, w=w: x @ w) for w in W), batch_of(state, index, 0.5, weight=weight)
    )
    total, after = 0.0, before.clone().tolist()
    for net in (0, 1):
        for i in index.tolist():  # the memory of network 1 hears network 2, about the unmixed example
            after[net][i] = remembered(before[net, i].tolist(), p_of(X[i], W[1 - net]), 0.9)
        for b in range(B):
            i, j, m = int(index[b]), int(index[(b - net - 1) % B]), weight[net]
            p = p_of(m * X[i] + (1 - m) * X[j], W[net])
            q = [m * a + (1 - m) * c for a, c in zip(after[net][i], after[net][j])]
            total -= (m * math.log(p[Y[i]]) + (1 - m) * math.log(p[Y[j]])) / B
            total += r * 2 * math.log(1 - sum(a * c for a, c in zip(q, clip(p)))) / B
    assert float(loss) == pytest.approx(total, rel=1e-6)  # the ramp has a length of 0.8 + 1e-9
    torch.testing.assert_close(changed["targets"], torch.tensor(after, dtype=torch.float64))
    assert torch.equal(before, state["targets"])  # what it was given is left alone


def test_what_is_remembered_is_a_constant():
    w = W[0].clone().requires_grad_()
    state = begin(ELR())
    loss, changed = ELR(decay=0.0).objective(lambda x: x @ w, batch_of(state, torch.arange(B)))
    p = (X[:B] @ w).softmax(-1)
    wants = (-p[torch.arange(B), Y[:B]].log() + 3 * torch.log(1 - (p.detach() * p).sum(-1))).mean()
    torch.testing.assert_close(torch.autograd.grad(loss, w)[0], torch.autograd.grad(wants, w)[0])
    assert not changed["targets"].requires_grad


def test_without_strength_it_is_cross_entropy(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, **QUICK)
    plain = fit(CrossEntropy())
    for a, b in zip(plain, fit(ELR(strength=0.0))):
        assert all(torch.equal(a.params[k], b.params[k]) for k in a.params)
    for a, b in zip(plain, fit(ELRPlus(strength=0.0, alpha=0.0))):
        assert all(torch.equal(a.params[k], b.params[f"0.{k}"]) for k in a.params)


def test_mixing_weights_are_drawn_per_network():
    drawn = ELRPlus().draw(generator(0, "method", 0), 400, 8)["weight"]
    assert drawn.shape == (400, 2) and abs(drawn.mean() - 0.5) < 0.05
    assert abs(float(torch.corrcoef(torch.from_numpy(drawn.T))[0, 1])) < 0.15
    assert (ELRPlus(alpha=0.0).draw(generator(0, "method", 0), 4, 8)["weight"] == 1).all()


@pytest.mark.parametrize("make", [ELR, ELRPlus])
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, make):
    method = make(strength=lk.sweep(1.0, 3.0))
    together = lk.fit(small, Symmetric(0.3), methods=method, seeds=3, lanes=8, **QUICK)
    alone = lk.fit(small, Symmetric(0.3), methods=method, seeds=[1], lanes=1, **QUICK)
    mine = together.where(seed=1)
    torch.testing.assert_close(mine.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(mine.kept("targets"), alone.kept("targets"), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.6).all()
    total = together.kept("targets").sum(-1)
    assert (total <= 1 + 1e-9).all() and (total > 0.5).double().mean() > 0.9  # three visits: 1 - 0.7^3
