"""Unbiased risks of complementary labels: by enumeration, on the right axis, and what public code computes instead."""

from __future__ import annotations

from itertools import combinations, permutations, product

import pytest
import torch

from labkit import losses
from labkit.annotate import OneOfTheShown, biased_complement, uniform_complement
from labkit.evidence import one_hot


def matrices(k):
    skewed = torch.rand(k, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64) + 0.05
    return {
        "uniform": uniform_complement(k),
        "weak": biased_complement(k, "weak", seed=1),
        "strong": biased_complement(k, "strong", seed=1),
        "noisy": biased_complement(k, "strong", noise=0.2, seed=2),
        "slips": OneOfTheShown(shown=3, error=0.2).transition(k),
        "any": skewed / skewed.sum(1, keepdim=True),
    }


CASES = [(k, name) for k in (4, 5) for name in matrices(k)]


def losses_of(n, k, seed=0):
    z = 2 * torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return losses.cross_entropy_of_classes(z)


def told(labels, k):
    return one_hot(torch.as_tensor(labels), k).bool()


# ---- the matrix --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "name"), CASES)
def test_the_inverse(k, name):
    q = matrices(k)[name]
    inverse = losses.inverse_transition(q, k)
    torch.testing.assert_close(inverse @ q, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-10)
    torch.testing.assert_close(inverse.sum(1), torch.ones(k, dtype=torch.float64))  # rows sum to 1
    uniform = 1 - (k - 1) * torch.eye(k, dtype=torch.float64)
    torch.testing.assert_close(losses.inverse_transition(None, k), uniform)
    assert losses.inverse_transition(q.float(), k).dtype == torch.float64


def test_a_matrix_without_inverse_is_refused():
    with pytest.raises(ValueError, match="has no inverse"):
        losses.inverse_transition(torch.full((4, 4), 0.25), 4)
    same = uniform_complement(4)
    same[1] = same[0]
    with pytest.raises(ValueError, match="has no inverse"):
        losses.inverse_transition(same, 4)


# ---- one example -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "name"), CASES)
def test_the_loss_is_unbiased_for_every_class(k, name):
    q = matrices(k)[name]
    inverse = losses.inverse_transition(q, k)
    for per_class in (losses_of(1, k), losses_of(1, k).sin() - 2):  # any loss, negative ones too
        each = losses.unbiased_loss(per_class.expand(k, k), torch.eye(k, dtype=torch.bool), inverse)  # by label
        torch.testing.assert_close(q @ each, per_class[0])
        slow = [sum(float(inverse[a, y] * per_class[0, y]) for y in range(k)) for a in range(k)]
        torch.testing.assert_close(each, torch.tensor(slow, dtype=torch.float64))


@pytest.mark.parametrize("k", [4, 5])
def test_several_uniform_labels_are_repeats(k):
    per_class, inverse = losses_of(1, k, seed=1), losses.inverse_transition(None, k)
    for y in range(k):
        wrong = [j for j in range(k) if j != y]
        for s in range(1, k):
            sets = [torch.tensor([[j in c for j in range(k)]]) for c in combinations(wrong, s)]
            each = [losses.unbiased_loss(per_class, e, inverse) for e in sets]
            torch.testing.assert_close(sum(each) / len(each), per_class[:, y])
            for e, mine in zip(sets, each):  # and the wrapper of MCL, which knows of no matrix
                torch.testing.assert_close(mine, losses.unbiased_of_sets(per_class, e))


def test_several_biased_labels_without_replacement_are_not():
    """Their shares differ from the rows of Q, which only the uniform ones keep: a limit of every public toolkit."""
    k, y = 4, 0
    per_class = losses_of(1, k, seed=1)
    for q, exact in ((uniform_complement(k), True), (biased_complement(k, "strong", seed=1), False)):
        inverse, row, total = losses.inverse_transition(q, k), q[y].tolist(), torch.zeros(1, dtype=torch.float64)
        for a, b in permutations(range(1, k), 2):
            chance = row[a] * row[b] / (1 - row[a])
            pair = torch.tensor([[j in (a, b) for j in range(k)]])
            total = total + chance * losses.unbiased_loss(per_class, pair, inverse)
        assert (abs(float(total) - float(per_class[0, y])) < 1e-10) == exact


