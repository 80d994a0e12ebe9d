"""What two labels cannot tell and three can, by enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from labkit.theory import identifiability as ident


def random_matrix(k, seed=0):
    g = torch.Generator().manual_seed(seed)
    noise = torch.rand(k, k, generator=g, dtype=torch.float64)
    prior = 0.5 + torch.rand(k, generator=g, dtype=torch.float64)
    return prior / prior.sum(), 0.6 * torch.eye(k, dtype=torch.float64) + 0.4 * noise / noise.sum(1, keepdim=True)


@pytest.mark.parametrize("labels", [1, 2, 3])
def test_the_joint_is_the_sum_over_hidden_classes(labels):
    prior, t = random_matrix(3)
    joint = ident.label_joint(prior, t, labels)
    assert joint.shape == (3,) * labels and float(joint.sum()) == pytest.approx(1)
    for cell in itertools.product(range(3), repeat=labels):
        slow = sum(float(prior[c]) * math.prod(float(t[c, i]) for i in cell) for c in range(3))
        assert float(joint[cell]) == pytest.approx(slow, abs=1e-15)
    stacked = ident.label_joint(torch.stack([prior] * 2), torch.stack([t] * 2), labels)
    torch.testing.assert_close(stacked[1], joint)
    with pytest.raises(ValueError, match="at least one label"):
        ident.label_joint(prior, t, 0)


def test_the_counter_example():
    prior, t = ident.pair_family(torch.tensor([0.5, 0.4]))
    torch.testing.assert_close(t[:, 1, 1], torch.tensor([0.9, 0.978661], dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(t[:, 0, 1], torch.tensor([0.2, 0.264226], dtype=torch.float64), atol=1e-6, rtol=0)
    for labels in (1, 2):
        a, b = ident.label_joint(prior, t, labels)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-15)
    third = ident.label_joint(prior, t, 3)[:, 1, 1, 1]
    torch.testing.assert_close(third, torch.tensor([0.3685, 0.3860], dtype=torch.float64), atol=5e-5, rtol=0)


def test_the_whole_family_has_one_pair_distribution():
    low, high = ident.pair_family_range()
    prior, t = ident.pair_family(torch.linspace(low, high, 50, dtype=torch.float64))
    assert (t >= 0).all() and (t <= 1).all()
    pairs = ident.label_joint(prior, t, 2)
    torch.testing.assert_close(pairs, pairs[:1].expand_as(pairs), rtol=0, atol=1e-12)
    third = ident.label_joint(prior, t, 3)[:, 1, 1, 1]
    assert (third.diff() < -1e-5).all()  # a third label tells all of them apart
    assert float(t[0, 1, 1]) == pytest.approx(1) and float(t[-1, 0, 1]) == pytest.approx(0)
    with pytest.raises(ValueError, match=r"lies in \[0\.3"):
        ident.pair_family(torch.tensor([0.1]))
    with pytest.raises(ValueError, match="no two labels"):
        ident.pair_family_range(0.5, 0.2)


def test_kruskal_rank_is_about_every_set_of_rows():
    eye = torch.eye(3, dtype=torch.float64)
    assert ident.kruskal_rank(eye) == 3
    twice = torch.stack([eye[0], eye[0], eye[1]])  # two equal rows: rank 2, Kruskal rank 1
    assert ident.kruskal_rank(twice) == 1
    flat = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0.5, 0.5, 0]], dtype=torch.float64)
    assert ident.kruskal_rank(flat) == 2
    assert ident.kruskal_rank(torch.zeros(2, 2)) == 0


@pytest.mark.parametrize("k", [2, 3, 4, 5])
def test_with_full_rank_three_labels_are_what_it_takes(k):
    prior, t = random_matrix(k, seed=k)
    rank = ident.kruskal_rank(t)
    assert rank == k
    assert [ident.kruskal([rank] * p, k) for p in (1, 2, 3)] == [False, False, True]
    free = [ident.free_directions(prior, t, p) for p in (1, 2, 3)]
    assert free == [k * (k - 1), k * (k - 1) // 2, 0]


def test_a_useless_row_is_not_saved_by_a_third_label():
    """Two classes that are labelled alike cannot be told apart by any number of labels."""
    prior, t = random_matrix(3)
    t[1] = t[0]
    assert ident.kruskal_rank(t) == 1 and not ident.kruskal([1, 1, 1], 3)
    assert ident.free_directions(prior, t, 3) > 0
