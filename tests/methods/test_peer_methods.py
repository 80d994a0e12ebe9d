"""Peer loss, f-divergence, CORES: pairing, ramp, sieve and prior against slow twins, and in a fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import CORES, FDivergence, PeerLoss
from labkit.methods.base import Batch, Start

B, K = 6, 3
Z = torch.randn(B, K, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
Y = torch.tensor([0, 1, 2, 0, 1, 1])


def batch(turn=2, progress=0.5, state=None, index=None):
    index = torch.arange(B) if index is None else index
    progress = torch.tensor(progress, dtype=torch.float64)
    return Batch(torch.zeros(B, 1), Labels(Y, K), index, progress, state or {}, {"turn": torch.tensor(turn)})


def step(method, **options):
    loss, changed = method.objective(lambda x: Z, batch(**options))
    return float(loss), changed


def ce(i, k, floor=0.0):
    return -math.log(float(Z[i].softmax(-1)[k]) + floor)


@pytest.mark.parametrize(("alpha", "turn"), [(0.0, 1), (1.0, 2), (3.0, 5)])
def test_peer_loss_in_loops(alpha, turn):
    by_hand = sum(ce(i, Y[i], 1e-5) - alpha * ce(i, Y[(i + turn) % B], 1e-5) for i in range(B)) / B / (1 + alpha)
    assert step(PeerLoss(alpha), turn=turn)[0] == pytest.approx(by_hand)


def test_nobody_is_its_own_peer_and_all_others_come_up():
    turns = PeerLoss().draw(np.random.default_rng(0), 500, B)["turn"]
    assert set(turns) == set(range(1, B)) and turns.shape == (500,)
    with pytest.raises(ValueError, match="PeerLoss pairs examples of a batch"):
        PeerLoss().draw(np.random.default_rng(0), 5, 1)


def test_f_divergence_warms_up_with_cross_entropy():
    method = FDivergence("kl", warm=0.3)
    assert step(method, progress=0.29)[0] == pytest.approx(sum(ce(i, Y[i]) for i in range(B)) / B)
    p = Z.softmax(-1)
    by_hand = sum(math.exp(p[i, Y[(i + 2) % B]] - 1) - p[i, Y[i]] for i in range(B)) / B
    assert step(method, progress=0.3)[0] == pytest.approx(float(by_hand))
    with pytest.raises(ValueError, match="unknown divergence 'chi'"):
        FDivergence("chi")


def cores_state(method, labels):
    n = len(labels)
    start = Start(torch.zeros(n, 1), Labels(labels, K), K, 0, np.random.default_rng(0), torch.arange(n))
    return {k: v.double() for k, v in method.setup(start).items()}


@pytest.mark.parametrize("progress", [0.05, 0.25, 0.35, 0.9])
def test_cores_in_loops(progress):
    labels = torch.tensor([0, 1, 2, 0, 1, 1, 2, 2])
    method = CORES()
    state = cores_state(method, labels)
    index = torch.tensor([0, 1, 2, 3, 4, 5])
    loss, changed = step(method, progress=progress, state=state, index=index)
    beta = 2 * min(1, max(0, (progress - 0.1) / 0.3))
    prior = [2 / 8, 3 / 8, 3 / 8]
    total, kept = 0.0, []
    for i in range(B):
        reward = sum(prior[k] * ce(i, k, 1e-8) for k in range(K))
        keep = progress < 0.3 or ce(i, Y[i]) <= sum(ce(i, k) for k in range(K)) / K
        kept.append(float(keep))
        total += keep * (ce(i, Y[i]) - beta * reward)
    assert loss == pytest.approx(total / max(1, sum(kept)) / (1 + beta))
    assert changed["kept"].tolist() == [*kept, 1, 1]
    assert (progress < 0.3) == (min(kept) == 1)  # the sieve works, and not before its time


def test_the_prior_is_counted_over_what_was_kept():
    labels = torch.tensor([0, 1, 2, 0, 1, 1, 2, 2])
    state = cores_state(method := CORES(), labels)
    state["kept"] = torch.tensor([1, 0, 1, 1, 0, 1, 0, 0]).double()
    assert method.end_epoch(state, None)["prior"].tolist() == [2 / 4, 1 / 4, 1 / 4]
    state["kept"] *= 0  # an empty sieve: the old prior, and no error
    assert method.end_epoch(state, None)["prior"].tolist() == [2 / 8, 3 / 8, 3 / 8]
    z = torch.zeros(B, K, dtype=torch.float64).index_put((torch.arange(B), Y), torch.tensor(-9.0).double())
    loss, changed = method.objective(lambda x: z, batch(progress=0.9, state=state))
    assert float(loss) == 0 and changed["kept"][:B].sum() == 0


METHODS = {
    "peer": PeerLoss(lk.sweep(0.5, 1.0)),
    "peer in stages": PeerLoss(lk.Stages(0.0, 1.0, at=lk.sweep(0.2, 0.5))),
    "f": FDivergence("jeffrey", warm=lk.sweep(0.0, 0.5)),
    "cores": CORES(beta=lk.sweep(0.5, 2.0)),
}


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, name):
    options = dict(methods=METHODS[name], epochs=4, dtype="float64", batch_size=32, compile=False, progress=False)
    together = lk.fit(small, Symmetric(0.2), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, Symmetric(0.2), seeds=[1], lanes=1, **options)
    for a, b in zip(together, alone):
        assert a.values == b.values and not a.diverged
        for key, value in a.params.items():
            torch.testing.assert_close(value, b.params[key], rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.6).all()
