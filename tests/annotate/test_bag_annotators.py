"""Annotators that hand out bags: every example once, counts that are right, the kind of bag that was asked for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.annotate import (
    AttributeBags,
    ClusteredBags,
    DirichletBags,
    LaplaceCounts,
    RandomBags,
    Symmetric,
)
from labkit.evidence import Labels

RNG = lambda seed=0: np.random.default_rng(seed)


def example(n=203, k=4, seed=0):
    rng = RNG(seed)
    labels = torch.from_numpy(rng.integers(0, k, n))
    features = torch.from_numpy(rng.normal(size=(n, 3))).float() + labels[:, None]
    return Labels(labels, k), features


def check_all_once(bags, labels):
    held = bags.members[bags.present]
    assert sorted(held.tolist()) == list(range(len(labels)))
    for members, present, counts in zip(bags.members, bags.present, bags.counts):
        mine = labels.labels[members[present]]
        assert torch.equal(torch.bincount(mine, minlength=labels.n_classes).to(counts), counts)


@pytest.mark.parametrize(
    "annotator",
    [RandomBags(16), RandomBags(1), RandomBags(203), RandomBags(10, spread=1.0), DirichletBags(16, 0.5),
     DirichletBags(7, 100.0), ClusteredBags(16), ClusteredBags(16, mixing=0.5)],
    ids=repr,
)  # fmt: skip
def test_every_example_lies_in_one_bag_and_counts_are_right(annotator):
    labels, features = example()
    bags = annotator(labels, features, RNG())
    check_all_once(bags, labels)
    assert len(bags) == -(-203 // annotator.size)


def test_sizes_are_what_was_asked_for():
    labels, features = example()
    assert RandomBags(16)(labels, features, RNG()).sizes.tolist() == [16] * 12 + [11]
    spread = RandomBags(10, spread=1.0)(labels, features, RNG()).sizes
    assert spread.min() >= 1 and spread.max() > 20 and spread.sum() == 203
    assert sorted(ClusteredBags(16)(labels, features, RNG()).sizes.tolist()) == [11] + [16] * 12


@given(n=st.integers(1, 60), size=st.integers(1, 60), spread=st.floats(0, 3), seed=st.integers(0, 100))
@settings(deadline=None, max_examples=40)
def test_any_size_makes_bags(n, size, spread, seed):
    labels, features = example(n, seed=seed)
    check_all_once(RandomBags(min(size, n), spread)(labels, features, RNG(seed)), labels)
    check_all_once(DirichletBags(min(size, n), 0.3 + spread)(labels, features, RNG(seed)), labels)
    check_all_once(ClusteredBags(min(size, n), min(spread, 1.0))(labels, features, RNG(seed)), labels)


def test_a_small_concentration_makes_pure_bags_and_a_large_one_random_ones():
    labels, features = example(2000)
    spread = lambda annotator: annotator(labels, features, RNG()).proportions.var(0).mean()
    random = spread(RandomBags(20))
    assert spread(DirichletBags(20, 0.3)) > 5 * random
    assert 0.8 < spread(DirichletBags(20, 1000.0)) / random < 1.3


def test_clustered_bags_hold_neighbours_until_they_are_mixed():
    labels, features = example(1000)

    def within(annotator):
        bags = annotator(labels, features, RNG())
        return bags.of_members(features)[bags.present.all(1)].var(1).mean()

    random = within(RandomBags(20))
    assert within(ClusteredBags(20)) < 0.5 * random < within(ClusteredBags(20, mixing=0.5))
    assert 0.9 < within(ClusteredBags(20, mixing=1.0)) / random < 1.1


def test_bags_by_attribute():
    labels, features = example(100)
    job = torch.arange(100) % 3
    whole = AttributeBags("job")(labels, features, RNG(), job=job)
    assert whole.sizes.tolist() == [34, 33, 33]
    check_all_once(whole, labels)
    cut = AttributeBags("job", size=10)(labels, features, RNG(), job=job)
    assert sorted(cut.sizes.tolist()) == [3, 3, 4] + [10] * 9
    for members, present in zip(cut.members, cut.present):
        assert len(job[members[present]].unique()) == 1
    assert AttributeBags("job", size=10, count=9)(labels, features, RNG(), job=job).sizes.tolist() == [10] * 9
    share = AttributeBags("job", size=10, count=0.75)(labels, features, RNG(), job=job)
    assert len(share) == int(0.75 * (len(labels) // 10)) and (share.sizes == 10).all()
    few = AttributeBags("job", size=10, count=4)
    kept = torch.cat([job[few(labels, features, RNG(s), job=job).members[:, 0]] for s in range(40)])
    assert (torch.bincount(kept) > 30).all()  # what is left out is left to chance, not to the order of the values
    with pytest.raises(ValueError, match="a share of those of a size"):
        AttributeBags("job", count=0.5)
    with pytest.raises(ValueError, match="count asks for 20"):
        AttributeBags("job", size=10, count=20)(labels, features, RNG(), job=job)
    with pytest.raises(ValueError, match="whole number per example"):
        AttributeBags("job")(labels, features, RNG(), job=job.float())


def test_laplace_noise_has_its_scale_and_is_paired_over_budgets():
    labels, features = example(20_000)
    exact = RandomBags(10)(labels, features, RNG())
    noisy = {e: (RandomBags(10) >> LaplaceCounts(e))(labels, features, RNG()) for e in (0.5, 2.0)}
    for epsilon, bags in noisy.items():
        assert torch.equal(bags.members, exact.members) and float(bags.noise) == 1 / epsilon
        assert (bags.counts - exact.counts).abs().mean() == pytest.approx(1 / epsilon, rel=0.05)
    torch.testing.assert_close(
        (noisy[0.5].counts - exact.counts) / 2, (noisy[2.0].counts - exact.counts) * 2, rtol=1e-3, atol=1e-4
    )


def test_noise_that_is_not_revealed_leaves_whole_counts():
    labels, features = example(500)
    bags = (Symmetric(0.2) >> RandomBags(10) >> LaplaceCounts(0.3, reveal=False))(labels, features, RNG())
    assert bags.noise is None and torch.equal(bags.counts.sum(1), bags.sizes.float()) and (bags.counts >= 0).all()


@pytest.mark.parametrize(
    "annotator, message",
    [(RandomBags(0), "from 1 to the 203"), (RandomBags(500), "from 1 to the 203"), (RandomBags(8, -1.0), "from 0"),
     (DirichletBags(8, 0.0), "above 0"), (ClusteredBags(8, 1.5), r"\[0, 1\]")],
)  # fmt: skip
def test_impossible_bags_are_refused(annotator, message):
    with pytest.raises(ValueError, match=message):
        annotator(*example(), RNG())


def test_the_order_of_a_chain_is_checked():
    with pytest.raises(TypeError, match="LaplaceCounts takes Bags, but before it in the chain there are Labels"):
        (Symmetric(0.1) >> LaplaceCounts(1.0))(*example(), RNG())
    with pytest.raises(TypeError, match="Symmetric takes Labels, but before it in the chain there are Bags"):
        (RandomBags(4) >> Symmetric(0.1))(*example(), RNG())
    with pytest.raises(ValueError, match="above 0"):
        (RandomBags(4) >> LaplaceCounts(0.0))(*example(), RNG())
