from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

import labkit.datasets as datasets
from labkit.datasets.long_tail import long_tailed
from labkit.datasets.projected import principal_components


def test_components_are_scikit_learns_up_to_sign_and_never_saw_the_test_set():
    data = long_tailed(datasets.load("digits"), 10)
    train = np.setdiff1d(np.arange(data.n), data.test.numpy())
    peer = PCA(12, svd_solver="full").fit(data.x[train].double().numpy())
    made = principal_components(data, 12)
    np.testing.assert_allclose(made.x.abs(), np.abs(peer.transform(data.x.double().numpy())), atol=1e-4)
    assert made.shape == (12,) and torch.equal(made.y, data.y) and torch.equal(made.test, data.test)
    changed = data.x.clone()
    changed[data.test] += 1
    other = principal_components(datasets.Data("toy", changed, data.y, data.classes, test=data.test), 12)
    assert torch.equal(other.x[train], made.x[train])


def test_images_are_flattened_and_bad_sizes_refused():
    data = datasets.load("digits", flat=False)
    assert principal_components(data, 5).shape == (5,)
    for wrong in (0, 65):
        with pytest.raises(ValueError, match="between 1 and 64"):
            principal_components(data, wrong)