def test_two_classes_are_told_by_the_other_one():
    per_class, label = losses_of(6, 2), torch.tensor([0, 1, 1, 0, 1, 0])
    inverse = losses.inverse_transition(None, 2)
    mine = losses.unbiased_loss(per_class, told(label, 2), inverse)
    torch.testing.assert_close(mine, per_class.gather(1, 1 - label[:, None])[:, 0])
    assert (losses.risk_by_class(per_class, told(label, 2), inverse, torch.tensor([0.5, 0.5])) >= 0).all()


# ---- the risk of every class -------------------------------------------------------------------------------------


def slow_by_class(per_class, labels, inverse, prior):
    k, risk = len(inverse), []
    for y in range(k):
        total = 0.0
        for a in range(k):
            mine = [float(row[y]) for row, label in zip(per_class, labels) if label == a]
            if mine:
                total += float(prior[a] * inverse[a, y]) * sum(mine) / len(mine)
        risk.append(total)
    return torch.tensor(risk, dtype=torch.float64)


TENTHS = torch.tensor([[0, 7, 2, 1], [1, 0, 3, 6], [5, 4, 0, 1], [2, 2, 5, 1]], dtype=torch.float64) / 10  # last: noise


@pytest.mark.parametrize("q", [uniform_complement(4), uniform_complement(5), TENTHS], ids=["4", "5", "biased, noisy"])
def test_every_entry_is_the_risk_of_its_class(q):
    """A whole population: every example as often with every label as its class has it, classes of unequal shares."""
    k, times = len(q), 10 if q is TENTHS else len(q) - 1
    classes = torch.tensor([0] * 5 + [1] * 2 + [2] * 4 + [3] * 1 + [4] * (3 if k == 5 else 0))
    own = losses_of(len(classes), k, seed=2)
    rows = [(i, a) for i, c in enumerate(classes) for a in range(k) for _ in range(round(times * float(q[c, a])))]
    per_class, labels = own[[i for i, _ in rows]], [a for _, a in rows]
    shares = one_hot(classes, k, torch.float64).mean(0)
    prior = shares @ q
    torch.testing.assert_close(told(labels, k).double().mean(0), prior)
    mine = losses.risk_by_class(per_class, told(labels, k), losses.inverse_transition(q, k), prior)
    truth = torch.stack([own[classes == y, y].mean() * shares[y] for y in range(k)])
    torch.testing.assert_close(mine, truth)
    ordinary = own.gather(1, classes[:, None]).mean()
    torch.testing.assert_close(losses.non_negative_risk(mine), ordinary)  # nothing is negative in a whole population
    torch.testing.assert_close(losses.gradient_ascent_risk(mine), ordinary)


def test_the_mean_over_examples_is_unbiased_in_every_batch_and_the_sum_over_classes_only_where_no_label_lacks():
    k, y = 4, [0, 2, 2]
    per_class, inverse = losses_of(3, k, seed=3), losses.inverse_transition(None, k)
    ordinary = per_class.gather(1, torch.tensor(y)[:, None]).mean()
    draws = list(product(*[[j for j in range(k) if j != c] for c in y]))
    by_example, by_class = [], []
    prior = one_hot(torch.tensor(y), k, torch.float64).mean(0) @ uniform_complement(k)
    for labels in draws:
        e = told(labels, k)
        by_example.append(losses.unbiased_loss(per_class, e, inverse).mean())
        by_class.append(losses.risk_by_class(per_class, e, inverse, prior).sum())
        shares = losses.risk_by_class(per_class, e, inverse, e.double().mean(0)).sum()
        torch.testing.assert_close(shares, by_example[-1])  # a prior that fits the batch
    torch.testing.assert_close(sum(by_example) / len(draws), ordinary)
    assert abs(sum(by_class) / len(draws) - ordinary) > 0.01


