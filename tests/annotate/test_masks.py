"""Noisy masks: each kind against SciPy or by hand, rates, pairing, matching."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from labkit.annotate import NoisyMasks, label_iou, matched
from labkit.evidence import Labels
from labkit.streams import generator

H, W = 12, 11


def scene(n=40, seed=0):
    """Blobs of class 1 or 2 away from the edge."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((n, H, W), dtype=np.int64)
    for i in range(n):
        top, left = rng.integers(2, 5, 2)
        masks[i, top : top + rng.integers(3, 6), left : left + rng.integers(2, 5)] = 1 + i % 2
    return masks


def say(noise, masks, seed=0, k=3):
    labels = Labels(torch.from_numpy(masks).flatten(1), k)
    said = noise(labels, torch.zeros(len(masks), 1, H, W), generator(seed, "annotation")).labels
    return said.view(-1, H, W).numpy()


def test_a_wrong_class_keeps_the_outline():
    masks = scene()
    said = say(NoisyMasks("class", 1.0), masks)
    assert ((said > 0) == (masks > 0)).all() and (said[masks > 0] == 3 - masks[masks > 0]).all()
    four = NoisyMasks("class", 1.0).spoiled(torch.from_numpy(masks), 5, torch.arange(40))
    assert (four[torch.from_numpy(masks) > 0] != torch.from_numpy(masks)[torch.from_numpy(masks) > 0]).all()
    assert set(four.unique().tolist()) == {0, 1, 2, 3, 4}


@pytest.mark.parametrize("size", [1, 2])
def test_growing_and_eroding_are_the_morphological_operations(size):
    masks, square = scene(), np.ones((2 * size + 1,) * 2)
    said = NoisyMasks("grow", 1.0, size).spoiled(torch.from_numpy(masks), 3, torch.arange(40)).numpy()
    for i, (true, now) in enumerate(zip(masks, said)):
        change = ndimage.binary_erosion if i % 2 else ndimage.binary_dilation
        assert ((now > 0) == change(true > 0, square)).all() and set(np.unique(now)) <= {0, true.max()}


def test_a_shift_moves_the_whole_mask_in_one_of_eight_ways():
    masks = scene(16)
    said = NoisyMasks("shift", 1.0, 2).spoiled(torch.from_numpy(masks), 3, torch.arange(16)).numpy()
    ways = [(-2, 0), (2, 0), (0, -2), (0, 2), (-2, -2), (-2, 2), (2, -2), (2, 2)]
    for i in range(16):
        down, right = ways[i % 8]
        expected = np.zeros_like(masks[i])
        for r, c in zip(*np.nonzero(masks[i])):
            if 0 <= r + down < H and 0 <= c + right < W:
                expected[r + down, c + right] = masks[i, r, c]
        assert (said[i] == expected).all()


def test_simplified_is_the_commonest_class_around_and_coarse_that_of_a_block():
    masks = scene(6)
    simple, coarse = (
        NoisyMasks(kind, 1.0, 1).spoiled(torch.from_numpy(masks), 3, torch.arange(6)).numpy()
        for kind in ("simplify", "coarsen")
    )
    common = lambda part: np.bincount(part.ravel(), minlength=3).argmax()
    for i in range(6):
        for r in range(H):
            for c in range(W):
                assert simple[i, r, c] == common(masks[i, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2])
                a, b = r // 2 * 2, c // 2 * 2
                assert coarse[i, r, c] == common(masks[i, a : a + 2, b : b + 2])


@pytest.mark.parametrize("kind", ["class", "grow", "shift", "simplify", "coarsen"])
def test_rates_are_kept_paired_and_seeded(kind):
    masks = scene(600)
    changed = lambda rate, seed=0: (say(NoisyMasks(kind, rate), masks, seed) != masks).any((1, 2))
    few, many, all_of_them = changed(0.2), changed(0.5), changed(1.0)
    assert (many | ~few).all() and not changed(0.0).any()
    assert few.sum() == pytest.approx(0.2 * all_of_them.sum(), abs=50)
    assert (changed(0.5) == many).all() and (changed(0.5, 1) != many).any()


@pytest.mark.parametrize("kind", ["class", "grow", "shift", "simplify"])
def test_kinds_are_matched_in_iou(kind):
    masks = scene(400)
    labels, x = Labels(torch.from_numpy(masks).flatten(1), 3), torch.zeros(400, 1, H, W)
    weak = label_iou(NoisyMasks(kind, 1.0)(labels, x, generator(3, "annotation")).labels, labels.labels, 3)
    noise = matched(NoisyMasks(kind), labels, x, iou=(1 + weak) / 2)
    fresh = [noise(labels, x, generator(seed, "annotation")).labels for seed in range(10, 15)]
    found = np.mean([label_iou(said, labels.labels, 3) for said in fresh])
    assert found == pytest.approx((1 + weak) / 2, abs=0.06) and 0 < noise.rate < 1
    with pytest.raises(ValueError, match="take a larger size"):
        matched(NoisyMasks("simplify"), labels, x, iou=0.01)


def test_label_iou_by_hand():
    said, true = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 1, 1, 1]])
    assert label_iou(said, true, 2) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert label_iou(said, said, 3) == 1.0  # a class that is nowhere agrees


def test_what_it_refuses():
    with pytest.raises(ValueError, match="got 'blur' and 1"):
        NoisyMasks("blur")
    with pytest.raises(ValueError, match="two object classes, got 1"):
        say(NoisyMasks("class"), np.zeros((2, H, W), dtype=np.int64), k=2)
    with pytest.raises(ValueError, match=r"expected masks \(n, 132\)"):
        NoisyMasks()(Labels(torch.tensor([0, 1]), 2), torch.zeros(2, 1, H, W), np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        say(NoisyMasks(rate=1.2), scene(2))
