"""The third phase of PES against a slow twin, and all three phases in a fleet."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import ConfidentExamples
from labkit.methods.base import Batch, Start

N, B, K = 8, 4, 3
LABELS = torch.tensor([0, 1, 2, 0, 1, 1, 2, 2])
G = torch.Generator().manual_seed(3)
FIRST, SECOND = (torch.randn(B, K, generator=G, dtype=torch.float64) for _ in range(2))


class Before:
    """Runs of an earlier phase that say class 1 of everything."""

    def predict_one(self, x):
        return torch.tensor([[0.0, 1.0, 0.0]]).expand(len(x), K)


def state_of(method):
    start = Start(torch.zeros(N, 1), Labels(LABELS, K), K, 0, np.random.default_rng(0), torch.arange(N))
    return {k: v.double() for k, v in method.setup(start).items()}


def test_weights_even_out_the_confident_examples():
    state = state_of(ConfidentExamples())
    assert state["confident"].tolist() == [1] * N and state["weight"].tolist() == pytest.approx([8 / 6, 8 / 9, 8 / 9])
    state = state_of(ConfidentExamples(first=Before()))
    assert state["confident"].tolist() == [0, 1, 0, 0, 1, 1, 0, 0]
    assert state_of(ConfidentExamples(balanced=False))["weight"].tolist() == [1, 1, 1]


def test_in_loops():
    method, index = ConfidentExamples(), torch.tensor([6, 1, 3, 4])
    state = state_of(method)
    state["confident"] = torch.tensor([0, 1, 0, 1, 0, 1, 1, 1]).double()
    views = (torch.zeros(B, 1), torch.ones(B, 1))
    batch = Batch(views[0], Labels(LABELS[index], K), index, torch.tensor(0.5), state, {}, views=views)
    net = lambda x: FIRST if x is views[0] else SECOND
    loss, changed = method.objective(net, batch)
    total = norm = 0.0
    for b, i in enumerate(index.tolist()):
        y = int(LABELS[i])
        weight = float(state["weight"][y] * state["confident"][i])
        total -= weight * float(FIRST[b].log_softmax(-1)[y])
        norm += weight
        mean = FIRST[b].softmax(-1) + SECOND[b].softmax(-1)
        assert bool(changed["seen"][i]) == (int(mean.argmax()) == y)
    assert float(loss) == pytest.approx(total / norm)
    ended = method.end_epoch({**state, **changed}, None)
    assert torch.equal(ended["confident"], changed["seen"])
    counts = [float(sum(changed["seen"][i] for i in range(N) if LABELS[i] == k)) for k in range(K)]
    assert ended["weight"].tolist() == pytest.approx([np.mean(counts) / max(1, c) for c in counts])


def test_nobody_confident_is_no_error():
    state = state_of(method := ConfidentExamples())
    state["confident"] *= 0
    batch = Batch(torch.zeros(B, 1), Labels(LABELS[:B], K), torch.arange(B), torch.tensor(0.5), state, {},
                  views=(torch.zeros(B, 1),) * 2)  # fmt: skip
    assert float(method.objective(lambda x: FIRST, batch)[0]) == 0
    assert method.end_epoch({**state, "seen": state["confident"]}, None)["weight"].isfinite().all()


def test_three_phases_alone_and_in_a_fleet(small):
    def phases(seeds, lanes):
        fixed = dict(seeds=seeds, lanes=lanes, dtype="float64", batch_size=32, compile=False, progress=False)
        plain, adam = lk.methods.CrossEntropy(), lk.AdamW(lr=1e-3)
        first = lk.fit(small, Symmetric(0.4), methods=plain, epochs=3, **fixed)
        second = lk.fit(small, Symmetric(0.4), methods=plain, epochs=2, start=first, fresh=("head",), only=("head",),
                        optimiser=adam, **fixed)  # fmt: skip
        third = lk.fit(small, Symmetric(0.4), methods=ConfidentExamples(first=second), epochs=3, start=second, **fixed)
        return first, second, third

    together, alone = phases(3, 8), phases([1], 1)
    for a, b in zip((r.where(seed=1) for r in together), alone):
        for name, value in a[0].params.items():
            torch.testing.assert_close(value, b[0].params[name], rtol=1e-12, atol=1e-12)
    body = "body.1.0.weight" if "body.1.0.weight" in alone[0][0].params else next(iter(alone[0][0].params))
    assert torch.equal(alone[0][0].params[body], alone[1][0].params[body])  # phase 2 trains the head only
    assert not torch.equal(alone[1][0].params[body], alone[2][0].params[body])  # phase 3 trains all of it
    confident = together[2].kept("confident").bool()
    wrong = together[2].told("train") != together[2].labels("train")
    assert wrong[confident].double().mean() < 0.5 * wrong.double().mean()
