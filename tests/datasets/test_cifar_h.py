from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit.datasets as datasets
from labkit.datasets import cifar_h as module
from labkit.datasets.base import Data


@pytest.fixture
def made_up(data_root, monkeypatch):
    """Votes on disk, and 6 training images before the 10,000 test images."""
    rng = np.random.default_rng(0)
    counts = rng.multinomial(50, np.full(10, 0.1), 10_000).astype(np.uint8)
    truth = rng.integers(0, 10, 10_000).astype(np.uint8)
    np.savez(data_root / "h.npz", counts=counts, true_label=truth)
    n = 10_006
    x = torch.arange(n * 3.0)[:, None].reshape(n, 3, 1, 1).expand(n, 3, 32, 32).contiguous()
    y = torch.cat([torch.zeros(6), torch.from_numpy(truth)]).long()
    data = Data("cifar10", x, y, tuple("abcdefghij"), torch.arange(6, n), image_shape=(3, 32, 32))
    monkeypatch.setattr(module, "cifar10", lambda: data)
    return counts, truth, data


def test_votes_stand_beside_the_test_images(made_up):
    counts, truth, cifar = made_up
    data = datasets.load("cifar10h", shrink=16)
    assert data.shape == (3, 2, 2) and data.image_shape == (3, 2, 2) and data.test is None and data.posterior is None
    np.testing.assert_array_equal(data.side["votes"], counts)
    np.testing.assert_array_equal(data.y, truth)
    torch.testing.assert_close(data.x[:, :, 0, 0], cifar.x[6:, :, 0, 0])
    assert datasets.load("cifar10h", flat=True, shrink=8).shape == (48,)
    assert data.subset(100).side["votes"].shape == (100, 10)


def test_votes_of_other_images_are_refused(made_up, monkeypatch):
    *_, cifar = made_up
    wrong = Data("cifar10", cifar.x, cifar.y.roll(1), cifar.classes, cifar.test, image_shape=(3, 32, 32))
    monkeypatch.setattr(module, "cifar10", lambda: wrong)
    with pytest.raises(ValueError, match="cannot be matched"):
        datasets.load("cifar10h")


def test_absent_votes_say_where_they_are_had(data_root):
    with pytest.raises(FileNotFoundError, match=rf"under {data_root}; the authors' repository"):
        datasets.load("cifar10h")
    assert datasets.available()["cifar10h"].startswith("absent")


def test_damaged_votes_and_odd_sizes_are_refused(data_root):
    np.savez(data_root / "h.npz", counts=np.zeros((10_000, 10), np.uint8), true_label=np.zeros(10_000, np.uint8))
    with pytest.raises(ValueError, match="at least one vote per image"):
        datasets.load("cifar10h")
    with pytest.raises(ValueError, match="shrink is"):
        datasets.load("cifar10h", shrink=5)


def test_the_published_votes(real_data):
    votes, truth = module.read_votes()
    assert votes.sum(1).min() == 47 and votes.sum(1).max() == 63
    assert float((votes.argmax(1) != truth).double().mean()) == pytest.approx(0.0079, abs=2e-4)
