"""Methods of complementary labels: each step against loops, what they reduce to, alone as in a fleet."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import losses
from labkit import methods as m
from labkit.annotate import ComplementaryLabels, biased_complement, uniform_complement
from labkit.evidence import Candidates, Complementary
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=2, batch_size=16, progress=False, compile=False)
K = 4
BIASED = biased_complement(K, "strong", noise=0.1, seed=1)
SIMPLE = {
    "pc": (m.PairwiseComparison(), losses.pairwise_comparison),
    "nl": (m.NegativeLearning(), losses.negative_learning),
    "exp": (m.ExponentialSurrogate(), losses.surrogate_exponential),
    "mcl log": (m.MultipleComplementary(), losses.multiple_log),
    "mcl exp": (m.MultipleComplementary(form="exp"), losses.multiple_exponential),
    "mcl mae": (
        m.MultipleComplementary(form="mae"),
        lambda z, e: losses.unbiased_of_sets(2 - 2 * z.softmax(-1), e),
    ),
    "mcl gce": (
        m.MultipleComplementary(form="gce", q=0.5),
        lambda z, e: losses.unbiased_of_sets((1 - z.softmax(-1).sqrt()) / 0.5, e),
    ),
    "mcl squared": (
        m.MultipleComplementary(form="squared"),
        lambda z, e: losses.unbiased_of_sets(losses.squared_of_classes(z), e),
    ),
    "l-w": (m.DiscriminativeComplementary(), losses.weighted_complementary),
    "l-uw": (
        m.DiscriminativeComplementary(weighted=False),
        lambda z, e: losses.weighted_complementary(z, e, False),
    ),
    "op": (m.OrderPreserving(), losses.order_preserving),
    "op-w": (m.OrderPreserving(weighted=True), lambda z, e: losses.order_preserving(z, e, True)),
}
OTHERS = {
    "ure": m.UnbiasedComplementary(),
    "ure nn": m.UnbiasedComplementary(correction="non-negative", beta=lk.sweep(0.0, 0.1)),
    "ure ga": m.UnbiasedComplementary(correction="gradient ascent", discount=lk.sweep(0.5, 1.0)),
    "cpe i": m.ComplementaryEstimation(form="identity"),
    "cpe f": m.ComplementaryEstimation(),
    "cpe t": m.ComplementaryEstimation(form="trained", matrix_lr=lk.sweep(0.001, 0.01)),
}
EVERY = {**{name: method for name, (method, _) in SIMPLE.items()}, **OTHERS}


@pytest.fixture(scope="module")
def data():
    return lk.load("gaussians", n=240, classes=K, separation=3.0, seed=0)


def start(n=12, transition=None, seed=0, count=2):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.standard_normal((n, 3)))
    said = torch.from_numpy(rng.random((n, K)).argsort(1)[:, :count])
    return Start(x, Complementary(said, K, transition), K, seed, rng, torch.arange(n))


def batch(method, held=6, **options):
    begun = start(**options)
    state = {k: v.double() for k, v in method.setup(begun).items()}
    index = torch.arange(held)
    return Batch(begun.x[:held], begun.evidence[:held], index, torch.tensor(0.0), state, {})


def net(x):
    return x @ torch.arange(3.0 * K, dtype=torch.float64).reshape(3, K).sin()


def rows(logits):
    return [[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in logits.tolist()]


def labels_of(evidence):
    return [[a for a, out in enumerate(row) if out] for row in evidence.excluded.tolist()]


# ---- one step ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SIMPLE)
def test_the_simple_ones_are_means_of_their_loss(name):
    method, of = SIMPLE[name]
    for transition in (None, BIASED):  # a revealed matrix changes nothing
        held = batch(method, transition=transition)
        loss, changed = method.objective(net, held)
        torch.testing.assert_close(loss, of(net(held.x), held.evidence.excluded).mean())
        assert changed == {} and held.state == {}


def slow_risks(p, said, inverse, prior):
    risks = [0.0] * K
    for y in range(K):
        for a in range(K):
            mine = [-math.log(row[y]) for row, labels in zip(p, said) if a in labels]
            risks[y] += prior[a] * inverse[a][y] * sum(mine) / len(mine) if mine else 0.0
    return risks


@pytest.mark.parametrize("given", ["nothing", "revealed", "argument"])
@pytest.mark.parametrize("correction", ["none", "non-negative", "gradient ascent"])
def test_a_step_on_the_unbiased_risk(correction, given):
    method = m.UnbiasedComplementary(correction=correction, transition=BIASED if given == "argument" else None)
    held = batch(method, transition=BIASED if given == "revealed" else None)
    q = uniform_complement(K) if given == "nothing" else BIASED
    inverse, everyone = torch.linalg.inv(q).tolist(), labels_of(start().evidence)
    prior = [sum(a in labels for labels in everyone) / sum(map(len, everyone)) for a in range(K)]
    torch.testing.assert_close(held.state["prior"], torch.tensor(prior, dtype=torch.float64))
    p, said = rows(net(held.x)), labels_of(held.evidence)
    each = [[-sum(inverse[a][y] * math.log(row[y]) for y in range(K)) for a in s] for row, s in zip(p, said)]
    risks = slow_risks(p, said, inverse, prior)
    expected = {
        "none": sum(sum(v) / len(v) for v in each) / len(each),
        "non-negative": sum(max(0, r) for r in risks),
        "gradient ascent": sum(risks),
    }[correction]
    loss, changed = method.objective(net, held)
    assert float(loss) == pytest.approx(expected) and changed == {}


def test_gradient_ascent_moves_up_what_is_negative():
    method = m.UnbiasedComplementary(correction="gradient ascent")
    held = batch(method)
    z = (30 * net(held.x)).requires_grad_()  # so sure and so wrong that a risk is negative
    loss, _ = method.objective(lambda x: z, held)
    (slope,) = torch.autograd.grad(loss, z)
    per_class = losses.cross_entropy_of_classes(z)
    r = losses.risk_by_class(per_class, held.evidence.excluded, held.state["inverse"], held.state["prior"])
    assert (r < 0).any()
    torch.testing.assert_close(slope, -torch.autograd.grad(r[r < 0].sum(), z)[0])


def slow_estimation(w, p, said):
    """CPE-T's loss from the free numbers of the matrix."""
    t = [[math.exp(v) / sum(math.exp(u) for u in row) for v in row] for row in w]
    each = [[-math.log(sum(row[c] * t[c][a] for c in range(K))) for a in s] for row, s in zip(p, said)]
    return sum(sum(v) / len(v) for v in each) / len(each)


