"""The four learners against their losses, enumeration, closed forms and the rates."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch

from labkit.streams import generator
from labkit.theory import knowledge_transfer as kt


def uneven(s=2, a=3, seed=0):
    """A teacher without symmetry; one of its labels is impossible."""
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(a), s)
    probs[0, 0] = 0.0
    probs /= probs.sum(1, keepdims=True)
    return kt.Teacher(torch.from_numpy(rng.dirichlet(np.ones(s))), torch.from_numpy(probs))


def slow(name, draws, probs):
    """Each learner from the list of draws, in plain Python."""
    s_count, a_count = len(probs), len(probs[0])
    answer = []
    for s in range(s_count):
        mine = [a for t, a in draws if t == s]
        if name == "hard labels":
            row = [mine.count(a) / len(mine) if mine else 1 / a_count for a in range(a_count)]
        elif name == "naive cross entropy":
            row = [sum(probs[s][b] for b in mine if b == a) for a in range(a_count)]
            row = [w / sum(row) for w in row] if mine else [1 / a_count] * a_count
        elif name == "squared error logit":
            unseen = [a for a in range(a_count) if a not in mine]
            left = 1 - sum(probs[s][a] for a in set(mine))
            row = [left / len(unseen) if a in unseen else probs[s][a] for a in range(a_count)]
        else:
            row = list(probs[s]) if mine else [1 / a_count] * a_count
        answer.append(row)
    return answer


def sequences(truth, n):
    """Every training set of n draws that can occur, with its probability."""
    rho, probs = truth.rho.tolist(), truth.probs.tolist()
    pairs = list(itertools.product(range(len(rho)), range(len(probs[0]))))
    for draws in itertools.product(pairs, repeat=n):
        weight = math.prod(rho[s] * probs[s][a] for s, a in draws)
        if weight > 0:
            yield draws, weight


def enumerated(name, truth, n):
    """Expected error over all training sets of n draws, slow learners only."""
    total = 0.0
    for draws, weight in sequences(truth, n):
        estimate = slow(name, draws, truth.probs.tolist())
        gap = sum(
            r * sum(abs(e - p) for e, p in zip(row, true)) / 2
            for r, row, true in zip(truth.rho.tolist(), estimate, truth.probs.tolist())
        )
        total += weight * gap
    return total


def tables(truth, n):
    """The same training sets as stacked counts ``(R, S, A)`` and weights ``(R,)``."""
    counts, weights = [], []
    for draws, weight in sequences(truth, n):
        table = torch.zeros_like(truth.probs)
        for s, a in draws:
            table[s, a] += 1
        counts.append(table)
        weights.append(weight)
    return torch.stack(counts), torch.tensor(weights, dtype=torch.float64)


@pytest.mark.parametrize("name", kt.LEARNERS)
@pytest.mark.parametrize("n", [0, 1, 3])
def test_expected_error_is_that_of_all_training_sets(name, n):
    truth = uneven()
    counts, weights = tables(truth, n)
    assert float(weights.sum()) == pytest.approx(1.0)
    ours = float((weights * kt.error(kt.LEARNERS[name](counts, truth.probs), truth)).sum())
    assert ours == pytest.approx(enumerated(name, truth, n), abs=1e-12)


@pytest.mark.parametrize("name", kt.LEARNERS)
def test_the_simulation_draws_from_the_teacher(name):
    truth, n, repeats = uneven(seed=1), 4, 4000
    counts = truth.sample(n, repeats, generator(0, "data"))
    assert counts.shape == (repeats, 2, 3) and (counts.sum((1, 2)) == n).all() and counts.dtype == torch.float64
    errors = kt.error(kt.LEARNERS[name](counts, truth.probs), truth)
    assert abs(float(errors.mean()) - enumerated(name, truth, n)) < 4 * float(errors.std()) / repeats**0.5


@pytest.mark.parametrize("name", kt.LEARNERS)
def test_estimates_are_distributions(name):
    truth = kt.teacher(2, 6, 4, 40)
    counts = truth.sample(40, 30, generator(0, "data"))
    estimate = kt.LEARNERS[name](counts, truth.probs)
    assert (estimate >= 0).all()
    torch.testing.assert_close(estimate.sum(-1), torch.ones(30, 6, dtype=torch.float64))
    exact = truth.sample(4_000_000, 1, generator(0, "data"))
    if name != "naive cross entropy":  # with everything seen often, three of the four are right
        assert float(kt.error(kt.LEARNERS[name](exact, truth.probs), truth)) < 2e-3


def test_learners_minimise_their_losses():
    """No step of a softmax table away from an answer lowers the learner's own loss."""
    truth = kt.teacher(0, 3, 4)
    counts = truth.sample(30, 1, generator(1, "data"))[0]
    seen = counts > 0
    log = lambda table: table.clamp_min(1e-300).log()
    of = {
        "hard labels": lambda p: -(counts * log(p)).sum(),
        "naive cross entropy": lambda p: -(counts * truth.probs * log(p)).sum(),
        "squared error logit": lambda p: (counts * (log(p) - log(truth.probs)) ** 2 * seen).sum() / 2,
        "full soft labels": lambda p: (counts.sum(-1, keepdim=True) * truth.probs * (log(truth.probs) - log(p))).sum(),
    }
    rng = torch.Generator().manual_seed(0)
    for name, loss in of.items():
        best = kt.LEARNERS[name](counts, truth.probs)
        for scale in (1e-3, 0.1, 1.0):
            step = torch.randn(best.shape, generator=rng, dtype=torch.float64) * scale
            assert loss(best) <= loss((best * step.exp()) / (best * step.exp()).sum(-1, keepdim=True)) + 1e-12, name
    assert of["squared error logit"](kt.squared_error_logit(counts, truth.probs)) == 0


