"""Candidate sets, method by method: what is stored when, slow twins over several steps, and what they reduce to."""

from __future__ import annotations

import math

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Clean, ComplementaryLabels, FlippedCandidates, UniformCandidates
from labkit.annotate.base import Annotator
from labkit.evidence import Candidates, Complementary
from labkit.methods.base import Batch, Start
from labkit.methods.candidates import uniform

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False, dtype="float64")
N, B, D, K = 9, 5, 4, 4
G = torch.Generator().manual_seed(0)
X = torch.randn(N, D, generator=G, dtype=torch.float64)
MASK = torch.rand(N, K, generator=G) < 0.4
MASK[torch.arange(N), torch.randint(0, K, (N,), generator=G)] = True
MASK[0], MASK[1] = torch.arange(K) == 2, True
W = [2 * torch.randn(D, K, generator=G, dtype=torch.float64) for _ in range(3)]
VISITS = (torch.tensor([7, 0, 3, 4, 1]), torch.tensor([0, 8, 7, 2, 4]), torch.tensor([4, 7, 1, 5, 6]))
SEEN = {
    "average": m.AverageCandidates(), "average mae": m.AverageCandidates(base="mae"),
    "average gce": m.AverageCandidates(base="gce"), "rc": m.RC(), "proden": m.PRODEN(), "cavl": m.CAVL(),
    "lws": m.LWS(), "lws cross entropy": m.LWS(form="cross entropy", beta=2.0),
}  # fmt: skip


def begin(method, mask=MASK):
    state = method.setup(Start(X, Candidates(mask), K, 0, None, torch.arange(len(mask))))
    return {k: v.double() if v.is_floating_point() else v for k, v in state.items()}


def batch_of(state, index, mask=MASK):
    return Batch(X[index], Candidates(mask[index]), index, torch.tensor(0.5, dtype=torch.float64), state, {})


def logits_of(i, w):
    return [sum(float(X[i, d]) * float(w[d, k]) for d in range(D)) for k in range(K)]


def p_of(z):
    e = [math.exp(v - max(z)) for v in z]
    return [v / sum(e) for v in e]


def share(values, inside):
    total = sum(v for v, c in zip(values, inside) if c)
    return [v / total if c else 0.0 for v, c in zip(values, inside)]


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


class Slow:
    """Every method in loops: ``first`` targets, ``told`` the loss of one example, ``renewed`` after its visit."""

    def __init__(self, name):
        self.name = name
        self.targets = [[1 / K] * K if "lws" in name else share([1.0] * K, c) for c in MASK.tolist()]

    def visit(self, i, w, epoch):
        z, inside = logits_of(i, w), MASK[i].tolist()
        p, t, s = p_of(z), self.targets[i], sum(MASK[i].tolist())
        if self.name == "average mae":
            return sum(2 - 2 * v for v, c in zip(p, inside) if c) / s
        if self.name == "average gce":
            return sum((1 - v**0.7) / 0.7 for v, c in zip(p, inside) if c) / s
        if self.name == "lws":
            loss = sum(t[j] * (sigmoid(-z[j]) if inside[j] else sigmoid(z[j])) for j in range(K))
        elif self.name == "lws cross entropy":
            loss = sum(t[j] * (-math.log(p[j]) if inside[j] else -2 * math.log(1 - p[j])) for j in range(K))
        else:
            if self.name == "rc" and epoch:
                t = share(p, inside)
            loss = -sum(a * math.log(b) for a, b in zip(t, p))
        if self.name == "proden":
            self.targets[i] = share(p, inside)
        if self.name == "cavl":
            value = [abs(v - 1) * v if c else -math.inf for v, c in zip(z, inside)]
            self.targets[i] = [float(j == value.index(max(value))) for j in range(K)]
        if "lws" in self.name:
            beyond = share(p, [not c for c in inside]) if not all(inside) else [0.0] * K
            self.targets[i] = [a + b for a, b in zip(share(p, inside), beyond)]
        return loss


@pytest.mark.parametrize("name", SEEN)
def test_three_visits_with_steps_between(name):
    """The loss is made of what was stored at the last visit; what is stored is of this visit, before the step."""
    method, slow = SEEN[name], Slow(name)
    state = begin(method)
    for epoch, (index, w) in enumerate(zip(VISITS, W)):
        before = {k: v.clone() for k, v in state.items()}
        loss, changed = method.objective(lambda x, w=w: x @ w, batch_of(state, index))
        wants = sum(slow.visit(int(i), w, epoch) for i in index) / B
        assert float(loss) == pytest.approx(wants, rel=1e-10)
        assert all(torch.equal(state[k], v) for k, v in before.items())  # what it was given is left alone
        state = {**state, **changed}
        if method.keeps:
            torch.testing.assert_close(state["targets"], torch.tensor(slow.targets, dtype=torch.float64))
        state = {**state, **method.end_epoch(state, torch.tensor(0.5))}


