from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.datasets.base import Data, allocate


def make(n=60, k=3, **changes) -> Data:
    rng = np.random.default_rng(1)
    fields = dict(name="toy", x=torch.from_numpy(rng.normal(size=(n, 4))).float(), y=torch.arange(n) % k,
                  classes=tuple("abcdefghij"[:k]))
    return Data(**(fields | changes))


def together(split) -> list[int]:
    return sorted(torch.cat(tuple(split)).tolist())


def test_properties_and_repr():
    data = make(test=torch.tensor([3, 5]), source="made here")
    assert (data.n, data.n_classes, data.shape) == (60, 3, (4,))
    assert repr(data) == "Data toy: 60 × (4,), 3 classes, official test set of 2 (made here)"


def test_fingerprint_sees_all_that_runs_learn_from_and_no_names():
    base = make()
    assert base.fingerprint == make(name="other", source="s").fingerprint
    x, y = base.x.clone(), base.y.clone()
    x[7, 2] += 1e-3
    y[7] = (y[7] + 1) % 3
    prints = {d.fingerprint for d in (base, make(x=x), make(y=y), make(test=torch.tensor([1])),
                                      make(x=base.x.reshape(60, 2, 2)))}
    even, sure = torch.full((60, 3), 1 / 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)[base.y]
    prints |= {make(posterior=even).fingerprint, make(posterior=sure).fingerprint, make(side={"a": x}).fingerprint,
               make(side={"b": x}).fingerprint, make(side={"a": base.x}).fingerprint}
    assert len(prints) == 10 and all(len(p) == 16 for p in prints)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_bad_features_are_counted_and_located(bad):
    x = torch.zeros(60, 4)
    x[5, 2] = x[9, 0] = bad
    with pytest.raises(ValueError, match=r"toy: 2 of 240 features are NaN or infinite, the first at x\[5, 2\]"):
        make(x=x)


def test_opposite_infinities_do_not_cancel():
    x = torch.zeros(60, 4)
    x[1, 1], x[2, 2] = float("inf"), -float("inf")
    with pytest.raises(ValueError, match="2 of 240"):
        make(x=x)


def test_large_finite_features_pass():
    assert make(x=torch.full((60, 4), 3e38)).n == 60


@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_the_classes(label):
    y = torch.arange(60) % 3
    y[11] = label
    with pytest.raises(ValueError, match=rf"1 labels are outside 0 .. 2 for 3 classes, the first at y\[11\] = {label}"):
        make(y=y)


@pytest.mark.parametrize("changes, message", [
    (dict(x=torch.zeros(59, 4)), "expected x of shape"),
    (dict(x=torch.zeros(60)), "expected x of shape"),
    (dict(x=torch.zeros(0, 4), y=torch.zeros(0, dtype=torch.int64)), "n > 0"),
    (dict(y=torch.zeros(60, 1, 1, dtype=torch.int64)), "expected x of shape"),
    (dict(classes=("only",)), "at least two class names"),
    (dict(test=torch.tensor([], dtype=torch.int64)), "test must list"),
    (dict(test=torch.arange(60)), "not all of them"),
    (dict(test=torch.tensor([1, 1])), "different examples"),
    (dict(test=torch.tensor([60])), "0 .. 59"),
    (dict(posterior=torch.full((60, 3), 0.5, dtype=torch.float64)), "rows that sum to 1"),
    (dict(posterior=torch.full((60, 3), float("nan"), dtype=torch.float64)), "probabilities"),
    (dict(image_shape=(3, 3)), "image_shape"),
])
def test_wrong_shapes_and_values(changes, message):
    with pytest.raises(ValueError, match=message):
        make(**changes)


@pytest.mark.parametrize("changes", [
    dict(x=torch.zeros(60, 4, dtype=torch.float64)), dict(y=torch.zeros(60)), dict(x=np.zeros((60, 4))),
    dict(posterior=torch.full((60, 3), 1 / 3)), dict(test=torch.tensor([1.0]))])
def test_wrong_types_say_what_to_do(changes):
    with pytest.raises(TypeError, match=f"{next(iter(changes))} must be a .* tensor, got .*torch.as_tensor"):
        make(**changes)


@settings(max_examples=80, deadline=None)
@given(counts=st.lists(st.integers(0, 40), min_size=2, max_size=7), low=st.integers(0, 1), spare=st.integers(0, 1),
       data=st.data())
def test_allocate_is_exact_bounded_and_nearly_proportional(counts, low, spare, data):
    counts = np.array(counts)
    low, high = np.minimum(counts, low), np.maximum(counts - spare, 0)
    high = np.maximum(high, low)
    total = data.draw(st.integers(int(low.sum()), int(high.sum())))
    size = allocate(counts, total, low, high)
    assert size.sum() == total and (size >= low).all() and (size <= high).all()
    free = allocate(counts, total, np.zeros_like(counts), counts)
    assert (np.abs(free - counts * total / max(counts.sum(), 1)) < 1 + 1e-9).all()


def test_allocate_refuses_the_impossible():
    with pytest.raises(ValueError, match=r"cannot take 7 .* between 0 and 6"):
        allocate(np.array([3, 3]), 7, np.zeros(2, int), np.array([3, 3]))


def test_split_covers_all_and_is_stratified():
    y = torch.tensor([0] * 100 + [1] * 50 + [2] * 10)
    data = make(n=160, y=y)
    split = data.split(4)
    assert together(split) == list(range(160))
    assert [len(i) for i in split] == [112, 16, 32] and all(i.dtype == torch.int64 for i in split)
    assert torch.bincount(y[split.test]).tolist() == [20, 10, 2]
    assert torch.bincount(y[split.validation]).tolist() == [10, 5, 1]
    assert len(set(y[split.train[:20]].tolist())) > 1  # in random order: a beginning is no single class


