from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Votes
from labkit.evidence import Labels, Soft
from labkit.methods import PerExampleSmoothing
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)


def start(shares, seed=0):
    n = len(shares)
    return Start(torch.zeros(n, 1), Soft(shares), shares.shape[1], seed, np.random.default_rng(seed), torch.arange(n))


def loss_of(method, shares, logits):
    state = method.setup(start(shares))
    index = torch.arange(len(shares))
    batch = Batch(torch.zeros(len(shares), 1), Soft(shares), index, torch.tensor(0.0), state, {})
    value, changed = method.objective(lambda x: logits, batch)
    assert changed == {}
    return float(value)


SHARES = torch.tensor([[1.0, 0, 0], [0.5, 0.3, 0.2], [0.0, 0.9, 0.1], [0.34, 0.33, 0.33]], dtype=torch.float64)
LOGITS = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def by_hand(amounts):
    total = 0.0
    for a, share, z in zip(amounts, SHARES.tolist(), LOGITS):
        log_p = torch.log_softmax(z, 0).tolist()
        m = share.index(max(share))
        total -= sum(((1 - a) * (k == m) + a / 3) * log_p[k] for k in range(3))
    return total / 4


def doubts():
    u = [-sum(p * np.log(p) for p in row if p > 0) for row in SHARES.tolist()]
    return [v / np.mean(u) for v in u]


@pytest.mark.parametrize("a", [0.0, 0.1, 0.9])
def test_is_the_equation(a):
    amounts = [min(1.0, a * v) for v in doubts()]
    assert loss_of(PerExampleSmoothing(a), SHARES, LOGITS) == pytest.approx(by_hand(amounts))
    uniform = loss_of(PerExampleSmoothing(a, control="uniform"), SHARES, LOGITS)
    assert uniform == pytest.approx(by_hand([np.mean(amounts)] * 4))


def test_the_control_holds_the_same_amounts_elsewhere():
    shares = torch.from_numpy(np.random.default_rng(1).dirichlet(np.ones(3), 200))
    own, other = (PerExampleSmoothing(0.1, control=c).setup(start(shares)) for c in ("none", "permuted"))
    torch.testing.assert_close(own["doubt"].sort().values, other["doubt"].sort().values)
    assert (own["doubt"] != other["doubt"]).double().mean() > 0.9 and torch.equal(own["majority"], other["majority"])
    assert float(own["doubt"].mean()) == pytest.approx(1)


def test_ties_are_even_and_no_doubt_is_cross_entropy():
    even = torch.tensor([[0.5, 0, 0.5]], dtype=torch.float64).expand(2000, 3)
    majority = PerExampleSmoothing().setup(start(even))["majority"]
    assert abs(float((majority == 0).double().mean()) - 0.5) < 0.05 and (majority != 1).all()
    sure = torch.eye(3, dtype=torch.float64)
    assert loss_of(PerExampleSmoothing(0.5), sure, LOGITS[:3]) == pytest.approx(
        float(torch.nn.functional.cross_entropy(LOGITS[:3], torch.arange(3)))
    )


def test_alone_and_in_a_fleet_the_numbers_are_equal():
    data = lk.load("gaussians", n=200)
    for control in ("none", "permuted", "uniform"):
        method = PerExampleSmoothing(lk.sweep(0.1, 0.3), control=control)
        options = dict(methods=method, dtype="float64", **QUICK)
        together = lk.fit(data, Votes(5), seeds=3, lanes=8, **options).where(seed=1)
        alone = lk.fit(data, Votes(5), seeds=[1], lanes=1, **options)
        torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
        assert (together.measure("accuracy")["value"] > 0.5).all()


def test_what_it_refuses():
    with pytest.raises(ValueError, match="none, permuted, uniform, got 'shuffled'"):
        PerExampleSmoothing(control="shuffled")
    assert not issubclass(Labels, PerExampleSmoothing.accepts)
