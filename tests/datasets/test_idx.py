from __future__ import annotations

import gzip

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from labkit.datasets.idx import read_idx, sniff_idx

from .conftest import idx_bytes

KINDS = ["u1", "i1", "i2", "i4", "f4", "f8"]
anything = st.sampled_from(KINDS).flatmap(
    lambda kind: arrays(np.dtype(kind), array_shapes(min_dims=1, max_dims=5, min_side=0, max_side=4)))
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@quick
@given(array=anything, zipped=st.booleans())
def test_round_trip_of_every_type_and_shape(array, zipped, tmp_path):
    path = tmp_path / "no-telling-name"
    raw = idx_bytes(array)
    path.write_bytes(gzip.compress(raw) if zipped else raw)
    found = read_idx(path)
    assert found.dtype == array.dtype and found.dtype.isnative
    np.testing.assert_array_equal(found, array)
    dtype, shape = sniff_idx(path)
    assert shape == array.shape and dtype.newbyteorder("=") == array.dtype


@quick
@given(array=anything, zipped=st.booleans(), data=st.data())
def test_any_truncation_raises_with_the_path(array, zipped, data, tmp_path):
    raw = idx_bytes(array)
    raw = gzip.compress(raw) if zipped else raw
    cut = data.draw(st.integers(0, len(raw) - 1))
    path = tmp_path / "cut"
    path.write_bytes(raw[:cut])
    with pytest.raises(ValueError, match=str(path)):
        read_idx(path)


def test_truncation_states_both_sizes(tmp_path, write_idx):
    path = write_idx(tmp_path / "images", np.zeros((3, 4, 5), np.uint8))
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(ValueError, match=r"images: truncated: .* uint8 \(3, 4, 5\) takes 76 bytes, found 69"):
        read_idx(path)


def test_trailing_bytes_are_refused(tmp_path, write_idx):
    path = write_idx(tmp_path / "labels", np.arange(5, dtype=np.uint8))
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(ValueError, match=r"longer than its header says.*13 bytes, found 14"):
        read_idx(path)


@pytest.mark.parametrize("head", [b"\x00\x00\x0a\x01", b"\x01\x00\x08\x01", b"\x00\x00\x08\x00", b"PK\x03\x04"])
def test_wrong_magic_is_shown(tmp_path, head):
    path = tmp_path / "other"
    path.write_bytes(head + b"\0\0\0\1\7")
    with pytest.raises(ValueError, match=rf"not an IDX file: it begins with bytes \[{head.hex(' ')}\]"):
        read_idx(path)
    assert sniff_idx(path) is None


def test_damaged_gzip(tmp_path, write_idx):
    path = write_idx(tmp_path / "labels.gz", np.arange(200, dtype=np.uint8), zipped=True)
    raw = bytearray(path.read_bytes())
    raw[-6] ^= 0xFF  # inside the checksum at the end
    path.write_bytes(raw)
    with pytest.raises(ValueError, match=r"gzip data .* truncated or damaged"):
        read_idx(path)


def test_a_header_that_promises_too_much_allocates_nothing(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes(b"\0\0\x0e\x03" + b"\xff" * 12)
    with pytest.raises(ValueError, match="truncated"):
        read_idx(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no IDX file at .*absent"):
        read_idx(tmp_path / "absent")
    assert sniff_idx(tmp_path / "absent") is None
