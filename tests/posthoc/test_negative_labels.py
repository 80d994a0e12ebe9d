"""Negative labels against slow loops, their bounds, and what must not matter."""

from __future__ import annotations

import math

import pytest
import torch

from labkit.posthoc import max_softmax, mine_negatives, negative_label_score
from labkit.streams import generator


def cosines(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(generator(seed, "data", *shape).uniform(-1, 1, shape))


def slow_quantile(values: list[float], q: float) -> float:
    ordered, place = sorted(values), q * (len(values) - 1)
    low = math.floor(place)
    return ordered[low] + (place - low) * (ordered[min(low + 1, len(values) - 1)] - ordered[low])


@pytest.mark.parametrize("quantile", [0.0, 0.5, 0.95, 1.0])
def test_mining_against_a_slow_loop(quantile):
    words = cosines(3, 40, 7)
    for run, found in zip(words.tolist(), mine_negatives(words, 6, quantile).tolist()):
        near = [slow_quantile(row, quantile) for row in run]
        assert found == sorted(range(40), key=near.__getitem__)[:6]


def test_mining_takes_the_farthest_words_first_and_the_earlier_of_equals():
    words = torch.tensor([[0.9, 0.1], [-0.5, -0.9], [-0.5, -0.9], [0.3, 0.2], [0.1, 0.3]])
    assert mine_negatives(words, 5, 1.0).tolist() == [1, 2, 3, 4, 0]
    assert mine_negatives(words, 2, 1.0).tolist() == [1, 2]
    assert mine_negatives(words, 0).shape == (0,)


def slow_score(known: list[float], negative: list[float], t: float, parts: list[list[int]]) -> float:
    inside = math.fsum(math.exp(c / t) for c in known)
    return math.fsum(inside / (inside + math.fsum(math.exp(negative[j] / t) for j in p)) for p in parts) / len(parts)


@pytest.mark.parametrize("groups", [1, 3, 8])
def test_score_against_a_slow_loop(groups):
    known, negative = cosines(2, 5, 4), cosines(2, 5, 8, seed=1)
    order = generator(3, "method").permutation(8).tolist()
    sizes = [8 // groups + (g < 8 % groups) for g in range(groups)]
    parts = [order[sum(sizes[:g]) : sum(sizes[: g + 1])] for g in range(groups)]
    assert sorted(j for part in parts for j in part) == list(range(8))  # nobody is left out, nobody asked twice
    slow = [[slow_score(k, m, 0.1, parts) for k, m in zip(*run)] for run in zip(known.tolist(), negative.tolist())]
    found = negative_label_score(known, negative, 0.1, groups, seed=3)
    torch.testing.assert_close(found, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=0)


def test_without_negatives_everything_is_at_home_and_every_negative_lowers_the_score():
    known, negative = cosines(20, 4), cosines(20, 9, seed=1)
    assert torch.equal(negative_label_score(known, negative[:, :0], 0.1, 1), torch.ones(20, dtype=torch.float64))
    scores = torch.stack([negative_label_score(known, negative[:, :m], 0.1, 1) for m in range(10)])
    assert (scores.diff(dim=0) < 0).all() and (scores > 0).all()


def test_one_part_is_the_known_share_of_one_softmax():
    known, negative = cosines(20, 4), cosines(20, 9, seed=1)
    p = (torch.cat([known, negative], -1) / 0.07).softmax(-1)
    torch.testing.assert_close(negative_label_score(known, negative, 0.07, 1), p[:, :4].sum(-1))
    alone = negative_label_score(known[:, :1], known[:, 1:], 0.07, 1)  # one known name: the softmax of that name
    first = known[:, 0] == known.amax(-1)
    torch.testing.assert_close(alone[first], max_softmax(known / 0.07)[first])


def test_order_shift_and_extremes():
    known, negative = cosines(20, 4), cosines(20, 9, seed=1)
    score = negative_label_score(known, negative, 0.1, 1)
    torch.testing.assert_close(negative_label_score(known.flip(-1), negative.flip(-1), 0.1, 1), score)
    torch.testing.assert_close(negative_label_score(known + 0.3, negative + 0.3, 0.1, 1), score)
    cold = negative_label_score(known, negative, 1e-6, 3)
    assert cold.isfinite().all() and ((cold >= 0) & (cold <= 1)).all()
    assert negative_label_score(known.float(), negative.float(), 0.1, 1).dtype == torch.float64


def test_a_run_alone_is_the_run_among_others_and_a_diverged_run_is_its_own_affair():
    known, negative = cosines(3, 20, 4), cosines(3, 20, 9, seed=1)
    score = negative_label_score(known, negative, 0.1, 4)
    assert all(torch.equal(score[i], negative_label_score(known[i], negative[i], 0.1, 4)) for i in range(3))
    known[1, 2, 0] = math.nan
    lost = negative_label_score(known, negative, 0.1, 4)
    assert lost[1].isnan().all() and torch.equal(lost[[0, 2]], score[[0, 2]])


@pytest.mark.parametrize(
    "ask",
    [
        lambda k, m: mine_negatives(k, 21),
        lambda k, m: mine_negatives(k, 3, 1.5),
        lambda k, m: mine_negatives(k[0].argsort(), 3),
        lambda k, m: negative_label_score(k, m[:5]),
        lambda k, m: negative_label_score(k, m, 0.0, 1),
        lambda k, m: negative_label_score(k, m, 0.1, 10),
        lambda k, m: negative_label_score(k, m[:, :0], 0.1, 2),
    ],
)
def test_what_is_refused(ask):
    with pytest.raises(ValueError):
        ask(cosines(20, 4), cosines(20, 9, seed=1))
