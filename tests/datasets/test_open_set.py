from __future__ import annotations

import pytest
import torch

import labkit.datasets as datasets
from labkit.datasets.open_set import with_outsiders, without_classes


def test_classes_leave_and_are_numbered_anew():
    whole = datasets.load("digits")
    inside, outside = without_classes(whole, (3, 8), test=0.25)
    assert inside.classes == tuple("01245679") and len(outside) == int(((whole.y == 3) | (whole.y == 8)).sum())
    assert inside.n + len(outside) == whole.n
    stays = (whole.y != 3) & (whole.y != 8)
    assert torch.equal(inside.x, whole.x[stays])
    said = [inside.classes[int(c)] for c in inside.y]
    assert said == [whole.classes[int(c)] for c in whole.y[stays]]
    shares = torch.bincount(inside.y[inside.test]) / torch.bincount(inside.y)
    assert (shares - 0.25).abs().max() < 0.01
    rows = {tuple(r) for r in whole.x[~stays].tolist()}
    assert all(tuple(r) in rows for r in outside.tolist())


def test_labels_stay_test_images_stay_and_the_mask_is_not_side_information():
    inside, outside = without_classes(datasets.load("digits"), (0, 5))
    before = inside.x.clone()
    noisy, mask = with_outsiders(inside, outside, 0.2, seed=1)
    pool = inside.n - len(inside.test)
    assert int(mask.sum()) == int(0.2 * pool + 0.5) and not mask[inside.test].any()
    assert torch.equal(noisy.y, inside.y) and torch.equal(noisy.x[~mask], before[~mask])
    assert torch.equal(inside.x, before)  # the data that came in are as they were
    assert sorted(map(tuple, noisy.x[mask].tolist())) == sorted(map(tuple, outside[: int(mask.sum())].tolist()))
    assert noisy.side == {} and noisy.fingerprint != inside.fingerprint


def test_the_rest_of_the_outside_was_never_trained_on_and_seeds_choose():
    inside, outside = without_classes(datasets.load("digits"), (0, 5))
    noisy, mask = with_outsiders(inside, outside, 0.1)
    rest = {tuple(r) for r in outside[int(mask.sum()) :].tolist()}
    assert not any(tuple(r) in rest for r in noisy.x.tolist())
    again, other = with_outsiders(inside, outside, 0.1)[1], with_outsiders(inside, outside, 0.1, seed=1)[1]
    assert torch.equal(mask, again) and not torch.equal(mask, other)
    assert with_outsiders(inside, outside, 0.0)[0].x.equal(inside.x)


def test_an_official_test_set_is_kept_without_the_outside():
    x, y = torch.arange(12.0)[:, None], torch.arange(12) % 4
    toy = datasets.Data("toy", x, y, tuple("abcd"), test=torch.tensor([4, 5, 6, 7]))
    inside, outside = without_classes(toy, [1])
    assert inside.x[inside.test].flatten().tolist() == [4, 6, 7] and sorted(outside.flatten().tolist()) == [1, 5, 9]


def test_refusals():
    whole = datasets.load("digits")
    for wrong in ([], [10], [-1], range(9)):
        with pytest.raises(ValueError, match="leaves two"):
            without_classes(whole, wrong)
    inside, outside = without_classes(whole, [0])
    with pytest.raises(ValueError, match="official test set"):
        with_outsiders(whole, outside, 0.1)
    with pytest.raises(ValueError, match="shape"):
        with_outsiders(inside, outside[:, :3], 0.1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        with_outsiders(inside, outside, 1.5)
    with pytest.raises(ValueError, match="only"):
        with_outsiders(inside, outside, 0.9)
    assert with_outsiders(inside, torch.zeros(2000, 64), 1.0)[1].sum() == inside.n - len(inside.test)