@pytest.mark.parametrize("name", SEEN)
def test_targets_are_constants(name):
    method, w = SEEN[name], W[0].clone().requires_grad_()
    state = {**begin(method), "first": torch.tensor(False)}
    _, changed = method.objective(lambda x: x @ w, batch_of(state, VISITS[0]))
    assert not any(v.requires_grad for v in changed.values())
    loss, _ = method.objective(lambda x: x @ w, batch_of({**state, **changed}, VISITS[0]))
    (slope,) = torch.autograd.grad(loss, w)
    step = 1e-6 * torch.randn(D, K, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    if name == "rc":  # the present weights do not follow the step: not the slope of the value
        z, mask = X[VISITS[0]] @ W[0], MASK[VISITS[0]]
        target = torch.where(mask, z.softmax(-1), 0.0)
        target = target / target.sum(-1, keepdim=True)
        frozen = lambda v: -(target * (X[VISITS[0]] @ v).log_softmax(-1)).sum(-1).mean()
    else:
        held = {**state, **changed}
        frozen = lambda v: method.objective(lambda x: x @ v, batch_of(held, VISITS[0]))[0]
    difference = float(frozen(W[0] + step) - frozen(W[0] - step)) / 2
    assert float((slope * step).sum()) == pytest.approx(difference, rel=1e-5)


def test_rc_is_the_average_at_first_and_then_descends_on_the_likelihood():
    w = W[0].clone().requires_grad_()
    net, index = (lambda x: x @ w), VISITS[0]
    slope = lambda method, state: torch.autograd.grad(method.objective(net, batch_of(state, index))[0], w)[0]
    state = begin(m.RC())
    torch.testing.assert_close(slope(m.RC(), state), slope(m.AverageCandidates(), {}))
    later = {**state, **m.RC().end_epoch(state, torch.tensor(0.1))}
    torch.testing.assert_close(slope(m.RC(), later), slope(m.EvidenceLikelihood(), {}))


def test_proden_and_cavl_begin_with_the_average_and_a_class_that_rounds_to_nothing_may_return():
    net, index = (lambda x: x @ W[0]), VISITS[0]
    for method in (m.PRODEN(), m.CAVL(), m.RC()):
        loss, _ = method.objective(net, batch_of(begin(method), index))
        torch.testing.assert_close(loss, m.AverageCandidates().objective(net, batch_of({}, index))[0])
    certain = torch.tensor([[2000.0, -2000.0, 0, 0]], dtype=torch.float64)
    mask, here = torch.tensor([[True, True, False, True]]), torch.tensor([0])
    state = begin(m.PRODEN(), mask)
    _, state = m.PRODEN().objective(lambda x: certain, batch_of(state, here, mask))
    assert state["targets"].tolist() == [[1, 0, 0, 0]]
    _, state = m.PRODEN().objective(lambda x: torch.zeros(1, K).double(), batch_of(state, here, mask))
    assert state["targets"][0].tolist() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3])  # the set, not the last target


def test_cavl_stays_inside_the_set():
    f = torch.tensor([[-1.0, 0.5, -0.2, -0.4]], dtype=torch.float64)
    mask, here = torch.tensor([[True, False, True, True]]), torch.tensor([0])
    _, changed = m.CAVL().objective(lambda x: f, batch_of(begin(m.CAVL(), mask), here, mask))
    assert changed["targets"].tolist() == [[0, 0, 1, 0]]


def test_lws_renews_its_weights_inside_and_outside():
    """A public toolkit keeps 1/s inside and 0 outside for ever: the average loss."""
    _, changed = m.LWS().objective(lambda x: x @ W[0], batch_of(begin(m.LWS()), VISITS[0]))
    seen, whole = changed["targets"][VISITS[0]], MASK[VISITS[0]].all(1)
    inside = (seen * MASK[VISITS[0]]).sum(1)
    torch.testing.assert_close(inside, torch.ones(B, dtype=torch.float64))
    torch.testing.assert_close(seen.sum(1) - inside, 1.0 - whole.double())
    unseen = [i for i in range(N) if i not in VISITS[0].tolist()]
    assert (changed["targets"][unseen] == 1 / K).all()


def test_complementary_labels_are_sets_too():
    said = torch.tensor([0, 1, 2, 3, 0])
    for method in SEEN.values():
        as_set, as_no = (
            Batch(X[:B], told, torch.arange(B), torch.tensor(0.5), begin(method, told.mask), {})
            for told in (Candidates(Complementary(said, K).mask), Complementary(said, K))
        )
        net = lambda x: x @ W[0]
        assert torch.equal(method.objective(net, as_set)[0], method.objective(net, as_no)[0])