def test_split_sizes_do_not_depend_on_the_seed_but_the_members_do():
    data = make(n=101, y=torch.from_numpy(np.random.default_rng(0).integers(0, 3, 101)))
    splits = [data.split(seed, validation=0.13, test=0.27) for seed in range(8)]
    per_class = {tuple(tuple(torch.bincount(data.y[i], minlength=3).tolist()) for i in s) for s in splits}
    assert len(per_class) == 1
    assert len({tuple(sorted(s.test.tolist())) for s in splits}) == 8
    again = data.split(3, validation=0.13, test=0.27)
    assert all(torch.equal(a, b) for a, b in zip(again, splits[3]))


def test_official_test_set_is_fixed_and_validation_comes_from_the_rest():
    test = torch.tensor([59, 0, 30])
    data = make(test=test)
    one, two = data.split(0), data.split(1)
    assert torch.equal(one.test, test) and torch.equal(two.test, test)
    assert together(one) == list(range(60)) and len(one.validation) == 6
    assert set(one.validation.tolist()) != set(two.validation.tolist())


def test_validation_may_be_empty_only_when_asked():
    split = make().split(0, validation=0)
    assert len(split.validation) == 0 and split.validation.dtype == torch.int64 and together(split) == list(range(60))
    with pytest.raises(ValueError, match=r"the validation split would be empty: validation=0\.001 of 60"):
        make().split(0, validation=0.001)


def test_empty_test_and_train_are_refused():
    with pytest.raises(ValueError, match="the test split would be empty"):
        make().split(0, test=0)
    with pytest.raises(ValueError, match="cannot take"):
        make(n=6).split(0, validation=0.5, test=0.5)


@pytest.mark.parametrize("value", [-0.1, 1.0, float("nan")])
def test_fractions_out_of_range(value):
    with pytest.raises(ValueError, match="validation must be a fraction"):
        make().split(0, validation=value)
    with pytest.raises(ValueError, match="test must be a fraction"):
        make().split(0, test=value)


def test_every_class_keeps_a_training_example():
    y = torch.tensor([0] * 50 + [1] * 2 + [2])
    for seed in range(5):
        split = make(n=53, y=y).split(seed, validation=0.3, test=0.5)
        assert set(y[split.train].tolist()) == {0, 1, 2}


def test_subset_is_stratified_in_order_and_repeatable():
    y = torch.tensor([0] * 40 + [1] * 19 + [2])
    posterior = torch.nn.functional.one_hot(y, 3).double()
    data = make(y=y, posterior=posterior)
    small = data.subset(12, seed=3)
    assert torch.bincount(small.y).tolist() == [8, 3, 1]  # shares 8, 3.8, 0.2: the rare class is not lost
    assert torch.equal(small.posterior.argmax(1), small.y)
    where = [int((data.x == row).all(1).nonzero()) for row in small.x]
    assert where == sorted(where) and torch.equal(data.y[where], small.y)
    assert small.fingerprint == data.subset(12, seed=3).fingerprint != data.subset(12, seed=4).fingerprint
    assert "subset of 12 from 60" in repr(small) and small.name == "toy"


def test_subset_keeps_the_official_test_set_apart():
    data = make(test=torch.arange(30))
    whole, part = data.subset(9), data.subset(9, test=6)
    assert whole.n == 39 and part.n == 15
    assert part.test.tolist() == list(range(9, 15))
    assert torch.equal(whole.x[whole.test], data.x[:30])
    held_out = {tuple(row) for row in data.x[:30].tolist()}
    assert all(tuple(row) in held_out for row in part.x[part.test].tolist())
    assert not any(tuple(row) in held_out for row in part.x[:9].tolist())


def test_shortened_takes_of_the_test_set_what_there_is():
    data = make(test=torch.arange(12))
    assert data.shortened(0) is data
    assert [(data.shortened(n).n, len(data.shortened(n).test)) for n in (9, 30)] == [(18, 9), (42, 12)]
    assert make().shortened(30).n == 30
    with pytest.raises(ValueError, match="cannot take 49"):
        data.shortened(49)


@pytest.mark.parametrize("n", [2, 61])
def test_subset_of_impossible_size(n):
    with pytest.raises(ValueError, match=rf"cannot take {n} .* between 3 and 60"):
        make().subset(n)


def test_subset_test_needs_an_official_test_set():
    with pytest.raises(ValueError, match="no official test set"):
        make().subset(9, test=3)


def test_image_undoes_the_scaling():
    pixels = np.random.default_rng(0).uniform(size=(6, 3, 2, 4))
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.1)
    x = (pixels - np.reshape(mean, (3, 1, 1))) / np.reshape(std, (3, 1, 1))
    data = make(n=6, x=torch.from_numpy(x).float().flatten(1), image_shape=(3, 2, 4), pixel_mean=mean, pixel_std=std)
    np.testing.assert_allclose(data.image(4), pixels[4].transpose(1, 2, 0), atol=1e-6)
    grey = make(n=6, x=torch.full((6, 1, 2, 2), 9.0), image_shape=(2, 2))
    assert grey.image(0).shape == (2, 2) and grey.image(0).max() == 1.0
    with pytest.raises(ValueError, match="no image_shape"):
        make().image(0)
