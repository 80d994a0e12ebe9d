"""Sets in a folder of the user's: ``LABKIT_DATA``, read by content (IDX pairs, npz archives)."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from labkit.datasets.archive import TEST, Part, channels_first, label_indices, npz_parts, read_npz, sniff_npz
from labkit.datasets.base import Data, check_finite
from labkit.datasets.bundled import standardise
from labkit.datasets.idx import read_idx, sniff_idx


def data_folder() -> Path | None:
    """The folder that ``LABKIT_DATA`` names (relative to the working directory), or None when it is unset or empty."""
    value = os.environ.get("LABKIT_DATA", "")
    if not value:
        return None
    if not Path(value).is_dir():
        raise FileNotFoundError(f"LABKIT_DATA is set to {value!r}, but {Path(value).absolute()} is not a folder; "
                                "set it to the folder that holds your data, or unset it")
    return Path(value)


def folders(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """``root`` and every folder under it with its files, sorted, hidden ones left out."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(folder), [Path(folder) / name for name in sorted(files) if not name.startswith(".")]


def local(folder: str, classes: tuple[str, ...] | None = None, image_shape: tuple[int, ...] | None = None,
          flat: bool = False) -> Data:
    """A set of your own: a folder with IDX pairs or npz archives, or a single npz file.

    folder: looked for under ``LABKIT_DATA``, then as it stands.
    classes: class names for the indices 0 .. K-1; otherwise those in the files, or "0", "1", ...
    image_shape: (H, W) or (C, H, W), when the files hold images as flat rows.
    flat: True gives images as rows (n, d) instead of (n, C, H, W).

    A part with "test" or "t10k" in its name is the official test set; without one each seed draws its own.
    Images are brought to [0, 1] (by 255 for bytes, otherwise by the extremes of the whole array) and standardised with
    one mean and standard deviation for all pixels; tables are standardised per feature. Labels are not used for it.
    FileNotFoundError when there is no such folder; ValueError for damaged files, unknown labels and mixed shapes.
    """
    root = data_folder()
    tried = [base / folder for base in (root, Path()) if base is not None]
    path = next((p for p in tried if p.exists()), None)
    if path is None:
        looked = " and ".join(str(p.absolute()) for p in tried)
        raise FileNotFoundError(f"no folder or file {folder!r}: looked at {looked}; "
                                "set LABKIT_DATA to the folder that holds it")
    parts = read_parts(path)
    return _assemble(path, parts, classes, image_shape, flat)


def read_parts(path: Path) -> list[Part]:
    """The labelled parts of a folder (or of one npz file), training parts first."""
    files = [path] if path.is_file() else [p for p in sorted(path.iterdir()) if p.is_file()]
    parts = idx_parts([file for file in files if sniff_idx(file)])
    for file in files:
        if sniff_npz(file):
            parts += npz_parts(file)
        # A damaged file no longer looks like what it is. Its name is reason enough to read it, and so to say why not.
        elif file.suffix == ".npz":
            read_npz(file)
        elif re.search(r"[.-]idx\d", file.name) and not sniff_idx(file):
            read_idx(file)
    if len({sniff_npz(part.path) is None for part in parts}) > 1:
        raise ValueError(f"{path}: holds IDX files and npz archives; if they are one set twice, its test examples "
                         "would be trained on. Move one form away, or name the npz file itself")
    if not parts:
        raise ValueError(f"{path}: no labelled data: expected IDX files (images and labels) or npz archives, found "
                         f"{', '.join(p.name for p in files) or 'no files'}")
    return sorted(parts, key=lambda part: part.test)


def idx_parts(files: list[Path]) -> list[Part]:
    """IDX images with the labels of the same length; equal lengths are told apart by the longest common file name."""
    headers = {file: sniff_idx(file) for file in files}
    labels = [f for f, (dtype, shape) in headers.items() if len(shape) == 1 and dtype.kind in "iu"]
    parts = []
    for file, (_, shape) in headers.items():
        if len(shape) == 1:
            continue
        fitting = [f for f in labels if headers[f][1][0] == shape[0]]
        if not fitting:
            lengths = ", ".join(f"{f.name} has {headers[f][1][0]}" for f in labels) or "no label file is left"
            raise ValueError(f"{file}: the labels are unknown: expected an IDX file of {shape[0]} integers in the same "
                             f"folder ({lengths})")
        label = max(fitting, key=lambda f: _shared_beginning(f.name, file.name))
        labels.remove(label)
        test = bool(TEST.search(file.name.lower()))
        parts.append(Part(channels_first(read_idx(file)), read_idx(label), None, test, False, file))
    return parts


def _shared_beginning(a: str, b: str) -> int:
    return next((i for i, (s, t) in enumerate(zip(a, b)) if s != t), min(len(a), len(b)))


def _assemble(path: Path, parts: list[Part], classes, image_shape, flat: bool) -> Data:
    if len({part.x.shape[1:] for part in parts}) > 1:
        shapes = ", ".join(f"{part.path.name} {part.x.shape[1:]}" for part in parts)
        raise ValueError(f"{path}: parts with examples of different shapes ({shapes}); give each set its own folder")
    x = np.concatenate([part.x for part in parts])
    y = np.concatenate([part.y for part in parts])
    if x.size == 0:
        raise ValueError(f"{path}: the set is empty: features of shape {x.shape}")
    named = next((part.classes for part in parts if part.classes), None)
    y, named = label_indices(y, named)
    classes = classes or named or tuple(str(k) for k in range(max(int(y.max()) + 1, 2)))
    if x.dtype.kind == "f":
        check_finite(path.name, torch.from_numpy(x.astype(np.float64, copy=False)))
    n_train = sum(len(part.y) for part in parts if not part.test)
    test = torch.arange(n_train, len(y)) if 0 < n_train < len(y) else None
    if image_shape is None and x.ndim >= 3:
        image_shape = x.shape[1:] if x.ndim == 3 or x.shape[1] > 1 else x.shape[2:]
    if image_shape is not None and math.prod(image_shape) != math.prod(x.shape[1:]):
        raise ValueError(f"{path}: image_shape {tuple(image_shape)} holds {math.prod(image_shape)} values, an example "
                         f"of shape {x.shape[1:]} has {math.prod(x.shape[1:])}")
    mean, std = 0.0, 1.0
    if image_shape is None:
        x = standardise(x)
    else:
        x = x.astype(np.float32)
        low, high = (0.0, 255.0) if parts[0].x.dtype == np.uint8 else (float(x.min()), float(x.max()))
        x = (x - low) / ((high - low) or 1.0)
        mean, std = float(x.mean(dtype=np.float64)), float(x.std(dtype=np.float64)) or 1.0
        shape = image_shape if len(image_shape) == 3 else (1, *image_shape)
        x = ((x - mean) / std).reshape(len(x), *((-1,) if flat else shape))
    lossy = ", JPEG (lossy)" if any(part.lossy for part in parts) else ""
    name = path.stem if path.is_file() else path.resolve().name
    return Data(name, torch.from_numpy(x), torch.from_numpy(y), classes, test, image_shape=image_shape,
                pixel_mean=(mean,), pixel_std=(std,), source=f"local: {path.resolve().name}{lossy}")
