"""Image sets from OpenML, checked and kept in a cache; a wrong byte is never used silently."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from labkit.datasets.archive import read_npz


@dataclass(frozen=True)
class Published:
    """What is known about a published set of byte images before it is read."""

    name: str
    openml: str  # its name at OpenML
    version: int
    n: int
    shape: tuple[int, ...]  # of one image
    classes: tuple[str, ...]
    pixels_sha256: str | None = None  # over all pixels as bytes, in the official order
    labels_sha256: str | None = None  # over all labels as bytes, in the official order

    def check(self, x: np.ndarray, y: np.ndarray, where: str) -> None:
        """ValueError unless x (n, d) and y (n,), both uint8, are this set: size, class counts, checksums."""
        size = int(np.prod(self.shape))
        if x.shape != (self.n, size) or y.shape != (self.n,):
            raise ValueError(f"{where}: expected {self.n:,} images of {size} pixels with {self.n:,} labels for "
                             f"{self.name}, found {x.shape} and {y.shape}: truncated, or another set")
        counts, each = np.bincount(y, minlength=len(self.classes)), self.n // len(self.classes)
        if counts.tolist() != [each] * len(self.classes):
            raise ValueError(f"{where}: expected {each} images of each class for {self.name}, found {counts.tolist()}")
        for what, array, expected in (("pixels", x, self.pixels_sha256), ("labels", y, self.labels_sha256)):
            if expected is not None and (found := sha256(array)) != expected:
                raise ValueError(f"{where}: the {what} of {self.name} should have SHA-256 {expected}, found {found}; "
                                 "the copy is damaged or is another set")


def sha256(*arrays: np.ndarray) -> str:
    """SHA-256 over the bytes of arrays, one after the other, in C order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def cache_folder() -> Path:
    """``LABKIT_CACHE``, or ``~/.cache/labkit``."""
    return Path(os.environ.get("LABKIT_CACHE") or Path.home() / ".cache" / "labkit")


def fetch_openml(**options):
    """scikit-learn's `fetch_openml`, imported when it is needed. It retries, and checks OpenML's own MD5 sum."""
    from sklearn.datasets import fetch_openml

    return fetch_openml(**options)


def fetch(published: Published, download: Callable | None = None) -> tuple[np.ndarray, np.ndarray]:
    """x (n, d) and y (n,), both uint8, from the cache or else from OpenML (and then kept in the cache).

    A damaged cache file is named in a warning and replaced by a new download. FileNotFoundError when there is neither
    a good cache file nor a download; ValueError when what was downloaded fails its check. ``download`` stands in for
    `fetch_openml`.
    """
    path = cache_folder() / f"{published.name}.npz"
    if path.exists():
        try:
            return _cached(path, published)
        except ValueError:
            pass  # said below, by the one worker that holds the lock
    path.parent.mkdir(parents=True, exist_ok=True)
    damage = None
    with FileLock(f"{path}.lock"):  # of several workers one downloads, the others then find the file
        if path.exists():
            try:
                return _cached(path, published)
            except ValueError as error:
                damage = error
                warnings.warn(f"the cache file cannot be used and is downloaded again: {error}", stacklevel=2)
        x, y = _from_openml(published, download or fetch_openml, damage)
        _save(path, x, y)
    return x, y


def _cached(path: Path, published: Published) -> tuple[np.ndarray, np.ndarray]:
    arrays = read_npz(path)
    if set(arrays) != {"x", "y", "sha256"}:
        raise ValueError(f"{path}: expected the arrays x, y and sha256, found {', '.join(arrays)}; delete the file")
    x, y, expected = arrays["x"], arrays["y"], str(arrays["sha256"])
    if (found := sha256(x, y)) != expected:
        raise ValueError(f"{path}: its x and y should have SHA-256 {expected}, found {found}; delete the file")
    published.check(x, y, str(path))
    return x, y


def _from_openml(published: Published, download: Callable, damage: ValueError | None):
    where = f"OpenML's {published.openml!r} version {published.version}"
    try:
        bunch = download(name=published.openml, version=published.version, as_frame=False, parser="auto",
                         data_home=str(cache_folder() / "openml"))
    except (OSError, ValueError) as error:  # no network and time-outs are OSError; OpenML's refusals are ValueError
        also = f" The cache file was damaged: {damage}." if damage else ""
        raise FileNotFoundError(
            f"{published.name} is not here and could not be downloaded: {where} gave {type(error).__name__}: {error}."
            f"{also} With a network try again; without one, set LABKIT_DATA to a folder that holds the set "
            f"(data/README.md says in which form), or copy {published.name}.npz from the cache of another machine into "
            f"{cache_folder()}") from error
    x, y = _as_bytes(bunch.data, f"pixels of {where}"), _as_bytes(bunch.target, f"labels of {where}")
    published.check(x, y, where)
    return x, y


def _as_bytes(values, what: str) -> np.ndarray:
    """OpenML gives pixels as floats and labels as strings: uint8 again, and only if no value changes."""
    try:
        numbers = np.asarray(values).astype(np.float64, copy=False)
    except ValueError as error:
        raise ValueError(f"the {what} are not numbers ({error})") from error
    with np.errstate(invalid="ignore"):
        exact = numbers.astype(np.uint8)
    if not (exact == numbers).all():
        raise ValueError(f"the {what} should be whole numbers from 0 to 255, found "
                         f"{int((exact != numbers).sum()):,} other values: the download is damaged; delete "
                         f"{cache_folder() / 'openml'} and try again")
    return exact


def _save(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, x=x, y=y, sha256=np.array(sha256(x, y)))
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