@pytest.mark.parametrize("name", ["uniform", "strong", "noisy"])
def test_equals_the_slow_twin(name):
    k = 5
    q, prior = matrices(k)[name], torch.tensor([0.3, 0.1, 0.25, 0.15, 0.2], dtype=torch.float64)
    inverse, per_class, labels = losses.inverse_transition(q, k), losses_of(9, k, seed=4), [0, 0, 1, 3, 3, 3, 4, 0, 1]
    mine = losses.risk_by_class(per_class, told(labels, k), inverse, prior)  # label 2 is lacking
    torch.testing.assert_close(mine, slow_by_class(per_class, labels, inverse, prior))
    assert losses.risk_by_class(per_class.float(), told(labels, k), inverse, prior).dtype == torch.float32
    # several labels: the same as the examples repeated
    sets = torch.rand(9, k, generator=torch.Generator().manual_seed(0)) < 0.4
    sets[:, 1] |= ~sets.any(1)
    where = sets.nonzero()
    several = losses.risk_by_class(per_class, sets, inverse, prior)
    repeated = slow_by_class(per_class[where[:, 0]], where[:, 1].tolist(), inverse, prior)
    torch.testing.assert_close(several, repeated)


# ---- corrections -------------------------------------------------------------------------------------------------


R = torch.tensor([0.4, -0.3, 0.2, -0.1], dtype=torch.float64)


def slope_of(of):
    r = R.clone().requires_grad_()
    value = of(r)
    return float(value.detach()), torch.autograd.grad(value, r)[0].tolist()


def test_the_non_negative_risk():
    assert slope_of(losses.non_negative_risk) == (pytest.approx(0.6), [1, 0, 1, 0])
    assert slope_of(lambda r: losses.non_negative_risk(r, 0.2)) == (pytest.approx(0.3), [1, 0, 1, 1])
    assert slope_of(lambda r: losses.non_negative_risk(r, float("inf"))) == (pytest.approx(0.2), [1] * 4)
    for beta in (0.0, 0.05, 0.3):
        assert float(losses.non_negative_risk(R, beta)) >= float(R.sum())


def test_gradient_ascent():
    assert slope_of(losses.gradient_ascent_risk) == (pytest.approx(0.2), [0, -1, 0, -1])
    assert slope_of(lambda r: losses.gradient_ascent_risk(r, 0.2)) == (pytest.approx(0.2), [0, -1, 0, 0])
    assert slope_of(lambda r: losses.gradient_ascent_risk(r, 0.3))[1] == [1] * 4  # none is below
    assert slope_of(lambda r: losses.gradient_ascent_risk(r, 0.0, 0.25))[1] == [0, -0.25, 0, -0.25]
    assert slope_of(lambda r: losses.gradient_ascent_risk(r.abs()))[1] == [1, -1, 1, -1]  # descent: the sum's own slope


@pytest.mark.parametrize("of", [losses.non_negative_risk, losses.gradient_ascent_risk])
def test_the_numbers_may_be_swept(of):
    swept = torch.tensor([0.0, 0.2, 0.5], dtype=torch.float64)
    many = torch.func.vmap(lambda b: torch.func.grad(lambda r: of(r, b))(R))(swept)
    one = torch.tensor([slope_of(lambda r, b=b: of(r, b))[1] for b in swept.tolist()], dtype=torch.float64)
    torch.testing.assert_close(many, one)


