"""CanDist: the refinery against loops over numbers, each part switched off, and the fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Clean, FlippedCandidates, TopCandidates, weak_posterior
from labkit.annotate.base import Annotator
from labkit.evidence import Candidates
from labkit.methods.base import Batch, Start
from labkit.methods.candidate_distillation import BELIEVED, INSIDE, LEFT_OUT, RELIABLE, refined

N, K = 24, 4
X = torch.arange(N, dtype=torch.float64)[:, None]
QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, compile=False, evaluate_every=4)
HALVES = (torch.arange(N // 2), torch.arange(N // 2, N))


def sets(seed=0):
    g = torch.Generator().manual_seed(seed)
    mask = torch.rand(N, K, generator=g) < 0.5
    mask[torch.arange(N), torch.randint(0, K, (N,), generator=g)] = True
    mask[0], mask[1] = torch.arange(K) == 2, True
    return mask


def tables(epochs, seed=1, scale=4.0):
    g = torch.Generator().manual_seed(seed)
    return [scale * torch.randn(N, K, generator=g, dtype=torch.float64) for _ in range(epochs)]


class Net:
    """Answers with a table's rows; features are those rows too."""

    def __init__(self, table):
        self.table = table

    def __call__(self, x):
        return self.head(self.features(x))

    def features(self, x):
        return self.table[x[:, 0].round().long()]

    def head(self, features):
        return features


def begin(method, mask):
    state = method.setup(Start(X, Candidates(mask), K, 0, np.random.default_rng(0), torch.arange(N)))
    return {k: v.double() if v.is_floating_point() else v for k, v in state.items()}


def train(method, mask, script, skip=(), other=None, weight=0.3):
    """A run by hand, epoch e answering with ``script[e]``; in the epochs of ``skip`` the first example is not seen.

    With ``other`` the second view of an example is the one that many places on. Yields losses and states by epoch.
    """
    state, epochs = begin(method, mask), len(script)
    for e, table in enumerate(script):
        losses = []
        for index in HALVES:
            index = index[1:] if e in skip and 0 in index else index
            x = X[index]
            views = (x, x if other is None else (x + other) % N)
            at, draws = torch.tensor(e / epochs, dtype=torch.float64), {"weight": torch.tensor(weight).double()}
            batch = Batch(x, Candidates(mask[index]), index, at, state, draws, views=views)
            loss, changed = method.objective(Net(table), batch)
            losses.append(float(loss))
            state = {**state, **changed}
        ended = torch.tensor((e + 1) / epochs, dtype=torch.float64)
        state = {**state, **method.end_epoch(state, ended)}
        yield losses, state