def test_a_trained_matrix_begins_near_q_and_takes_a_step_of_adam():
    method = m.ComplementaryEstimation(form="trained", matrix_lr=0.01, floor=0.02)
    held = batch(method, transition=uniform_complement(K))
    begun = 0.98 * uniform_complement(K) + 0.02 / K
    torch.testing.assert_close(held.state["transition"], begun)
    torch.testing.assert_close(held.state["weights"].softmax(1), begun)
    p, said, at = rows(net(held.x)), labels_of(held.evidence), held.state["weights"].tolist()
    loss, changed = method.objective(net, held)
    assert float(loss) == pytest.approx(slow_estimation(at, p, said))
    for i in range(K):
        for j in range(K):
            up, down = ([[*row] for row in at] for _ in range(2))
            up[i][j] += 1e-6
            down[i][j] -= 1e-6
            slope = (slow_estimation(up, p, said) - slow_estimation(down, p, said)) / 2e-6
            assert float(changed["weights"][i, j]) == pytest.approx(at[i][j] - 0.01 * np.sign(slope), abs=1e-5)
    torch.testing.assert_close(changed["transition"], changed["weights"].softmax(1))


@pytest.mark.parametrize("form", ["identity", "fixed"])
def test_a_given_matrix_in_the_estimate(form):
    method = m.ComplementaryEstimation(form=form, transition=BIASED)
    held = batch(method)
    loss, changed = method.objective(net, held)
    p, said, q = rows(net(held.x)), labels_of(held.evidence), BIASED.tolist()
    estimate = lambda row, a: row[a] if form == "identity" else sum(row[c] * q[c][a] for c in range(K))
    each = [sum(-math.log(estimate(row, a)) for a in s) / len(s) for row, s in zip(p, said)]
    assert float(loss) == pytest.approx(sum(each) / len(each)) and changed == {}
    method.kept = {"transition": BIASED}
    scores = method.predict(net, held.x)
    for row, mine in zip(p, scores.tolist()):
        for c in range(K):
            assert mine[c] == pytest.approx(-sum(abs(estimate(row, a) - q[c][a]) for a in range(K)))


def test_the_trained_matrix_decodes():
    method = m.ComplementaryEstimation(form="trained")
    x = start().x
    method.kept = {"transition": BIASED}
    fixed = m.ComplementaryEstimation(transition=BIASED)
    fixed.kept = {"transition": BIASED}
    torch.testing.assert_close(method.predict(net, x), fixed.predict(net, x))


