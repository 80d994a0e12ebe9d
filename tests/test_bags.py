"""Bags as evidence: what is refused, what is padded, and how a batch and a validation set read them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.counts import count_log_likelihood, noisy_count_log_likelihood
from labkit.evidence import Bags

MEMBERS, PRESENT = [[4, 2, 0], [1, 3, 0]], [[True, True, True], [True, True, False]]


def bags(**changed):
    given = {"members": MEMBERS, "counts": [[1, 2], [2, 0]], "present": torch.tensor(PRESENT)} | changed
    return Bags(given.pop("members"), given.pop("counts"), **given)


def test_what_bags_hold():
    b = bags()
    assert len(b) == 2 and b.n_classes == 2 and b.sizes.tolist() == [3, 2]
    torch.testing.assert_close(b.proportions, torch.tensor([[1 / 3, 2 / 3], [1, 0]]))
    assert b.members.tolist() == [[4, 2, 0], [1, 3, 1]]  # padding repeats a member of the same bag
    assert "2 units" in repr(b) and "counts (2, 2)" in repr(b)


def test_units_are_bags():
    one = bags()[1]
    assert len(one) == 1 and one.sizes.tolist() == [2]
    assert bags(noise=0.5)[torch.tensor([True, False])].noise == 0.5


def test_rows_of_a_batch_and_values_of_all_examples_are_put_together_by_bag():
    b = bags()
    assert b.of_members(torch.arange(5) * 10).tolist() == [[40, 20, 0], [10, 30, 10]]
    assert b.grouped(torch.arange(12).view(6, 2)).tolist() == torch.arange(12).view(2, 3, 2).tolist()


def test_from_the_bag_of_every_example():
    b = Bags.from_index(torch.tensor([1, 0, -1, 0]), [[1, 1], [0, 1]])
    assert b.members[b.present].tolist() == [1, 3, 0] and b.sizes.tolist() == [2, 1]
    same = Bags.from_index(torch.tensor([1, 0, -1, 0]), [[0.5, 0.5], [0, 1.0]], proportions=True)
    assert torch.equal(same.counts, b.counts)


@given(st.lists(st.integers(-1, 3), min_size=4, max_size=30), st.integers(2, 4))
@settings(deadline=None, max_examples=40)
def test_from_index_puts_everybody_where_they_belong(bag, k):
    bag = torch.tensor([0, 1, 2, 3, *bag])
    y = torch.arange(len(bag)) % k
    counts = torch.stack([torch.bincount(y[bag == b], minlength=k) for b in range(4)])
    made = Bags.from_index(bag, counts)
    for b in range(4):
        assert made.members[b][made.present[b]].tolist() == (bag == b).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    "made, message",
    [
        (lambda: bags(members=[[4, 2, 0], [1, 2, 0]]), "example 2 in bags \\[0, 1\\]"),
        (lambda: bags(members=[[4, 2, 4], [1, 3, 0]]), "example 4 in bags \\[0, 0\\]"),
        (lambda: bags(counts=[[1, 1], [2, 0]]), "bag 0 has 3 members and counts \\[1.0, 1.0\\]"),
        (lambda: bags(counts=[[4, -1], [2, 0]]), "bag 0 has 3 members"),
        (lambda: bags(counts=[[1.5, 1.5], [2, 0]]), "whole numbers"),
        (lambda: bags(counts=[[1, 2]]), "for 2 bags"),
        (lambda: bags(counts=[[float("nan"), 2], [1, 1]], noise=1.0), "finite"),
        (lambda: bags(present=torch.tensor([[True] * 3, [False] * 3])), "bag 1 is empty"),
        (lambda: bags(present=torch.ones(2, 2)), "boolean per place"),
        (lambda: bags(members=[[4, 2, -1], [1, 3, 0]]), "positions from 0"),
        (lambda: bags(members=[[0.5, 1.0]]), "whole numbers"),
        (lambda: Bags.from_index(torch.tensor([0, 2]), [[1, 0], [0, 0], [0, 1]]), "nobody lies in bag 1"),
        (lambda: Bags.from_index(torch.tensor([0, 2]), [[1, 0], [0, 1]]), "highest number is 2"),
        (lambda: Bags.from_index(torch.tensor([0, 0]), [[0.7, 0.3]], proportions=True), "not shares of whole members"),
        (lambda: Bags.from_index(torch.tensor([0, 0]), [[0.7, 0.7]], proportions=True), "add up to 1.4"),
        (lambda: Bags.from_index(torch.tensor([0.5]), [[1, 0]]), "whole number from -1"),
    ],
)
def test_bags_that_cannot_be_are_refused(made, message):
    with pytest.raises(ValueError, match=message):
        made()


def test_room_for_more_members_changes_nothing():
    b, logits = bags(), torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    wide = b.widened(6)
    assert wide.members.shape == (2, 6) and torch.equal(wide.sizes, b.sizes)
    torch.testing.assert_close(wide.agreement(logits), b.agreement(logits))


def test_agreement_is_the_likelihood_of_the_counts_per_example():
    logits = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    log_p, b = logits.log_softmax(-1), bags()
    want = sum(
        count_log_likelihood(log_p[m[p]][None], c[None].double()) for m, p, c in zip(b.members, b.present, b.counts)
    )
    torch.testing.assert_close(b.agreement(logits), want[0] / 5)
    noisy = bags(counts=[[1.3, 2.2], [2.0, -0.4]], noise=0.5)
    want = sum(
        noisy_count_log_likelihood(log_p[m[p]][None], c[None].double(), 0.5)
        for m, p, c in zip(noisy.members, noisy.present, noisy.counts)
    )
    torch.testing.assert_close(noisy.agreement(logits), want[0] / 5)
