from __future__ import annotations

import numpy as np
import pytest
import torch
from test_able import DATA, MODEL, QUICK, K, N, X, answers, net, sets, views
from test_cr_dpll import softmax

import labkit as lk
from labkit import methods as m
from labkit.annotate import FlippedCandidates
from labkit.evidence import Candidates
from labkit.fleet.step import Net
from labkit.methods.base import Batch, Start
from labkit.models import MLP, WithProjection, embed, initialised

OTHER = initialised(WithProjection(MLP((6,)), outputs=3, hidden=(4,)), DATA, 1).double()
NUMBERS = dict(weight=0.7, temperature=0.2, prototype_decay=0.8, key_decay=0.6, patience=0.9, patience_end=0.5,
               warm=0.3, queue=7, width=3)  # fmt: skip


def begin(method, mask):
    params = {k: p.detach() for k, p in OTHER.named_parameters()}
    start = Start(X, Candidates(mask), K, 0, np.random.default_rng(0), torch.arange(N), params=params)
    return {k: v.double() if v.is_floating_point() else v for k, v in method.setup(start).items()}


class Twin:
    """The method, example after example, in lists of numbers (but for the two networks' own answers)."""

    def __init__(self, mask):
        self.t = [[v / sum(row) for v in row] for row in mask.double().tolist()]
        self.prototypes = [[0.0] * 3 for _ in range(K)]
        self.queue = []  # (embedding, class), the newest first
        self.key = {k: p.detach().clone() for k, p in OTHER.named_parameters()}

    def step(self, index, mask, seen, progress):
        n, b = NUMBERS, len(index)
        z, q = answers(seen[0])
        p = [softmax(row) for row in z]
        dot = lambda u, v: sum(a * c for a, c in zip(u, v))
        best = lambda i, score: max((c for c in range(K) if mask[i][c]), key=lambda c: score[c])
        said = [best(i, p[i]) for i in range(b)]
        nearest = [best(i, [dot(q[i], own) for own in self.prototypes]) for i in range(b)]  # before they move
        for i in range(b):  # one after the other
            m_ = n["prototype_decay"]
            self.prototypes[said[i]] = [m_ * u + (1 - m_) * v for u, v in zip(self.prototypes[said[i]], q[i])]
        lengths = [max(dot(u, u) ** 0.5, 1e-12) for u in self.prototypes]
        self.prototypes = [[v / length for v in u] for u, length in zip(self.prototypes, lengths)]
        decay = n["key_decay"]
        self.key = {k: decay * self.key[k] + (1 - decay) * v.detach() for k, v in MODEL.named_parameters()}
        k = embed(Net(MODEL, self.key), seen[1]).tolist()

        begun = progress >= n["warm"]
        phi = n["patience"] + progress * (n["patience_end"] - n["patience"])
        for i, place in enumerate(index.tolist()):
            if begun:
                self.t[place] = [phi * u + (1 - phi) * (c == nearest[i]) for c, u in enumerate(self.t[place])]
        told = -sum(self.t[place][c] * np.log(p[i][c]) for i, place in enumerate(index.tolist()) for c in range(K)) / b

        contrast = 0.0
        for i in range(b):
            if begun:
                others = [(q[j], said[j]) for j in range(b) if j != i] + list(zip(k, said)) + self.queue
                hits = [c == said[i] for _, c in others]
            else:
                others = [(k[i], None), *self.queue]
                hits = [True, *([False] * len(self.queue))]
            like = [dot(q[i], e) / n["temperature"] for e, _ in others]
            total = np.log(sum(np.exp(v) for v in like))
            contrast -= sum(v - total for v, hit in zip(like, hits) if hit) / sum(hits)
        self.queue = [*zip(k, said), *self.queue][: n["queue"]]
        return told + n["weight"] * contrast / b


@pytest.mark.parametrize("later", [0.0, 0.3])
def test_equals_the_slow_twin_over_visits(later):
    """A queue of 7 and batches of 5 and 4: no multiple of anything. Later it begins with an empty queue."""
    method, mask = m.PiCO(**NUMBERS), sets()
    state, hand = begin(method, mask), Twin(mask)
    visits = [([0, 3, 5, 9, 7], 0.0), ([9, 8, 1, 5], 0.2), ([9, 5, 0, 4, 3], 0.3), ([2, 5, 6, 9], 0.6), ([5, 9], 0.9)]
    for seed, (index, progress) in enumerate(visits):
        progress = min(progress + later, 1.0)
        index, at = torch.tensor(index), torch.tensor(progress, dtype=torch.float64)
        seen = views(index, seed)
        loss, changed = method.objective(net(), Batch(seen[0], Candidates(mask)[index], index, at, state, {}, {}, seen))
        assert float(loss.detach()) == pytest.approx(hand.step(index, mask[index].tolist(), seen, progress))
        state = {**state, **{k: v.detach() for k, v in changed.items()}}
        torch.testing.assert_close(state["targets"], torch.tensor(hand.t, dtype=torch.float64))
        torch.testing.assert_close(state["prototypes"], torch.tensor(hand.prototypes, dtype=torch.float64))
        filled = len(hand.queue)
        torch.testing.assert_close(state["queue"][:filled], torch.tensor([e for e, _ in hand.queue]).double())
        assert state["said"].tolist() == [c for _, c in hand.queue] + [-1] * (7 - filled)
        for name, p in hand.key.items():
            torch.testing.assert_close(state[f"key.{name}"], p)
    assert filled == 7