# ---- what they reduce to -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        m.NegativeLearning(),
        m.MultipleComplementary(form="log"),
        m.MultipleComplementary(form="cross entropy"),
        m.UnbiasedComplementary(),
    ],
    ids=["nl", "mcl log", "mcl cross entropy", "ure"],
)
def test_all_wrong_classes_told_is_training_on_the_label(data, method):
    options = dict(seeds=[0], dtype="float64", **QUICK)
    told = lk.fit(data, ComplementaryLabels(count=K - 1), methods=method, **options)
    ordinary = lk.fit(data, lk.annotate.Clean(), methods=m.CrossEntropy(), **options)
    torch.testing.assert_close(told.logits(), ordinary.logits(), rtol=1e-8, atol=1e-8)


def test_negative_learning_and_the_fixed_estimate_are_forward_correction(data):
    options = dict(seeds=[0], dtype="float64", **QUICK)
    for matrix, methods in (
        (None, (m.NegativeLearning(), m.ComplementaryEstimation())),
        (BIASED, (m.ComplementaryEstimation(),)),
    ):
        annotator = ComplementaryLabels(matrix=matrix, reveal=True)
        forward = lk.fit(data, annotator, methods=m.EvidenceLikelihood(), **options)
        for method in methods:
            mine = lk.fit(data, annotator, methods=method, **options)
            for name, weights in forward.weights().items():
                torch.testing.assert_close(mine.weights()[name], weights, rtol=1e-8, atol=1e-8)


def test_two_classes_are_ordinary_labels():
    data = lk.load("gaussians", n=200, classes=2, separation=2.0, seed=0)
    options = dict(seeds=[0], dtype="float64", **QUICK)
    ordinary = lk.fit(data, lk.annotate.Clean(), methods=m.CrossEntropy(), **options).logits()
    for method in (m.NegativeLearning(), m.UnbiasedComplementary(), m.MultipleComplementary()):
        told = lk.fit(data, ComplementaryLabels(), methods=method, **options)
        torch.testing.assert_close(told.logits(), ordinary, rtol=1e-8, atol=1e-8)


# ---- in the fleet ------------------------------------------------------------------------------------------------


SLOW = ("exp", "l-w")  # small slopes: 18 steps are not enough for them
FLEET = ["pc", "nl", "exp", "mcl log", "l-w", "op", "op-w", *OTHERS]


@pytest.mark.parametrize("name", FLEET)
def test_alone_and_in_a_fleet_the_numbers_are_equal(data, name):
    annotator = ComplementaryLabels(count=2, matrix=BIASED, reveal=True)
    options = dict(methods=EVERY[name], dtype="float64", **QUICK)
    together = lk.fit(data, annotator, seeds=2, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, annotator, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-10, atol=1e-10)
    for a, b in zip(together, alone):
        for key, weights in a.params.items():
            torch.testing.assert_close(weights, b.params[key], rtol=1e-10, atol=1e-10)
        for key, kept in a.kept.items():
            torch.testing.assert_close(kept, b.kept[key], rtol=1e-10, atol=1e-10)
    if "ure" not in name and name not in SLOW:  # URE: little data, and its variance is what it is known for
        assert (together.measure("accuracy")["value"] > 0.4).all()  # chance is 1/4
    again = alone.predict(data.x[alone.index("test")[0]].double())  # decoded with the matrix that the run kept
    torch.testing.assert_close(again, alone.logits(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", SLOW)
def test_the_slow_ones_learn_too(data, name):
    longer = {**QUICK, "epochs": 30}
    runs = lk.fit(data, ComplementaryLabels(count=2), methods=EVERY[name], seeds=2, **longer)
    assert (runs.measure("accuracy")["value"] > 0.5).all()  # chance is 1/4


def test_every_run_has_its_own_trained_matrix(data):
    method = m.ComplementaryEstimation(form="trained", matrix_lr=0.01)
    runs = lk.fit(data, ComplementaryLabels(), methods=method, seeds=2, dtype="float64", **QUICK)
    kept = runs.kept("transition")
    assert kept.shape == (2, K, K) and not torch.equal(kept[0], kept[1])
    torch.testing.assert_close(kept.sum(-1), torch.ones(2, K, dtype=torch.float64))


def test_what_they_refuse(data):
    with pytest.raises(ValueError, match="unknown form 'lgo'; did you mean 'log'"):
        m.MultipleComplementary(form="lgo")
    with pytest.raises(ValueError, match="none, non-negative, gradient ascent, got 'nn'"):
        m.UnbiasedComplementary(correction="nn")
    with pytest.raises(ValueError, match="identity, fixed, trained, got 'T'"):
        m.ComplementaryEstimation(form="T")
    with pytest.raises(ValueError, match="between 0 and 1, got 0"):
        m.ComplementaryEstimation(floor=0)
    with pytest.raises(ValueError, match="has no inverse"):
        m.UnbiasedComplementary(transition=torch.full((K, K), 1 / K)).setup(start())
    for method in EVERY.values():
        assert not issubclass(Candidates, method.accepts) and issubclass(Complementary, method.accepts)
