"""Fashion-MNIST and CIFAR-10 in miniature: the same files, fewer examples, checksums to match; then the real ones."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import labkit.datasets as datasets
from labkit.datasets import images
from labkit.datasets.archive import decode, npz_parts
from labkit.datasets.download import sha256

RNG = np.random.default_rng(0)


class Fashion:
    x = RNG.integers(0, 256, (30, 28, 28), dtype=np.uint8)
    y = np.concatenate([RNG.permutation(np.repeat(np.arange(10), 2)), RNG.permutation(10)]).astype(np.uint8)


@pytest.fixture
def small_fashion(monkeypatch):
    official = replace(images.FASHION_MNIST, n=30, pixels_sha256=sha256(Fashion.x), labels_sha256=sha256(Fashion.y))
    monkeypatch.setattr(images, "FASHION_MNIST", official)
    monkeypatch.setattr(images, "FASHION_TRAIN", 20)
    monkeypatch.setattr(images, "FASHION_LABELS", {sha256(Fashion.y[:20]): "train", sha256(Fashion.y[20:]): "test"})


@pytest.fixture
def fashion_folder(small_fashion, data_root, write_idx):
    """The four files, in a folder and under names that tell nothing."""
    for name, rows in (("p", slice(20, 30)), ("q", slice(0, 20))):
        write_idx(data_root / "deep" / "set" / f"{name}1", Fashion.x[rows], zipped=True)
        write_idx(data_root / "deep" / "set" / f"{name}2", Fashion.y[rows])
    return data_root / "deep" / "set"


def test_fashion_is_found_by_content(fashion_folder):
    data = datasets.load("fashion_mnist")
    assert data.shape == (784,) and data.test.tolist() == list(range(20, 30)) and data.source == "local: set"
    np.testing.assert_array_equal(data.y, Fashion.y)
    np.testing.assert_allclose(data.x[7].reshape(28, 28), (Fashion.x[7] / 255 - 0.2860) / 0.3530, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(data.image(25), Fashion.x[25] / 255, atol=1e-6)
    square = datasets.load("fashion_mnist", flat=False)
    assert square.shape == (1, 28, 28) and torch.equal(square.x.flatten(1), data.x)
    assert datasets.available()["fashion_mnist"] == "LABKIT_DATA"


def test_another_set_of_the_same_shape_is_not_taken_for_fashion(fashion_folder, write_idx):
    write_idx(fashion_folder.parent / "a-before" / "labels", Fashion.y[:20][::-1])
    write_idx(fashion_folder.parent / "a-before" / "images", Fashion.x[:20][::-1])
    np.testing.assert_array_equal(datasets.load("fashion_mnist").y, Fashion.y)


def test_a_changed_pixel_is_an_error_with_both_checksums(fashion_folder, write_idx):
    x = Fashion.x[:20].copy()
    x[4, 4, 4] ^= 1
    write_idx(fashion_folder / "q1", x)
    bad = sha256(np.concatenate([x, Fashion.x[20:]]))
    with pytest.raises(ValueError, match=f"set: the pixels .* SHA-256 {sha256(Fashion.x)}, found {bad}"):
        datasets.load("fashion_mnist")


def test_truncated_and_missing_images(fashion_folder):
    path = fashion_folder / "q1"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"q1: the gzip data .* truncated"):
        datasets.load("fashion_mnist")
    path.unlink()
    with pytest.raises(ValueError, match="not both beside them"):
        datasets.load("fashion_mnist")


def test_a_folder_called_fashion_mnist_speaks_up(small_fashion, data_root, write_idx):
    write_idx(data_root / "Fashion_MNIST" / "labels", Fashion.y[:5])
    with pytest.raises(ValueError, match=r"Fashion_MNIST is called .* load\('local', folder='Fashion_MNIST'\)"):
        datasets.load("fashion_mnist")
    path = write_idx(data_root / "Fashion_MNIST" / "train-labels-idx1-ubyte", Fashion.y[:20])
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte: truncated: .* 28 bytes, found 27"):
        datasets.load("fashion_mnist")


def network(x, y):
    return lambda **options: SimpleNamespace(data=x.reshape(len(x), -1).astype(float), target=y.astype(str))


def test_fashion_by_download_then_cache(small_fashion, data_root, monkeypatch):
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", network(Fashion.x, Fashion.y))
    one = datasets.load("fashion_mnist")
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", None)
    two = datasets.load("fashion_mnist")
    assert one.fingerprint == two.fingerprint and one.test.tolist() == list(range(20, 30)) and one.source == ""
    assert datasets.available()["fashion_mnist"].startswith("cache ")


class Cifar:
    """Six batches of 20, each class twice."""

    x = RNG.integers(0, 256, (120, 3, 32, 32), dtype=np.uint8)
    y = np.concatenate([RNG.permutation(np.repeat(np.arange(10), 2)) for _ in range(6)]).astype(np.uint8)


@pytest.fixture
def small_cifar(monkeypatch):
    monkeypatch.setattr(images, "CIFAR10", replace(images.CIFAR10, n=120))
    monkeypatch.setattr(images, "BATCH", 20)
    monkeypatch.setattr(images, "CIFAR10_BATCHES", tuple(sha256(Cifar.y[i : i + 20]) for i in range(0, 120, 20)))


def write_images(path, rows, form="PNG", names=images.CIFAR10.classes):
    files = []
    for image in Cifar.x[rows]:
        with io.BytesIO() as file:
            Image.fromarray(image.transpose(1, 2, 0)).save(file, form)
            files.append(file.getvalue())
    np.savez(path, jpeg=np.frombuffer(b"".join(files), np.uint8), offsets=np.cumsum([0, *map(len, files)]),
             label=Cifar.y[rows], class_names=np.array(names))


def test_cifar_from_encoded_files_in_part(small_cifar, data_root):
    write_images(data_root / "a.npz", slice(100, 120))  # the test batch comes first and has no telling name
    write_images(data_root / "b.npz", slice(0, 40))
    data = datasets.load("cifar10")
    assert data.shape == (3, 32, 32) and data.test.tolist() == list(range(40, 60)) and data.name == "cifar10"
    order = [*range(40), *range(100, 120)]
    np.testing.assert_array_equal(data.y, Cifar.y[order])
    for i in (0, 39, 41):
        np.testing.assert_allclose(data.image(i), Cifar.x[order[i]].transpose(1, 2, 0) / 255, atol=1e-6)
    expected = (Cifar.x[3, 1] / 255 - 0.4822) / 0.2435
    np.testing.assert_allclose(data.x[3, 1], expected, rtol=1e-4, atol=1e-5)
    assert repr(data).endswith("official test set of 20 (local: first 40 training images)")
    flat = datasets.load("cifar10", flat=True)
    assert flat.shape == (3072,) and torch.equal(flat.x, data.x.flatten(1))


def test_cifar_as_jpeg_says_lossy(small_cifar, data_root):
    write_images(data_root / "train.npz", slice(0, 20), "JPEG")
    assert datasets.load("cifar10").source == "local: JPEG (lossy), first 20 training images, no official test set"


@pytest.mark.parametrize("shape", [(3072,), (3, 32, 32)])
def test_cifar_from_arrays_whole_and_shuffled_by_batch(small_cifar, data_root, shape):
    order = np.r_[100:120, 40:60, 0:40, 60:100]
    np.savez(data_root / "all.npz", data=Cifar.x[order].reshape(-1, *shape), labels=Cifar.y[order])
    data = datasets.load("cifar10")
    assert data.source == "" and data.test.tolist() == list(range(100, 120))
    np.testing.assert_array_equal(data.y, Cifar.y)
    np.testing.assert_allclose(data.image(57), Cifar.x[57].transpose(1, 2, 0) / 255, atol=1e-6)


def test_of_two_copies_the_lossless_one_is_used_once(small_cifar, data_root):
    write_images(data_root / "a.npz", slice(0, 120), "JPEG")
    np.savez(data_root / "b.npz", x=Cifar.x.transpose(0, 2, 3, 1), y=Cifar.y)
    data = datasets.load("cifar10")
    assert data.n == 120 and data.source == ""
    np.testing.assert_allclose(data.image(5), Cifar.x[5].transpose(1, 2, 0) / 255, atol=1e-6)


def test_an_unknown_order_warns_and_shows(small_cifar, data_root):
    write_images(data_root / "train.npz", slice(5, 45))
    write_images(data_root / "my_test.npz", slice(100, 115))
    with pytest.warns(UserWarning, match=r"train.npz: .* do not match these examples with CIFAR-10N by position"):
        data = datasets.load("cifar10")
    assert len(data.test) == 15 and "40 training images, not known to be in the official order" in data.source


def test_an_incomplete_last_batch_follows_the_known_ones(small_cifar, data_root):
    write_images(data_root / "train.npz", slice(0, 50))
    data = datasets.load("cifar10")
    assert data.source == "local: first 50 training images, no official test set"
    np.testing.assert_array_equal(data.y, Cifar.y[:50])


def test_a_gap_between_batches_is_no_official_order(small_cifar, data_root):
    write_images(data_root / "a.npz", slice(0, 20))
    write_images(data_root / "b.npz", slice(40, 60))
    with pytest.warns(UserWarning, match="by position"):
        assert "not known to be in the official order" in datasets.load("cifar10").source


def test_labels_without_images_and_other_sets_are_passed_over(small_cifar, data_root):
    np.savez(data_root / "cifar10n.npz", clean_label=Cifar.y[:100], worse_label=Cifar.y[:100])
    np.savez(data_root / "votes.npz", counts=np.ones((20, 10), np.uint8), true_label=Cifar.y[100:])
    write_images(data_root / "other.npz", slice(3, 23), names=[f"n{k}" for k in range(10)])
    assert images.find_cifar10() == [] and datasets.available()["cifar10"] == "download from OpenML"


def test_damaged_cifar_files_speak_up(small_cifar, data_root):
    path = data_root / "cifar10_train.npz"
    write_images(path, slice(0, 20))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(ValueError, match=r"cifar10_train\.npz \([\d,]+ bytes\) is no readable npz"):
        datasets.load("cifar10")
    np.savez(path, x=np.zeros((20, 64, 64, 3), np.uint8), y=Cifar.y[:20], offsets=np.zeros(21, int),
             class_names=np.array(images.CIFAR10.classes))
    with pytest.raises(ValueError, match=r"32 x 32 x 3 values, found shape \(3, 64, 64\)"):
        datasets.load("cifar10")


def test_cifar_by_download_restores_the_official_order(small_cifar, monkeypatch):
    order = np.r_[100:120, 0:100]
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", network(Cifar.x[order], Cifar.y[order]))
    for _ in range(2):  # downloaded, then from the cache
        data = datasets.load("cifar10")
        np.testing.assert_array_equal(data.y, Cifar.y)
        assert data.test.tolist() == list(range(100, 120)) and data.source == ""
        monkeypatch.setattr("labkit.datasets.download.fetch_openml", None)


def test_cifar_by_download_in_another_order_has_no_official_test_set(small_cifar, monkeypatch):
    order = RNG.permutation(120)
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", network(Cifar.x[order], Cifar.y[order]))
    with pytest.warns(UserWarning, match="OpenML: the labels are not"):
        data = datasets.load("cifar10")
    assert data.test is None and data.source.startswith("OpenML: 120 training images, not known")


def test_real_fashion_mnist(real_data):
    """Both official checksums, and the constants on a tenth of the bytes: as float32 the whole takes seconds."""
    x, y = images._read_fashion_mnist(images.find_fashion_mnist())
    images.FASHION_MNIST.check(x, y, "the folder")
    pixels = x[: images.FASHION_TRAIN : 10] / np.float32(255)
    assert pixels.mean(dtype=np.float64) == pytest.approx(images.FASHION_MEAN[0], abs=3e-3)
    assert pixels.std(dtype=np.float64) == pytest.approx(images.FASHION_STD[0], abs=3e-3)


def test_real_cifar10_labels_and_order(real_data, monkeypatch):
    """All 30,000 labels; of the images a few, since decoding all takes seconds."""
    seen = []

    def blank(blob, offsets, path):
        seen.append(decode(blob[: offsets[20]], offsets[:21], path))
        return np.zeros((len(offsets) - 1, 32, 32, 3), np.uint8)

    monkeypatch.setattr("labkit.datasets.archive.decode", blank)
    files = images.find_cifar10()
    x, y, n_test, remarks = images.arrange_cifar10([part for file in files for part in npz_parts(file)])
    assert x.shape == (30_000, 3, 32, 32) and n_test == 10_000
    assert remarks == ["JPEG (lossy)", "first 20,000 training images"]
    np.testing.assert_array_equal(y[:20_000], datasets.load_cifar_n()["clean_label"][:20_000])
    assert np.bincount(y[20_000:]).tolist() == [1000] * 10
    assert all(part.shape == (20, 32, 32, 3) and 20 < part.mean() < 235 and part.std() > 30 for part in seen)
