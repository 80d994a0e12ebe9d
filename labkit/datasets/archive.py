"""Labelled arrays out of npz archives, recognised by what the arrays hold; names only decide between equals."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

IMAGE_FILES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")  # how a JPEG and a PNG begin
LABEL_NAMES = ("y", "label", "labels", "target", "targets")
FEATURE_NAMES = ("x", "image", "images", "data", "features")
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError, AttributeError, NotImplementedError)
TEST = re.compile(r"(?<![a-z])(test|t10k)")  # in a file name; "latest" is no match


class Part(NamedTuple):
    """One labelled piece of a set: a training or a test part."""

    x: np.ndarray  # (n, ...); images as (n, H, W) or (n, C, H, W)
    y: np.ndarray  # (n,) integers or strings
    classes: tuple[str, ...] | None
    test: bool
    lossy: bool  # decoded from JPEG
    path: Path


def read_npz(path: str | Path, only: list[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays of an npz file, or those named in ``only``.

    FileNotFoundError when there is none; ValueError with the path and size when it is damaged, truncated or needs
    pickle.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no npz file at {path}")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files if only is None or key in only}
    except DAMAGE as error:
        raise ValueError(f"{path} ({path.stat().st_size:,} bytes) is no readable npz archive of plain arrays "
                         f"({error}); get the file again") from error


def sniff_npz(path: Path) -> dict[str, tuple[np.dtype, tuple[int, ...]]] | None:
    """Type and shape of each array in an npz file, or None if it is not one. Reads headers only, never a name."""
    try:
        with zipfile.ZipFile(path) as archive:
            if not archive.namelist() or not all(name.endswith(".npy") for name in archive.namelist()):
                return None
            return {name.removesuffix(".npy"): _npy_header(archive, name) for name in archive.namelist()}
    except DAMAGE:
        return None


def _npy_header(archive: zipfile.ZipFile, name: str) -> tuple[np.dtype, tuple[int, ...]]:
    with archive.open(name) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    return dtype, shape


def npz_parts(path: Path) -> list[Part]:
    """The labelled parts in one npz file: one, or a training and a test part when the array names say so.

    Features are either images in JPEG or PNG form, all bytes in one array beside an array of n+1 offsets, or an array
    of two or more dimensions. Labels are an integer or string array of length n. ValueError names what is missing.
    Where there are training and test arrays, further ones (validation) are left out.
    """
    arrays = read_npz(path)
    test = {key for key in arrays if "test" in key.lower() or "t10k" in key.lower()}
    train = {key for key in arrays if "train" in key.lower()}
    if not test or not train:
        return [_part(arrays, bool(TEST.search(path.stem.lower())), path)]
    common = arrays.keys() - test - train
    return [_part({key: arrays[key] for key in arrays if key in keys | common}, keys is test, path)
            for keys in (train, test)]


def _part(arrays: dict[str, np.ndarray], test: bool, path: Path) -> Part:
    held = ", ".join(f"{key} {a.dtype}{list(a.shape)}" for key, a in arrays.items()) or "nothing"
    encoded = {key: a for key, a in arrays.items()
               if a.ndim == 1 and a.dtype == np.uint8 and a[:8].tobytes().startswith(IMAGE_FILES)}
    if encoded:
        name, blob = max(encoded.items(), key=lambda item: len(item[1]))
        offsets = _offsets(arrays, name, path)
        x, n, lossy = None, len(offsets) - 1, blob[:3].tobytes() == IMAGE_FILES[0]
    else:
        tables = {key: a for key, a in arrays.items() if a.ndim >= 2 and a.dtype.kind in "iufb" and a.shape[-1] > 0
                  and a.shape != (len(a), 1)}
        name = _choose(tables, FEATURE_NAMES, "features", path)
        if name is None:
            raise ValueError(f"{path}: no features: expected an array of two or more dimensions, or JPEG bytes with "
                             f"offsets; it holds {held}")
        x, n, lossy = arrays[name], len(arrays[name]), False
    columns = {key: a.reshape(-1) for key, a in arrays.items()
               if a.shape in ((n,), (n, 1)) and key != name and a.dtype.kind in "iubUS"}
    label = _choose(columns, LABEL_NAMES, "labels", path)
    if label is None:
        raise ValueError(f"{path}: the labels are unknown: expected an integer or string array of length {n} beside "
                         f"{name}; it holds {held}")
    names = [a for key, a in arrays.items() if a.ndim == 1 and a.dtype.kind in "US" and key != label
             and (len(a) != n or "class" in key.lower())]  # n strings are file names or the like
    classes = tuple(map(str, names[0])) if len(names) == 1 else None
    if x is None:
        x = decode(blob, offsets, path)
    return Part(channels_first(x), columns[label], classes, test, lossy, path)


def _choose(found: dict[str, np.ndarray], names: tuple[str, ...], what: str, path: Path) -> str | None:
    """The key of the only array that fits, or of the one that carries a usual name; ValueError when it is open."""
    usual = [key for key in found if re.sub(r"[_-]?(train|test|t10k)[_-]?", "", key.lower()) in names]
    if len(found) <= 1 or len(usual) == 1:
        return next(iter(usual or found), None)
    raise ValueError(f"{path}: {', '.join(found)} could all be the {what}; "
                     f"give the right one one of the names {', '.join(names)}")


def _offsets(arrays: dict[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    """The array that cuts the image bytes into files: integers from 0, never falling, ending at the last byte."""
    size = len(arrays[name])
    rising = {key: a for key, a in arrays.items() if key != name and a.ndim == 1 and len(a) > 1
              and a.dtype.kind in "iu" and a[0] == 0 and (np.diff(a.astype(np.int64)) > 0).all()}
    for offsets in rising.values():
        if offsets[-1] == size:
            return offsets.astype(np.int64)
    ends = ", ".join(f"{key} ends at {int(a[-1]):,}" for key, a in rising.items()) or "there is no rising array"
    raise ValueError(f"{path}: {name} holds {size:,} bytes of images, and no array of offsets runs from 0 to {size:,} "
                     f"({ends}); the file is damaged or truncated, get it again")


def decode(blob: np.ndarray, offsets: np.ndarray, path: Path) -> np.ndarray:
    """Images cut out of ``blob``: (n, H, W) uint8 if the first is grey, else (n, H, W, 3). ValueError on a bad one."""
    from PIL import Image

    raw, cuts = blob.tobytes(), offsets.tolist()
    images, mode = None, None
    # One after the other: for images this small, threads fight over the interpreter and take longer.
    for i in range(len(cuts) - 1):
        try:
            with Image.open(io.BytesIO(raw[cuts[i] : cuts[i + 1]])) as file:
                mode = mode or ("L" if file.mode == "L" else "RGB")
                image = np.asarray(file.convert(mode))
        except (OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
            raise ValueError(f"{path}: image {i} cannot be decoded ({error}); get the file again") from error
        if images is None:
            images = np.empty((len(cuts) - 1, *image.shape), dtype=np.uint8)
        if image.shape != images.shape[1:]:
            raise ValueError(f"{path}: image {i} has shape {image.shape}, the first has {images.shape[1:]}; "
                             "all images of a set must have one size")
        images[i] = image
    return images


def label_indices(y: np.ndarray, named: tuple[str, ...] | None) -> tuple[np.ndarray, tuple[str, ...] | None]:
    """Labels as int64 class indices, and the class names: string labels in the order of ``named``, else sorted."""
    if y.dtype.kind in "US":
        words = y.astype(str)
        named = named if named and set(words) <= set(named) else tuple(sorted(set(words.tolist())))
        y = np.array([named.index(word) for word in words.tolist()])
    return y.astype(np.int64), named


def channels_first(x: np.ndarray) -> np.ndarray:
    """(n, H, W, C) -> (n, C, H, W) if the last axis alone looks like channels (1 or 3); otherwise unchanged."""
    if x.ndim == 4 and x.shape[-1] in (1, 3) and x.shape[1] not in (1, 3):
        return np.moveaxis(x, -1, 1)
    return x
