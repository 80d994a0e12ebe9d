"""Corrections as methods: where the matrix comes from, each step against loops, alone as in a fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import estimate
from labkit import methods as m
from labkit.evidence import Candidates, Labels, Soft
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)
T = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]], dtype=torch.float64)
NOISE = lk.annotate.Transition(T)
SEEN = lk.annotate.Transition(T, reveal=True)
LEARNED = {
    "t revision": m.TRevision(transition=T, matrix_lr=0.01),
    "volminnet": m.VolMinNet(),
    "noise adaptation": m.NoiseAdaptation(),
}
GIVEN = {
    "forward": m.ForwardCorrection(transition=T),
    "backward": m.BackwardCorrection(transition=T),
    "reweighting": m.Reweighting(transition=T),
}


@pytest.fixture(scope="module")
def data():
    return lk.load("gaussians", n=400, classes=3, separation=3.0, seed=0)


@pytest.fixture(scope="module")
def warm(data):
    return lk.fit(data, NOISE, methods=m.CrossEntropy(), seeds=2, dtype="float64", **QUICK)


def start(n=60, k=3, seed=0, transition=None):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((n, 4)))
    given = Labels(torch.from_numpy(rng.integers(0, k, n)), k, transition)
    return Start(x, given, k, seed, rng, torch.arange(n))


def batch(method, n=7, seed=1):
    begun = start(n, seed=seed)
    state = {k: v.double() for k, v in method.setup(begun).items()}
    return Batch(begun.x, begun.evidence, torch.arange(n), torch.tensor(0.0), state, {})


def net(x):
    return x @ torch.arange(12.0, dtype=torch.float64).reshape(4, 3).sin()


def rows(logits):
    return [[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in logits.tolist()]


# ---- one step, in loops ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GIVEN)
def test_a_step_with_a_given_matrix_is_the_equation(name):
    held = batch(GIVEN[name])
    loss, changed = GIVEN[name].objective(net, held)
    inverse, t, total = torch.linalg.inv(T).tolist(), T.tolist(), 0.0
    for p, y in zip(rows(net(held.x)), held.evidence.labels.tolist()):
        said = sum(p[k] * t[k][y] for k in range(3))
        total += {
            "forward": -math.log(said),
            "backward": -sum(inverse[y][k] * math.log(p[k]) for k in range(3)),
            "reweighting": -p[y] / said * math.log(p[y]),
        }[name]
    assert float(loss) == pytest.approx(total / 7) and changed == {}


def slow_value(name, free, p, labels):
    """The loss as a function of the free numbers of the matrix (a list of rows), predictions fixed; and the matrix."""
    if name == "volminnet":
        a = [[1.0 if i == j else 1 / (1 + math.exp(-free[i][j])) for j in range(3)] for i in range(3)]
        t = [[v / sum(row) for v in row] for row in a]
    elif name == "noise adaptation":
        t = [[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in free]
    else:
        t = free
    total = 0.0
    for row, y in zip(p, labels):
        said = sum(row[k] * t[k][y] for k in range(3))
        total += -row[y] / said * math.log(row[y]) if name == "t revision" else -math.log(said)
    total /= len(p)
    if name == "volminnet":
        det = sum(
            t[0][i] * (t[1][(i + 1) % 3] * t[2][(i + 2) % 3] - t[1][(i + 2) % 3] * t[2][(i + 1) % 3]) for i in range(3)
        )
        total += 1e-4 * math.log(abs(det))
    return total, t


@pytest.mark.parametrize("name", LEARNED)
def test_a_learned_matrix_takes_a_step_of_adam(name):
    method = LEARNED[name]
    held = batch(method)
    free = "transition" if name == "t revision" else "weights"
    loss, changed = method.objective(net, held)
    p, labels, at = rows(net(held.x)), held.evidence.labels.tolist(), held.state[free].tolist()
    value, t = slow_value(name, at, p, labels)
    assert float(loss) == pytest.approx(value)
    torch.testing.assert_close(held.state["transition"], torch.tensor(t, dtype=torch.float64))

    slope = torch.zeros(3, 3, dtype=torch.float64)  # central differences of the slow loss
    for i in range(3):
        for j in range(3):
            up, down = ([[*r] for r in at] for _ in range(2))
            up[i][j] += 1e-6
            down[i][j] -= 1e-6
            slope[i, j] = (slow_value(name, up, p, labels)[0] - slow_value(name, down, p, labels)[0]) / 2e-6
    assert slope.abs().max() > 1e-3  # the matrix gets a gradient
    torch.testing.assert_close(changed["mean"], 0.1 * slope, rtol=1e-4, atol=1e-8)
    moved = held.state[free] - 0.01 * slope.sign()  # Adam's first step has length lr, wherever there is a slope
    clear = slope.abs() > 1e-5
    torch.testing.assert_close(changed[free][clear], moved[clear], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        changed["transition"], torch.tensor(slow_value(name, changed[free].tolist(), p, labels)[1], dtype=torch.float64)
    )
    again = Batch(held.x, held.evidence, held.index, held.progress, {**held.state, **changed}, {})
    assert float(method.objective(net, again)[1]["step"]) == 2


def test_revision_trains_the_network_through_the_weight_and_reweighting_does_not():
    held = batch(LEARNED["t revision"])
    grads = {}
    for name, method in (("with", LEARNED["t revision"]), ("without", GIVEN["reweighting"])):
        z = net(held.x).requires_grad_()
        (grads[name],) = torch.autograd.grad(method.objective(lambda x, z=z: z, held)[0], z)
    assert (grads["with"] - grads["without"]).abs().max() > 1e-2


def test_without_noise_they_are_cross_entropy():
    eye = torch.eye(3, dtype=torch.float64)
    for cls in (m.ForwardCorrection, m.BackwardCorrection, m.Reweighting, m.TRevision):
        held = batch(cls(transition=eye))
        expected = torch.nn.functional.cross_entropy(net(held.x), held.evidence.labels)
        torch.testing.assert_close(cls(transition=eye).objective(net, held)[0], expected)
    still = m.VolMinNet(volume=0.0, initial=-60.0)  # sigmoid(-60) is 0: T = I
    held = batch(still)
    torch.testing.assert_close(
        still.objective(net, held)[0], torch.nn.functional.cross_entropy(net(held.x), held.evidence.labels)
    )


def test_the_volume_of_a_stochastic_matrix_is_at_most_one_and_its_diagonal_dominates():
    g = torch.Generator().manual_seed(0)
    for _ in range(20):
        t = m.VolMinNet().matrix(3 * torch.randn(4, 4, generator=g, dtype=torch.float64))
        assert torch.linalg.slogdet(t).logabsdet <= 0 and (t.diagonal() >= t.max(1).values).all()
        torch.testing.assert_close(t.sum(1), torch.ones(4, dtype=torch.float64))


# ---- where the matrix comes from ---------------------------------------------------------------------------------


def test_sources_of_the_matrix(data, warm):
    one = warm.one(seed=1)
    index = one[0].index["train"]
    begun = start(len(index))
    x = data.x[index].double()
    given = Labels(begun.evidence.labels, 3, T)
    begun = Start(x, given, 3, 1, begun.rng, index)
    probs = one.predict_one(x).softmax(-1)
    of = lambda **how: m.ForwardCorrection(**how).setup(begun)["transition"]
    assert torch.equal(of(), T) and torch.equal(of(transition=T.tolist()), T)
    torch.testing.assert_close(of(transition="anchor", warm=one), estimate.anchor_points(probs))
    torch.testing.assert_close(of(transition="dual_t", warm=one), estimate.dual_t(probs, given.labels))
    raw = estimate.consensus(x, given.labels, 3).transition
    seen = estimate.consensus(one.predict(x, features=True)[0], given.labels, 3).transition
    torch.testing.assert_close(of(transition="consensus"), raw)
    torch.testing.assert_close(of(transition="consensus", warm=one), seen)
    assert not torch.allclose(raw, seen)


def test_a_layer_starts_at_the_confusion_of_the_first_network(data, warm):
    one = warm.one(seed=1)
    begun = start(len(one[0].index["train"]))
    begun.x = data.x[one[0].index["train"]].double()
    said = one.predict_one(begun.x).argmax(1)
    counts = torch.ones(3, 3, dtype=torch.float64)
    for k, j in zip(said.tolist(), begun.evidence.labels.tolist()):
        counts[k, j] += 1
    state = m.NoiseAdaptation(warm=one).setup(begun)
    torch.testing.assert_close(state["transition"], counts / counts.sum(1, keepdim=True))
    torch.testing.assert_close(state["weights"].softmax(1), state["transition"])
    plain = m.NoiseAdaptation(noise=0.3).setup(begun)["transition"]
    torch.testing.assert_close(plain[0], torch.tensor([0.7, 0.15, 0.15], dtype=torch.float64))


def test_what_they_refuse(data, warm):
    with pytest.raises(ValueError, match="give its runs as warm"):
        m.ForwardCorrection(transition="anchor")
    with pytest.raises(ValueError, match="what to make of warm"):
        m.Reweighting(warm=warm)
    with pytest.raises(ValueError, match="anchor"):
        m.BackwardCorrection(transition="ancor", warm=warm)
    with pytest.raises(ValueError, match="distributions"):
        m.ForwardCorrection(transition=[[0.5, 0.6], [0.5, 0.5]])
    with pytest.raises(ValueError, match="reveal=True"):
        lk.fit(data, NOISE, methods=m.ForwardCorrection(), seeds=1, **QUICK)
    with pytest.raises(ValueError, match="rank 1 of 3"):
        m.BackwardCorrection(transition=torch.full((3, 3), 1 / 3)).setup(start())
    with pytest.raises(ValueError, match="between 0 and 1"):
        m.NoiseAdaptation(noise=0.0)
    for cls in (m.ForwardCorrection, m.VolMinNet, m.NoiseAdaptation):
        assert not any(issubclass(form, cls.accepts) for form in (Soft, Candidates))


# ---- in a fleet --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*GIVEN, *LEARNED])
def test_alone_and_in_a_fleet_the_numbers_are_equal(data, name):
    method = (GIVEN | LEARNED)[name]
    options = dict(methods=method, dtype="float64", **QUICK)
    together = lk.fit(data, NOISE, seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, NOISE, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(together.kept("transition"), alone.kept("transition"), rtol=1e-11, atol=1e-11)
    assert (together.measure("accuracy")["value"] > 0.5).all()


def test_a_run_uses_the_first_network_of_its_own_seed(data, warm):
    forward = m.ForwardCorrection(transition="anchor", warm=warm)
    runs = lk.fit(data, NOISE, methods=forward, seeds=2, dtype="float64", **QUICK)
    for run in (runs.one(seed=s) for s in (0, 1)):
        teacher = warm.one(seed=run[0].seed)
        expected = estimate.anchor_points(teacher.predict_one(data.x[run[0].index["train"]].double()).softmax(-1))
        torch.testing.assert_close(run.kept("transition")[0], expected)
    again = lk.fit(
        data, NOISE, methods=m.ForwardCorrection(transition="learned", warm=runs), seeds=[1], dtype="float64", **QUICK
    )
    torch.testing.assert_close(again.kept("transition"), runs.one(seed=1).kept("transition"))
    torch.testing.assert_close(again.logits(), runs.one(seed=1).logits())


def test_a_revealed_matrix_is_the_likelihood_of_the_evidence(data):
    options = dict(seeds=2, dtype="float64", **QUICK)
    a = lk.fit(data, SEEN, methods=m.ForwardCorrection(), **options)
    b = lk.fit(data, SEEN, methods=m.EvidenceLikelihood(), **options)
    torch.testing.assert_close(a.logits(), b.logits(), rtol=1e-11, atol=1e-11)
    assert torch.equal(a.kept("transition")[0], T)
