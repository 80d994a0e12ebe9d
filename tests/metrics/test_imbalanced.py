"""Metrics for classes of unequal size against scikit-learn and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, precision_recall_fscore_support, recall_score

from labkit import metrics
from labkit.streams import generator


def example(runs=3, n=80, k=6, missing=False):
    rng = generator(0, "data", runs, n, k)
    labels = rng.choice(k, (runs, n), p=np.array([8, 5, 3, 2, 1, 0 if missing else 1]) / (19 if missing else 20))
    return torch.from_numpy(rng.normal(0, 1, (runs, n, k))), torch.from_numpy(labels)


@pytest.mark.filterwarnings("ignore:y_pred contains classes")
@pytest.mark.parametrize("missing", [False, True])
def test_peers(missing):
    logits, labels = example(missing=missing)
    recall, balanced = metrics.class_recall(logits, labels), metrics.metric("balanced_accuracy")(logits, labels)
    for run in range(3):
        y, said = labels[run].numpy(), logits[run].argmax(-1).numpy()
        assert balanced[run].item() == pytest.approx(balanced_accuracy_score(y, said), abs=1e-12)
        peer = recall_score(y, said, average=None, labels=range(6), zero_division=np.nan)
        np.testing.assert_allclose(recall[run], peer, atol=1e-12)


def test_on_balanced_data_it_is_accuracy():
    logits, _ = example(n=60)
    labels = torch.arange(60) % 6
    torch.testing.assert_close(metrics.balanced_accuracy(logits, labels), metrics.accuracy(logits, labels))


def test_shots_are_means_over_classes():
    logits, labels = example()
    counts = torch.tensor([500, 120, 100, 20, 19, 3])
    recall = metrics.class_recall(logits, labels)
    expected = torch.stack([recall[:, :2].mean(1), recall[:, 2:4].mean(1), recall[:, 4:].mean(1)], 1)
    torch.testing.assert_close(metrics.shot_accuracy(logits, labels, counts), expected)
    nobody = metrics.shot_accuracy(logits, labels, counts, many=1000, few=1)
    assert nobody[:, [0, 2]].isnan().all() and nobody[:, 1].isfinite().all()
    with pytest.raises(ValueError, match="one number for each of the 6 classes"):
        metrics.shot_accuracy(logits, labels, counts[:5])


def test_selection_is_the_peer_and_counts_only_among():
    rng = generator(0, "data")
    selected, clean, among = (torch.from_numpy(rng.random((3, 50)) < p) for p in (0.6, 0.5, 0.4))
    for where in (torch.ones_like(among), among):
        found = metrics.selection_quality(selected, clean, where)
        for run in range(3):
            keep = where[run]
            peer = precision_recall_fscore_support(clean[run][keep], selected[run][keep], average="binary")[:3]
            assert [float(v[run]) for v in found] == pytest.approx(peer, abs=1e-12)
    nothing = metrics.selection_quality(torch.zeros(4, dtype=torch.bool), torch.zeros(4, dtype=torch.bool))
    assert [float(v) for v in nothing] == [0, 0, 0]
    with pytest.raises(TypeError, match="booleans"):
        metrics.selection_quality(torch.zeros(4), torch.zeros(4, dtype=torch.bool))


def test_a_diverged_run_is_nan_alone():
    logits, labels = example()
    logits[1, 0, 0] = torch.inf
    assert metrics.balanced_accuracy(logits, labels).isnan().tolist() == [False, True, False]