def p_of(z):
    e = [math.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


def share(values, inside):
    total = sum(v for v, c in zip(values, inside) if c)
    return [v / total if c else 0.0 for v, c in zip(values, inside)]


def slow_refinery(probs, mask, reliable, sharpen, threshold):
    """Targets and groups of a list of predictions, in loops."""
    targets, group = [None] * N, [None] * N
    by_class = {}
    for i in range(N):
        p, inside = probs[i], mask[i].tolist()
        said = p.index(max(p))
        q = share(p, inside)
        if inside[said]:
            targets[i], group[i] = q, 2
            by_class.setdefault(said, []).append((-sum(a * math.log(b) for a, b in zip(q, p)), i))
        elif max(p) > threshold:
            targets[i], group[i] = [float(j == said) for j in range(K)], 1
        else:
            targets[i], group[i] = [0.0] * K, 0
    for held in by_class.values():
        for _, i in sorted(held)[: math.floor(reliable * len(held) + 1e-4)]:
            targets[i], group[i] = share([v ** (1 / sharpen) for v in targets[i]], mask[i].tolist()), 3
    return targets, group


def ce(p, t):
    return -sum(b * math.log(a) for a, b in zip(p, t) if b)


@pytest.mark.parametrize("numbers", [
    dict(reliable=0.5, sharpen=0.85, threshold=0.9, warm=0.0),
    dict(reliable=0.3, sharpen=0.5, threshold=0.6, warm=0.4),
    dict(reliable=1.0, sharpen=1.0, threshold=1.0, warm=0.0),
])  # fmt: skip
def test_equals_the_slow_twin(numbers):
    mask, script, skip = sets(), tables(5), (0, 3)
    targets = [share([1.0] * K, row) for row in mask.tolist()]
    probs, group, met = [row[:] for row in targets], [2] * N, set()
    for e, (losses, state) in enumerate(train(m.CanDist(consistency=0, **numbers), mask, script, skip)):
        for half, loss in zip(HALVES, losses):
            here = [i for i in half.tolist() if not (e in skip and i == 0)]
            told = 0.0
            for i in here:
                p = p_of(script[e][i].tolist())
                told += ce(p, targets[i])
                probs[i] = p
            assert loss == pytest.approx(told / len(here), rel=1e-10)  # those left out are counted
        numbers_of = {k: v for k, v in numbers.items() if k != "warm"}
        if (e + 1) / 5 >= numbers["warm"]:
            targets, group = slow_refinery([p if min(p) > 0 else [v + 1e-300 for v in p] for p in probs],
                                           mask, **numbers_of)  # fmt: skip
        else:
            targets = [share(p, row) for p, row in zip(probs, mask.tolist())]
        torch.testing.assert_close(state["targets"], torch.tensor(targets, dtype=torch.float64))
        assert state["group"].tolist() == group
        met |= set(group)
    assert met >= ({0, 3} if numbers["threshold"] == 1 else {0, 1, 2, 3})


def test_the_consistency_terms_against_loops():
    """Second view on the same target where the prediction fits, KL to the first view where it does not, and mixup."""
    numbers = dict(reliable=0.5, sharpen=0.7, threshold=0.9, warm=0.25, consistency=2.0, ramp=0.5)
    mask, script, w = sets(), tables(4), 0.3
    before = begin(m.CanDist(**numbers), mask)
    for e, (losses, state) in enumerate(train(m.CanDist(**numbers), mask, script, other=5, weight=w)):
        t, group = before["targets"].tolist(), before["group"].tolist()
        for half, loss in zip(HALVES, losses):
            rows, total = half.tolist(), 0.0
            for place, i in enumerate(rows):
                p, second = p_of(script[e][i].tolist()), p_of(script[e][(i + 5) % N].tolist())
                j = rows[place - 1]  # the partner: the example before it, for the first the last
                mixed = p_of([w * a + (1 - w) * b for a, b in zip(script[e][i].tolist(), script[e][j].tolist())])
                again = ce(second, t[i]) if group[i] >= 2 else sum(a * math.log(a / b) for a, b in zip(p, second))
                both = [w * a + (1 - w) * b for a, b in zip(t[i], t[j])]
                total += ce(p, t[i]) + 2.0 * (0, 0, 0.5, 1)[e] * (again + ce(mixed, both))
            assert loss == pytest.approx(total / len(rows), rel=1e-7)
        before = state


def test_constants_are_constants():
    """Neither targets nor the first view's prediction in the KL are differentiated."""
    mask, (table, later) = sets(), tables(2)
    method = m.CanDist(warm=0.0, ramp=0.0, consistency=1.0)
    state = {**begin(method, mask), "seen": table}
    state = {**state, **method.end_epoch(state, torch.tensor(0.5))}
    assert (state["group"] < INSIDE).any()
    index = torch.arange(N)
    draws = {"weight": torch.tensor(1.0).double()}

    def objective(first, second):
        class Two(Net):
            def __call__(self, x):
                return second

        batch = Batch(X, Candidates(mask), index, torch.tensor(0.5).double(), state, draws, views=(X, X + 0))
        return method.objective(Two(first), batch)

    first, second = later.clone().requires_grad_(), later.flip(0).clone().requires_grad_()
    loss, changed = objective(first, second)
    assert not any(v.requires_grad for v in changed.values())
    slope, slope2 = torch.autograd.grad(loss, (first, second))
    t, p = state["targets"], later.softmax(-1)
    # weight 1: the mixed pair is the example itself, so its loss comes twice
    torch.testing.assert_close(slope, 2 * (p * t.sum(-1, keepdim=True) - t) / N)
    goal = torch.where((state["group"] >= INSIDE)[:, None], t, p)
    torch.testing.assert_close(slope2, (later.flip(0).softmax(-1) - goal) / N)


def test_it_begins_uniform_on_the_set_and_an_example_never_seen_stays_so():
    mask = sets()
    state = begin(m.CanDist(), mask)
    uniform = mask.double() / mask.sum(1, keepdim=True)
    torch.testing.assert_close(state["targets"], uniform)
    targets, group = refined(state["seen"], mask, reliable=0.0)
    torch.testing.assert_close(targets, uniform)
    assert (group == INSIDE).all()


def test_every_class_is_asked_for_its_own_share():
    logits = torch.zeros(N, K, dtype=torch.float64)
    said = torch.arange(N) % 3
    logits[torch.arange(N), said] = 1 + said + torch.arange(N).double() / N  # class 2 is always sure, class 0 never
    _, group = refined(logits, torch.ones(N, K, dtype=torch.bool), reliable=0.5)
    for c in range(3):
        of = group[said == c]
        assert of.tolist() == [INSIDE] * 4 + [RELIABLE] * 4  # the surer half of *each* class


def test_groups_by_the_prediction():
    logits = torch.tensor([[9.0, 0, 0, 0]] * 3 + [[1.0, 0, 0, 0]], dtype=torch.float64)
    mask = torch.tensor([[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0], [0, 1, 1, 1]]).bool()
    targets, group = refined(logits, mask, reliable=1.0, threshold=0.9)
    assert group.tolist() == [RELIABLE, BELIEVED, BELIEVED, LEFT_OUT]
    assert targets[1:].tolist() == [[1, 0, 0, 0]] * 2 + [[0, 0, 0, 0]]
    assert refined(logits, mask, threshold=1.0)[1].tolist()[1:] == [LEFT_OUT] * 3  # 1 believes nothing
    extreme, group = refined(1e4 * logits, mask)
    assert extreme.isfinite().all() and group.tolist() == [INSIDE, BELIEVED, BELIEVED, BELIEVED]


class Singles(Annotator):
    """A label as a set of one, wrong for the last third."""

    def __call__(self, labels, features, rng):
        y = labels.labels.clone()
        y[: len(y) // 3] = (y[: len(y) // 3] + 1) % labels.n_classes
        return Candidates(torch.nn.functional.one_hot(y, labels.n_classes).bool())


def test_what_it_reduces_to(small):
    """Without its parts it is PRODEN; before the refinery starts, on sets of one, cross entropy on the labels."""
    data, fit = small.subset(100), {**QUICK, "seeds": 1, "epochs": 2}
    proden = lk.fit(data, FlippedCandidates(0.4), methods=m.PRODEN(), **fit)
    bare = lk.fit(data, FlippedCandidates(0.4), methods=m.CanDist(warm=1.0, consistency=0), **fit)
    silent = lk.fit(data, FlippedCandidates(0.4), methods=m.CanDist(warm=1.0, consistency=lk.sweep(0.0)), **fit)
    for a, b, c in zip(proden, bare, silent):
        for name in a.params:
            torch.testing.assert_close(a.params[name], b.params[name], rtol=1e-9, atol=1e-11)
            torch.testing.assert_close(a.params[name], c.params[name], rtol=1e-9, atol=1e-11)
    likelihood = lk.fit(data, Singles(), methods=m.EvidenceLikelihood(), **fit)
    single = lk.fit(data, Singles(), methods=m.CanDist(warm=1.0, consistency=0), **fit)
    for a, b in zip(likelihood, single):
        torch.testing.assert_close(a.params["head.weight"], b.params["head.weight"], rtol=1e-9, atol=1e-11)


def test_sets_of_one_keep_the_labels_that_are_not_contradicted(small):
    runs = lk.fit(small, Singles(), methods=m.CanDist(consistency=0, threshold=1, reliable=0), seeds=2, **QUICK)
    for run in runs:
        given = Singles()(lk.evidence.Labels(small.y[run.index["train"]], 3), None, None).mask
        left = run.kept["group"] == LEFT_OUT
        assert torch.equal(run.kept["targets"], torch.where(left[:, None], 0.0, given.double()))
        wrong = given.int().argmax(-1) != small.y[run.index["train"]]
        assert wrong[left].double().mean() > 0.5 and left[wrong].double().mean() > 0.5  # a third are wrong


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    method = m.CanDist(reliable=lk.sweep(0.3, 0.6), threshold=0.9, ramp=0.3)
    options = dict(methods=method, augmentation=lk.augment.Noise(0.1), **QUICK)
    together = lk.fit(small, FlippedCandidates(0.4, missing=0.1), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(small, FlippedCandidates(0.4, missing=0.1), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert torch.equal(together.kept("group"), alone.kept("group"))
    torch.testing.assert_close(together.kept("targets"), alone.kept("targets"), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.6).all()


def test_it_finds_the_sets_without_the_truth(small):
    runs = lk.fit(small, FlippedCandidates(0.2, missing=0.3), methods=m.CanDist(), seeds=2, **{**QUICK, "epochs": 8})
    for run in runs:
        again = FlippedCandidates(0.2, missing=0.3)
        y = lk.evidence.Labels(small.y[run.index["train"]], 3)
        mask = again(y, small.x, lk.streams.generator(run.seed, "annotation", 0)).mask
        missing, outside = ~mask.gather(1, y.labels[:, None])[:, 0], run.kept["group"] < INSIDE
        assert missing[outside].double().mean() > 0.5 > 0.35 > missing.double().mean()


def test_it_learns_from_an_unsure_annotator(small):
    data = weak_posterior(small, pixels=(1, 1))
    sets = TopCandidates(mass=0.8)
    runs = lk.fit(data, sets, methods=m.get("can_dist"), seeds=2, **QUICK)
    assert (runs.measure("accuracy")["value"] > 0.5).all()


def test_what_it_refuses(small):
    with pytest.raises(ValueError, match=r"reliable is a share.*got 1.5"):
        m.CanDist(reliable=1.5)
    with pytest.raises(ValueError, match="sharpen is a temperature above 0 and at most 1, got 0"):
        m.CanDist(sharpen=0)
    with pytest.raises(TypeError, match="learns from Candidates"):
        lk.fit(small, Clean(), methods=m.CanDist(), seeds=1, **QUICK)