def test_naive_cross_entropy_ends_at_its_plateau():
    truth = kt.teacher(0, 4, 5)
    for s, row in enumerate(truth.probs.tolist()):
        assert row[(s + 1) % 5] == pytest.approx(0.6) and sum(v == pytest.approx(0.1) for v in row) == 4
    assert kt.plateau(truth) == pytest.approx(0.36 / 0.4 - 0.6)
    counts = truth.sample(2_000_000, 3, generator(0, "data"))
    np.testing.assert_allclose(
        kt.error(kt.naive_cross_entropy(counts, truth.probs), truth), kt.plateau(truth), atol=2e-3
    )
    flat = kt.Teacher(truth.rho, torch.full_like(truth.probs, 0.2))
    assert kt.plateau(flat) == pytest.approx(0, abs=1e-15)  # unbiased where the teacher is uniform
    point = kt.Teacher(truth.rho, torch.eye(4, 5, dtype=torch.float64))
    assert kt.plateau(point) == 0


@pytest.mark.parametrize("n", [0, 1, 4])
def test_the_error_with_soft_labels_in_closed_form(n):
    truth = uneven(seed=2)
    assert kt.exact_soft_label_error(truth, n) == pytest.approx(enumerated("full soft labels", truth, n), abs=1e-12)


def test_with_soft_labels_the_number_of_labels_does_not_matter():
    errors = [kt.exact_soft_label_error(kt.teacher(3, 20, a, 500), 500) for a in (2, 10, 64)]
    assert errors == pytest.approx([errors[0]] * 3) and errors[0] == pytest.approx(
        19 / 501 * math.exp(-1) / 2, rel=0.01
    )


@pytest.mark.parametrize("instance", [1, 2, 3])
def test_hard_teachers_are_the_papers(instance):
    s, a, n = 6, 4, 99
    truth = kt.teacher(instance, s, a, n)
    rho, row = truth.rho.tolist(), truth.probs[3].tolist()
    if instance == 1:
        d = 0.25 * math.sqrt(s * a / n)
        assert row == pytest.approx([(1 + d) / a, (1 - d) / a] * 2)
    elif instance == 2:
        assert row == pytest.approx([0.06, 0.0, 0.06, 0.88])
    else:
        assert rho == pytest.approx([0.01] * 5 + [0.95]) and row == [0.5, 0.5, 0.0, 0.0]
    assert instance == 3 or rho == pytest.approx([1 / 6] * 6)


def test_rates_and_their_fit():
    n = np.array([100, 200, 400])
    table = pd.DataFrame([
        {"n": m, "seed": s, "error": c * m**e} for s, (c, e) in enumerate([(2.0, -1.0), (0.3, -0.5)]) for m in n
    ])  # fmt: skip
    assert kt.slopes(table).tolist() == pytest.approx([-1.0, -0.5])
    found = kt.simulate([1, 2, 3], [500, 4000], inputs=6, labels=4, seeds=2, repeats=200)
    assert list(found) == ["instance", "n", "seed", "labels", "learner", "error"] and len(found) == 3 * 2 * 2 * 4
    for instance, learner, rate in (
        (1, "hard labels", -0.5),
        (2, "squared error logit", -1),
        (3, "full soft labels", -1),
    ):
        mine = found[(found["instance"] == instance) & (found["learner"] == learner)]
        assert kt.slopes(mine).to_numpy() == pytest.approx([rate] * 2, abs=0.08)


def test_a_seed_is_a_stream():
    options = dict(sizes=[50], inputs=4, labels=4, repeats=5)
    alone, among = kt.simulate([0], seeds=1, **options), kt.simulate([1, 0], seeds=3, **options)
    among = among[(among["instance"] == 0) & (among["seed"] == 0)].reset_index(drop=True)
    pd.testing.assert_frame_equal(alone, among)
    assert kt.simulate([0], seeds=2, **options).groupby("learner")["error"].nunique()["hard labels"] == 2


@pytest.mark.parametrize(
    "arguments, said",
    [((2, 20, 10, 50), "more than n = 50"), ((4, 4, 4, 9), "instances 0, 1, 2 and 3"), ((1, 4, 5, 9), "even number"),
     ((3, 20, 4, 10), "more than n")],
)  # fmt: skip
def test_teachers_that_cannot_be(arguments, said):
    with pytest.raises(ValueError, match=said):
        kt.teacher(*arguments)


def test_a_teacher_is_made_of_distributions():
    with pytest.raises(ValueError, match="rho must be distributions"):
        kt.Teacher(torch.tensor([0.5, 0.4]), torch.eye(2))
    with pytest.raises(ValueError, match="probs must be"):
        kt.Teacher(torch.tensor([0.5, 0.5]), torch.tensor([[1.2, -0.2], [0.5, 0.5]]))
