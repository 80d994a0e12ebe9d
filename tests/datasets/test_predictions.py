"""Recorded predictions: found by content, checked, joined with human votes; the stand-in."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from labkit import metrics
from labkit.datasets import drawn_predictions, load_predictions


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LABKIT_DATA", str(tmp_path))
    return tmp_path


def save(path, p, labels):
    np.savez(path, predictions=np.array(p, dtype=np.float32), ground_truth=np.array(labels))


def test_files_are_known_by_what_they_hold_and_sorted_by_accuracy(folder):
    (folder / "deep" / "er").mkdir(parents=True)
    save(folder / "deep" / "er" / "good.npz", [[0.9, 0.1], [0.0, 1.0]], [0, 1])
    save(folder / "bad.npz", [[0.9, 0.1], [0.8, 0.2]], [1, 1])
    np.savez(folder / "other.npz", x=np.zeros(3))
    bad, good = load_predictions()
    assert (bad.name, good.name) == ("bad", "good") and good.votes is None
    torch.testing.assert_close(good.log_p[0].exp(), torch.tensor([0.9, 0.1]).double(), atol=1e-7, rtol=0)
    assert good.log_p.isfinite().all() and "accuracy 1.000" in repr(good)


@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        ([[0.9, 0.3]], [0], "sum to 1"),
        ([[0.9, 0.1]], [2], "labels from 0 to 1"),
        ([[1.2, -0.2]], [0], "sum to 1"),
        ([[0.9, 0.1]], [0, 1], "expected predictions"),
    ],
)
def test_what_it_refuses(folder, p, labels, message):
    save(folder / "a.npz", p, labels)
    with pytest.raises(ValueError, match=message):
        load_predictions()


def test_none_found_says_where_to_get_some(folder):
    with pytest.raises(FileNotFoundError, match="drawn_predictions"):
        load_predictions()


def test_the_real_ones(real_data):
    lenet, wide = load_predictions()
    right = [metrics.accuracy(f.log_p, f.labels).item() for f in (lenet, wide)]
    assert right == pytest.approx([0.531, 0.911], abs=6e-4)
    assert lenet.votes is not None and lenet.votes.shape == (10_000, 10)


def test_the_stand_in_is_one_calibrated_network_and_one_too_sure():
    modest, good = drawn_predictions(4000)
    assert torch.equal(modest.labels, good.labels) and (good.votes.sum(1) == 50).all()
    error = [metrics.ece(f.log_p, f.labels) for f in (modest, good)]
    right = [metrics.accuracy(f.log_p, f.labels) for f in (modest, good)]
    assert error[0] < 0.05 < 0.08 < error[1] and right[1] > right[0] + 0.1
    assert torch.equal(drawn_predictions(50, seed=1)[0].log_p, drawn_predictions(50, seed=1)[0].log_p)
