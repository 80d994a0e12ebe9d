"""Self-evolution mixup against a slow twin, its settings, its curriculum, and in a fleet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.evidence import Labels
from labkit.methods import SelfEvolutionMixup
from labkit.methods.base import Batch

B, K = 6, 3


class Net:
    """Two matrices: features tanh(x A), logits h W."""

    def __init__(self):
        g = torch.Generator().manual_seed(0)
        self.a, self.w = (torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_() for s in ((4, 5), (5, K)))

    def features(self, x):
        return torch.tanh(x @ self.a)

    def head(self, h):
        return h @ self.w


def batch_of(method, progress=0.0, difficulty=None, index=None):
    g = torch.Generator().manual_seed(1)
    x, y = torch.randn(B, 4, generator=g, dtype=torch.float64), torch.arange(B) % K
    draws = {"weight": torch.rand(B, generator=g, dtype=torch.float64)}
    state = {} if difficulty is None else {"difficulty": difficulty}
    index = torch.arange(B) if index is None else index
    return Batch(x, Labels(y, K), index, torch.tensor(progress, dtype=torch.float64), state, draws)


def slow(method, net, batch, who):
    """The equation in loops; ``who`` are the members that are mixed, in order."""
    y, m = batch.evidence.labels, batch.draws["weight"]
    h = net.features(batch.x).detach()
    p = net.head(h).softmax(-1).detach()
    target = []
    for i in range(B):
        rest = p[i] if method.towards == "model" else torch.full((K,), 1 / K, dtype=torch.float64)
        target.append([method.keep * (k == y[i]) + (1 - method.keep) * rest[k] for k in range(K)])
    total = method.originals * sum(F.cross_entropy(net.head(h[i : i + 1]), y[i : i + 1]) for i in range(B))
    for place, i in enumerate(who):
        j = who[(place + 1) % len(who)]
        log_p = net.head(m[place] * h[i] + (1 - m[place]) * h[j]).log_softmax(-1)
        for k in range(K):
            total = total - (m[place] * target[i][k] + (1 - m[place]) * target[j][k]) * log_p[k]
    return total / (method.originals * B + len(who))


@pytest.mark.parametrize("options", [
    dict(keep=1.0), dict(keep=0.7), dict(keep=0.7, towards="uniform"), dict(keep=0.5, originals=0.0)])  # fmt: skip
def test_equals_the_slow_twin(options):
    net, method = Net(), SelfEvolutionMixup(curriculum=False, **options)
    batch = batch_of(method)
    loss, changed = method.objective(net, batch)
    torch.testing.assert_close(loss, slow(method, net, batch, list(range(B))))
    assert changed == {}


def test_the_models_own_prediction_is_a_constant():
    net, method = Net(), SelfEvolutionMixup(keep=0.0, curriculum=False, originals=0.0)
    loss, _ = method.objective(net, batch := batch_of(method))
    (found,) = torch.autograd.grad(loss, net.w)
    h = net.features(batch.x).detach()
    w = net.w.detach().clone().requires_grad_()
    m = batch.draws["weight"][:, None]
    mix = lambda v: m * v + (1 - m) * v.roll(-1, 0)
    fixed = (h @ net.w).softmax(-1).detach()
    torch.autograd.backward(F.cross_entropy(mix(h) @ w, mix(fixed)))
    torch.testing.assert_close(found, w.grad)


def test_the_curriculum_takes_the_easier_half_then_the_harder():
    net, method = Net(), SelfEvolutionMixup()
    seen = torch.full((10,), 100.0, dtype=torch.float64)  # six of ten are in the batch: the others are hard
    now = F.cross_entropy(net.head(net.features(batch_of(method).x)), torch.arange(B) % K, reduction="none").tolist()
    easy = [i for i in range(B) if now[i] <= sorted([*now, 100, 100, 100, 100])[4]]
    hard = [i for i in range(B) if i not in easy]
    assert len(easy) == 5
    for progress, who in ((0.1, list(range(B))), (0.3, easy), (0.7, hard)):
        batch = batch_of(method, progress, seen)
        loss, changed = method.objective(net, batch)
        torch.testing.assert_close(loss, slow(method, net, batch, who))
        np.testing.assert_allclose(changed["difficulty"][:B].detach(), now)
        assert (
            (changed["difficulty"][B:] == 100).all() and (seen == 100).all() and not changed["difficulty"].requires_grad
        )


def test_a_batch_without_members_of_the_half_trains_on_originals():
    net, method = Net(), SelfEvolutionMixup()
    seen = torch.full((20,), -1.0, dtype=torch.float64)  # the rest of the data is easier
    batch = batch_of(method, 0.3, seen)
    torch.testing.assert_close(method.objective(net, batch)[0], slow(method, net, batch, []))
    alone = SelfEvolutionMixup(originals=0.0)
    assert method.objective(net, batch)[0] > 0 and alone.objective(net, batch)[0] == 0


def test_weights_are_beta_and_a_wrong_target_is_refused():
    from scipy import stats

    weights = SelfEvolutionMixup(alpha=0.4).draw(np.random.default_rng(0), 500, 8)["weight"]
    assert weights.shape == (500, 8) and stats.kstest(weights.ravel(), stats.beta(0.4, 0.4).cdf).pvalue > 0.01
    with pytest.raises(ValueError, match="towards is one of model, uniform"):
        SelfEvolutionMixup(towards="teacher")


@pytest.mark.parametrize("method", [
    SelfEvolutionMixup(keep=lk.sweep(0.5, 0.9)), SelfEvolutionMixup(alpha=lk.sweep(0.3, 2.0), towards="uniform")
])  # fmt: skip
def test_alone_and_in_a_fleet_alike(method, small):
    options = dict(methods=method, epochs=3, dtype="float64", batch_size=32, compile=False, progress=False)
    together, alone = lk.fit(small, seeds=3, lanes=8, **options), lk.fit(small, seeds=[1], lanes=1, **options)
    for a, b in zip(together.where(seed=1), alone):
        assert a.values == b.values and not a.diverged
        for name, value in a.params.items():
            torch.testing.assert_close(value, b.params[name], rtol=1e-12, atol=1e-12)
