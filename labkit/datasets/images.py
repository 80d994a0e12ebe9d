"""Fashion-MNIST and CIFAR-10: from the folder ``LABKIT_DATA``, else from the cache, else from OpenML."""

from __future__ import annotations

import math
import re
import warnings
from pathlib import Path

import numpy as np
import torch

from labkit.datasets.archive import Part, label_indices, npz_parts, read_npz, sniff_npz
from labkit.datasets.base import Data
from labkit.datasets.download import Published, fetch, sha256
from labkit.datasets.idx import read_idx, sniff_idx
from labkit.datasets.local import data_folder, folders, idx_parts

# The checksums are those of the authors' four IDX files, training images first. OpenML's copy has the same 70,000
# images in the same order, so one pair of checksums serves both.
FASHION_MNIST = Published(
    "fashion_mnist", "Fashion-MNIST", 1, 70_000, (28, 28),
    ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    "0fbbfcb392782b3b702472ead3688778e1509e8cf40f5c24d9d3303618b193ab",
    "8ab940a680640f36c0bf1d2549cb2f3b3d4068c12547116cc7b1161b1d26663d")
FASHION_LABELS = {  # SHA-256 of the labels alone: small files that tell Fashion-MNIST from the other sets of its shape
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": "train",
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": "test"}
FASHION_TRAIN = 60_000
FASHION_MEAN, FASHION_STD = (0.2860,), (0.3530,)  # of all training pixels

# No checksum of the original pixels was at hand. OpenML's copy is checked by size, class counts, OpenML's own MD5 sum
# and the sequence of its labels.
CIFAR10 = Published(
    "cifar10", "CIFAR_10", 1, 60_000, (3, 32, 32),
    ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"))
CIFAR10_BATCHES = (  # SHA-256 of the labels of each official batch of 10,000: training batches 1 to 5, then the test
    "d829dbdf32167c9d7b3687cee66d92d80d46c441308b5aca0d11e8b69e27dac9",
    "5d18f7371ed35ea9ade77952fe958b0660a45cd6c8b8a8970030f21612cfd7e3",
    "32cf77b0ee2e790b1c4384d2d82e42dc1571b87e67f6da8f444b2725b2973f65",
    "d2815e3f8f656272864920fc0edde56b04ec9cf81bf397c0dd3069f4aea51aeb",
    "2ddf3ab27d5d04409c94ce7b56849c243129c10de1058ae0bfe14c77e934800c",
    "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5")
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)  # per channel, training pixels
BATCH = 10_000


def fashion_mnist(flat: bool = True) -> Data:
    """70,000 grey images of clothes, 28 x 28: x (70000, 784), or (70000, 1, 28, 28) with ``flat=False``.

    The test set is the last 10,000. Xiao, Rasul, Vollgraf (2017), Fashion-MNIST: a Novel Image Dataset for
    Benchmarking Machine Learning Algorithms, arXiv:1708.07747. MIT licence.
    """
    here = find_fashion_mnist()
    if here is not None:
        x, y = _read_fashion_mnist(here)
        FASHION_MNIST.check(x, y, str(here))
    else:
        x, y = fetch(FASHION_MNIST)
    return _images(FASHION_MNIST, x, y, torch.arange(FASHION_TRAIN, len(y)), flat, FASHION_MEAN, FASHION_STD,
                   "" if here is None else f"local: {here.name}")


def cifar10(flat: bool = False) -> Data:
    """Colour photographs in ten classes, 32 x 32: x (n, 3, 32, 32), or (n, 3072) with ``flat=True``; n is 60,000.

    Training image i is example i in the official order, as CIFAR-10N needs it; the test set comes last. A local
    folder may hold fewer training images, or JPEG copies: ``source`` then says so.
    Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images, technical report, University of Toronto.
    """
    files = find_cifar10()
    if files:
        parts, origin = [part for file in files for part in npz_parts(file)], "local"
    else:
        parts, origin = [Part(*fetch(CIFAR10), None, False, False, Path("OpenML"))], "OpenML"
    x, y, n_test, notes = arrange_cifar10(parts)
    test = torch.arange(len(y) - n_test, len(y)) if 0 < n_test < len(y) else None
    source = f"{origin}: {', '.join(notes)}" if notes else ""
    return _images(CIFAR10, x, y, test, flat, CIFAR10_MEAN, CIFAR10_STD, source)


def find_fashion_mnist() -> Path | None:
    """The folder under ``LABKIT_DATA`` that holds the official label files, told by their checksums.

    None when there is none. ValueError when a folder that is called Fashion-MNIST holds something else.
    """
    root = data_folder()
    named = None
    for folder, files in folders(root) if root else ():
        if _fashion_labels(files).keys() == {"train", "test"}:
            return folder
        if "fashionmnist" in folder.name.lower().replace("-", "").replace("_", "") and files:
            named = folder
    if named is None:
        return None
    for file in sorted(named.iterdir()):  # first let a damaged file speak for itself
        if file.is_file() and (sniff_idx(file) or "idx" in file.name):
            read_idx(file)
    raise ValueError(f"{named.absolute()} is called Fashion-MNIST, but holds no IDX label files with the official "
                     f"SHA-256 sums {' and '.join(FASHION_LABELS)} (labels as bytes); get the four official files, or "
                     f"read it as a set of your own: load('local', folder={named.name!r})")


def _fashion_labels(files: list[Path]) -> dict[str, Path]:
    found = {}
    for file in files:
        dtype, shape = sniff_idx(file) or (None, None)
        if dtype == np.uint8 and shape in ((FASHION_TRAIN,), (FASHION_MNIST.n - FASHION_TRAIN,)):
            try:
                digest = sha256(read_idx(file))
            except ValueError:
                continue  # a damaged file is no proof of anything here
            if digest in FASHION_LABELS:
                found[FASHION_LABELS[digest]] = file
    return found


def _read_fashion_mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    parts = idx_parts([file for file in sorted(folder.iterdir()) if file.is_file() and sniff_idx(file)])
    parts = sorted((part for part in parts if sha256(part.y) in FASHION_LABELS), key=lambda part: -len(part.y))
    if len(parts) != 2:
        raise ValueError(f"{folder.absolute()}: the Fashion-MNIST labels are here, but the images of 60,000 and 10,000 "
                         "are not both beside them; get the four official files")
    return (np.concatenate([part.x.reshape(len(part.y), -1) for part in parts]),
            np.concatenate([part.y for part in parts]))


def find_cifar10() -> list[Path]:
    """The npz files with CIFAR-10 images under ``LABKIT_DATA``: those of the folder that has the most.

    Told by content: images of 32 x 32 x 3 values, or image files in bytes, beside official labels or the class names.
    """
    root = data_folder()
    best, most = [], 0
    for _, files in folders(root) if root else ():
        sizes = {file: size for file in files if (size := _count_cifar10(file))}
        if sum(sizes.values()) > most:
            best, most = list(sizes), sum(sizes.values())
    return best


def _count_cifar10(file: Path) -> int:
    """How many CIFAR-10 images an npz file holds, from its headers, labels and class names only."""
    headers = sniff_npz(file)
    if headers is None:
        if file.suffix == ".npz" and re.search(r"cifar[-_]?10(?![0-9nh])", file.name.lower()):
            read_npz(file)  # damaged: its name makes it speak up
        return 0
    lengths = {key: shape[0] for key, (dtype, shape) in headers.items() if len(shape) == 1 and dtype.kind in "iu"}
    pixels = {shape[0] for _, shape in headers.values() if len(shape) > 1 and math.prod(shape[1:]) == 3072}
    sizes = pixels | {n - 1 for n in lengths.values()}  # n + 1 offsets
    labels = [key for key, n in lengths.items() if n in sizes]
    names = [key for key, (dtype, shape) in headers.items() if dtype.kind == "U" and shape == (10,)]
    if not labels:
        return 0
    arrays = read_npz(file, only=[*labels, *names])
    known = any(_batch(arrays[key][:BATCH]) is not None for key in labels)
    named = any(tuple(arrays[key]) == CIFAR10.classes for key in names)
    return lengths[labels[0]] if known or named else 0


def _batch(y: np.ndarray) -> int | None:
    """Which official batch (5 is the test batch) has exactly these labels; None if none."""
    digest = sha256(y.astype(np.uint8))
    return CIFAR10_BATCHES.index(digest) if digest in CIFAR10_BATCHES else None


def arrange_cifar10(parts: list[Part]) -> tuple[np.ndarray, np.ndarray, int, list[str]]:
    """x (n, 3, 32, 32) uint8 and y (n,) in the official order, the size of the test set that ends them, and remarks.

    The parts are cut into batches of 10,000, which are recognised by their labels; of a batch that comes twice the
    lossless one is taken. Batches that are not recognised keep their place after those that are. Unless they are the
    last and incomplete one, example i is then not training image i of CIFAR-10N: a remark and a warning say so.
    """
    known: dict[int, tuple] = {}
    train, test = [], []
    for part in sorted(parts, key=lambda part: part.lossy):
        if math.prod(part.x.shape[1:]) != 3072:
            raise ValueError(f"{part.path}: CIFAR-10 images have 32 x 32 x 3 values, found shape {part.x.shape[1:]}")
        y, _ = label_indices(part.y, CIFAR10.classes)
        for i in range(0, len(y), BATCH):
            piece = part.x[i : i + BATCH].reshape(-1, *CIFAR10.shape), y[i : i + BATCH], part.lossy, part.path
            place = _batch(piece[1])
            if place is None:
                (test if part.test else train).append(piece)
            else:
                known.setdefault(place, piece)
    places = sorted(known.keys() - {5})
    in_order = places == list(range(len(places))) and len(train) <= 1 and all(len(y) < BATCH for _, y, *_ in train)
    train = [known[place] for place in places] + train
    test = [known[5]] if 5 in known else test
    n_train, n_test = (sum(len(y) for _, y, *_ in pieces) for pieces in (train, test))
    remarks = ["JPEG (lossy)"] if any(lossy for _, _, lossy, _ in train + test) else []
    if not train:
        remarks.append("test images only")
    elif not places or not in_order:
        remarks.append(f"{n_train:,} training images, not known to be in the official order")
        warnings.warn(f"{train[-1][3]}: the labels are not those of the official CIFAR-10 training batches in order; "
                      "do not match these examples with CIFAR-10N by position", stacklevel=3)
    elif n_train < 5 * BATCH:
        remarks.append(f"first {n_train:,} training images")
    if not test:
        remarks.append("no official test set")
    x, y = (np.concatenate([piece[k] for piece in train + test]) for k in (0, 1))
    return x, y, n_test, remarks


def _images(published: Published, x: np.ndarray, y: np.ndarray, test: torch.Tensor | None, flat: bool,
            mean: tuple[float, ...], std: tuple[float, ...], source: str) -> Data:
    """Bytes to float32, scaled to [0, 1] and standardised in place: a large set is in memory as float32 only once."""
    pixels = torch.from_numpy(x).reshape(len(x), len(mean), -1).float()
    pixels.div_(255).sub_(torch.tensor(mean)[:, None]).div_(torch.tensor(std)[:, None])
    shape = published.shape if len(published.shape) == 3 else (1, *published.shape)
    return Data(published.name, pixels.flatten(1) if flat else pixels.reshape(-1, *shape), torch.from_numpy(y).long(),
                published.classes, test, image_shape=published.shape, pixel_mean=mean, pixel_std=std, source=source)