# ---- in a fleet ---------------------------------------------------------------------------------------------------


class Singletons(Annotator):
    """The ordinary label, as a set of one."""

    def __call__(self, labels, features, rng):
        return Candidates(torch.nn.functional.one_hot(labels.labels, labels.n_classes).bool())


class Everything(Annotator):
    def __call__(self, labels, features, rng):
        return Candidates.unlabelled(len(labels), labels.n_classes)


def test_sets_of_one_are_labels(small):
    data, quick = small.subset(120), {**QUICK, "seeds": 1, "epochs": 2}
    methods = {"a": m.AverageCandidates(), "r": m.RC(), "p": m.PRODEN(), "c": m.CAVL()}
    ordinary = lk.fit(data, Clean(), methods=m.CrossEntropy(), **quick)
    ours = lk.fit(data, Singletons(), methods=methods, **quick)
    for method in methods:
        for a, b in zip(ordinary, ours[method]):
            for name in a.params:
                torch.testing.assert_close(a.params[name], b.params[name], rtol=1e-9, atol=1e-11)


def test_full_sets_leave_a_network_where_it_is_or_flatten_it(small):
    data = small.subset(120)
    quick = {**QUICK, "epochs": 2}
    fit = lambda method: lk.fit(data, Everything(), methods=method, seeds=1, **quick)
    begun = lk.fit(data, Everything(), methods=m.AverageCandidates(base="mae"), seeds=1, **quick)[0]
    likelihood = fit(m.EvidenceLikelihood())[0]
    for name in begun.params:  # symmetric loss and likelihood: no slope, so the same weights
        torch.testing.assert_close(begun.params[name], likelihood.params[name], rtol=1e-9, atol=1e-11)
    flat = fit(m.AverageCandidates())
    assert flat.logits().softmax(-1).amax(-1).mean() < likelihood.logits["last/test"].softmax(-1).amax(-1).mean()


def test_alone_and_in_a_fleet_the_numbers_are_equal(small):
    methods = {
        "average": m.AverageCandidates(base="gce", q=lk.sweep(0.3, 0.7)), "rc": m.RC(), "proden": m.PRODEN(),
        "cavl": m.CAVL(), "lws": m.LWS(beta=lk.sweep(1.0, 2.0)),
    }  # fmt: skip
    data = small.subset(300)
    together = lk.fit(data, FlippedCandidates(0.3), methods=methods, seeds=2, lanes=8, **QUICK)
    alone = lk.fit(data, FlippedCandidates(0.3), methods=methods, seeds=[1], lanes=1, **QUICK)
    assert (together.measure("accuracy")["value"] > 0.45).all()  # nine batches have passed
    for name, method in methods.items():
        mine, own = together[name].where(seed=1), alone[name]
        torch.testing.assert_close(mine.logits(), own.logits(), rtol=1e-12, atol=1e-12)
        if method.keeps:
            targets = mine.kept("targets")
            torch.testing.assert_close(targets, own.kept("targets"), rtol=1e-12, atol=1e-12)
        if name in ("proden", "cavl"):
            torch.testing.assert_close(targets.sum(-1), torch.ones(targets.shape[:-1], dtype=torch.float64))


def test_what_is_kept_lies_in_the_sets(small):
    runs = lk.fit(small, UniformCandidates(), methods={"p": m.PRODEN(), "c": m.CAVL()}, seeds=2, **QUICK)
    truth = lambda run: small.y[run.index["train"]]
    for name in ("p", "c"):
        for run in runs[name]:
            t = run.kept["targets"]
            assert torch.allclose(t.sum(-1), torch.ones(len(t), dtype=t.dtype))
            assert (t.argmax(-1) == truth(run)).double().mean() > 0.75  # identified, among one to two candidates
    hot = runs["c"][0].kept["targets"].amax(-1)
    assert (hot == 1).double().mean() > 0.9  # all but those that short batches left out


def test_they_take_complementary_labels(small):
    methods = {name: m.get(name) for name in ("average_candidates", "rc", "proden", "cavl", "lws")}
    runs = lk.fit(small, ComplementaryLabels(), methods=methods, seeds=1, **QUICK)
    assert (runs.measure("accuracy")["value"] > 0.5).all()


def test_what_is_refused():
    with pytest.raises(ValueError, match="unknown base loss 'hinge'"):
        m.AverageCandidates(base="hinge")
    with pytest.raises(ValueError, match="form is 'sigmoid' or 'cross entropy', got 'hinge'"):
        m.LWS(form="hinge")


def test_uniform_weights():
    mask = torch.tensor([[True, False, True], [False, True, False]])
    assert uniform(mask, torch.float64).tolist() == [[0.5, 0, 0.5], [0, 1, 0]]
    assert uniform(mask, torch.float32).dtype == torch.float32
