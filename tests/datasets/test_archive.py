from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from labkit.datasets.archive import channels_first, npz_parts, read_npz, sniff_npz

RNG = np.random.default_rng(0)


def pack(images: list[np.ndarray], form: str = "PNG") -> dict[str, np.ndarray]:
    """Image files one after the other, as one array of bytes with offsets."""
    files = []
    for image in images:
        with io.BytesIO() as file:
            Image.fromarray(image).save(file, form)
            files.append(file.getvalue())
    return {"jpeg": np.frombuffer(b"".join(files), np.uint8),
            "offsets": np.cumsum([0, *map(len, files)]).astype(np.int64)}


@pytest.fixture
def colour():
    return [RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8) for _ in range(4)]


def test_encoded_images_under_any_names(tmp_path, colour):
    held = pack(colour)
    np.savez(tmp_path / "a.npz", blob=held["jpeg"], cuts=held["offsets"], answer=np.array([1, 0, 1, 2], np.uint8),
             words=np.array(["u", "v", "w"]))
    [part] = npz_parts(tmp_path / "a.npz")
    np.testing.assert_array_equal(part.x, np.stack(colour).transpose(0, 3, 1, 2))  # PNG keeps every value
    assert part.y.tolist() == [1, 0, 1, 2] and part.classes == ("u", "v", "w") and not part.lossy and not part.test


def test_jpeg_is_close_and_called_lossy(tmp_path):
    smooth = [np.full((16, 16, 3), v, np.uint8) for v in (10, 100, 200)]
    np.savez(tmp_path / "set_test.npz", label=np.arange(3), **pack(smooth, "JPEG"))
    [part] = npz_parts(tmp_path / "set_test.npz")
    assert part.lossy and part.test
    assert np.abs(part.x.mean((1, 2, 3)) - [10, 100, 200]).max() < 3


def test_grey_images_have_no_channel_axis(tmp_path):
    images = [RNG.integers(0, 256, (4, 7), dtype=np.uint8) for _ in range(3)]
    np.savez(tmp_path / "g.npz", label=np.arange(3), **pack(images))
    np.testing.assert_array_equal(npz_parts(tmp_path / "g.npz")[0].x, np.stack(images))


def test_a_broken_image_is_named_by_path_and_index(tmp_path, colour):
    held = pack(colour)
    held["jpeg"] = held["jpeg"].copy()
    held["jpeg"][held["offsets"][2] + 20: held["offsets"][3]] = 0
    np.savez(tmp_path / "b.npz", label=np.arange(4), **held)
    with pytest.raises(ValueError, match=r"b\.npz: image 2 cannot be decoded"):
        npz_parts(tmp_path / "b.npz")


def test_offsets_that_do_not_fit_the_bytes(tmp_path, colour):
    held = pack(colour)
    np.savez(tmp_path / "c.npz", label=np.array([1, 0, 1, 0]), jpeg=held["jpeg"][:-9], offsets=held["offsets"])
    size = len(held["jpeg"])
    with pytest.raises(ValueError, match=rf"jpeg holds {size - 9} bytes .* \(offsets ends at {size}"):
        npz_parts(tmp_path / "c.npz")
    np.savez(tmp_path / "d.npz", label=np.array([1, 0, 1, 0]), jpeg=held["jpeg"])
    with pytest.raises(ValueError, match="no rising array"):
        npz_parts(tmp_path / "d.npz")


def test_images_of_two_sizes(tmp_path, colour):
    colour[3] = colour[3][:4]
    np.savez(tmp_path / "e.npz", label=np.arange(4), **pack(colour))
    with pytest.raises(ValueError, match=r"image 3 has shape \(4, 5, 3\), the first has \(6, 5, 3\)"):
        npz_parts(tmp_path / "e.npz")


def test_training_and_test_arrays_in_one_file(tmp_path):
    x, z = RNG.normal(size=(5, 2)), RNG.normal(size=(3, 2))
    np.savez(tmp_path / "k.npz", x_train=x, y_train=np.arange(5), x_test=z, y_test=np.arange(3)[:, None],
             x_val=z, class_names=np.array(list("abcde")))
    train, test = npz_parts(tmp_path / "k.npz")
    assert (train.test, test.test) == (False, True) and train.classes == test.classes == tuple("abcde")
    np.testing.assert_array_equal(train.x, x)
    np.testing.assert_array_equal(test.x, z)
    assert test.y.tolist() == [0, 1, 2]


def test_names_decide_only_between_equals(tmp_path):
    x, y = RNG.normal(size=(4, 3)), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "n.npz", images=x, other=x + 1, labels=y, file_name=np.array(list("pqrs")), index=np.arange(4))
    [part] = npz_parts(tmp_path / "n.npz")
    np.testing.assert_array_equal(part.x, x)
    assert part.y.tolist() == y.tolist() and part.classes is None
    np.savez(tmp_path / "o.npz", one=x, two=x, labels=y)
    with pytest.raises(ValueError, match="one, two could all be the features"):
        npz_parts(tmp_path / "o.npz")


def test_what_is_missing_is_named(tmp_path):
    np.savez(tmp_path / "p.npz", x=np.zeros((4, 3)), y=np.zeros(4))
    with pytest.raises(ValueError, match=r"labels are unknown: .* length 4 beside x; it holds x float64\[4, 3\], y"):
        npz_parts(tmp_path / "p.npz")
    np.savez(tmp_path / "q.npz", y=np.arange(4))
    with pytest.raises(ValueError, match="no features"):
        npz_parts(tmp_path / "q.npz")


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "pickle"])
def test_damaged_archives(tmp_path, damage):
    path = tmp_path / "z.npz"
    np.savez_compressed(path, x=RNG.integers(0, 255, (50, 30), dtype=np.uint8), y=np.arange(50))
    raw = bytearray(path.read_bytes())
    if damage == "flip":
        raw[len(raw) // 2] ^= 0xFF
    path.write_bytes({"cut": raw[: len(raw) // 2], "flip": raw, "empty": b"", "pickle": raw}[damage])
    if damage == "pickle":
        np.savez(path, x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=rf"z\.npz \({path.stat().st_size:,} bytes\) is no readable npz"):
        read_npz(path)


def test_sniff_reads_headers_and_refuses_others(tmp_path):
    np.savez(tmp_path / "no-suffix", x=np.zeros((4, 3), np.float32))
    assert sniff_npz(tmp_path / "no-suffix.npz") == {"x": (np.dtype("f4"), (4, 3))}
    (tmp_path / "t.npz").write_bytes(b"PK\x03\x04 and then nothing")
    assert sniff_npz(tmp_path / "t.npz") is None and sniff_npz(tmp_path / "absent") is None
    with pytest.raises(FileNotFoundError, match="absent"):
        read_npz(tmp_path / "absent")


@pytest.mark.parametrize("shape, expected", [
    ((2, 8, 9, 3), (2, 3, 8, 9)), ((2, 3, 8, 9), (2, 3, 8, 9)), ((2, 3, 8, 3), (2, 3, 8, 3)), ((2, 8, 3), (2, 8, 3)),
    ((2, 8, 9, 1), (2, 1, 8, 9))])
def test_channels_first(shape, expected):
    assert channels_first(np.zeros(shape)).shape == expected
