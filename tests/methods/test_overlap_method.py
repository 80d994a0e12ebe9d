"""The segmentation method: its objective, hard labels, boundary smoothing, teachers, and the fleet."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit import losses
from labkit.annotate import Raters
from labkit.methods import CrossEntropy, Overlap
from labkit.methods.base import Batch
from labkit.models import PatchNet

QUICK = dict(
    model=PatchNet(3, (4,)), epochs=2, batch_size=8, dtype="float64", progress=False, compile=False, evaluate_every=2
)


@pytest.fixture(scope="module")
def data():
    return lk.load("digit_masks", n=40)


def same(a, b, tolerance=1e-12):
    for x, y in zip(a, b, strict=True):
        for kind in ("params", "logits"):
            for name, tensor in getattr(x, kind).items():
                torch.testing.assert_close(tensor, getattr(y, kind)[name], rtol=tolerance, atol=tolerance)


def test_the_objective_is_the_weighted_sum():
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 16, 2, generator=g, dtype=torch.float64)
    said = torch.rand(3, 16, generator=g, dtype=torch.float64)
    target = torch.stack([1 - said, said], -1)
    state = {"edge": torch.zeros(5, 16, dtype=torch.float64)}
    batch = Batch(torch.zeros(3), lk.Soft(target), torch.tensor([0, 2, 4]), torch.tensor(0.0), state, {})
    loss, changed = Overlap("dice1", weight=0.6, over="image", s=0.1).objective(lambda x: logits, batch)
    plain = F.cross_entropy(logits.flatten(0, 1), target.flatten(0, 1))
    together = losses.overlap(logits.softmax(-1), target, "dice1", "image", "all", 0.1)
    torch.testing.assert_close(loss, 0.4 * plain + 0.6 * together)
    assert changed == {}


@pytest.mark.parametrize("hard", ["", "random"])
def test_weight_zero_is_cross_entropy(data, hard):
    runs = lk.fit(
        data, Raters(hard=hard), methods={"overlap": Overlap(weight=0.0), "plain": CrossEntropy()}, seeds=2, **QUICK
    )
    same(runs["overlap"], runs["plain"], 1e-10)


@pytest.mark.parametrize("family", ["jaccard", "dice"])
def test_on_hard_labels_the_family_trains_one_network(data, family):
    methods = {name: Overlap(name) for name in (family, f"{family}1", f"{family}2")}
    runs = lk.fit(data, Raters(hard="majority"), methods=methods, seeds=2, **QUICK)
    same(runs[family], runs[f"{family}1"], 1e-9)
    same(runs[family], runs[f"{family}2"], 1e-9)
    soft = lk.fit(data, Raters(), methods=methods, seeds=2, **QUICK)
    with pytest.raises(AssertionError):  # and on soft ones it does not
        same(soft[family], soft[f"{family}1"], 1e-3)


@pytest.mark.parametrize(
    "method",
    [
        Overlap("jaccard1", weight=lk.sweep(0.25, 0.75)),
        Overlap("dice", smoothing=lk.sweep(0.0, 0.5)),
        Overlap("dice2", over="image", active="present", s=1.0),
        Overlap("jaccard2", over="class"),
    ],
    ids=["weight", "smoothing", "image", "class"],
)
def test_alone_and_in_a_fleet_the_numbers_are_equal(data, method):
    together = lk.fit(data, Raters(hard="random"), methods=method, seeds=3, lanes=8, **QUICK)
    alone = lk.fit(data, Raters(hard="random"), methods=method, seeds=[1], lanes=1, **QUICK)
    same(together.where(seed=1), alone)


def test_boundary_smoothing_is_training_on_its_soft_targets(data):
    class Smoothed(lk.annotate.Annotator):
        def __call__(self, labels, features, rng):
            masks = labels.labels.view(-1, 16, 16)
            return lk.Soft(losses.boundary_smoothing(masks, 2, 0.25).flatten(1, 2))

    ours = lk.fit(data, methods=Overlap("jaccard1", smoothing=0.25), seeds=2, **QUICK)
    made = lk.fit(data, Smoothed(), methods=Overlap("jaccard1"), seeds=2, **QUICK)
    for x, y in zip(ours, made):
        for name, tensor in x.params.items():
            torch.testing.assert_close(tensor, y.params[name], rtol=1e-6, atol=1e-7)


def test_half_of_the_target_is_the_teachers(data):
    teachers = lk.fit(data, Raters(), methods=CrossEntropy(), seeds=2, **QUICK)
    taught = Overlap("dice1", teacher=teachers)
    students = lk.fit(data, Raters(hard="random"), methods=taught, seeds=2, **QUICK)
    plain = lk.fit(data, Raters(hard="random"), methods=Overlap("dice1"), seeds=2, **QUICK)
    assert not torch.allclose(students[0].params["head.weight"], plain[0].params["head.weight"], atol=1e-4)
    probs = teachers[:1].predict_one(data.x[:1].double()).softmax(-1)
    hard = lk.Labels(data.y[:1], 2)
    state = {"edge": torch.zeros(1, 256, dtype=torch.float64), "taught": probs}
    batch = Batch(data.x[:1].double(), hard, torch.tensor([0]), torch.tensor(0.0), state, {})
    logits = torch.zeros(1, 256, 2, dtype=torch.float64)
    target = (losses.target_of(hard, torch.float64) + probs) / 2
    expected = 0.25 * F.cross_entropy(logits[0], target[0]) + 0.75 * losses.overlap(
        logits.softmax(-1), target, "dice1", s=1e-3
    )
    torch.testing.assert_close(taught.objective(lambda x: logits, batch)[0], expected)


def test_images_with_a_label_per_pixel_are_needed():
    digits = lk.load("digits").subset(100)
    with pytest.raises(ValueError, match="a label for each of their H \\* W pixels"):
        lk.fit(digits, methods=Overlap(), seeds=1, epochs=1, batch_size=8, progress=False)
