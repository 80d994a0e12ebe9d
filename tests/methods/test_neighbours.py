"""Collective bootstrapping and prototype correction against loops over examples."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.methods.base import Batch, Start
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)
N, B, D, K, Q = 12, 4, 5, 3, 6
RNG = generator(0, "data")
HEAD = torch.from_numpy(RNG.normal(0, 1, (D, K)))
FEATURES = torch.from_numpy(RNG.normal(0, 1, (N, D))).relu()
LABELS = torch.from_numpy(RNG.integers(0, K, N))


def network(features=FEATURES):
    """x is the position of an example; its features are a table, the head is linear."""
    head = lambda f: f @ HEAD
    return SimpleNamespace(features=lambda x: features[x], head=head)


def norm(v):
    size = math.sqrt(sum(a * a for a in v))
    return [a / size for a in v] if size > 0 else list(v)


def softmax(z):
    top = max(z)
    e = [math.exp(a - top) for a in z]
    return [a / sum(e) for a in e]


dot = lambda a, b: sum(x * y for x, y in zip(a, b))


class Slow:
    """The method for one run, in lists of floats."""

    def __init__(self, method):
        self.method, self.memory, self.prototypes = method, [], [[0.0] * D for _ in range(K)]

    def step(self, index, progress):
        m = self.method
        begun = progress >= m.warm
        f = {i: FEATURES[i].tolist() for i in index}
        logits = lambda v: (torch.tensor(v, dtype=torch.float64) @ HEAD).tolist()
        self.memory = ([f[i] for i in index] + self.memory)[: m.queue]
        middle = [sum(v[j] for v in self.memory) / len(self.memory) for j in range(D)]
        direction = lambda v: norm([a - b for a, b in zip(v, middle)])

        def guess(v):
            own = softmax(logits(v))
            near = softmax([dot(direction(v), c) / m.temperature for c in self.prototypes])
            return [m.share * a + (1 - m.share) * b for a, b in zip(own, near)]

        total, kept, fates, labelled = 0.0, 0, [], []
        for i in index:
            y, g, fate = int(LABELS[i]), guess(f[i]), 0
            if m.correct and begun:
                if max(g) >= m.threshold:
                    fate = int(g.index(max(g)) != y)
                    y = g.index(max(g))
                elif g[y] < 1 / K:
                    fate = 2
            fates.append(fate)
            if fate == 2:
                continue
            labelled.append((i, y))
            b = g
            if m.neighbours:
                w = [min(max(dot(direction(f[i]), direction(v)), 0), 1) + 1e-7 for v in self.memory]
                b = [sum(a * guess(v)[k] for a, v in zip(w, self.memory)) / sum(w) for k in range(K)]
            p, beta = softmax(logits(f[i])), m.weight * begun
            total -= (1 - beta) * math.log(p[y]) + beta * sum(b[k] * math.log(p[k]) for k in range(K))
            kept += 1
        for k in range(K):
            mine = [direction(f[i]) for i, y in labelled if y == k]
            if mine:
                left = m.momentum ** len(mine)
                mean = [sum(v[j] for v in mine) / len(mine) for j in range(D)]
                self.prototypes[k] = norm([left * a + (1 - left) * b for a, b in zip(self.prototypes[k], mean)])
        return total / max(kept, 1), fates


CASES = {
    "neighbours": dict(weight=0.4),
    "oneself": dict(weight=0.4, neighbours=False),
    "prototypes only": dict(weight=0.7, share=0.0, temperature=0.5),
    "correction": dict(weight=0.3, correct=True, threshold=0.55),
    "strict correction": dict(weight=0.3, correct=True, threshold=0.65, neighbours=False),
}


@pytest.mark.parametrize("name", CASES)
def test_is_the_slow_twin(name):
    method = m.CollectiveBootstrapping(**{"momentum": 0.9, "queue": Q, "width": D, "warm": 0.2, **CASES[name]})
    state = method.setup(Start(torch.zeros(N, 1), lk.Labels(LABELS, K), K, 0, generator(0, "method"), torch.arange(N)))
    state = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    slow, seen, rng = Slow(method), set(), generator(1, "data")
    for step in range(8):
        index, progress = torch.from_numpy(rng.permutation(N)[:B]), step / 8
        batch = Batch(index, lk.Labels(LABELS[index], K), index, torch.tensor(progress, dtype=torch.float64), state, {})
        loss, changed = method.objective(network(), batch)
        expected, fates = slow.step(index.tolist(), progress)
        assert loss.item() == pytest.approx(expected)
        assert changed["fate"][index].tolist() == fates
        filled = int(changed["filled"].sum())
        assert filled == len(slow.memory) == min(Q, B * (step + 1))
        torch.testing.assert_close(changed["keys"][:filled], torch.tensor(slow.memory, dtype=torch.float64))
        torch.testing.assert_close(changed["prototypes"], torch.tensor(slow.prototypes, dtype=torch.float64))
        state, seen = {**state, **changed}, seen | set(fates)
    assert seen == ({0, 1, 2} if "correction" in name else {0})


def one_step(method, progress=1.0):
    state = method.setup(Start(torch.zeros(N, 1), lk.Labels(LABELS, K), K, 0, generator(0, "method"), torch.arange(N)))
    state = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    index = torch.arange(N)
    return method.objective(network(), Batch(index, lk.Labels(LABELS, K), index, torch.tensor(progress), state, {}))[0]


def test_without_weight_or_before_the_warm_up_it_is_cross_entropy():
    plain = torch.nn.functional.cross_entropy(FEATURES @ HEAD, LABELS)
    torch.testing.assert_close(one_step(m.CollectiveBootstrapping(weight=0.0, width=D)), plain)
    torch.testing.assert_close(one_step(m.CollectiveBootstrapping(weight=0.9, correct=True, width=D), 0.1), plain)


def test_asking_only_oneself_without_prototypes_is_soft_bootstrapping():
    loss = one_step(m.CollectiveBootstrapping(weight=0.3, share=1.0, neighbours=False, width=D))
    z = FEATURES @ HEAD
    p = z.softmax(-1)
    soft = -(p * p.log()).sum(-1)
    plain = torch.nn.functional.cross_entropy(z, LABELS, reduction="none")
    torch.testing.assert_close(loss, (0.7 * plain + 0.3 * soft).mean())


def test_targets_are_constants():
    """The gradient in the logits is p - target: what the neighbours say is not differentiated."""
    features = FEATURES.clone().requires_grad_()
    method = m.CollectiveBootstrapping(weight=1.0, share=0.3, width=D, warm=0.0)
    state = method.setup(Start(torch.zeros(N, 1), lk.Labels(LABELS, K), K, 0, generator(0, "method"), torch.arange(N)))
    state = {k: v.double() if v.is_floating_point() else v for k, v in state.items()}
    index = torch.arange(N)
    batch = Batch(index, lk.Labels(LABELS, K), index, torch.tensor(1.0), state, {})
    method.objective(network(features), batch)[0].backward()
    p, f = (FEATURES @ HEAD).softmax(-1), FEATURES - FEATURES.mean(0)
    unit = torch.nn.functional.normalize(f, dim=-1)
    w = (unit @ unit.T).clamp(0, 1) + 1e-7
    b = (w / w.sum(1, keepdim=True)) @ (0.3 * p + 0.7 / K)  # prototypes are still zero
    torch.testing.assert_close(features.grad, (p - b) @ HEAD.T / N)


@pytest.mark.parametrize("name", ["neighbours", "correction"])
def test_alone_and_in_a_fleet_the_numbers_are_equal(name):
    data = lk.load("gaussians", n=200)
    method = m.CollectiveBootstrapping(**{**CASES[name], "weight": lk.sweep(0.2, 0.5), "queue": 100})
    options = dict(methods=method, dtype="float64", **QUICK)
    together = lk.fit(data, Symmetric(0.3), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, Symmetric(0.3), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()


def test_refusals():
    with pytest.raises(ValueError, match="count from 1"):
        m.CollectiveBootstrapping(queue=0)
