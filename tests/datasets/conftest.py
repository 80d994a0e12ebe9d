"""No test here may find a real folder, a real cache or a network by accident; `real_data` asks for the folder."""

from __future__ import annotations

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

GIVEN = os.environ.get("LABKIT_DATA", "")
GIVEN = str(Path(GIVEN).absolute()) if GIVEN else ""
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


@pytest.fixture(autouse=True)
def nothing_outside(monkeypatch, tmp_path_factory):
    def refuse(**options):
        raise AssertionError(f"a test reached for the network: {options}")

    monkeypatch.delenv("LABKIT_DATA", raising=False)
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", refuse)


@pytest.fixture
def data_root(monkeypatch, tmp_path) -> Path:
    """An empty folder that LABKIT_DATA names."""
    root = tmp_path / "data"
    root.mkdir()
    monkeypatch.setenv("LABKIT_DATA", str(root))
    return root


@pytest.fixture
def real_data(monkeypatch) -> Path:
    if not GIVEN:
        pytest.skip("needs the real sets: set LABKIT_DATA to a folder that holds them")
    monkeypatch.setenv("LABKIT_DATA", GIVEN)
    return Path(GIVEN)


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file, packed value by value with `struct`: nothing shared with the reader under test."""
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    letter = {"u1": "B", "i1": "b", "i2": "h", "i4": "i", "f4": "f", "f8": "d"}[kind]
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[kind], array.ndim, *array.shape)
    return head + struct.pack(f">{array.size}{letter}", *array.reshape(-1).tolist())


@pytest.fixture
def write_idx():
    def write(path: Path, array: np.ndarray, zipped: bool = False) -> Path:
        raw = idx_bytes(np.asarray(array))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
        return path

    return write
