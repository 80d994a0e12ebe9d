"""Marginals against enumeration of all labelings: exact on trees, close on loops; the paper's form of the energy."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from labkit.evidence import Bags
from labkit.propagation import Graph, count_messages, energy, neighbour_graph, propagate

F64 = torch.float64


def random(seed):
    return torch.Generator().manual_seed(seed)


def bags_of(index, ones):
    index = torch.as_tensor(index)
    sizes = torch.bincount(index[index >= 0])
    ones = torch.as_tensor(ones)
    return Bags.from_index(index, torch.stack([sizes - ones, ones], 1))


def graph_of(n, *edges, seed=0):
    edges = torch.tensor(edges, dtype=torch.long).reshape(-1, 2)
    return Graph(edges, torch.rand(len(edges), generator=random(seed), dtype=F64), n)


def enumerated(bags, graph, neighbour_weight, bag_weight, unary=None):
    """Marginals by going through all labelings, in plain loops."""
    total, ones = 0.0, [0.0] * graph.n
    hard = math.isinf(bag_weight)
    for y in itertools.product((0, 1), repeat=graph.n):
        log_weight = 0.0 if unary is None else sum(float(u) * v for u, v in zip(unary, y))
        for (i, j), kappa in zip(graph.edges.tolist(), graph.weights.tolist()):
            log_weight -= neighbour_weight * kappa * (y[i] != y[j])
        possible = True
        for members, present, counts in zip(bags.members.tolist(), bags.present.tolist(), bags.counts.tolist()):
            gap = sum(y[i] for i, here in zip(members, present) if here) - counts[1]
            possible &= gap == 0 or not hard
            log_weight -= 0 if gap == 0 or hard else bag_weight * gap**2
        weight = math.exp(log_weight) if possible else 0.0
        total += weight
        ones = [a + weight * b for a, b in zip(ones, y)]
    return torch.tensor(ones, dtype=F64) / total


QUIET = dict(tolerance=1e-12, iterations=400)


# ---- the factor of a bag -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", [0.0, 0.3, 10.0, math.inf])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_messages_of_a_bag_against_all_labelings(weight, size):
    h = 3 * torch.randn(4, size, generator=random(size), dtype=F64)
    counts = torch.tensor([0, 1, size, size // 2])
    found = count_messages(h, counts, weight)
    for row, count, said in zip(h, counts.tolist(), found):
        for i in range(size):
            sums = [0.0, 0.0]
            for y in itertools.product((0, 1), repeat=size):
                gap = sum(y) - count
                phi = 1.0 if gap == 0 else math.exp(-weight * gap**2)
                sums[y[i]] += phi * math.exp(sum(float(v) * b for j, (v, b) in enumerate(zip(row, y)) if j != i))
            if 0 in sums:
                assert float(said[i]) == (math.inf if sums[1] else -math.inf)
            else:
                assert float(said[i]) == pytest.approx(math.log(sums[1] / sums[0]), abs=1e-9, rel=1e-9)


def test_padding_says_and_changes_nothing():
    h = torch.randn(1, 3, generator=random(0), dtype=F64)
    padded, present = torch.cat([h, torch.full((1, 4), 9.0)], 1), torch.arange(7)[None] < 3
    for weight in (1.0, math.inf):
        found = count_messages(padded, torch.tensor([2]), weight, present)
        torch.testing.assert_close(found[:, :3], count_messages(h, torch.tensor([2]), weight))
        assert (found[:, 3:] == 0).all()


def test_bags_taken_in_pieces_are_the_same(monkeypatch):
    from labkit.propagation import count_factor

    h = 4 * torch.randn(7, 20, generator=random(3), dtype=F64)
    counts = torch.arange(7) + 5
    whole = count_messages(h, counts)
    monkeypatch.setattr(count_factor, "ELEMENTS", 1)
    torch.testing.assert_close(count_messages(h, counts), whole, rtol=1e-13, atol=1e-13)


def recursion(h, count, weight, i):
    """Message to member i by adding the others one by one, in logs."""
    table = [0.0] + [-math.inf] * (len(h) - 1)
    add = lambda a, b: max(a, b) + math.log1p(math.exp(-abs(a - b))) if max(a, b) > -math.inf else -math.inf
    for j, v in enumerate(h):
        if j != i:
            table = [add(t, (table[c - 1] if c else -math.inf) + v) for c, t in enumerate(table)]
    both = []
    for y in (0, 1):
        terms = [t - (0 if c + y == count else weight * (c + y - count) ** 2) for c, t in enumerate(table)]
        both.append(torch.tensor(terms, dtype=F64).logsumexp(0))
    return float(both[1] - both[0])


@pytest.mark.parametrize("weight", [10.0, math.inf])
@pytest.mark.parametrize("shift", [0.0, -30.0, 60.0])
def test_counts_far_from_what_is_expected_keep_their_digits(weight, shift):
    h = 5 * torch.randn(1, 60, generator=random(1), dtype=F64) + shift  # without the tilt e^-1800 would be 0
    found = count_messages(h, torch.tensor([7]), weight)[0]
    for i in (0, 17, 59):
        assert float(found[i]) == pytest.approx(recursion(h[0].tolist(), 7, weight, i), rel=1e-9)


def test_extreme_log_odds_stay_numbers():
    h = torch.tensor([[1e4, -1e4, 1e4, 0.0], [1e4, 1e4, 1e4, 1e4]], dtype=F64)
    for weight in (0.1, 10.0, math.inf):
        found = count_messages(h, torch.tensor([2, 1]), weight)
        assert not found.isnan().any()
        assert float(found[0, 3]) < 0  # two sure ones are all the bag has
    assert found[1] == pytest.approx(torch.full((4,), -1e4 - math.log(3)), rel=1e-6)


def test_a_certain_count_must_be_possible():
    h = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="bag 1 of 3 members has 4"):
        count_messages(h, torch.tensor([1, 4]), math.inf)
    with pytest.raises(ValueError, match="whole"):
        count_messages(h, torch.tensor([1.0, 1.5]), math.inf)
    with pytest.raises(ValueError, match="not negative"):
        count_messages(h, torch.tensor([1, 1]), -1.0)
    assert count_messages(h, torch.tensor([-0.4, 3.7]), 2.0).isfinite().all()  # noisy counts with a finite weight


# ---- the graph -----------------------------------------------------------------------------------------------------


def nearest_by_hand(x, distance):
    wanted = set()
    for i in range(len(x)):
        away = [distance(x[i], x[j]) if i != j else math.inf for j in range(len(x))]
        for j in sorted(range(len(x)), key=away.__getitem__)[:3]:
            wanted.add((min(i, j), max(i, j)))
    return wanted


def test_neighbours_by_hand():
    x = torch.randn(30, 6, generator=random(2), dtype=F64)
    found = neighbour_graph(x, 3, scale=2.0)
    cosine = lambda a, b: 1 - float(a @ b / (a.norm() * b.norm()))
    assert set(map(tuple, found.edges.tolist())) == nearest_by_hand(x, cosine)
    assert len(set(map(tuple, found.edges.tolist()))) == len(found.edges) == len(found.weights)
    for (i, j), kappa in zip(found.edges.tolist(), found.weights.tolist()):
        assert kappa == pytest.approx(math.exp(-math.dist(x[i].tolist(), x[j].tolist()) / 2))
    straight = neighbour_graph(x, 3, metric="euclidean")
    assert set(map(tuple, straight.edges.tolist())) == nearest_by_hand(x, lambda a, b: float((a - b).norm()))


def test_weights_without_a_scale_do_not_depend_on_units():
    x = torch.randn(31, 4, generator=random(6), dtype=F64)
    a, b = neighbour_graph(x, 3), neighbour_graph(1000 * x, 3)
    torch.testing.assert_close(a.weights, b.weights)
    assert float(a.weights.median()) == pytest.approx(math.exp(-1), rel=1e-2)
    assert (neighbour_graph(torch.ones(5, 2), 2).weights == 1).all()  # all alike: no distance to divide by


def test_graphs_that_cannot_be():
    x = torch.zeros(4, 2)
    assert len(neighbour_graph(x, 0).edges) == 0 and neighbour_graph(x, 0).n == 4
    with pytest.raises(ValueError, match="from 0 to 3 neighbours, got neighbours = 4"):
        neighbour_graph(x, 4)
    with pytest.raises(ValueError, match="metric"):
        neighbour_graph(x, 1, metric="manhattan")
    with pytest.raises(ValueError, match="1 of 4 rows"):
        neighbour_graph(x + torch.tensor([[0.0], [math.nan], [0], [0]]), 1)


# ---- marginals -----------------------------------------------------------------------------------------------------

TREES = {
    "a tree over bags of one": (bags_of([0, 1, 2, 3, 4], [0, 1, 0, 0, 1]), graph_of(5, (0, 1), (1, 2), (1, 3), (3, 4))),
    "bags in a tree": (bags_of([0, 0, 0, 1, 1, 2, 2, 2], [1, 2, 1]), graph_of(8, (0, 3), (4, 6))),
    "some in no bag": (bags_of([0, 0, -1, 1, 1, -1], [1, 0]), graph_of(6, (0, 2), (2, 4), (4, 5))),
}  # fmt: skip


@pytest.mark.parametrize("bag_weight", [0.0, 0.4, 10.0, math.inf])
@pytest.mark.parametrize("name", TREES)
def test_exact_where_there_is_no_loop(name, bag_weight):
    bags, graph = TREES[name]
    unary = torch.randn(graph.n, generator=random(5), dtype=F64)
    for own in (None, unary):
        for damping in (0.0, 0.5):
            found = propagate(bags, graph, 3.0, bag_weight, own, damping=damping, **QUIET)
            assert found.converged and found.change <= 1e-12
            torch.testing.assert_close(found.probs, enumerated(bags, graph, 3.0, bag_weight, own), atol=1e-9, rtol=0)


def test_close_where_there_are_loops_and_nearer_when_neighbours_say_less():
    bags = bags_of([0, 0, 0, 0, 1, 1, 1, 2, 2, 2], [1, 2, 2])
    x = torch.randn(10, 2, generator=random(4), dtype=F64)
    graph = neighbour_graph(x, 2)
    error = []
    for weight in (0.25, 1.0):
        found = propagate(bags, graph, weight, 5.0, **QUIET)
        exact = enumerated(bags, graph, weight, 5.0)
        assert found.converged
        error.append(float((found.probs - exact).abs().max()))
    assert error[0] < error[1] < 0.1


def test_without_neighbours_everybody_has_the_share_of_the_bag():
    bags, graph = bags_of([0, 0, 0, 1, 1, 1, 1], [1, 3]), graph_of(7)
    share = torch.tensor([1 / 3] * 3 + [3 / 4] * 4, dtype=F64)
    torch.testing.assert_close(propagate(bags, graph, 0.0, math.inf, **QUIET).probs, share)
    torch.testing.assert_close(propagate(bags, graph, 10.0, 1e4, **QUIET).probs, share)


def test_without_bags_and_neighbours_nothing_is_known():
    bags = bags_of([0, 0, 0, 1], [1, 1])
    found = propagate(bags, graph_of(4, (0, 1), (1, 2)), 10.0, 0.0)
    assert (found.probs == 0.5).all() and found.converged and found.sweeps == 1


def test_certain_bags_count_exactly_and_relabelling_turns_beliefs_round():
    x = torch.randn(60, 3, generator=random(8), dtype=F64)
    index = torch.arange(60) % 6
    ones = torch.tensor([0, 10, 3, 5, 7, 2])
    graph = neighbour_graph(x, 3)
    found = propagate(bags_of(index, ones), graph, 2.0, math.inf, **QUIET)
    assert found.converged
    torch.testing.assert_close(torch.zeros(6, dtype=F64).index_add(0, index, found.probs), ones.double())
    other = propagate(bags_of(index, 10 - ones), graph, 2.0, math.inf, **QUIET)
    torch.testing.assert_close(other.probs, 1 - found.probs, atol=1e-8, rtol=0)


def test_it_says_when_messages_have_not_come_to_rest():
    bags, graph = TREES["bags in a tree"]
    short = propagate(bags, graph, iterations=2)
    assert not short.converged and short.sweeps == 2 and short.change > 1e-4
    assert propagate(bags, graph).converged


def test_the_papers_pairs_are_the_same_energy():
    """Unary -l_b (1 - 2 m) - l_s sum_j kappa, pairs at (1, 1): +2 l_s kappa and -2 l_b for two members of a bag."""
    bags, graph, l_s, l_b = bags_of([0, 0, 0, 1, 1, 1], [1, 2]), graph_of(6, (0, 1), (0, 3), (2, 4), (4, 5)), 1.7, 0.6
    bag = [0, 0, 0, 1, 1, 1]
    gap = []
    for y in itertools.product((0, 1), repeat=6):
        score = sum(-l_b * (1 - 2 * [1, 2][bag[i]]) * y[i] for i in range(6))
        for (i, j), kappa in zip(graph.edges.tolist(), graph.weights.tolist()):
            score += l_s * kappa * (2 * y[i] * y[j] - y[i] - y[j])
        score -= sum(2 * l_b * y[i] * y[j] for i in range(6) for j in range(i) if bag[i] == bag[j])
        gap.append(score + float(energy(torch.tensor(y), bags, graph, l_s, l_b)))
    assert max(gap) - min(gap) < 1e-9  # up to a constant


def test_what_it_refuses():
    bags, graph = TREES["bags in a tree"]
    three = Bags.from_index(torch.zeros(3, dtype=torch.long), torch.ones(1, 3))
    with pytest.raises(ValueError, match="two classes, got bags of 3"):
        propagate(three, graph_of(3))
    for wrong in (dict(damping=1.0), dict(neighbour_weight=-1.0), dict(bag_weight=float("nan"))):
        with pytest.raises(ValueError, match="not negative and damping"):
            propagate(bags, graph, **wrong)
    with pytest.raises(ValueError, match="each of 8 examples, got \\(7,\\)"):
        propagate(bags, graph, unary=torch.zeros(7))
