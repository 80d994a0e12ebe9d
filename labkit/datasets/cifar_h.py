"""CIFAR-10H: about 51 human judgements for each of the 10,000 CIFAR-10 test images.

Peterson, Battleday, Griffiths, Russakovsky (2019), Human uncertainty makes classification more robust, ICCV. The votes
are CC BY-NC-SA 4.0 and not part of this package: they are read from the folder ``LABKIT_DATA``, the images as for
``load("cifar10")``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from labkit.datasets.archive import read_npz, sniff_npz
from labkit.datasets.base import Data
from labkit.datasets.images import CIFAR10, cifar10
from labkit.datasets.local import data_folder, folders

N = 10_000


def cifar10h(flat: bool = False, shrink: int = 1) -> Data:
    """The 10,000 test images with their human votes as ``side["votes"]`` (10000, 10); y is the CIFAR-10 label.

    shrink: average over squares of so many pixels (1, 2, 4, 8, 16 or 32), so that 4 gives images of 8 x 8.
    There is no official test set: each seed draws its own. The annotator for it is ``labkit.annotate.HumanVotes``.
    FileNotFoundError when the votes are not there; ValueError when they do not belong to the images.
    """
    if shrink not in (1, 2, 4, 8, 16, 32):
        raise ValueError(f"shrink is 1, 2, 4, 8, 16 or 32 pixels, got {shrink!r}")
    votes, truth = read_votes()
    data = cifar10()
    index = data.test if data.test is not None else torch.arange(data.n)
    if not torch.equal(data.y[index], truth):
        raise ValueError("the images at hand do not end with the official CIFAR-10 test set in its order, so the human "
                         f"votes cannot be matched to them ({data.source or data.name})")
    x = torch.nn.functional.avg_pool2d(data.x[index], shrink)
    size = CIFAR10.shape[1] // shrink
    return replace(data, name="cifar10h", x=x.flatten(1) if flat else x, y=data.y[index], test=None,
                   image_shape=(3, size, size), side={"votes": votes})


def find_votes() -> Path | None:
    """The npz file under ``LABKIT_DATA`` with arrays counts (10000, 10) and true_label (10000,), or None."""
    root = data_folder()
    for _, files in folders(root) if root else ():
        for file in files:
            held = sniff_npz(file) or {}
            if held.keys() >= {"counts", "true_label"} and held["counts"][1] == (N, len(CIFAR10.classes)):
                return file
    return None


def read_votes() -> tuple[torch.Tensor, torch.Tensor]:
    """Human vote counts (10000, 10) and CIFAR-10 labels (10000,), both int64, in the order of the test images."""
    file = find_votes()
    if file is None:
        root = data_folder()
        raise FileNotFoundError(
            "no CIFAR-10H votes: expected an npz with counts (10000, 10) and true_label (10000,) "
            f"{f'under {root.absolute()}' if root else 'in the folder LABKIT_DATA, which is not set'}; the authors' "
            "repository has the counts (jcpeterson/cifar-10h, data/cifar10h-counts.npy), the labels are those of the "
            "CIFAR-10 test set. load('gaussians') with labkit.annotate.Votes needs no file")
    arrays = read_npz(file, only=["counts", "true_label"])
    counts, truth = (arrays[key].astype(np.int64) for key in ("counts", "true_label"))
    if truth.shape != (N,) or truth.min() < 0 or truth.max() > 9 or counts.min() < 0 or counts.sum(1).min() < 1:
        raise ValueError(f"{file}: expected at least one vote per image and 10,000 labels from 0 to 9; get it again")
    return torch.from_numpy(counts), torch.from_numpy(truth)
