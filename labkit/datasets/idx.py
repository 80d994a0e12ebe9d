"""The IDX file format of MNIST and its relatives, plain or gzipped, recognised by content and never by name.

Layout (LeCun, Cortes, Burges, The MNIST Database): two zero bytes, a type code, the number of dimensions, then one
big-endian 32-bit size per dimension, then the values in C order, big-endian.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
GZIP = b"\x1f\x8b"


def read_idx(path: str | Path) -> np.ndarray:
    """The array in an IDX file, in the byte order of this machine.

    FileNotFoundError when there is none; ValueError, with the path and the sizes expected and found, when the file is
    not IDX, truncated, damaged, or longer than its header says.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no IDX file at {path}")
    raw = path.read_bytes()
    stored = len(raw)
    if raw[:2] == GZIP:
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: the gzip data ({stored:,} bytes on disk) is truncated or damaged ({error}); "
                             "get the file again") from error
    dtype, shape = _header(raw, path)
    start = 4 + 4 * len(shape)
    expected = start + math.prod(shape) * dtype.itemsize
    if len(raw) != expected:
        problem = "truncated" if len(raw) < expected else "longer than its header says"
        raise ValueError(f"{path}: {problem}: an IDX array of {dtype.newbyteorder('=').name} {shape} takes "
                         f"{expected:,} bytes, found {len(raw):,}; get the file again")
    return np.frombuffer(raw, dtype, offset=start).reshape(shape).astype(dtype.newbyteorder("="))


def sniff_idx(path: str | Path) -> tuple[np.dtype, tuple[int, ...]] | None:
    """Type and shape that the header of a file states, or None if it is not an IDX file. Reads the header only."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            zipped = file.read(2) == GZIP
        with gzip.open(path) if zipped else path.open("rb") as file:
            return _header(file.read(4 + 4 * 255), path)
    except (OSError, EOFError, zlib.error, ValueError):
        return None


def _header(raw: bytes, path: Path) -> tuple[np.dtype, tuple[int, ...]]:
    if len(raw) < 4 or raw[:2] != b"\0\0" or raw[2] not in TYPES or raw[3] == 0:
        raise ValueError(f"{path}: not an IDX file: it begins with bytes [{raw[:4].hex(' ')}], expected 00 00, a type "
                         f"code among {', '.join(f'{code:02x}' for code in TYPES)} and at least one dimension")
    dimensions = raw[3]
    if len(raw) < 4 + 4 * dimensions:
        raise ValueError(f"{path}: truncated: the header of {dimensions} dimensions takes {4 + 4 * dimensions} bytes, "
                         f"found {len(raw)}; get the file again")
    return np.dtype(TYPES[raw[2]]), tuple(np.frombuffer(raw, ">u4", dimensions, offset=4).tolist())
