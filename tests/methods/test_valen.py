from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import FlippedCandidates
from labkit.evidence import Candidates
from labkit.methods.base import Batch, Start
from labkit.methods.valen import TRIES, log_gamma_draw

N, K = 8, 4
G = torch.Generator().manual_seed(0)
X = torch.randn(N, 3, generator=G, dtype=torch.float64)
NET, ENCODER = (torch.randn(3, K, generator=G, dtype=torch.float64) for _ in range(2))
QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False)


def sets():
    mask = torch.rand(N, K, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[torch.arange(N), torch.arange(N) % K] = True
    return mask


def begin(method, mask):
    start = Start(X, Candidates(mask), K, 0, np.random.default_rng(0), torch.arange(N))
    return {k: v.double() for k, v in method.setup(start).items()}


def step(method, state, index, progress, mask, seed=0, weights=(NET, ENCODER)):
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(np.random.default_rng(seed), 1, len(index)).items()}
    at = torch.tensor(progress, dtype=torch.float64)
    pair = (lambda x: x @ weights[0], lambda x: x @ weights[1])
    loss, changed = method.objective(pair, Batch(X[index], Candidates(mask)[index], index, at, state, draws))
    return loss, changed, draws


def log_gamma_twin(shape, normal, accept, boost):
    """One draw in plain numbers: try until accepted."""
    d = shape + 1 - 1 / 3
    for x, log_u in zip(normal, accept):
        v = (1 + x / np.sqrt(9 * d)) ** 3
        if v > 0 and log_u < x * x / 2 + d - d * v + d * np.log(v):
            return np.log(d * v) + boost / shape
    raise AssertionError("no try was accepted")


def twin(said, targets, index, mask, draws, encoder, prior, begun):
    z, a = (X[index] @ NET).tolist(), (X[index] @ ENCODER).tolist()
    p, s = ([np.exp(row) / np.exp(row).sum() for row in map(np.array, t)] for t in (z, a))
    total, new_said, new_targets = 0.0, [], []
    for i, place in enumerate(index.tolist()):
        on = mask[place].numpy()
        total -= (targets[place] * np.log(p[i])).sum()
        if begun:
            alpha = np.clip(np.exp(np.array(a[i]) / 4), 0.01, 30)
            total -= encoder * (said[place] * np.log(s[i])).sum()
            total += prior * float(torch.distributions.kl_divergence(
                torch.distributions.Dirichlet(torch.tensor(alpha)),
                torch.distributions.Dirichlet(torch.ones(K, dtype=torch.float64))))  # fmt: skip
        o = np.where(on, p[i], 0) / p[i][on].sum()
        concentration = np.where(on, s[i], 0) / s[i][on].sum() + 0.01
        own = [[draws[k][i, c].tolist() for k in ("normal", "accept", "boost")] for c in range(K)]
        gamma = np.array([np.exp(log_gamma_twin(concentration[c], *own[c])) for c in range(K)])
        d = gamma / gamma.sum()  # a draw over all classes, then renormalised on the set
        d = np.where(on, d, 0) / d[on].sum()
        new_said.append(o)
        new_targets.append(d if begun else o)
    return total / len(index), new_said, new_targets


def test_equals_the_slow_twin_over_visits():
    method, mask = m.VALEN(encoder=0.6, prior=0.3, warm=0.2), sets()
    state = begin(method, mask)
    said = [np.array([v / sum(row) for v in row]) for row in mask.double().tolist()]
    targets = list(said)
    for seed, (index, progress) in enumerate([([0, 3, 5], 0.0), ([5, 1, 0], 0.2), ([0, 2, 5], 0.4), ([7, 5, 3], 0.9)]):
        index = torch.tensor(index)
        loss, changed, draws = step(method, state, index, progress, mask, seed)
        value, new_said, new = twin(said, targets, index, mask, draws, 0.6, 0.3, progress >= 0.2)
        assert float(loss) == pytest.approx(value)
        for i, o, d in zip(index.tolist(), new_said, new):
            said[i], targets[i] = o, d
        state = {**state, **changed}
        torch.testing.assert_close(state["said"], torch.from_numpy(np.stack(said)))
        torch.testing.assert_close(state["targets"], torch.from_numpy(np.stack(targets)))


