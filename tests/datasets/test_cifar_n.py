from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit.datasets as datasets

RATES = {"aggre_label": 0.0901, "random_label1": 0.1723, "random_label2": 0.1812, "random_label3": 0.1764,
         "worse_label": 0.4021}
N = 50_000


def labels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 10, N).astype(np.uint8)


@pytest.mark.parametrize("which", RATES)
def test_matrices_are_stochastic_with_the_published_noise(which):
    matrix = datasets.human_matrix(which)
    assert matrix.shape == (10, 10) and matrix.dtype == torch.float64 and (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(1), 1, atol=1e-15)
    assert 1 - float(matrix.trace()) / 10 == pytest.approx(RATES[which], abs=1e-4)
    assert (matrix.argmax(1) == torch.arange(10)).all()
    assert np.abs(np.array(datasets.HUMAN_MATRICES[which]).sum(1) - 1).max() < 1e-9  # counts of 5,000: nothing rounded


def test_people_confuse_cats_with_dogs_and_trucks_with_automobiles():
    worse = datasets.human_matrix()
    away = worse - torch.diag(worse.diagonal())
    assert int(away[3].argmax()) == 5 and int(away[9].argmax()) == 1


def test_unknown_matrix():
    with pytest.raises(ValueError, match=r"unknown kind of human label 'worst'; did you mean 'worse_label'"):
        datasets.human_matrix("worst")


def test_labels_are_found_by_content(data_root):
    (data_root / "deep" / "down").mkdir(parents=True)
    np.savez(data_root / "deep" / "down" / "anything.npz", clean_label=labels(0), worse_label=labels(1))
    found = datasets.load_cifar_n()
    assert list(found) == ["clean_label", "worse_label"] and found["worse_label"].dtype == torch.int64
    np.testing.assert_array_equal(found["worse_label"], labels(1))


def test_absent_labels_say_where_they_are_had(data_root, monkeypatch):
    with pytest.raises(FileNotFoundError, match=rf"under {data_root}; the authors' repository has them"):
        datasets.load_cifar_n()
    monkeypatch.delenv("LABKIT_DATA")
    with pytest.raises(FileNotFoundError, match="LABKIT_DATA, which is not set"):
        datasets.load_cifar_n()


@pytest.mark.parametrize("bad", [labels(1)[:-1], labels(1) + 1, labels(1).astype(float), np.zeros(0, np.uint8)])
def test_bad_labels_are_refused(data_root, bad):
    np.savez(data_root / "c.npz", clean_label=labels(0), worse_label=bad)
    with pytest.raises(ValueError, match=r"c\.npz: worse_label should hold 50,000 class indices from 0 to 9, found"):
        datasets.load_cifar_n()


def test_matrices_equal_the_real_labels(real_data):
    found = datasets.load_cifar_n()
    clean = found["clean_label"]
    for which in RATES:
        counts = torch.zeros(10, 10, dtype=torch.float64)
        counts.index_put_((clean, found[which]), torch.ones(N, dtype=torch.float64), accumulate=True)
        np.testing.assert_allclose(counts / counts.sum(1, keepdim=True), datasets.human_matrix(which), atol=1e-12)


def test_human_labels_stand_beside_their_images(data_root):
    classes = np.array(datasets.images.CIFAR10.classes)
    truth = labels(0)
    pixels = np.random.default_rng(2).integers(0, 256, (300, 32, 32, 3), dtype=np.uint8)
    np.savez(data_root / "train.npz", x=pixels[:200], y=truth[:200], class_names=classes)
    np.savez(data_root / "test.npz", x=pixels[200:], y=truth[200:300], class_names=classes)
    np.savez(data_root / "n.npz", clean_label=truth, worse_label=labels(1), aggre_label=labels(2))
    with pytest.warns(UserWarning, match="official"):  # made-up labels are not the official batches
        data = datasets.load("cifar10n", shrink=8, flat=True)
    assert data.shape == (3 * 4 * 4,) and data.image_shape == (3, 4, 4) and data.n == 300
    assert sorted(data.side) == ["aggre_label", "worse_label"] and (data.side["worse_label"][200:] == -1).all()
    np.testing.assert_array_equal(data.side["worse_label"][:200], labels(1)[:200])
    np.savez(data_root / "n.npz", clean_label=labels(5), worse_label=labels(1))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="cannot be matched to them"):
        datasets.load("cifar10n")
    with pytest.raises(ValueError, match="shrink is 1, 2, 4, 8, 16 or 32 pixels, got 3"):
        datasets.load("cifar10n", shrink=3)


def test_the_hundred_class_labels_are_another_file(data_root):
    fine = np.random.default_rng(0).integers(0, 100, N).astype(np.uint8)
    np.savez(data_root / "c.npz", clean_label=fine, noisy_label=fine, clean_coarse_label=fine // 5)
    assert int(datasets.load_cifar100_n()["noisy_label"].max()) == 99
    with pytest.raises(FileNotFoundError, match=r"no CIFAR-10N labels: expected an npz with clean_label and worse_"):
        datasets.load_cifar_n()
    np.savez(data_root / "c.npz", clean_label=fine, noisy_label=fine + 1)
    with pytest.raises(ValueError, match="class indices from 0 to 99, found uint8 of shape"):
        datasets.load_cifar100_n()


def test_the_real_images_carry_their_labels(real_data):
    data = datasets.load("cifar10n", shrink=8)
    n = data.n - len(data.test)
    assert abs(float((data.side["worse_label"][:n] != data.y[:n]).double().mean()) - 0.402) < 0.01
    noisy = datasets.load_cifar100_n()
    assert abs(float((noisy["noisy_label"] != noisy["clean_label"]).double().mean()) - 0.402) < 0.001
