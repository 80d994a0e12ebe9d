"""Meta label correction: the slopes three ways, whose gradient is whose, remembered corrections, fleets."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit.annotate import Symmetric, Trusted
from labkit.evidence import TrustedLabels
from labkit.fleet.step import Net
from labkit.methods import EnhancedMetaLabelCorrection as EMLC
from labkit.methods import MetaLabelCorrection as MLC
from labkit.methods.base import Batch, Start
from labkit.methods.meta_correction import one_step_slopes, wrong_label
from labkit.models import MLP, WithLabelHead

D, K, N = torch.float64, 4, 9
QUICK = dict(epochs=2, batch_size=32, progress=False, compile=False)


def build(seed=0, outputs=1):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return WithLabelHead(MLP((6,)), outputs, (5,)).build((3,), None, K).double()


def net_of(model):
    return Net(model, dict(model.named_parameters()))


def situation(method):
    g = torch.Generator().manual_seed(3)
    x = torch.randn(2 * N, 3, generator=g, dtype=D)
    labels = torch.randint(0, K, (2 * N,), generator=g)
    evidence = TrustedLabels(labels, K, torch.arange(2 * N) % 3 == 0)
    state = method.setup(Start(x, evidence, K, 0, np.random.default_rng(0), torch.arange(2 * N)))
    draws = {k: torch.from_numpy(v[0]) for k, v in method.draw(np.random.default_rng(1), 1, N).items()}
    index = torch.arange(2 * N - 1, N - 1, -1)
    return Batch(x[index], evidence[index], index, torch.tensor(0.0), state, draws)


def after_one_step(model, x, target, weight, trusted_x, trusted_y, eta):
    """Trusted loss of the student after one step, by ordinary autograd through the update."""
    params = dict(model.named_parameters())
    logits = lambda p, v: torch.func.functional_call(model, p, (v,))
    loss = -(weight * (target * logits(params, x).log_softmax(-1)).sum(-1)).sum()
    used = [k for k in params if not k.startswith("label_head")]
    steps = torch.autograd.grad(loss, [params[k] for k in used], create_graph=True)
    ahead = {**params, **{k: params[k] - eta * s for k, s in zip(used, steps)}}
    return F.cross_entropy(logits(ahead, trusted_x), trusted_y)


def setting():
    g = torch.Generator().manual_seed(0)
    x, trusted_x = (torch.randn(n, 3, generator=g, dtype=D) for n in (N, 5))
    target, weight = torch.rand(N, K, generator=g, dtype=D).softmax(1), torch.rand(N, generator=g, dtype=D)
    return x, target, weight, trusted_x, torch.randint(0, K, (5,), generator=g)


@pytest.mark.parametrize("eta", [0.05, 1.0])
def test_slopes_are_the_gradient_through_the_update(eta):
    model, (x, target, weight, trusted_x, y) = build(), setting()
    slopes = one_step_slopes(net_of(model), x, target, weight, trusted_x, y, eta)
    through = target.clone().requires_grad_()
    (expected,) = torch.autograd.grad(after_one_step(model, x, through, weight, trusted_x, y, eta), through)
    torch.testing.assert_close(eta * weight[:, None] * slopes, expected, rtol=1e-9, atol=1e-12)
    assert not slopes.requires_grad


def test_slopes_are_the_numerical_derivative():
    model, (x, target, weight, trusted_x, y), eta, h = build(1), setting(), 0.3, 1e-5
    slopes = one_step_slopes(net_of(model), x, target, weight, trusted_x, y, eta)
    for i, k in ((0, 0), (4, 2), (8, 3)):
        change = torch.zeros_like(target)
        change[i, k] = h
        up, down = (
            float(after_one_step(model, x, target + s * change, weight, trusted_x, y, eta).detach()) for s in (1, -1)
        )
        assert (up - down) / (2 * h) == pytest.approx(float(eta * weight[i] * slopes[i, k]), rel=1e-6)


def test_paying_a_label_less_where_the_slope_is_positive_helps_the_trusted():
    model, (x, target, weight, trusted_x, y), eta = build(2), setting(), 0.1
    slopes = one_step_slopes(net_of(model), x, target, weight, trusted_x, y, eta)
    before, after = (after_one_step(model, x, t, weight, trusted_x, y, eta) for t in (target, target - 0.1 * slopes))
    assert after < before


def by_hand_weights(b):
    flags = b.evidence.trusted.tolist()
    return torch.tensor([0.0 if t else 1 / flags.count(False) for t in flags], dtype=D)


def emlc_by_hand(method, student, teacher, b):
    """Student's and teacher's losses, each differentiated on its own."""
    x, y = method.trusted(b)
    labels, weight = b.evidence.labels, by_hand_weights(b)
    features = teacher.body(b.x)
    guess, rows = teacher.head(features).softmax(-1), []
    judge = lambda f, c: teacher.label_head(torch.cat([f, F.one_hot(c, K).to(D)])[None])[0, 0]
    keeps = []
    for i in range(N):
        keep = torch.sigmoid(judge(features[i], labels[i]))
        keeps.append(float(keep.detach()))
        rows.append(keep * F.one_hot(labels[i], K).to(D) + (1 - keep) * guess[i])
    target = torch.stack(rows)
    told = -(weight * (target.detach() * student(b.x).log_softmax(-1)).sum(-1)).sum()
    meta = after_one_step(copy.deepcopy(student), b.x, target, weight, x, y, method.eta)
    logits = teacher.head(teacher.body(x))
    supervised, injected = F.cross_entropy(logits, y), 0.0
    for i in range(len(y)):
        shown = int(y[i])
        if i % 2 == 0:
            wrong = [k for k in range(K) if k != shown]
            shown = max(wrong, key=lambda k: logits[i, k].item()) if method.injection == "adversarial" else (
                shown + 1 + int(b.draws["wrong"][i]) % (K - 1)) % K  # fmt: skip
        p = torch.sigmoid(judge(teacher.body(x[i : i + 1])[0], torch.tensor(shown)))
        injected = injected - torch.log(p if i % 2 else 1 - p) / len(y)
    if method.injection == "none":
        injected = 0.0
    return told, method.meta * meta + method.supervised * supervised + method.injected * injected, target, keeps


@pytest.mark.parametrize("injection", ["adversarial", "random", "none"])
def test_each_network_descends_on_its_own_loss(injection):
    method = EMLC(eta=0.3, meta=2.0, supervised=0.7, injected=0.5, injection=injection, trusted_batch=6)
    student, teacher, b = build(0), build(1), situation(method)
    loss, changed = method.objective((net_of(student), net_of(teacher)), b)
    told, taught, target, keeps = emlc_by_hand(method, student, teacher, b)
    for model, own in ((student, told), (teacher, taught)):
        params = list(model.parameters())
        ours = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
        by_hand = torch.autograd.grad(own, params, retain_graph=True, allow_unused=True)
        for a, e in zip(ours, by_hand):
            zero = lambda v: torch.zeros((), dtype=D) if v is None else v
            torch.testing.assert_close(*torch.broadcast_tensors(zero(a), zero(e)), rtol=1e-9, atol=1e-11)
    trusted, labels = b.evidence.trusted, b.evidence.labels
    assert torch.equal(changed["corrected"][b.index], torch.where(trusted, labels, target.argmax(-1)))
    keeps = [1.0 if t else keep for t, keep in zip(trusted, keeps)]
    assert changed["retained"][b.index].tolist() == pytest.approx(keeps)
    assert torch.equal(changed["corrected"][:N], b.state["corrected"][:N])  # those not seen stay as they were


def test_meta_label_correction_teaches_the_head_and_nothing_else():
    method, model = MLC(eta=0.3, meta=2.0, prior=1.5, trusted_batch=6), build(0, outputs=0)
    b = situation(method)
    weight = by_hand_weights(b)
    loss, changed = method.objective(net_of(model), b)
    x, y = method.trusted(b)
    features = model.body(b.x).detach()
    hot = F.one_hot(b.evidence.labels, K).to(D)
    rows = [(model.label_head(torch.cat([f, c])[None])[0] + 1.5 * c).exp() for f, c in zip(features, hot)]
    target = torch.stack([row / row.sum() for row in rows])
    told = -(weight * (target.detach() * model(b.x).log_softmax(-1)).sum(-1)).sum()
    meta = 2.0 * after_one_step(copy.deepcopy(model), b.x, target, weight, x, y, 0.3)
    for name, p in model.named_parameters():
        (ours,) = torch.autograd.grad(loss, p, retain_graph=True)
        (by_hand,) = torch.autograd.grad(meta if name.startswith("label_head") else told, p, retain_graph=True)
        torch.testing.assert_close(ours, by_hand, rtol=1e-9, atol=1e-11)
    expected = torch.where(b.evidence.trusted, b.evidence.labels, target.argmax(-1))
    assert torch.equal(changed["corrected"][b.index], expected)


def test_the_student_learns_nothing_from_trusted_examples_and_all_from_a_teacher_that_keeps_every_label():
    method, student, teacher = EMLC(trusted_batch=4), build(0), build(1)
    b = situation(method)
    for p in (teacher.label_head[-1].weight, teacher.label_head[-1].bias):
        p.data = torch.zeros_like(p) + (p.ndim == 1) * 100.0  # l = 1
    told = lambda b: method.objective((net_of(student), net_of(teacher)), b)[0]
    of = lambda v: torch.autograd.grad(v, student.head.weight)[0]
    rest = ~b.evidence.trusted
    plain = F.cross_entropy(student(b.x[rest]), b.evidence.labels[rest])
    torch.testing.assert_close(of(told(b)), of(plain))
    b.evidence = TrustedLabels(b.evidence.labels, K, torch.ones(N, dtype=torch.bool))
    assert of(told(b)).abs().max() == 0


def test_injected_labels_are_wrong():
    g = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(500, K, generator=g), torch.randint(0, K, (500,), generator=g)
    number = torch.randint(0, 2**31, (500,), generator=g)
    for kind in ("adversarial", "random"):
        assert (wrong_label(logits, labels, number, kind) != labels).all()
    spread = torch.bincount((wrong_label(logits, labels, number, "random") - labels) % K, minlength=K)
    assert spread[0] == 0 and spread[1:].min() > 120


@pytest.mark.parametrize("which", ["mlc", "emlc", "emlc random"])
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, which):
    head = dict(meta=lk.sweep(1.0, 10.0), trusted_batch=8)
    method = {"mlc": MLC(**head), "emlc": EMLC(**head), "emlc random": EMLC(injection="random")}[which]
    model = WithLabelHead(MLP((8,)), outputs=0 if which == "mlc" else 1, hidden=(6,))
    options = dict(methods=method, model=model, dtype="float64", **{**QUICK, "epochs": 1})
    data, noise = small.subset(150), Trusted(Symmetric(0.5), share=0.1)
    together = lk.fit(data, noise, seeds=2, lanes=12, **options).where(seed=1)
    alone = lk.fit(data, noise, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-11, atol=1e-11)


def test_the_student_answers_and_the_teacher_corrects(small):
    noise = Trusted(Symmetric(0.4), share=0.1, balanced=True)
    runs = lk.fit(small, noise, methods=EMLC(), model=WithLabelHead(), seeds=2, **{**QUICK, "epochs": 10})
    module, weights = runs.where(seed=0).network()
    index = runs[0].index["test"]
    student = {k.removeprefix("0."): v for k, v in weights.items() if k.startswith("0.")}
    expected = torch.func.functional_call(module, student, (small.x[index],))
    torch.testing.assert_close(runs.where(seed=0).logits()[0], expected, rtol=1e-4, atol=1e-5)
    assert (runs.measure("accuracy")["value"] > 0.6).all()


def test_what_it_refuses(small):
    with pytest.raises(ValueError, match="adversarial, random, none, got 'loud'"):
        EMLC(injection="loud")
    with pytest.raises(TypeError, match="WithLabelHead"):
        lk.fit(small, Trusted(share=0.1), methods=EMLC(), model="mlp", seeds=1, **QUICK)
