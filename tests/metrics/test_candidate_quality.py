"""Coverage, what is ruled out, and F1 of candidate sets, counted by hand and at their fixed points."""

from __future__ import annotations

import pytest
import torch

from labkit.metrics import candidate_quality

G = torch.Generator().manual_seed(0)


def drawn(runs=3, n=40, k=5):
    mask = torch.rand(runs, n, k, generator=G) < 0.4
    mask[..., 0] |= ~mask.any(-1)
    return mask, torch.randint(0, k, (runs, n), generator=G)


def test_counted_in_loops():
    mask, labels = drawn()
    found = candidate_quality(mask, labels)
    for r in range(3):
        held, out, size = 0, 0.0, 0
        for row, y in zip(mask[r].tolist(), labels[r].tolist()):
            held += row[y]
            size += sum(row)
            out += (5 - sum(row)) / 4
        a, b = held / 40, out / 40
        assert [float(v[r]) for v in found] == pytest.approx([a, b, 2 * a * b / (a + b), size / 40], abs=1e-14)
    assert all(v.dtype == torch.float64 and v.shape == (3,) for v in found)


def test_one_run_and_shared_labels():
    mask, labels = drawn()
    for whole, alone in zip(candidate_quality(mask, labels[0]), candidate_quality(mask[1], labels[0])):
        assert alone.shape == () and whole[1] == alone


def test_single_labels_and_full_sets():
    labels = torch.arange(10) % 4
    said = torch.where(torch.arange(10) < 7, labels, (labels + 1) % 4)
    single = candidate_quality(torch.nn.functional.one_hot(said, 4).bool(), labels)
    assert [float(v) for v in single] == pytest.approx([0.7, 1, 1.4 / 1.7, 1])
    full = candidate_quality(torch.ones(10, 4, dtype=torch.bool), labels)
    assert [float(v) for v in full] == [1, 0, 0, 4]
    never = candidate_quality(torch.nn.functional.one_hot((labels + 1) % 4, 4).bool(), labels)
    assert [float(v) for v in never] == [0, 1, 0, 1]


def test_what_it_refuses():
    mask, labels = drawn()
    with pytest.raises(TypeError, match="boolean tensor"):
        candidate_quality(mask.double(), labels)
    with pytest.raises(ValueError, match="empty"):
        candidate_quality(torch.zeros(3, 4, dtype=torch.bool), torch.zeros(3, dtype=torch.long))
    with pytest.raises(ValueError, match="n from 1 and K from 2"):
        candidate_quality(torch.ones(3, 1, dtype=torch.bool), torch.zeros(3, dtype=torch.long))
    for bad in (labels + 3, labels - 1, labels.double()):
        with pytest.raises(ValueError, match="class indices from 0 to 4"):
            candidate_quality(mask, bad)
    with pytest.raises(ValueError, match="labels: got shape"):
        candidate_quality(mask, labels[:, :7])
