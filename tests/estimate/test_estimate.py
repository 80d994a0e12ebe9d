"""Estimates of a transition matrix: exact where the data are, and the known traps of public code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from labkit import estimate
from labkit.annotate.noise import draw_labels
from labkit.estimate.consensus import _mismatch, _stochastic
from labkit.theory import identifiability as ident

T = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.1, 0.6]], dtype=torch.float64)
PRIOR = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)


def rng(seed=0):
    return np.random.default_rng(seed)


# ---- anchor points -----------------------------------------------------------------------------------------------


def test_anchors_are_exact_when_the_posterior_is():
    eta = torch.from_numpy(rng().dirichlet(np.ones(3), 500))
    eta[:3] = torch.eye(3)
    torch.testing.assert_close(estimate.anchor_points(eta @ T, None), T)
    crowd = torch.cat([eta, torch.eye(3, dtype=torch.float64).repeat(40, 1)])  # a few sure ones of each are passed over
    found = estimate.anchor_points(crowd @ T)
    assert estimate.matrix_error(found, T) < 0.1
    assert (estimate.matrix_error(found, T) > 0) and torch.allclose(found.sum(1), torch.ones(3, dtype=torch.float64))


def slow_anchor(probs, percentile):
    """The row that comes next below the percentile, for every class."""
    rows = []
    for i in range(len(probs[0])):
        edge = np.percentile([p[i] for p in probs], percentile, method="higher")
        rows.append(max((p for p in probs if p[i] < edge), key=lambda p: p[i]))
    return rows


def test_anchors_equal_the_slow_twin():
    probs = torch.from_numpy(rng(1).dirichlet(np.ones(4), 200))
    for percentile in (97.0, 80.0):
        expected = torch.tensor(slow_anchor(probs.tolist(), percentile), dtype=torch.float64)
        torch.testing.assert_close(estimate.anchor_points(probs, percentile), expected)


def test_the_outlier_filter_leaves_the_probabilities_as_they_were():
    """The anchor of class 1 is an example passed over for class 0. Zeroing it there leaves the row (0, 0.4, 0.1)."""
    n = 40
    probs = torch.full((n, 3), 1 / 3, dtype=torch.float64)
    probs[:, 0] = torch.linspace(0.1, 0.3, n)
    probs[:, 1] = 0.2
    probs[:, 2] = 0.8 - probs[:, 0]
    probs[5] = torch.tensor([0.5, 0.4, 0.1])  # highest of class 0, third of class 1; of 40 the top two are passed over
    probs[6:9] = torch.tensor([[0.45, 0.3, 0.25], [0.2, 0.7, 0.1], [0.2, 0.6, 0.2]])
    before = probs.clone()
    found = estimate.anchor_points(probs)
    assert torch.equal(probs, before)
    torch.testing.assert_close(found[1], torch.tensor([0.5, 0.4, 0.1], dtype=torch.float64))
    in_place = probs.clone()  # what public code does: zero through a view, then take the largest that is left
    for i in range(3):
        column = in_place[:, i]
        column[column >= np.percentile(column.numpy(), 97, method="higher")] = 0
        row = in_place[column.argmax()]
        if i == 1:
            torch.testing.assert_close(row, torch.tensor([0.0, 0.4, 0.1], dtype=torch.float64))


def test_ties_at_the_top_do_not_make_an_anchor_of_another_class():
    """A tenth of the examples tie at the percentile; below them class 0 is only found in examples of class 1."""
    probs = torch.tensor([[0.95, 0.05]] * 10 + [[0.02, 0.98]] * 90, dtype=torch.float64)
    torch.testing.assert_close(estimate.anchor_points(probs), probs[[0, 99]])
    flat = torch.full((10, 2), 0.5, dtype=torch.float64)
    torch.testing.assert_close(estimate.anchor_points(flat), flat[:2])


# ---- dual T ------------------------------------------------------------------------------------------------------


def test_dual_t_equals_the_slow_twin():
    probs = torch.from_numpy(rng(2).dirichlet(np.ones(3), 300))
    given = torch.from_numpy(rng(3).integers(0, 3, 300))
    first = slow_anchor(probs.tolist(), 97.0)
    said = [max(range(3), key=lambda k: p[k]) for p in probs.tolist()]
    share = [
        [sum(s == k and g == j for s, g in zip(said, given.tolist())) / said.count(k) for j in range(3)]
        for k in range(3)
    ]
    expected = [[sum(first[i][k] * share[k][j] for k in range(3)) for j in range(3)] for i in range(3)]
    torch.testing.assert_close(estimate.dual_t(probs, given), torch.tensor(expected, dtype=torch.float64))


def test_dual_t_corrects_a_network_that_is_too_sure():
    """Predictions are right but far too confident: anchors see no noise, counting does."""
    clean = torch.from_numpy(rng(4).integers(0, 3, 6000))
    given = torch.from_numpy(draw_labels(T.numpy(), clean.numpy(), rng(5).random(6000)))
    probs = 0.999 * torch.eye(3, dtype=torch.float64)[clean] + 0.001 / 3
    assert estimate.matrix_error(estimate.anchor_points(probs), T) > 0.5
    assert estimate.matrix_error(estimate.dual_t(probs, given), T) < 0.05


def test_dual_t_stays_stochastic_when_a_class_is_never_predicted():
    probs = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.55, 0.05, 0.4]] * 10, dtype=torch.float64)
    given = torch.tensor([0, 1, 2] * 10)
    found = estimate.dual_t(probs, given, None)
    torch.testing.assert_close(found.sum(1), torch.ones(3, dtype=torch.float64))
    # class 2 is never predicted; a row of zeros in its place would lose the 0.4 that its anchor gives it
    torch.testing.assert_close(found[2], torch.tensor([0.55 * 0.5, 0.05, 0.4 + 0.55 * 0.5], dtype=torch.float64))


# ---- repeated labels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_em_never_lowers_the_likelihood_and_equals_the_slow_step(labels):
    counts = torch.from_numpy(rng(6).random([3] * labels))
    scores = [estimate.repeated_labels(counts, labels, rng(7), starts=1, steps=s).score for s in (0, 1, 2, 5, 20)]
    assert (torch.stack(scores).diff(dim=0) > -1e-12).all()
    start = estimate.repeated_labels(counts, labels, rng(7), starts=1, steps=0)
    prior, t = start.prior[0].tolist(), start.transition[0].tolist()
    seen = torch.stack([counts.permute(*o) for o in itertools.permutations(range(labels))]).mean(0)
    seen = (seen / seen.sum()).tolist()
    share, table = [0.0] * 3, [[0.0] * 3 for _ in range(3)]
    for cell in itertools.product(range(3), repeat=labels):
        n = seen
        for i in cell:
            n = n[i]
        joint = [prior[c] * np.prod([t[c][i] for i in cell]) for c in range(3)]
        for c in range(3):
            share[c] += n * joint[c] / sum(joint)
            table[c][cell[0]] += n * joint[c] / sum(joint)
    after = estimate.repeated_labels(counts, labels, rng(7), starts=1, steps=1)
    torch.testing.assert_close(after.prior[0], torch.tensor(share, dtype=torch.float64))
    expected = torch.tensor([[v / share[c] for v in table[c]] for c in range(3)], dtype=torch.float64)
    torch.testing.assert_close(after.transition[0], expected)


def test_three_labels_recover_and_two_do_not():
    """From the exact distribution: every start finds T at three labels, none needs to at two."""
    error, score = {}, {}
    for labels in (1, 2, 3):
        exact = ident.label_joint(PRIOR, T, labels)
        found = estimate.repeated_labels(exact, labels, rng(0), starts=8, steps=3000)
        error[labels] = estimate.matrix_error(found.transition, T, permute=True)
        score[labels] = found.score
        assert (found.score.diff() <= 0).all()
    good = score[3] > score[3][0] - 1e-9
    assert good.sum() >= 4 and (error[3][good] < 1e-3).all()
    for labels in (1, 2):
        assert float(score[labels][0] - score[labels][-1]) < 1e-6  # as good as each other
        assert float(error[labels].max()) > 0.15


def test_a_batch_of_counts_is_one_after_another():
    counts = torch.from_numpy(rng(8).random((4, 3, 3, 3)))
    together = estimate.repeated_labels(counts, 3, rng(1), starts=3, steps=30)
    assert together.transition.shape == (4, 3, 3, 3) and together.score.shape == (4, 3)
    alone = estimate.repeated_labels(counts[2], 3, rng(1), starts=3, steps=30)
    torch.testing.assert_close(together.transition[2], alone.transition)
    with pytest.raises(ValueError, match="end in 3 axes"):
        estimate.repeated_labels(torch.ones(3, 3), 3, rng())


def test_counts():
    labels = torch.tensor([[0, 1], [0, 1], [2, 0], [1, 1]])
    expected = torch.zeros(3, 3, dtype=torch.float64)
    for i, j in labels.tolist():
        expected[i, j] += 1
    assert torch.equal(estimate.label_counts(labels, 3), expected)
    assert torch.equal(estimate.label_counts(labels[:, :1], 3), torch.tensor([2.0, 1, 1], dtype=torch.float64))


# ---- consensus of neighbours -------------------------------------------------------------------------------------


def blobs(n=3000, seed=0):
    clean = torch.from_numpy(rng(seed).choice(3, n, p=PRIOR.numpy()))
    x = 10 * torch.eye(3)[clean] + torch.from_numpy(rng(seed + 1).standard_normal((n, 3))).float()
    given = torch.from_numpy(draw_labels(T.numpy(), clean.numpy(), rng(seed + 2).random(n)))
    return x, clean, given


def test_neighbours_are_the_nearest_by_cosine_and_never_oneself():
    x, _, given = blobs(60)
    x[7] = x[3]  # equal examples are each other's neighbours, not their own
    ours = estimate.neighbour_labels(x, torch.arange(60), piece=16)
    unit = (x / x.norm(dim=1, keepdim=True)).double()
    for i in range(60):
        order = sorted((j for j in range(60) if j != i), key=lambda j: -float(unit[i] @ unit[j]))
        assert ours[i].tolist() == [i, *order[:2]]
    with pytest.raises(ValueError, match="cannot have 2 neighbours"):
        estimate.neighbour_labels(x[:2], given[:2])


def test_the_gradient_of_the_mismatch():
    seen = tuple(ident.label_joint(PRIOR, T, p).numpy() + 0.01 * rng(p).random([3] * p) for p in (1, 2, 3))
    at = rng(9).standard_normal(12)

    def value(v):
        prior, t = v[9:].softmax(0), v[:9].reshape(3, 3).softmax(1)
        return sum((torch.from_numpy(s) - ident.label_joint(prior, t, p)).norm() for p, s in zip((1, 2, 3), seen))

    x = torch.from_numpy(at).requires_grad_()
    loss = value(x)
    loss.backward()
    ours, gradient = _mismatch(at, seen, 3)
    assert ours == pytest.approx(float(loss.detach()))
    torch.testing.assert_close(torch.from_numpy(gradient), x.grad)


def test_consensus_recovers_the_matrix_of_separated_classes():
    x, clean, given = blobs(6000)
    assert estimate.clusterability(x, clean) > 0.99
    found = estimate.consensus(x, given, 3)
    assert estimate.matrix_error(found.transition, T) < 0.12
    assert (found.prior - PRIOR).abs().max() < 0.06
    nothing = estimate.consensus(
        torch.from_numpy(rng(3).standard_normal((6000, 3))), given, 3
    )  # neighbours of any class
    assert estimate.matrix_error(nothing.transition, T) > 0.3


def test_the_best_iterate_is_returned_and_not_the_last():
    """At a step size that overshoots, the last value lies above the best; the estimate has the best one."""
    x, _, given = blobs(1000)
    counts = estimate.label_counts(estimate.neighbour_labels(x, given), 3).numpy()
    third = counts / counts.sum()
    seen = (third.sum((1, 2)), third.sum(2), third)
    for steps in (7, 40, 200):
        found = estimate.consensus(x, given, 3, steps=steps, rate=1.0)
        joint = [ident.label_joint(found.prior, found.transition, p).numpy() for p in (1, 2, 3)]
        reached = sum(np.linalg.norm(a - b) for a, b in zip(seen, joint))
        assert reached == pytest.approx(-float(found.score))
    few, many = (float(estimate.consensus(x, given, 3, steps=s, rate=1.0).score) for s in (40, 41))
    assert many >= few  # one more step can only help the best so far
    prior, t = _stochastic(np.zeros(12), 3)
    assert np.allclose(prior, 1 / 3) and np.allclose(t, 1 / 3)


# ---- errors ------------------------------------------------------------------------------------------------------


def test_matrix_error():
    assert float(estimate.matrix_error(T, T)) == 0
    turned = T[[2, 0, 1]]
    assert float(estimate.matrix_error(turned, T)) > 0.5 and float(estimate.matrix_error(turned, T, permute=True)) == 0
    off = T + torch.tensor([[0.1, -0.1, 0.0]] * 3, dtype=torch.float64)
    assert float(estimate.matrix_error(off, T)) == pytest.approx(0.6 / 3)
    both = estimate.matrix_error(torch.stack([T, turned]).reshape(1, 2, 3, 3), T, permute=True)
    assert both.shape == (1, 2)
    eye = torch.eye(3)
    brute = min(float((off[list(o)] - T).abs().sum()) / 3 for o in itertools.permutations(range(3)))
    assert float(estimate.matrix_error(off, T, permute=True)) == pytest.approx(brute)
    assert float(estimate.matrix_error(eye, eye.roll(1, 0))) == pytest.approx(2)
    far = torch.stack([T.mean(0), *torch.eye(3, dtype=torch.float64)[[2, 2]]])  # one row is nearest to every true row
    brute = min(float((far[list(o)] - T).abs().sum()) / 3 for o in itertools.permutations(range(3)))
    assert float(estimate.matrix_error(far, T, permute=True)) == pytest.approx(brute)
    with pytest.raises(ValueError, match="one matrix"):
        estimate.matrix_error(torch.eye(2), T)


def test_what_anchors_refuse():
    with pytest.raises(ValueError, match="logits need softmax"):
        estimate.anchor_points(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="between 0 and 100"):
        estimate.anchor_points(torch.full((4, 2), 0.5), 100)
    with pytest.raises(ValueError, match="one per row"):
        estimate.dual_t(torch.full((4, 2), 0.5), torch.zeros(3, dtype=torch.long))
