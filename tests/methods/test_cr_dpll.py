from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import FlippedCandidates
from labkit.evidence import Candidates
from labkit.methods.base import Batch, Start

N, K = 8, 4
X = torch.randn(N, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
W = torch.randn(3, K, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False)


def sets():
    mask = torch.rand(N, K, generator=torch.Generator().manual_seed(2)) < 0.6
    mask[torch.arange(N), torch.arange(N) % K] = True
    return mask


def begin(method, mask):
    start = Start(X, Candidates(mask), K, 0, np.random.default_rng(0), torch.arange(N))
    return {k: v.double() for k, v in method.setup(start).items()}


def step(method, state, views, index, progress, mask, w=W):
    at = torch.tensor(progress, dtype=torch.float64)
    batch = Batch(views[0], Candidates(mask)[index], index, at, state, {}, {}, views)
    return method.objective(lambda x: x @ w, batch)


def drawn(index, seed):
    g = torch.Generator().manual_seed(seed)
    return tuple(X[index] + 0.5 * torch.randn(len(index), 3, generator=g, dtype=torch.float64) for _ in range(3))


def softmax(z):
    e = [np.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


def twin(targets, views, mask, weight, ramp, progress):
    """Loss and new targets of a batch, in loops over numbers."""
    total, renewed = 0.0, []
    for i in range(len(mask)):
        p = [softmax((v[i] @ W).tolist()) for v in views]
        total -= sum(np.log(1 - p[0][j]) for j in range(K) if not mask[i][j])
        for q in p:
            apart = sum(targets[i][j] * np.log(targets[i][j] / q[j]) for j in range(K) if targets[i][j] > 0)
            total += weight * min(1, progress / ramp) * apart
        mean = [(p[0][j] * p[1][j] * p[2][j]) ** (1 / 3) if mask[i][j] else 0 for j in range(K)]
        renewed.append([v / sum(mean) for v in mean])
    return total / len(mask), renewed


def test_equals_the_slow_twin_over_visits():
    method, mask = m.CRDPLL(weight=1.3, ramp=0.5), sets()
    state = begin(method, mask)
    hand = [[v / sum(row) for v in row] for row in mask.double().tolist()]  # 1/s on the set
    for visit, (index, progress) in enumerate([([0, 3, 5], 0.0), ([5, 1, 0], 0.2), ([0, 2, 5], 0.4), ([7, 5, 3], 0.9)]):
        index = torch.tensor(index)
        views = drawn(index, visit)
        loss, changed = step(method, state, views, index, progress, mask)
        value, renewed = twin([hand[i] for i in index], views, mask[index].tolist(), 1.3, 0.5, progress)
        assert float(loss) == pytest.approx(value)
        for i, row in zip(index.tolist(), renewed):
            hand[i] = row
        state = {**state, **changed}
        torch.testing.assert_close(state["targets"], torch.tensor(hand, dtype=torch.float64))


def test_divergences_are_summed_over_views_and_the_ramp_ends():
    """A public toolkit averages them: a third of the published weight."""
    method, mask, index = m.CRDPLL(), sets(), torch.arange(N)
    state, views = begin(method, mask), drawn(torch.arange(N), 3)
    at = lambda progress: float(step(method, state, views, index, progress, mask)[0])
    target = mask / mask.sum(1, keepdim=True)
    apart = sum(lk.losses.label_distribution(v @ W, target.double()).mean() for v in views)
    assert at(0.5) - at(0.0) == pytest.approx(float(apart)) and at(0.9) == pytest.approx(at(0.5))
    assert at(0.25) - at(0.0) == pytest.approx(float(apart) / 2)


def test_one_candidate_and_equal_views():
    index, mask = torch.arange(N), torch.eye(K, dtype=torch.bool)[torch.arange(N) % K]
    method, x = m.CRDPLL(ramp=0), X.clone()
    loss, changed = step(method, begin(method, mask), (x, x, x), index, 0.3, mask)
    outside = lk.losses.outside_cross_entropy(X @ W, mask)
    assert float(loss) == pytest.approx(float((outside + 3 * lk.losses.cross_entropy(X @ W, index % K)).mean()))
    assert torch.equal(changed["targets"], mask.double())


def test_equal_views_store_what_proden_stores():
    mask, x = sets(), X.clone()
    _, changed = step(m.CRDPLL(), begin(m.CRDPLL(), mask), (x, x, x), torch.arange(N), 0.3, mask)
    torch.testing.assert_close(changed["targets"], lk.losses.restricted(X @ W, mask))


def test_extreme_logits_stay_finite():
    mask, index = sets(), torch.arange(N)
    for scale in (1e4, -1e4):
        w = (scale * W.sign()).requires_grad_()
        loss, changed = step(m.CRDPLL(), begin(m.CRDPLL(), mask), drawn(index, 4), index, 1.0, mask, w)
        (grad,) = torch.autograd.grad(loss, w)
        assert loss.isfinite() and grad.isfinite().all() and changed["targets"].isfinite().all()


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    for augmentation in (None, lk.augment.Noise(0.2)):
        options = dict(methods=m.CRDPLL(weight=lk.sweep(0.5, 1.0)), augmentation=augmentation, **QUICK)
        together = lk.fit(small, FlippedCandidates(0.4), seeds=3, lanes=8, **options).where(seed=1)
        alone = lk.fit(small, FlippedCandidates(0.4), seeds=[1], lanes=1, **options)
        torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(together.kept("targets"), alone.kept("targets"), rtol=1e-12, atol=1e-12)
        assert (together.measure("accuracy")["value"] > 0.6).all()  # 1/3 by chance
