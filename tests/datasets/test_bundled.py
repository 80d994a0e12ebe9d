from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits, load_wine

import labkit.datasets as datasets


@pytest.mark.parametrize("name, shape, counts", [
    ("digits", (1797, 64), [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]),
    ("breast_cancer", (569, 30), [212, 357]), ("wine", (178, 13), [59, 71, 48])])
def test_shapes_and_class_counts(name, shape, counts):
    data = datasets.load(name)
    assert tuple(data.x.shape) == shape and torch.bincount(data.y).tolist() == counts
    assert data.name == name and data.n_classes == len(counts) and data.test is None and data.posterior is None


def test_digits_are_images_up_to_one_affine_map():
    data = datasets.load("digits")
    assert abs(float(data.x.mean())) < 1e-3 and abs(float(data.x.std()) - 1) < 1e-3
    source = load_digits().images / 16
    np.testing.assert_allclose(np.stack([data.image(i) for i in range(50)]), source[:50], atol=1e-6)
    slope = (data.x[5, 10] - data.x[5, 12]) / (source[5].reshape(-1)[10] - source[5].reshape(-1)[12])
    assert float(slope) == pytest.approx(1 / 0.3760)
    square = datasets.load("digits", flat=False)
    assert square.shape == (1, 8, 8) and torch.equal(square.x.flatten(1), data.x)
    np.testing.assert_array_equal(square.image(3), data.image(3))


def test_tables_are_standardised_per_feature():
    for name in ("wine", "breast_cancer"):
        x = datasets.load(name).x.double()
        np.testing.assert_allclose(x.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(x.std(0, correction=0), 1, atol=1e-5)
    raw = load_wine().data
    expected = (raw[17, 4] - raw[:, 4].mean()) / raw[:, 4].std()
    assert float(datasets.load("wine").x[17, 4]) == pytest.approx(expected, rel=1e-6)


def test_a_constant_feature_becomes_zero():
    from labkit.datasets.bundled import standardise

    x = standardise(np.array([[1.0, 5.0], [3.0, 5.0]]))
    assert x.tolist() == [[-1.0, 0.0], [1.0, 0.0]] and x.dtype == np.float32


def test_unknown_name_and_option_name_the_nearest():
    with pytest.raises(ValueError, match=r"unknown dataset 'digist'; did you mean 'digits'.* known: adult"):
        datasets.load("digist")
    with pytest.raises(TypeError, match=r"load\('digits'\) has no option 'falt'; did you mean 'flat'"):
        datasets.load("digits", falt=False)
    with pytest.raises(TypeError, match="no option 'flat'; it has none"):
        datasets.load("wine", flat=False)
    with pytest.raises(TypeError, match="needs the folder"):
        datasets.load("local")


def test_available_names_every_set(data_root):
    found = datasets.available()
    assert set(found) == set(datasets.NAMES)
    assert found["digits"].startswith("bundled") and found["cifar10"] == "download from OpenML"
    (data_root / "fashion_mnist").mkdir()
    (data_root / "fashion_mnist" / "labels.idx1").write_bytes(b"cut")
    assert found != datasets.available() and datasets.available()["fashion_mnist"].startswith("error: ")
