"""Confidence scores against slow loops, their invariances, and the choice of a norm."""

from __future__ import annotations

import math

import pytest
import torch

from labkit.metrics import aurc
from labkit.posthoc import choose_norm, max_softmax, normalised_max_logit
from labkit.streams import generator

NORMS = (0.5, 1.0, 2.0, 3.7, 10.0, math.inf)


def example(*shape: int, seed: int = 0, scale: float = 2.0) -> torch.Tensor:
    return torch.from_numpy(generator(seed, "data", *shape).normal(0, scale, shape))


def slow_score(z: list[float], p: float) -> float:
    centre = math.fsum(z) / len(z)
    v = [a - centre for a in z]
    length = max(map(abs, v)) if p == math.inf else math.fsum(abs(a) ** p for a in v) ** (1 / p)
    return max(v) / length


@pytest.mark.parametrize("p", NORMS)
def test_slow_loop(p):
    z = example(2, 30, 5)
    expected = [[slow_score(row, p) for row in run] for run in z.tolist()]
    torch.testing.assert_close(
        normalised_max_logit(z, p), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0
    )


@pytest.mark.parametrize("p", NORMS)
def test_only_the_direction_of_the_centred_logits_counts(p):
    z = example(3, 40, 6)
    score = normalised_max_logit(z, p)
    shift, factor = example(3, 40, 1, seed=1), example(3, 40, 1, seed=2).exp()
    torch.testing.assert_close(normalised_max_logit(factor * z + shift, p), score, rtol=1e-11, atol=0)
    assert ((score > 0) & (score <= 1)).all()


def test_special_norms():
    z = example(50, 4)
    v = z - z.mean(-1, keepdim=True)
    one = v.amax(-1) / (2 * v.clamp(min=0).sum(-1))  # the centred logits sum to 0, so half of |v|_1 is positive
    torch.testing.assert_close(normalised_max_logit(z, 1), one, rtol=1e-12, atol=0)
    assert normalised_max_logit(z, 1).max() <= 0.5 + 1e-15
    largest = v.abs().argmax(-1) == v.argmax(-1)
    assert (normalised_max_logit(z, math.inf)[largest] == 1).all() and largest.any() and not largest.all()
    torch.testing.assert_close(normalised_max_logit(z, 400.0), normalised_max_logit(z, math.inf), rtol=5e-3, atol=0)
    two = example(50, 2)  # two classes: v = (c, -c), so no norm tells examples apart
    torch.testing.assert_close(normalised_max_logit(two, 2.0), torch.full((50,), 0.5**0.5, dtype=torch.float64))


def test_extreme_equal_and_diverged_logits():
    z = torch.tensor([[1e4, -1e4, 0.0], [1e-4, -1e-4, 0.0], [5.0, 5.0, 5.0], [1e300, 0.0, -1e300]], dtype=torch.float64)
    for p in NORMS:
        score = normalised_max_logit(z, p)
        assert score.isfinite().all() and score[2] == 0
        torch.testing.assert_close(score[1], score[0], rtol=1e-12, atol=0)
    runs = example(3, 5, 4)
    runs[1, 2, 0] = math.nan
    for score in (normalised_max_logit(runs, 2.0), max_softmax(runs)):
        assert score.isnan().all(1).tolist() == [False, True, False]


def test_max_softmax():
    z = example(2, 30, 5)
    slow = [[math.exp(max(row)) / math.fsum(map(math.exp, row)) for row in run] for run in z.tolist()]
    torch.testing.assert_close(max_softmax(z), torch.tensor(slow, dtype=torch.float64), rtol=1e-14, atol=0)
    assert max_softmax(1e4 * z).isfinite().all() and max_softmax(z.float()).dtype == torch.float64


def test_one_norm_for_all_runs_or_one_for_each():
    z = example(2, 3, 20, 4)
    each = torch.tensor([[1.0, 2.0, math.inf], [0.5, 3.0, math.nan]])
    score = normalised_max_logit(z, each)
    for i in range(2):
        for j in range(3):
            if (i, j) != (1, 2):
                assert torch.equal(score[i, j], normalised_max_logit(z[i, j], each[i, j].item()))
    assert score[1, 2].isnan().all() and score.shape == (2, 3, 20)
    assert torch.equal(normalised_max_logit(z, 2)[1], normalised_max_logit(z[1], 2.0))


def test_the_chosen_norm_has_the_least_aurc():
    z, labels = example(7, 80, 5), torch.from_numpy(generator(1, "data").integers(0, 5, (7, 80)))
    labels[:, :50] = z[:, :50].argmax(-1)
    norms = (1.0, 2.0, 4.0, 8.0, math.inf)
    chosen = choose_norm(z, labels, norms)
    for run in range(7):
        areas = [aurc(normalised_max_logit(z[run], p), z[run].argmax(-1) == labels[run]).item() for p in norms]
        assert chosen[run].item() == norms[areas.index(min(areas))]
    assert len(chosen.unique()) > 1
    assert torch.equal(choose_norm(z[:2], z[:2].argmax(-1), (3.0, 1.0)), torch.tensor([3.0, 3.0], dtype=torch.float64))
    z[2, 0, 0] = math.inf
    again = choose_norm(z, labels, norms)
    assert again[2].isnan() and torch.equal(again[[0, 1, 3, 4, 5, 6]], chosen[[0, 1, 3, 4, 5, 6]])


def test_errors():
    z = example(3, 5, 4)
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match="exponent p above 0"):
            normalised_max_logit(z, bad)
    with pytest.raises(ValueError, match=r"p: got shape \(2,\), expected \(3,\)"):
        normalised_max_logit(z, torch.ones(2))
    with pytest.raises(ValueError, match="at least one exponent"):
        choose_norm(z, z.argmax(-1), ())
    with pytest.raises(TypeError, match="logits must be a floating-point tensor"):
        max_softmax(z.numpy())
