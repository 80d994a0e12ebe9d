"""Simulated raters: what they may change, how often, and what becomes of their votes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

import labkit as lk
from labkit.annotate import Raters
from labkit.streams import generator

H, W = 12, 10


def scene(n: int = 6):
    """Blobs that touch no edge, flat masks ``(n, H * W)``, and inputs of that size."""
    masks = np.zeros((n, H, W), dtype=np.int64)
    for i in range(n):
        masks[i, 3 : 7 + i % 3, 3 : 5 + i % 4] = 1
    return torch.from_numpy(masks).flatten(1), torch.zeros(n, 1, H, W)


def say(raters: Raters, truth, x, k=2, seed=0):
    return raters(lk.Labels(truth, k), x, generator(seed, "annotation", 0))


@pytest.mark.parametrize(("grow", "shrink"), [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)])
def test_growing_and_shrinking_are_the_morphological_operations(grow, shrink):
    truth, _ = scene()
    said = Raters(count=2, shift=0.0, grow=grow, shrink=shrink).masks(truth, (H, W), np.random.default_rng(0))
    change = ndimage.binary_dilation if grow else ndimage.binary_erosion if shrink else lambda m: m
    expected = torch.from_numpy(np.stack([change(m) for m in truth.view(-1, H, W).numpy()])).flatten(1)
    assert said.shape == (6, 2, H * W)
    assert torch.equal(said[:, 0].bool(), expected.bool()) and torch.equal(said[:, 0], said[:, 1])


def test_a_shift_moves_the_whole_mask_by_one_pixel_every_way():
    truth, _ = scene(1)
    said = Raters(count=400, shift=1.0, grow=0.0, shrink=0.0).masks(truth, (H, W), np.random.default_rng(0))[0]
    moves = {(a, b): torch.roll(truth.view(H, W), (a, b), (0, 1)).flatten() for a in (-1, 0, 1) for b in (-1, 0, 1)}
    counts = {way: int((said == moved).all(1).sum()) for way, moved in moves.items()}
    assert counts.pop((0, 0)) == 0 and sum(counts.values()) == 400
    assert min(counts.values()) > 25  # each of the eight ways is expected 50 times


def test_rates_are_kept_and_paired():
    truth, _ = scene(40)
    draw = lambda **rates: Raters(count=25, **{"shift": 0.0, "grow": 0.0, "shrink": 0.0, **rates}).masks(
        truth, (H, W), np.random.default_rng(1)
    )
    changed = lambda said: (said != truth[:, None]).any(-1)
    for name in ("shift", "grow", "shrink"):
        few, many = changed(draw(**{name: 0.2})), changed(draw(**{name: 0.5}))
        assert few.double().mean().item() == pytest.approx(0.2, abs=0.04)
        assert many.double().mean().item() == pytest.approx(0.5, abs=0.05)
        assert (many | ~few).all()
    areas = draw(grow=0.3, shrink=0.4).sum(-1) - truth.sum(-1)[:, None]  # never both
    assert (areas > 0).double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (areas < 0).double().mean().item() == pytest.approx(0.4, abs=0.05)


def test_what_lies_beyond_the_picture_repeats_its_edge():
    truth = torch.ones(3, H * W, dtype=torch.long)
    said = Raters(count=20, shift=1.0, grow=0.3, shrink=0.5).masks(truth, (H, W), np.random.default_rng(0))
    assert (said == 1).all()


def test_average_majority_and_one_rater_come_from_the_same_masks():
    truth, x = scene()
    masks = Raters().masks(truth, (H, W), generator(0, "annotation", 0))
    soft, majority, random = (say(Raters(hard=hard), truth, x) for hard in ("", "majority", "random"))
    torch.testing.assert_close(soft.probs[..., 1], masks.float().mean(1))
    assert soft.probs.shape == (6, H * W, 2)
    assert torch.equal(majority.labels, (masks.sum(1) >= 3).long())
    assert all((random.labels[i] == masks[i]).all(-1).any() for i in range(6))
    tie = say(Raters(count=2, shift=1.0, hard="majority"), truth, x)
    both = Raters(count=2, shift=1.0).masks(truth, (H, W), generator(0, "annotation", 0))
    assert torch.equal(tie.labels, both.amin(1))  # the lower index


def test_several_classes():
    truth = torch.zeros(1, H, W, dtype=torch.long)
    truth[0, 2:8, 2:5], truth[0, 2:8, 5:8] = 1, 2
    soft = say(Raters(count=7), truth.flatten(1), torch.zeros(1, 1, H, W), k=3)
    assert soft.n_classes == 3 and torch.allclose(soft.probs.sum(-1), torch.ones(1, H * W))


def test_errors_say_what_was_expected():
    truth, x = scene()
    with pytest.raises(ValueError, match="hard one of"):
        Raters(hard="mean")
    with pytest.raises(ValueError, match=r"at most 1, got 1\.2"):
        say(Raters(grow=0.6, shrink=0.6), truth, x)
    with pytest.raises(ValueError, match=r"expected labels \(n, 120\) for images of 12 x 10"):
        say(Raters(), truth[:, :-1], x)
    with pytest.raises(ValueError, match="shift is a probability"):
        say(Raters(shift=2.0), truth, x)
