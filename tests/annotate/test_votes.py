"""Raters: shares, majorities, nesting, ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import HumanVotes, Votes
from labkit.evidence import Labels, Soft
from labkit.streams import generator

N, K = 4000, 3
LABELS = Labels(torch.zeros(N, dtype=torch.long), K)
POSTERIOR = torch.tensor([[0.7, 0.2, 0.1]], dtype=torch.float64).expand(N, K).contiguous()
HUMAN = torch.from_numpy(np.random.default_rng(0).integers(0, 9, (N, K))) + torch.tensor([1, 0, 3])


def shares(count, seed=0, posterior=POSTERIOR):
    return Votes(count)(LABELS, torch.zeros(N, 1), generator(seed, "annotation"), posterior=posterior).probs


def majority(annotator, seed=0, **known):
    return annotator(LABELS, torch.zeros(N, 1), generator(seed, "annotation"), **known).labels


def test_shares_follow_the_posterior():
    got = shares(5)
    assert got.shape == (N, K) and got.dtype == torch.float64
    torch.testing.assert_close(got.mean(0), POSTERIOR[0], atol=0.015, rtol=0)
    variance = (POSTERIOR[0] * (1 - POSTERIOR[0])) / 5  # of a multinomial share
    torch.testing.assert_close(got.var(0), variance, rtol=0.1, atol=0)
    assert ((got * 5) % 1).abs().max() < 1e-9


def test_more_votes_extend_fewer():
    few, many = shares(3) * 3, shares(10) * 10
    assert (many >= few - 1e-9).all()
    three, ten = (HumanVotes(c)(LABELS, None, generator(0, "annotation"), votes=HUMAN).probs * c for c in (2, 4))
    assert (ten >= three - 1e-9).all()


def test_one_vote_is_one_rater_soft_or_hard():
    soft = shares(1)
    hard = majority(Votes(1, hard=True), posterior=POSTERIOR)
    assert (soft.max(1).values == 1).all() and (soft.argmax(1) == hard).all()


def test_the_majority_has_the_most_votes_and_ties_are_even():
    soft = shares(2)
    hard = majority(Votes(2, hard=True), posterior=POSTERIOR)
    assert (soft.gather(1, hard[:, None])[:, 0] == soft.max(1).values).all()
    even = torch.tensor([[2, 0, 2]]).expand(N, K).contiguous()
    said = majority(HumanVotes(hard=True), votes=even)
    assert abs(float((said == 0).double().mean()) - 0.5) < 0.04 and (said != 1).all()


def test_a_sure_posterior_gives_sure_votes():
    sure = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64).expand(N, K).contiguous()
    torch.testing.assert_close(shares(7, posterior=sure), sure)


def test_all_human_votes_are_their_shares():
    got = HumanVotes()(LABELS, None, generator(0, "annotation"), votes=HUMAN)
    assert isinstance(got, Soft)
    torch.testing.assert_close(got.probs, HUMAN / HUMAN.sum(1, keepdim=True).double())


def test_some_human_votes_are_drawn_without_replacement():
    got = HumanVotes(4)(LABELS, None, generator(1, "annotation"), votes=HUMAN).probs * 4
    assert (got <= HUMAN + 1e-9).all() and ((got.sum(1) - 4).abs() < 1e-9).all()
    expected = 4 * (HUMAN / HUMAN.sum(1, keepdim=True)).mean(0)
    torch.testing.assert_close(got.mean(0), expected.double(), atol=0.05, rtol=0)


@pytest.mark.parametrize("count", [0, -1, 2.5])
def test_counts_are_whole_numbers(count):
    with pytest.raises(ValueError, match="whole number of votes per example, from 1"):
        shares(count)


def test_too_few_votes_say_where():
    with pytest.raises(ValueError, match=r"has \d+ votes, fewer than count = 30"):
        HumanVotes(30)(LABELS, None, generator(0, "annotation"), votes=HUMAN)
    with pytest.raises(ValueError, match="fewer than count = 0"):
        HumanVotes()(LABELS, None, generator(0, "annotation"), votes=torch.zeros(N, K, dtype=torch.long))


def test_votes_need_a_known_posterior(small):
    quick = dict(methods=lk.methods.CrossEntropy(), seeds=2, epochs=1, progress=False)
    if small.posterior is None:
        with pytest.raises(ValueError, match="Votes needs posterior"):
            lk.fit(small, Votes(3), **quick)
    runs = lk.fit(lk.load("gaussians", n=200), Votes(lk.sweep(1, 3)), **quick)
    assert sorted(set(runs.settings["annotator.count"])) == [1, 3]
