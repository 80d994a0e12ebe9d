from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import FlippedCandidates, InstanceCandidates, weak_posterior
from labkit.evidence import Candidates, Complementary
from labkit.methods.base import Batch, Start
from labkit.methods.purification import Listening, shrunk

N, K = 12, 4
X = torch.arange(N, dtype=torch.float64)[:, None]
QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False, evaluate_every=4)


def sets(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(N, K, generator=g) < 0.7
    mask[torch.arange(N), torch.arange(N) % K] = True
    mask[0] = torch.tensor([True, False, False, False])
    return mask


def train(method, evidence, tables, epochs, skip=()):
    """A run by hand: epoch e answers with ``tables[e]``; in the epochs of ``skip`` the first example is not seen."""
    start = Start(X, evidence, K, 0, np.random.default_rng(0), torch.arange(N))
    state = {k: v.double() if v.is_floating_point() else v for k, v in method.setup(start).items()}
    book = []
    for e in range(epochs):
        net = lambda x: tables[e][x[:, 0].long()]  # noqa: B023
        for index in (torch.arange(6), torch.arange(6, N)):
            index = index[1:] if e in skip and 0 in index else index
            at = torch.tensor(e / epochs, dtype=torch.float64)
            loss, changed = method.objective(net, Batch(X[index], evidence[index], index, at, state, {}))
            state = {**state, **changed}
        ended = torch.tensor((e + 1) / epochs, dtype=torch.float64)
        state = {**state, **method.end_epoch(state, ended)}
        book.append((float(loss), state))
    return book


def tables(epochs, seed=1):
    g = torch.Generator().manual_seed(seed)
    return [2 * torch.randn(N, K, generator=g, dtype=torch.float64) for _ in range(epochs)]


def twin(mask, logits, epochs, threshold, growth, most, few, warm, every, ring, skip=()):
    """The rule in loops over numbers: sets and thresholds after every epoch."""
    left = [[bool(v) for v in row] for row in mask.tolist()]
    now = [[v / sum(row) for v in row] for row in left]
    targets = [row[:] for row in now]
    past, theta, out = [], threshold, []
    for e in range(epochs):
        for i in range(N):
            if e in skip and i == 0:
                continue
            p = np.exp(logits[e][i].numpy())
            p = [float(p[j]) if left[i][j] else 0.0 for j in range(K)]
            now[i] = [v / sum(p) for v in p]
            targets[i] = now[i][:]
        past = [[row[:] for row in now], *past][:ring]
        if (e + 1) % every == 0 and (e + 1) / epochs >= warm:
            gone = 0
            for i in range(N):
                a = [sum(held[i][j] for held in past) / len(past) if left[i][j] else 0.0 for j in range(K)]
                lost = [j for j in range(K) if left[i][j] and a[j] < theta * max(a)]
                for j in lost:
                    left[i][j] = False
                gone += len(lost)
                if lost:
                    rest = sum(a[j] for j in range(K) if left[i][j])
                    targets[i] = [a[j] / rest if left[i][j] else 0.0 for j in range(K)]
            if gone < few * N * K and theta < most:
                theta *= 1 + growth
        out.append((torch.tensor(left), torch.tensor(targets, dtype=torch.float64), theta))
    return out


@pytest.mark.parametrize("numbers", [
    dict(threshold=0.2, growth=0.5, most=0.6, few=0.03, warm=0.0, every=1, ring=3),
    dict(threshold=0.1, growth=1.0, most=0.4, few=0.5, warm=0.4, every=2, ring=2),
    dict(threshold=0.3, growth=0.2, most=0.4, few=0.03, warm=0.0, every=3, ring=5),
])  # fmt: skip
def test_equals_the_slow_twin(numbers):
    mask, script, epochs, skip = sets(), tables(9), 9, (0, 4)
    book = train(m.POP(**numbers), Candidates(mask), script, epochs, skip)
    hand = twin(mask, script, epochs, skip=skip, **numbers)
    for e, ((_, state), (left, targets, theta)) in enumerate(zip(book, hand)):
        assert torch.equal(state["purified"], left), e
        torch.testing.assert_close(state["own.targets"], targets)
        assert numbers["threshold"] * (1 + numbers["growth"]) ** float(state["raised"]) == pytest.approx(theta)
    assert (hand[-1][0].sum() < mask.sum()) and float(book[-1][1]["raised"]) > 0


def test_sets_only_shrink_and_are_never_empty():
    mask, before = sets(3), sets(3)
    sharp = [40 * t for t in tables(10, 5)]  # nearly every candidate falls below the threshold, again and again
    for _, state in train(m.POP(threshold=1.0, every=1, ring=1), Candidates(mask), sharp, 10):
        assert (state["purified"] <= before).all() and state["purified"].any(1).all()
        assert state["own.targets"].isfinite().all()
        torch.testing.assert_close(state["own.targets"].sum(1), torch.ones(N, dtype=torch.float64))
        before = state["purified"]
    assert (before.sum(1) == 1).all()


def test_the_truth_stays_as_long_as_its_averaged_ratio_reaches_theta():
    mask, truth = torch.ones(N, K, dtype=torch.bool), torch.arange(N) % K
    ratio = torch.tensor([0.19, 0.21])[torch.arange(N) % 2].double()
    # the largest class has 1, the truth a known share of it, in the mean of two epochs (one twice, one not at all)
    rival = (truth + 1) % K
    rows = torch.full((N, K), 0.5, dtype=torch.float64)
    script = []
    for share in (1.5 * ratio, 0.5 * ratio):
        p = rows.clone()
        p[torch.arange(N), rival], p[torch.arange(N), truth] = 1.0, share
        p[torch.arange(N), (truth + 2) % K] = 1.0 - share  # so that rows have one sum, and ratios average
        script.append(p.log())
    _, state = train(m.POP(threshold=0.2, every=2, ring=2, warm=0.0), Candidates(mask), script, 2)[-1]
    stays = state["purified"].gather(1, truth[:, None])[:, 0]
    averaged = sum(t.exp() / t.exp().sum(1, keepdim=True) for t in script) / 2
    real = averaged.gather(1, truth[:, None])[:, 0] / averaged.amax(1)
    assert torch.equal(stays, real >= 0.2) and stays.any() and not stays.all()


def test_a_threshold_of_0_is_the_method_alone(small):
    several = {"PRODEN": m.PRODEN(), "views": m.CRDPLL(), "two networks": m.VALEN(warm=0.3)}
    corrected = {"forward": m.EvidenceLikelihood()}
    options = dict(seeds=1, augmentation=lk.augment.Noise(0.1), **{**QUICK, "epochs": 3})
    for kind, inner in ((FlippedCandidates(0.5), several), (lk.annotate.ComplementaryLabels(reveal=True), corrected)):
        runs = lk.fit(small.subset(150), kind, methods={
            **inner, **{f"POP {k}": m.POP(method=v, threshold=0, every=1, warm=0.0) for k, v in inner.items()},
        }, **options)  # fmt: skip
        for name in inner:
            for alone, wrapped in zip(runs[name], runs[f"POP {name}"]):
                assert all(torch.equal(alone.params[k], wrapped.params[k]) for k in alone.params), name
                for kept in alone.kept:
                    assert torch.equal(alone.kept[kept], wrapped.kept[f"own.{kept}"])


def test_what_left_stays_away_from_the_loss():
    """On one public copy the deletion is forgotten at the next visit, where the original set comes back."""
    mask = torch.ones(N, K, dtype=torch.bool)
    first = torch.zeros(N, K, dtype=torch.float64)
    first[:, 0] = -30.0
    script = [first, *(torch.zeros(N, K, dtype=torch.float64) for _ in range(3))]
    pop = m.POP(method=m.EvidenceLikelihood(), threshold=0.1, every=1, ring=1, warm=0)
    book = train(pop, Candidates(mask), script, 4)
    for _, state in book:
        assert not state["purified"][:, 0].any() and state["purified"][:, 1:].all()
    assert book[0][0] == pytest.approx(0) and book[1][0] == pytest.approx(np.log(4 / 3))


def test_what_is_known_of_the_sets_stays_known():
    weights = torch.rand(N, K, dtype=torch.float64) + 0.1
    told, left = Candidates(torch.ones(N, K, dtype=torch.bool), weights), sets()
    torch.testing.assert_close(shrunk(told, left).likelihood(), torch.where(left, weights, 0))
    assert shrunk(Candidates(sets()), left).weights is None
    q = torch.full((K, K), 0.25, dtype=torch.float64)
    noisy = Complementary(torch.arange(N) % K, K, q)  # the excluded class may be the truth
    torch.testing.assert_close(shrunk(noisy, noisy.mask).likelihood(), noisy.likelihood())


def test_published_thresholds_hardly_grow():
    """Growth by 1.001 at most every fifth of 500 epochs: 1.1 times in all, which is worth knowing."""
    assert m.POP().threshold * (1 + m.POP().growth) ** 96 < 1.11e-3


@pytest.mark.parametrize("method", [m.PRODEN(), m.EvidenceLikelihood(), m.CRDPLL()], ids=["PRODEN", "CC", "CR-DPLL"])
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, method):
    pop = m.POP(method=method, threshold=lk.sweep(0.05, 0.3), every=1, ring=2, growth=0.5, few=0.01)
    options = dict(methods=pop, augmentation=lk.augment.Noise(0.1), **QUICK)
    together = lk.fit(small, FlippedCandidates(0.5), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, FlippedCandidates(0.5), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert torch.equal(together.kept("purified"), alone.kept("purified"))
    assert (together.measure("accuracy")["value"] > 0.6).all()


def test_it_purifies_sets_that_depend_on_the_example(small):
    data = weak_posterior(small)
    methods = {"told": m.POP(threshold=0.0), "POP": m.POP(threshold=0.3, every=1, ring=2, warm=0.3)}
    runs = lk.fit(data, InstanceCandidates(0.6), methods=methods, seeds=2, **{**QUICK, "epochs": 6})
    told, left = runs["told"].kept("purified"), runs["POP"].kept("purified")
    truth = lk.evidence.one_hot(runs["POP"].labels("train"), 3).bool()
    gone = told & ~left
    assert (left <= told).all() and left.any(-1).all() and (told & truth).any(-1).all()
    assert (gone & ~truth).sum() > 3 * (gone & truth).sum() > 0  # by chance one of two or three would be the truth


def test_listening_hears_the_first_answer():
    class Net:
        params = "mine"
        __call__ = staticmethod(lambda x: x + 1)
        head = staticmethod(lambda f: f + 2)

    for ask in (lambda n: n(torch.zeros(2)), lambda n: n.head(torch.zeros(2) - 1)):
        net = Listening(Net())
        ask(net), net(torch.ones(2))
        assert torch.equal(net.heard, torch.ones(2)) and net.params == "mine"


def test_what_it_refuses():
    with pytest.raises(TypeError, match="CrossEntropy learns from Labels or Soft"):
        m.POP(method=m.CrossEntropy())
    with pytest.raises(ValueError, match=r"beta of LWS is .*inside POP numbers are fixed"):
        m.POP(method=m.LWS(beta=lk.sweep(1.0, 2.0)))
    with pytest.raises(ValueError, match="ema of PRODEN"):
        m.POP(method=m.PRODEN(ema=0.9))
    with pytest.raises(ValueError, match="every counts epochs from 1, got 0"):
        m.POP(every=0)
    with pytest.raises(ValueError, match=r"threshold is a share.*got 1.5"):
        m.POP(threshold=1.5)
