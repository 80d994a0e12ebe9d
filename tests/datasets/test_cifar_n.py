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