@pytest.mark.parametrize("shape", [0.01, 0.3, 1.01])
def test_gamma_draws_follow_the_distribution(shape):
    from scipy import stats

    rng, n = np.random.default_rng(5), 20_000
    log = log_gamma_draw(
        torch.full((n,), shape, dtype=torch.float64), torch.from_numpy(rng.standard_normal((n, TRIES))),
        torch.from_numpy(-rng.standard_exponential((n, TRIES))), torch.from_numpy(-rng.standard_exponential(n)),
    )  # fmt: skip
    assert log.isfinite().all()
    # log Gamma(shape) in place of Gamma(shape): at 0.01 half of the draws are below 1e-30
    assert stats.kstest(log.numpy(), stats.loggamma(shape).cdf).pvalue > 0.01


def test_the_draw_is_a_dirichlet_on_the_set():
    """Mean and covariance of d: those of a Dirichlet over the candidates alone."""
    n, mask = 20_000, torch.tensor([True, True, False, True])
    method = m.VALEN(warm=0.0)
    start = Start(torch.zeros(n, 1), Candidates(mask.expand(n, K)), K, 0, None, torch.arange(n))
    state = {k: v.double() for k, v in method.setup(start).items()}
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(np.random.default_rng(1), 1, n).items()}
    a = torch.tensor([1.0, 0.0, 2.0, -1.0], dtype=torch.float64)
    pair = (lambda x: torch.zeros(n, K, dtype=torch.float64), lambda x: a.expand(n, K))
    batch = Batch(torch.zeros(n, 1), Candidates(mask.expand(n, K)), torch.arange(n), torch.tensor(0.5), state, draws)
    d = method.objective(pair, batch)[1]["targets"]
    s = a[mask].softmax(0) + 0.01
    of = torch.distributions.Dirichlet(s)
    assert (d[:, 2] == 0).all()
    torch.testing.assert_close(d.sum(1), torch.ones(n, dtype=torch.float64))
    torch.testing.assert_close(d[:, mask].mean(0), of.mean, atol=0.01, rtol=0)
    torch.testing.assert_close(d[:, mask].var(0), of.variance, atol=0.01, rtol=0)


def test_until_warm_it_is_proden_and_the_encoder_rests(small):
    methods = {"PRODEN": m.PRODEN(), "VALEN": m.VALEN(warm=2.0)}
    runs = lk.fit(small, FlippedCandidates(0.4), methods=methods, seeds=2, **QUICK)
    torch.testing.assert_close(runs["VALEN"].logits(), runs["PRODEN"].logits(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(runs["VALEN"].kept("targets"), runs["PRODEN"].kept("targets"), rtol=1e-12, atol=1e-12)
    fresh = lk.fit(small, FlippedCandidates(0.4), methods=m.VALEN(), seeds=2, **{**QUICK, "epochs": 0})
    for before, after in zip(fresh, runs["VALEN"]):
        assert torch.equal(before.params["1.head.weight"], after.params["1.head.weight"])


def test_extreme_logits_stay_finite():
    mask, index = sets(), torch.arange(N)
    weights = [(1e4 * w.sign()).requires_grad_() for w in (NET, ENCODER)]
    method = m.VALEN()
    loss, changed, _ = step(method, begin(method, mask), index, 0.9, mask, weights=weights)
    grads = torch.autograd.grad(loss, weights)
    assert loss.isfinite() and all(g.isfinite().all() for g in grads)
    assert all(v.isfinite().all() and (v.sum(1) - 1).abs().max() < 1e-9 for v in changed.values())


def test_no_gradient_through_the_draw_reaches_the_encoder():
    """With neither of its terms nothing moves it: what is left out (reconstruction) is all that would."""
    mask, index = sets(), torch.arange(N)
    method, weights = m.VALEN(encoder=0.0, prior=0.0), [w.clone().requires_grad_() for w in (NET, ENCODER)]
    loss, changed, _ = step(method, begin(method, mask), index, 0.9, mask, weights=weights)
    assert not torch.autograd.grad(loss, weights[1], allow_unused=True)[0].any()
    assert not changed["targets"].requires_grad


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    options = dict(methods=m.VALEN(encoder=lk.sweep(0.5, 1.0), warm=0.3), **QUICK)
    together = lk.fit(small, FlippedCandidates(0.4), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, FlippedCandidates(0.4), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(together.kept("targets"), alone.kept("targets"), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.6).all()  # 1/3 by chance
