from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from labkit.datasets import cache_folder
from labkit.datasets.download import Published, fetch, sha256

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 6), dtype=np.uint8)
Y = np.repeat(np.arange(3, dtype=np.uint8), 4)
TOY = Published("toy", "Toy-Set", 1, 12, (2, 3), ("a", "b", "c"), sha256(X), sha256(Y))


class Network:
    """Stands in for OpenML: floats and strings, as it gives them; counts the calls."""

    def __init__(self, x=X, y=Y):
        self.x, self.y, self.calls = np.asarray(x, float), np.asarray(y).astype(str).astype(object), []

    def __call__(self, **options):
        self.calls.append(options)
        return SimpleNamespace(data=self.x, target=self.y)


def no_network(**options):
    raise URLError("Name or service not known")


def test_success_is_cached_and_not_fetched_twice():
    network = Network()
    for _ in range(2):
        x, y = fetch(TOY, network)
        assert x.dtype == y.dtype == np.uint8
        np.testing.assert_array_equal(x, X)
        np.testing.assert_array_equal(y, Y)
    assert [(c["name"], c["version"], c["as_frame"]) for c in network.calls] == [("Toy-Set", 1, False)]
    assert network.calls[0]["data_home"] == str(cache_folder() / "openml")
    left = [p.name for p in cache_folder().iterdir() if p.suffix != ".lock"]
    assert left == ["toy.npz"]  # nothing half-written


def test_the_module_function_is_what_is_called(monkeypatch):
    monkeypatch.setattr("labkit.datasets.download.fetch_openml", Network())
    np.testing.assert_array_equal(fetch(TOY)[0], X)


def test_no_network_tells_about_labkit_data():
    with pytest.raises(FileNotFoundError, match=r"toy is not here .* URLError: .*set LABKIT_DATA to") as caught:
        fetch(TOY, no_network)
    assert str(cache_folder()) in str(caught.value)


def test_truncated_download():
    with pytest.raises(ValueError, match=r"version 1: expected 12 images of 6 pixels .* found \(9, 6\) and \(9,\)"):
        fetch(TOY, Network(X[:9], Y[:9]))
    assert not (cache_folder() / "toy.npz").exists()


@pytest.mark.parametrize("what", ["pixels", "labels"])
def test_wrong_checksum_states_expected_and_found(what):
    x, y = X.copy(), Y.copy()
    if what == "pixels":
        x[3, 3] ^= 1
    else:
        y[[3, 4]] = y[[4, 3]]  # the class counts stay right
    good, bad = sha256(X if what == "pixels" else Y), sha256(x if what == "pixels" else y)
    with pytest.raises(ValueError, match=f"the {what} of toy should have SHA-256 {good}, found {bad}"):
        fetch(TOY, Network(x, y))
    assert not (cache_folder() / "toy.npz").exists()


def test_wrong_class_counts():
    with pytest.raises(ValueError, match=r"expected 4 images of each class for toy, found \[5, 3, 4\]"):
        fetch(TOY, Network(y=np.sort(np.where(np.arange(12) == 4, 0, Y))))


@pytest.mark.parametrize("value", [256.0, -1.0, 0.5, float("nan")])
def test_pixels_that_are_no_bytes(value):
    x = X.astype(float)
    x[2, 2] = value
    with pytest.raises(ValueError, match=r"pixels of .* whole numbers from 0 to 255, found 1 other values"):
        fetch(TOY, Network(x))


def test_labels_that_are_no_numbers():
    with pytest.raises(ValueError, match=r"labels of .* are not numbers"):
        fetch(TOY, Network(y=np.array(list("aaaabbbbcccc"))))


def damage(kind: str):
    path = cache_folder() / "toy.npz"
    raw = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(raw[:-40])
    elif kind == "flip":
        at = raw.find(X.tobytes()[:12])
        raw[at] ^= 1
        path.write_bytes(raw)
    elif kind == "other":
        np.savez(path, x=X, y=Y)
    elif kind == "forged":  # consistent with itself, but not this set
        np.savez(path, x=X ^ 1, y=Y, sha256=np.array(sha256(X ^ 1, Y)))
    elif kind == "mismatch":
        np.savez(path, x=X ^ 1, y=Y, sha256=np.array(sha256(X, Y)))
    return path


@pytest.mark.parametrize("kind", ["cut", "flip", "other", "forged", "mismatch"])
def test_a_damaged_cache_is_named_and_rebuilt(kind):
    fetch(TOY, Network())
    path, network = damage(kind), Network()
    with pytest.warns(UserWarning, match=f"cannot be used and is downloaded again: {path}"):
        x, _ = fetch(TOY, network)
    np.testing.assert_array_equal(x, X)
    assert len(network.calls) == 1
    np.testing.assert_array_equal(fetch(TOY, no_network)[0], X)  # good again


def test_the_cache_has_a_checksum_of_its_own():
    unpublished = replace(TOY, pixels_sha256=None, labels_sha256=None)
    fetch(unpublished, Network())
    damage("mismatch")
    with pytest.warns(UserWarning, match=f"should have SHA-256 {sha256(X, Y)}, found {sha256(X ^ 1, Y)}"):
        np.testing.assert_array_equal(fetch(unpublished, Network())[0], X)


@pytest.mark.parametrize("kind", ["cut", "flip", "other", "forged", "mismatch"])
def test_a_damaged_cache_without_a_network_is_never_used(kind):
    fetch(TOY, Network())
    path = damage(kind)
    before = path.read_bytes()
    with pytest.warns(UserWarning, match="cannot be used"), \
            pytest.raises(FileNotFoundError, match=rf"could not be downloaded.*The cache file was damaged: {path}"):
        fetch(TOY, no_network)
    assert path.read_bytes() == before


def test_a_failed_write_leaves_nothing(monkeypatch):
    def full(*args, **arrays):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        fetch(TOY, Network())
    assert [p.name for p in cache_folder().iterdir() if p.suffix != ".lock"] == []
