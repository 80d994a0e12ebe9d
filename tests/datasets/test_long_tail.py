from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit.datasets as datasets
from labkit.datasets.base import Data
from labkit.datasets.long_tail import long_tailed, tail_order


def counts_of(data):
    train = np.setdiff1d(np.arange(data.n), data.test.numpy())
    return torch.bincount(data.y[train], minlength=data.n_classes), torch.bincount(data.y[data.test])


def test_sizes_follow_the_profile_and_the_test_set_is_balanced():
    whole = datasets.load("digits")
    data = long_tailed(whole, 10, test=0.2)
    counts, tested = counts_of(data)
    least = int(whole.y.bincount().min())
    head = least - int(0.2 * least)
    assert tested.unique().tolist() == [int(0.2 * least)]
    order = tail_order(10)
    assert sorted(order) == list(range(10)) and order != list(range(10))
    for place, c in enumerate(order):
        assert int(counts[c]) == round(head * 10 ** (-place / 9))
    assert data.shape == whole.shape and data.image_shape == (8, 8)


def test_ratio_one_keeps_all_equal_and_no_example_is_used_twice():
    data = long_tailed(datasets.load("digits"), 1)
    counts, _ = counts_of(data)
    assert counts.unique().numel() == 1
    assert len(np.unique(data.x.numpy(), axis=0)) == data.n
    assert data.test.tolist() == list(range(data.n - len(data.test), data.n))


@pytest.mark.parametrize("order, first", [("given", 0), ("reversed", 9)])
def test_orders_and_seeds(order, first):
    whole = datasets.load("digits")
    counts, _ = counts_of(long_tailed(whole, 50, order=order))
    assert int(counts.argmax()) == first and int(counts.min()) == round(139 / 50)
    one, again, two = (long_tailed(whole, 50, seed=s) for s in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != two.fingerprint


def test_an_official_test_set_stays_the_test_set_and_side_goes_along():
    x = torch.arange(60.0)[:, None]
    side = {"at": torch.arange(60)}
    data = Data("toy", x, torch.arange(60) % 3, ("a", "b", "c"), test=torch.arange(40, 60), side=side)
    tailed = long_tailed(data, 4, order="given")
    counts, tested = counts_of(tailed)
    assert counts.tolist() == [13, 6, 3] and tested.tolist() == [6, 6, 6]  # 13, 13 / 2 rounded to even, 13 / 4
    assert (tailed.x[tailed.test] >= 40).all() and torch.equal(tailed.side["at"], tailed.x[:, 0].long())
    assert tailed.split(0, validation=0.2).train.max() < tailed.test.min()


@pytest.mark.parametrize("options, said", [
    (dict(ratio=0.5), "from 1"), (dict(ratio=10, test=0.0), "between 0 and 1"), (dict(ratio=10, order="up"), "random"),
    (dict(ratio=10, test=0.001), "0 test"),
])  # fmt: skip
def test_refusals(options, said):
    with pytest.raises(ValueError, match=said):
        long_tailed(datasets.load("digits"), **options)
