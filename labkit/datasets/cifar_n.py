"""Human noisy labels of the CIFAR-10 training images (CIFAR-10N): the labels from a local folder, the rates from here.

Wei, Zhu, Cheng, Liu, Niu, Liu (2022), Learning with Noisy Labels Revisited: A Study Using Real-World Human
Annotations, ICLR. The labels are CC BY-NC 4.0 and not part of this package; the rates below are facts counted from
them. Three people labelled each image: ``random_label1`` to ``3`` are one answer each, ``aggre_label`` their majority,
``worse_label`` a wrong one where any is wrong.
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
from labkit.names import look_up

CLEAN = "clean_label"
N_TRAIN = 50_000

# P(human label | clean label), rows are the clean class, in the order airplane, automobile, bird, cat, deer, dog, frog,
# horse, ship, truck. Each class has 5,000 training images, so four decimals are exact.
HUMAN_MATRICES = {
    "aggre_label": (
        (0.9430, 0.0056, 0.0146, 0.0004, 0.0008, 0.0002, 0.0004, 0.0002, 0.0318, 0.0030),
        (0.0104, 0.9480, 0.0002, 0.0004, 0.0000, 0.0000, 0.0000, 0.0002, 0.0046, 0.0362),
        (0.0160, 0.0124, 0.9310, 0.0064, 0.0084, 0.0056, 0.0068, 0.0016, 0.0088, 0.0030),
        (0.0198, 0.0172, 0.0438, 0.8252, 0.0064, 0.0574, 0.0088, 0.0016, 0.0098, 0.0100),
        (0.0182, 0.0164, 0.0376, 0.0150, 0.8312, 0.0208, 0.0048, 0.0376, 0.0112, 0.0072),
        (0.0104, 0.0076, 0.0214, 0.0516, 0.0042, 0.8920, 0.0014, 0.0040, 0.0038, 0.0036),
        (0.0128, 0.0108, 0.0266, 0.0200, 0.0086, 0.0052, 0.9002, 0.0000, 0.0108, 0.0050),
        (0.0062, 0.0026, 0.0054, 0.0046, 0.0100, 0.0114, 0.0000, 0.9552, 0.0034, 0.0012),
        (0.0104, 0.0080, 0.0008, 0.0006, 0.0002, 0.0000, 0.0006, 0.0000, 0.9738, 0.0056),
        (0.0156, 0.0732, 0.0000, 0.0000, 0.0000, 0.0000, 0.0002, 0.0002, 0.0114, 0.8994),
    ),
    "random_label1": (
        (0.8484, 0.0274, 0.0294, 0.0086, 0.0068, 0.0094, 0.0082, 0.0064, 0.0408, 0.0146),
        (0.0142, 0.8466, 0.0046, 0.0088, 0.0058, 0.0046, 0.0050, 0.0048, 0.0086, 0.0970),
        (0.0214, 0.0152, 0.8400, 0.0214, 0.0272, 0.0202, 0.0230, 0.0152, 0.0100, 0.0064),
        (0.0158, 0.0152, 0.0440, 0.7430, 0.0188, 0.1084, 0.0240, 0.0158, 0.0072, 0.0078),
        (0.0148, 0.0152, 0.0298, 0.0192, 0.7600, 0.0504, 0.0186, 0.0770, 0.0088, 0.0062),
        (0.0140, 0.0108, 0.0236, 0.0818, 0.0166, 0.8234, 0.0100, 0.0126, 0.0038, 0.0034),
        (0.0150, 0.0140, 0.0386, 0.0358, 0.0196, 0.0226, 0.8270, 0.0120, 0.0100, 0.0054),
        (0.0148, 0.0118, 0.0074, 0.0090, 0.0206, 0.0236, 0.0072, 0.8950, 0.0062, 0.0044),
        (0.0298, 0.0296, 0.0072, 0.0062, 0.0070, 0.0060, 0.0066, 0.0068, 0.8794, 0.0214),
        (0.0160, 0.1258, 0.0046, 0.0050, 0.0066, 0.0080, 0.0054, 0.0054, 0.0094, 0.8138),
    ),
    "random_label2": (
        (0.8422, 0.0258, 0.0372, 0.0070, 0.0084, 0.0082, 0.0094, 0.0060, 0.0406, 0.0152),
        (0.0158, 0.8312, 0.0060, 0.0118, 0.0078, 0.0068, 0.0052, 0.0064, 0.0056, 0.1034),
        (0.0236, 0.0176, 0.8348, 0.0226, 0.0268, 0.0230, 0.0210, 0.0130, 0.0092, 0.0084),
        (0.0188, 0.0174, 0.0418, 0.7378, 0.0224, 0.1052, 0.0266, 0.0108, 0.0090, 0.0102),
        (0.0208, 0.0152, 0.0312, 0.0180, 0.7524, 0.0506, 0.0198, 0.0746, 0.0102, 0.0072),
        (0.0150, 0.0118, 0.0218, 0.0858, 0.0178, 0.8064, 0.0132, 0.0162, 0.0048, 0.0072),
        (0.0138, 0.0162, 0.0388, 0.0312, 0.0206, 0.0272, 0.8256, 0.0120, 0.0090, 0.0056),
        (0.0144, 0.0090, 0.0122, 0.0102, 0.0226, 0.0286, 0.0090, 0.8824, 0.0078, 0.0038),
        (0.0338, 0.0296, 0.0090, 0.0058, 0.0084, 0.0080, 0.0048, 0.0088, 0.8734, 0.0184),
        (0.0166, 0.1256, 0.0070, 0.0086, 0.0086, 0.0070, 0.0052, 0.0064, 0.0134, 0.8016),
    ),
    "random_label3": (
        (0.8484, 0.0276, 0.0326, 0.0076, 0.0084, 0.0100, 0.0072, 0.0072, 0.0386, 0.0124),
        (0.0182, 0.8428, 0.0066, 0.0110, 0.0060, 0.0062, 0.0046, 0.0050, 0.0040, 0.0956),
        (0.0212, 0.0152, 0.8426, 0.0184, 0.0252, 0.0216, 0.0264, 0.0140, 0.0102, 0.0052),
        (0.0184, 0.0144, 0.0396, 0.7444, 0.0230, 0.1018, 0.0270, 0.0122, 0.0104, 0.0088),
        (0.0170, 0.0134, 0.0388, 0.0192, 0.7418, 0.0582, 0.0206, 0.0774, 0.0084, 0.0052),
        (0.0124, 0.0114, 0.0248, 0.0808, 0.0164, 0.8198, 0.0118, 0.0120, 0.0056, 0.0050),
        (0.0174, 0.0158, 0.0340, 0.0338, 0.0230, 0.0250, 0.8254, 0.0110, 0.0088, 0.0058),
        (0.0148, 0.0090, 0.0090, 0.0078, 0.0202, 0.0280, 0.0104, 0.8916, 0.0052, 0.0040),
        (0.0310, 0.0320, 0.0090, 0.0056, 0.0072, 0.0070, 0.0064, 0.0094, 0.8732, 0.0192),
        (0.0186, 0.1220, 0.0076, 0.0110, 0.0066, 0.0076, 0.0046, 0.0052, 0.0108, 0.8060),
    ),
    "worse_label": (
        (0.6502, 0.0656, 0.0718, 0.0192, 0.0194, 0.0228, 0.0188, 0.0166, 0.0846, 0.0310),
        (0.0430, 0.5922, 0.0152, 0.0264, 0.0174, 0.0154, 0.0136, 0.0136, 0.0158, 0.2474),
        (0.0554, 0.0366, 0.6320, 0.0458, 0.0594, 0.0476, 0.0498, 0.0332, 0.0236, 0.0166),
        (0.0396, 0.0344, 0.0792, 0.4872, 0.0426, 0.2056, 0.0470, 0.0238, 0.0212, 0.0194),
        (0.0394, 0.0326, 0.0700, 0.0402, 0.4882, 0.1064, 0.0390, 0.1516, 0.0210, 0.0116),
        (0.0330, 0.0282, 0.0528, 0.1830, 0.0404, 0.5802, 0.0274, 0.0294, 0.0122, 0.0134),
        (0.0380, 0.0382, 0.0840, 0.0758, 0.0508, 0.0576, 0.5936, 0.0286, 0.0204, 0.0130),
        (0.0398, 0.0280, 0.0242, 0.0220, 0.0512, 0.0618, 0.0230, 0.7216, 0.0174, 0.0110),
        (0.0818, 0.0728, 0.0218, 0.0144, 0.0210, 0.0186, 0.0164, 0.0218, 0.6834, 0.0480),
        (0.0416, 0.2820, 0.0174, 0.0206, 0.0176, 0.0176, 0.0120, 0.0144, 0.0262, 0.5506),
    ),
}


def human_matrix(which: str = "worse_label") -> torch.Tensor:
    """The (10, 10) float64 row-stochastic matrix ``T[clean, human]`` of one kind of CIFAR-10N label; needs no data.

    which: a key of `HUMAN_MATRICES`; mean noise 9.0 % (aggre), 17.2, 18.1, 17.6 % (random 1 to 3), 40.2 % (worse).
    """
    matrix = torch.tensor(look_up("kind of human label", which, HUMAN_MATRICES), dtype=torch.float64)
    return matrix / matrix.sum(1, keepdim=True)


def load_cifar_n() -> dict[str, torch.Tensor]:
    """All label arrays of CIFAR-10N, each (50000,) int64, by name: ``clean_label``, ``worse_label``, ...

    Entry i belongs to training image i of ``load("cifar10")`` (which may hold only the first so many). The file is any
    npz under ``LABKIT_DATA`` with the arrays clean_label and worse_label, each of 50,000 class indices.
    FileNotFoundError when there is none; ValueError for a wrong length or a class index outside 0 .. 9.
    """
    return _labels("CIFAR-10N", "worse_label", "CIFAR-10_human.pt", 9, "; human_matrix() needs no file")


def load_cifar100_n() -> dict[str, torch.Tensor]:
    """The label arrays of CIFAR-100N, each (50000,) int64: ``clean_label``, ``noisy_label``, and coarse ones if there.

    As `load_cifar_n`; the file has the arrays clean_label and noisy_label. Class indices are 0 .. 99. No images.
    """
    return _labels("CIFAR-100N", "noisy_label", "CIFAR-100_human.pt", 99)


def cifar10n(flat: bool = False, shrink: int = 1) -> Data:
    """CIFAR-10 with what people said of its training images: ``side["worse_label"]``, ``side["aggre_label"]``, ...

    Each is (n,) int64, -1 for the images of the official test set, which nobody labelled anew; y is the clean label.
    The annotator for it is ``labkit.annotate.HumanLabels``. If fewer images are at hand than labels, those come first.

    shrink: average over squares of so many pixels (1, 2, 4, 8, 16 or 32), so that 4 gives images of 8 x 8.
    FileNotFoundError when the labels are not there; ValueError when they do not belong to the images.
    """
    if shrink not in (1, 2, 4, 8, 16, 32):
        raise ValueError(f"shrink is 1, 2, 4, 8, 16 or 32 pixels, got {shrink!r}")
    labels = load_cifar_n()
    data = cifar10()
    n = data.n - (0 if data.test is None else len(data.test))  # training images come first
    if not torch.equal(data.y[:n], labels[CLEAN][:n]):
        raise ValueError("the images at hand do not begin with the official CIFAR-10 training set in its order, so the "
                         f"human labels cannot be matched to them ({data.source or data.name})")
    nobody = torch.full((data.n - n,), -1)
    side = {key: torch.cat([said[:n], nobody]) for key, said in labels.items() if key != CLEAN}
    x = torch.nn.functional.avg_pool2d(data.x, shrink) if shrink > 1 else data.x
    size = CIFAR10.shape[1] // shrink
    return replace(data, name="cifar10n", x=x.flatten(1) if flat else x, image_shape=(3, size, size), side=side)


def find_cifar_n(noisy: str = "worse_label") -> Path | None:
    """The npz file under ``LABKIT_DATA`` that holds clean_label and ``noisy``, or None."""
    root, wanted = data_folder(), {CLEAN, noisy}
    return next((file for _, files in (folders(root) if root else ()) for file in files
                 if wanted <= (sniff_npz(file) or {}).keys()), None)


def _labels(name: str, noisy: str, original: str, most: int, otherwise: str = "") -> dict[str, torch.Tensor]:
    file = find_cifar_n(noisy)
    if file is None:
        root = data_folder()
        raise FileNotFoundError(
            f"no {name} labels: expected an npz with {' and '.join(sorted((CLEAN, noisy)))} "
            f"{f'under {root.absolute()}' if root else 'in the folder LABKIT_DATA, which is not set'}; the authors' "
            f"repository has them (UCSC-REAL/cifar-10-100n, {original}; save its arrays as npz){otherwise}")
    labels = {}
    for key, values in read_npz(file).items():
        if values.shape != (N_TRAIN,) or values.dtype.kind not in "iu" or values.min() < 0 or values.max() > most:
            raise ValueError(f"{file}: {key} should hold {N_TRAIN:,} class indices from 0 to {most}, found "
                             f"{values.dtype} of shape {values.shape}{_extremes(values)}; get the file again")
        labels[key] = torch.from_numpy(values.astype(np.int64))
    return labels


def _extremes(values: np.ndarray) -> str:
    return f" from {values.min()} to {values.max()}" if values.size and values.dtype.kind in "iuf" else ""