def test_the_second_encoder_is_a_constant_and_begins_as_the_first(small):
    class Look(m.PiCO):
        keeps = (*m.PiCO.keeps, "key.head.weight", "key.projection.0.weight")

    options = dict(model=WithProjection(MLP()), seeds=[3], **QUICK)
    still = lk.fit(small, FlippedCandidates(0.4), methods=Look(key_decay=1.0), **options)
    fresh = lk.fit(small, FlippedCandidates(0.4), methods=m.PiCO(), **{**options, "epochs": 0})
    follows = lk.fit(small, FlippedCandidates(0.4), methods=Look(key_decay=0.0), **options)
    for name in ("head.weight", "projection.0.weight"):
        assert torch.equal(still.kept(f"key.{name}")[0], fresh[0].params[name])
        last = follows[0].params[name]  # one step behind
        behind, way = (follows.kept(f"key.{name}")[0] - last).abs().max(), (last - fresh[0].params[name]).abs().max()
        assert 0 < behind < 0.1 * way


def test_targets_stay_until_warm_and_in_the_set_afterwards():
    mask, index = sets(), torch.arange(N)
    method = m.PiCO(**{**NUMBERS, "patience": 0.0, "patience_end": 0.0})
    state, seen = begin(method, mask), views(index, 0)
    at = lambda v: Batch(seen[0], Candidates(mask), index, torch.tensor(v).double(), state, {}, {}, seen)
    _, before = method.objective(net(), at(0.2))
    torch.testing.assert_close(before["targets"], mask / mask.sum(1, keepdim=True).double())
    state = {**state, **before}
    _, after = method.objective(net(), at(0.3))
    assert (after["targets"].sum(1) == 1).all() and (after["targets"].amax(1) == 1).all()
    assert (after["targets"] <= mask).all()


def test_with_one_candidate_it_is_supervised_contrastive_learning():
    mask, index = torch.eye(K, dtype=torch.bool)[torch.arange(N) % K], torch.arange(N)
    method, seen = m.PiCO(**{**NUMBERS, "warm": 0.0, "weight": 0.0}), views(torch.arange(N), 0)
    state = begin(method, mask)
    loss, changed = method.objective(
        net(), Batch(seen[0], Candidates(mask), index, torch.tensor(0.5).double(), state, {}, {}, seen)
    )
    assert float(loss.detach()) == pytest.approx(
        float(torch.nn.functional.cross_entropy(MODEL(seen[0]), index % K).detach())
    )
    assert torch.equal(changed["targets"], mask.double())


def test_extreme_logits_stay_finite():
    mask, index = sets(), torch.arange(N)
    params = {k: (1e4 * p.detach()).requires_grad_() for k, p in MODEL.named_parameters()}
    for progress in (0.0, 0.9):
        method, seen = m.PiCO(**NUMBERS), views(index, 0)
        at = torch.tensor(progress).double()
        batch = Batch(seen[0], Candidates(mask), index, at, begin(method, mask), {}, {}, seen)
        loss, changed = method.objective(Net(MODEL, params), batch)
        grads = torch.autograd.grad(loss, list(params.values()))
        assert loss.isfinite() and all(g.isfinite().all() for g in grads)
        assert all(v.isfinite().all() for v in changed.values())


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    method = m.PiCO(weight=lk.sweep(0.2, 0.5), key_decay=0.9, patience_end=0.5, queue=100)
    options = dict(methods=method, model=WithProjection(MLP()), augmentation=lk.augment.Noise(0.1), **QUICK)
    together = lk.fit(small, FlippedCandidates(0.4), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, FlippedCandidates(0.4), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-10, atol=1e-10)
    for name in method.keeps:
        torch.testing.assert_close(together.kept(name), alone.kept(name), rtol=1e-10, atol=1e-10)
    assert (together.measure("accuracy")["value"] > 0.7).all()


def test_what_it_refuses(small):
    with pytest.raises(ValueError, match="queue counts from 1 and width from 2, got 0"):
        m.PiCO(queue=0)
    with pytest.raises(TypeError, match="model=WithProjection"):
        lk.fit(small, FlippedCandidates(0.4), methods=m.PiCO(), seeds=1, **QUICK)
