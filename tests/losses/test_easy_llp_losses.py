"""EasyLLP: unbiased over every bag that a small world can give, and equal to a loop over floats."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses
from labkit.theory import bag_risk

WORLDS = {  # three points: their probabilities, the class of each, a classifier's logits
    2: ([0.5, 0.3, 0.2], [[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]], [[1.0, -0.5], [-0.2, 0.6], [0.7, 0.1]]),
    3: (
        [0.2, 0.3, 0.5],
        [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8], [0.3, 0.5, 0.2]],
        [[1.0, 0.2, -1.0], [-0.3, 0.4, 0.9], [0.1, 0.2, 0.0]],
    ),
}


def world(classes):
    weights, posterior, logits = (torch.tensor(v, dtype=torch.float64) for v in WORLDS[classes])
    return weights, posterior, logits


def every_bag(classes, size):
    """All (probability, points, classes) of a bag of independent draws."""
    weights, posterior, _ = world(classes)
    joint = weights[:, None] * posterior
    outcomes = list(itertools.product(range(3), range(classes)))
    for drawn in itertools.product(outcomes, repeat=size):
        yield math.prod(float(joint[x, c]) for x, c in drawn), [x for x, _ in drawn], [c for _, c in drawn]


def as_tensors(classes, size):
    probability, points, labels = zip(*every_bag(classes, size))
    counts = F.one_hot(torch.tensor(labels), classes).sum(1).double()
    return torch.tensor(probability, dtype=torch.float64), torch.tensor(points), counts


def moments(probability, value):
    mean = (probability * value).sum()
    return mean, (probability * (value - mean) ** 2).sum()


BASES = {"cross entropy": losses.cross_entropy, "mae": losses.mae, "focal": lambda z, t: losses.focal(z, t, 2.0)}


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize(("classes", "size"), [(2, 1), (2, 2), (2, 3), (2, 4), (3, 1), (3, 2), (3, 3)])
def test_unbiased_over_all_bags_and_labelings(classes, size, base):
    weights, posterior, logits = world(classes)
    prior = weights @ posterior
    per_class = losses.class_losses(logits, BASES[base])
    risk = bag_risk.true_risk(per_class, posterior, weights)
    probability, points, counts = as_tensors(classes, size)
    assert float(probability.sum()) == pytest.approx(1, abs=1e-12)
    bag = losses.easy_llp(logits[points], counts, prior, base=BASES[base])
    mean, variance = moments(probability, bag)
    torch.testing.assert_close(mean, risk, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(variance, bag_risk.bag_variance(size, per_class, posterior, weights), rtol=1e-10, atol=0)
    sizes = torch.full((len(counts),), size)
    one = losses.easy_llp_one(logits[points[:, 0]], counts, sizes, prior, base=BASES[base])
    mean, variance = moments(probability, one)
    torch.testing.assert_close(mean, risk, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        variance, bag_risk.one_member_variance(size, per_class, posterior, weights), rtol=1e-10, atol=0
    )
    soft = (probability * losses.easy_llp(logits[points], counts, prior, base=BASES[base], debias=False)).sum()
    torch.testing.assert_close(soft, bag_risk.soft_label_risk(size, per_class, posterior, weights))


@pytest.mark.parametrize("classes", [2, 3])
def test_a_surrogate_label_is_right_on_average_for_every_member(classes):
    weights, posterior, _ = world(classes)
    probability, points, counts = as_tensors(classes, 3)
    said = losses.surrogate_labels(counts, torch.full((len(counts),), 3), weights @ posterior)
    assert (said.sum(1) - 1).abs().max() < 1e-12 and float(said.min()) < -0.5  # negative weights, and not clipped
    for x in range(3):
        for member in range(3):
            here = probability * (points[:, member] == x)
            torch.testing.assert_close((here[:, None] * said).sum(0) / here.sum(), posterior[x])


def test_one_members_variance_grows_linearly_and_the_bags_stays_where_classes_lose_alike():
    weights, posterior, logits = world(2)
    per_class = losses.class_losses(logits)
    one = [float(bag_risk.one_member_variance(k, per_class, posterior, weights)) for k in (1, 2, 3, 64)]
    assert one[2] - one[1] == pytest.approx(one[1] - one[0]) and one[3] == pytest.approx(
        one[0] + 63 * (one[1] - one[0])
    )
    true = [float(bag_risk.bag_variance(k, per_class, posterior, weights)) for k in (64, 128, 256)]
    estimated = [float(bag_risk.bag_variance(k, per_class, posterior, weights, "estimated")) for k in (64, 128, 256)]
    assert true[2] - true[1] == pytest.approx(2 * (true[1] - true[0]), rel=0.05) and true[1] - true[0] > 0.1
    assert abs(estimated[2] - estimated[0]) < 0.01
    alike = per_class - weights @ per_class  # every class has the same mean loss: nothing to estimate pi for
    still = [float(bag_risk.bag_variance(k, alike, posterior, weights)) for k in (64, 256)]
    assert still[1] == pytest.approx(still[0], abs=0.01)
    with pytest.raises(ValueError, match='"true" or "estimated", got'):
        bag_risk.bag_variance(2, per_class, posterior, weights, "known")
    with pytest.raises(ValueError, match=r"\(points, classes\)"):
        bag_risk.true_risk(per_class[0], posterior)


@pytest.mark.parametrize(("bags", "size"), [(1, 2), (2, 2), (3, 2), (2, 3)])
def test_the_estimated_prior_shrinks_labels_by_one_over_the_bags(bags, size):
    """Over all training sets of so many bags: the mean is the risk mixed with that of unrelated labels."""
    weights, posterior, logits = world(2)
    per_class = losses.class_losses(logits)
    probability, points, counts = as_tensors(2, size)
    # a bag matters through its counts, its mean losses and its probability
    mean_loss = per_class[points].mean(1)
    held: dict = {}
    for p, m, loss in zip(probability.tolist(), counts.tolist(), mean_loss.tolist()):
        key = (tuple(m), tuple(round(v, 12) for v in loss))
        held[key] = held.get(key, 0.0) + p
    total = 0.0
    for chosen in itertools.product(held.items(), repeat=bags):
        p = math.prod(q for _, q in chosen)
        prior = [sum(m[c] for (m, _), _ in chosen) / (bags * size) for c in range(2)]
        for (m, loss), _ in chosen:
            total += p / bags * sum((m[c] - (size - 1) * prior[c]) * loss[c] for c in range(2))
    risk = float(bag_risk.true_risk(per_class, posterior, weights))
    unrelated = float((weights @ per_class) @ (weights @ posterior))
    shrunk = (size - 1) / (bags * size)
    assert total == pytest.approx((1 - shrunk) * risk + shrunk * unrelated, abs=1e-10)
    assert abs(total - risk) > 1e-4


def test_the_estimated_prior_takes_away_the_growth_of_the_variance():
    weights, posterior, logits = world(2)
    per_class = 3 * losses.class_losses(logits) + torch.tensor([0.0, 2.0])  # classes that lose differently
    generator = torch.Generator().manual_seed(0)
    size, bags, repeats = 8, 200, 1500
    points = torch.multinomial(weights, repeats * bags * size, True, generator=generator)
    labels = (torch.rand(len(points), generator=generator).double() > posterior[points, 0]).long()
    counts = F.one_hot(labels, 2).view(repeats, bags, size, 2).sum(2).double()
    loss = per_class[points].view(repeats, bags, size, 2).mean(2)
    for prior, name in (
        (counts.sum(1) / (bags * size), "estimated"),
        ((weights @ posterior).expand(repeats, 2), "true"),
    ):
        estimate = ((counts - (size - 1) * prior[:, None]) * loss).sum(-1).mean(1)
        expected = float(bag_risk.bag_variance(size, per_class, posterior, weights, name))
        assert float(estimate.var()) * bags == pytest.approx(expected, rel=0.12)
    assert float(bag_risk.bag_variance(size, per_class, posterior, weights)) > 2 * float(
        bag_risk.bag_variance(size, per_class, posterior, weights, "estimated")
    )


def test_bags_of_neighbours_make_it_biased():
    """Two members that always share point and class: the stranger is no stranger."""
    weights, posterior, logits = world(2)
    per_class, prior = losses.class_losses(logits), weights @ posterior
    joint = weights[:, None] * posterior
    total = 0.0
    for x, c in itertools.product(range(3), range(2)):
        counts = 2 * F.one_hot(torch.tensor([c]), 2).double()
        total += float(joint[x, c] * losses.easy_llp(logits[[x, x]][None], counts, prior)[0])
    assert abs(total - float(bag_risk.true_risk(per_class, posterior, weights))) > 0.05


def slow(logits, counts, prior, present, clip):
    values = []
    for rows, m, here in zip(logits.tolist(), counts.tolist(), present.tolist()):
        members = [row for row, p in zip(rows, here) if p]
        k = len(members)
        y = [k * (m[c] / k - prior[c]) + prior[c] for c in range(len(m))]
        if clip == "labels":
            y = [max(v, 0.0) for v in y]
            y = [v / sum(y) for v in y]
        loss = 0.0
        for row in members:
            log_z = max(row) + math.log(sum(math.exp(v - max(row)) for v in row))
            loss -= sum(t * (v - log_z) for t, v in zip(y, row))
        values.append(loss / k)
    return torch.tensor(values, dtype=torch.float64)


def ragged(seed=0, bags=5, size=4, classes=3, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(bags, size, classes, generator=g, dtype=torch.float64)
    present = torch.arange(size) < torch.randint(1, size + 1, (bags, 1), generator=g)
    labels = torch.randint(0, classes, (bags, size), generator=g)
    counts = (F.one_hot(labels, classes) * present[..., None]).sum(1).double()
    return logits, counts, torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), present


@pytest.mark.parametrize("clip", ["none", "labels"])
def test_equals_the_slow_twin_and_its_gradient(clip):
    logits, counts, prior, present = ragged()
    value = losses.easy_llp(logits, counts, prior, present, clip=clip)
    torch.testing.assert_close(value, slow(logits, counts, prior, present, clip), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses.easy_llp_parts(logits, counts, prior, present, clip=clip).sum(-1), value)
    assert value.shape == (5,) and value.dtype == torch.float64
    run = lambda z: losses.easy_llp(z, counts, prior, present, clip=clip)
    assert torch.autograd.gradcheck(run, logits.requires_grad_())
    for b in range(5):  # one member after the other, and padding counts for nothing
        k = int(present[b].sum())
        each = losses.easy_llp_one(logits[b, :k], counts[b].expand(k, -1), torch.full((k,), k), prior, clip=clip)
        torch.testing.assert_close(each.mean(), value[b])
    elsewhere = torch.where(present[..., None], logits, 1e4)
    torch.testing.assert_close(losses.easy_llp(elsewhere, counts, prior, present, clip=clip), value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(dtype):
    logits = torch.tensor([[[1e4, -1e4, 0], [-1e4, 1e4, 1e4]], [[0.0] * 3, [1e4] * 3]], dtype=dtype, requires_grad=True)
    value = losses.easy_llp(logits, torch.tensor([[2.0, 0, 0], [1, 0, 1]]), torch.tensor([0.2, 0.3, 0.5]))
    value.sum().backward()
    assert value.dtype == dtype and value.isfinite().all() and logits.grad.isfinite().all()


def test_a_bag_of_one_is_the_base_loss():
    logits, _, prior, _ = ragged(1, bags=6, size=1)
    y = torch.tensor([0, 1, 2, 2, 1, 0])
    counts = F.one_hot(y, 3).double()
    for base in BASES.values():
        expected = base(logits[:, 0], counts)
        torch.testing.assert_close(losses.easy_llp(logits, counts, prior, base=base), expected, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(losses.easy_llp(logits, counts, prior, base=base, debias=False), expected)
    torch.testing.assert_close(
        losses.easy_llp(logits, counts, prior), F.cross_entropy(logits[:, 0], y, reduction="none")
    )


def test_two_classes_are_the_papers_formula_and_clipping_is_to_the_unit_interval():
    k, prior = 8, 0.3
    counts = torch.tensor([[8.0 - m, m] for m in range(9)], dtype=torch.float64)
    share = counts[:, 1] / k
    told = losses.surrogate_labels(counts, torch.full((9,), k), torch.tensor([1 - prior, prior], dtype=torch.float64))
    torch.testing.assert_close(told[:, 1], k * (share - prior) + prior)
    cut = losses.surrogate_labels(
        counts, torch.full((9,), k), torch.tensor([1 - prior, prior], dtype=torch.float64), clip="labels"
    )
    torch.testing.assert_close(cut[:, 1], told[:, 1].clamp(0, 1))
    with pytest.raises(ValueError, match="unknown clip 'label'; did you mean 'labels'"):
        losses.surrogate_labels(counts, torch.full((9,), k), torch.tensor([0.5, 0.5]), clip="label")