def test_gradients_and_extremes():
    k, labels = 4, [0, 1, 1, 3, 2]
    inverse, prior = losses.inverse_transition(biased_complement(k, "weak"), k), torch.full((k,), 0.25).double()
    by_class = lambda z: losses.risk_by_class(losses.cross_entropy_of_classes(z), told(labels, k), inverse, prior)
    z = torch.randn(5, k, generator=torch.Generator().manual_seed(5), dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(by_class, (z,))
    torch.autograd.gradcheck(lambda z: losses.non_negative_risk(by_class(z)), (z,))
    mean = lambda z: losses.unbiased_loss(losses.cross_entropy_of_classes(z), told(labels, k), inverse)
    torch.autograd.gradcheck(mean, (z,))
    for dtype in (torch.float32, torch.float64):
        far = (1e4 * z.detach().sign()).to(dtype).requires_grad_()
        for of in (lambda z: losses.gradient_ascent_risk(by_class(z)), lambda z: mean(z).sum()):
            value = of(far)
            assert value.isfinite() and torch.autograd.grad(value, far)[0].isfinite().all()


# ---- what public code computes instead ---------------------------------------------------------------------------


def batch():
    """Five classes, nine labels, p written out, so that every number below can be redone by hand."""
    p = torch.tensor(
        [[5, 1, 2, 1, 1], [1, 6, 1, 1, 1], [2, 1, 5, 1, 1], [1, 1, 1, 6, 1], [1, 2, 1, 1, 5],
         [4, 1, 1, 1, 3], [1, 1, 6, 1, 1], [1, 5, 1, 2, 1], [2, 2, 2, 2, 2]], dtype=torch.float64) / 10  # fmt: skip
    labels = [1, 0, 0, 0, 3, 1, 4, 0, 2]
    prior = torch.tensor([0.4, 0.2, 0.1, 0.2, 0.1], dtype=torch.float64)
    return -p.log(), labels, prior, losses.inverse_transition(None, 5)


def means(per_class, labels):
    """[l][y] mean of l_y over examples with label l."""
    held = told(labels, 5).double()
    return held.T @ per_class / held.sum(0)[:, None]


def test_the_clamp_is_per_true_class():
    """Two toolkits clamp per complementary label: free risks are equal, corrected ones are not."""
    per_class, labels, prior, inverse = batch()
    by_class = losses.risk_by_class(per_class, told(labels, 5), inverse, prior)
    wrong_axis = (prior[:, None] * inverse * means(per_class, labels)).sum(1)
    assert float(by_class.sum()) == pytest.approx(float(wrong_axis.sum())) == pytest.approx(0.5732, abs=1e-4)
    assert float(losses.non_negative_risk(by_class)) == pytest.approx(2.2033, abs=1e-4)
    assert float(losses.non_negative_risk(wrong_axis)) == pytest.approx(0.5915, abs=1e-4)


def test_the_prior_is_that_of_the_label_not_of_the_class():
    """One toolkit (and the authors' code before March 2022) multiplies the first term by prior_y for prior_l."""
    per_class, labels, prior, inverse = batch()
    mean = means(per_class, labels)
    old = lambda pi: (pi[None, :] * mean).sum(0) - 4 * pi * mean.diagonal()
    mine = losses.risk_by_class(per_class, told(labels, 5), inverse, prior)
    assert float(mine.sum()) == pytest.approx(0.5732, abs=1e-4) and float(old(prior).sum()) == pytest.approx(
        0.5926, abs=1e-4
    )
    corrected = [float(losses.non_negative_risk(r)) for r in (mine, old(prior))]
    assert corrected == [pytest.approx(2.2033, abs=1e-4), pytest.approx(0.6475, abs=1e-4)]
    even = torch.full((5,), 0.2, dtype=torch.float64)  # right where the labels are spread evenly, hence unnoticed
    torch.testing.assert_close(losses.risk_by_class(per_class, told(labels, 5), inverse, even), old(even))


def test_gradient_ascent_weighs_classes_alike():
    """The authors' code multiplies each r_y by the count of complementary label y before it sums the negative ones."""
    per_class, labels, prior, inverse = batch()
    r = losses.risk_by_class(per_class, told(labels, 5), inverse, prior).requires_grad_()
    (mine,) = torch.autograd.grad(losses.gradient_ascent_risk(r), r)
    count = told(labels, 5).sum(0)
    assert mine.tolist() == [-float(v < 0) for v in r] and (r < 0).any()
    theirs = -(count * r).clamp_max(0).sum()
    assert not torch.equal(torch.autograd.grad(theirs, r)[0], mine)
