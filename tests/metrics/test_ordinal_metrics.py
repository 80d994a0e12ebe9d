"""Ordinal metrics against scikit-learn and loops over plain numbers."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import cohen_kappa_score, f1_score, mean_absolute_error

from labkit import metrics
from labkit.metrics import ordinal as o
from labkit.streams import generator


def example(runs=4, n=60, k=5):
    rng = generator(0, "data", runs, n, k)
    return torch.from_numpy(rng.normal(0, 2, (runs, n, k))), torch.from_numpy(rng.integers(0, k, (runs, n)))


@pytest.mark.parametrize("k", [2, 3, 5, 9])
def test_peers(k):
    logits, labels = example(k=k)
    for run in range(4):
        y, said = labels[run].numpy(), logits[run].argmax(-1).numpy()
        peer = {
            "rank_mae": mean_absolute_error(y, said),
            "quadratic_kappa": cohen_kappa_score(y, said, weights="quadratic"),
            "macro_f1": f1_score(y, said, average="macro", labels=range(k), zero_division=0),
        }
        for name, value in peer.items():
            assert metrics.metric(name)(logits, labels)[run].item() == pytest.approx(value, abs=1e-12), name


def slow_seq2hr(rows, labels, strict):
    hits = 0
    for row, y in zip(rows, labels):
        first, second = sorted(range(len(row)), key=lambda k: -row[k])[:2]
        hits += abs(first - second) == 1 and y in ((first,) if strict else (first, second))
    return hits / len(labels)


@pytest.mark.parametrize("strict", [False, True])
def test_seq2hr_and_distances_are_the_slow_twin(strict):
    logits, labels = example()
    for run in range(4):
        rows, y = logits[run].tolist(), labels[run].tolist()
        assert o.seq2hr(logits, labels, strict)[run].item() == pytest.approx(slow_seq2hr(rows, y, strict), abs=1e-15)
        off = [abs(row.index(max(row)) - a) for row, a in zip(rows, y)]
        assert o.far_off(logits, labels)[run].item() == pytest.approx(sum(v > 1 for v in off) / len(y), abs=1e-15)
    torch.testing.assert_close(o.tri_p(logits, labels), 1 - o.far_off(logits, labels))
    assert (o.seq2hr(logits, labels, strict=True) <= o.seq2hr(logits, labels)).all()


def test_by_hand():
    logits = torch.tensor([[3.0, 2, 1, 0], [3.0, 0, 2, 0], [0.0, 2, 3, 1], [0.0, 1, 2, 3]])
    labels = torch.tensor([0, 0, 1, 0])  # sure neighbours; split; second is true; three off
    assert o.seq2hr(logits, labels).item() == 0.5 and o.seq2hr(logits, labels, strict=True).item() == 0.25
    assert o.rank_mae(logits, labels).item() == 1.0 and o.far_off(logits, labels).item() == 0.25
    assert o.tri_p(logits, labels).item() == 0.75
    assert o.quadratic_kappa(torch.eye(4), torch.arange(4)).item() == 1.0
    assert math.isnan(o.quadratic_kappa(torch.eye(4)[[1, 1]], torch.tensor([1, 1])).item())  # nothing to agree on


def test_ties_take_the_lower_levels():
    flat = torch.zeros(3, 4)
    assert o.seq2hr(flat, torch.tensor([0, 1, 2])).item() == pytest.approx(2 / 3)  # levels 0 and 1 come first


def test_the_median_is_the_best_answer_for_rank_error():
    logits, labels = example(k=6)
    p = logits.softmax(-1)
    middle = lambda row: next(k for k in range(6) if sum(row[: k + 1]) >= 0.5)
    median = torch.tensor([[middle(row) for row in run] for run in p.tolist()])
    torch.testing.assert_close(o.rank_mae(logits, labels, "median"), (median - labels).abs().double().mean(-1))
    cost = (p.unsqueeze(-2) * (torch.arange(6)[:, None] - torch.arange(6)).abs()).sum(-1)  # expected error per answer
    torch.testing.assert_close(cost.gather(-1, median[..., None])[..., 0], cost.amin(-1))
    with pytest.raises(ValueError, match="unknown answer 'mean'"):
        o.rank_mae(logits, labels, "mean")
