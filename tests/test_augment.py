"""Augmentation: what it does to a batch, and that the fleet draws it per seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.augment import Flip, Noise, Shift

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, compile=False)


@pytest.fixture(scope="module")
def images():
    return lk.load("digits").subset(300)


def applied(augmentation, x, seed=0):
    draws = augmentation.draw(np.random.default_rng(seed), 1, len(x), tuple(x.shape[1:]))
    return augmentation.apply(x, {k: torch.from_numpy(v[0]) for k, v in draws.items()}), draws


def test_shift_moves_each_image_by_its_own_step_and_repeats_the_border():
    x = torch.arange(5 * 12, dtype=torch.float64).reshape(5, 12)
    moved, draws = applied(Shift(2, (3, 4)), x)
    down, right = draws["down"][0], draws["right"][0]
    assert len({(int(a), int(b)) for a, b in zip(down, right)}) > 1
    for n in range(5):
        image = x[n].reshape(3, 4)
        for i in range(3):
            for j in range(4):
                source = image[min(max(i - down[n], 0), 2), min(max(j - right[n], 0), 3)]
                assert moved[n].reshape(3, 4)[i, j] == source


def test_flip_mirrors_some_and_never_or_always_at_the_ends():
    x = torch.randn(40, 2, 3, 4)
    flipped, draws = applied(Flip((2, 3, 4)), x)
    turned = torch.from_numpy(draws["turn"][0])
    assert 5 < int(turned.sum()) < 35
    assert torch.equal(flipped[turned], x[turned].flip(3)) and torch.equal(flipped[~turned], x[~turned])
    assert torch.equal(applied(Flip((2, 3, 4), 0.0), x)[0], x)
    assert torch.equal(applied(Flip((2, 3, 4), 1.0), x)[0], x.flip(3))


def test_noise_has_its_scale_and_a_chain_applies_in_order():
    x = torch.zeros(200, 50)
    assert applied(Noise(0.5), x)[0].std() == pytest.approx(0.5, rel=0.03)
    image = torch.randn(4, 12)
    chained, draws = applied(Shift(1, (3, 4)) >> Flip((3, 4), 1.0), image)
    own = {k.removeprefix("0."): torch.from_numpy(v[0]) for k, v in draws.items() if k.startswith("0.")}
    by_hand = Shift(1, (3, 4)).apply(image, own).reshape(4, 3, 4).flip(2).reshape(4, 12)
    assert torch.equal(chained, by_hand)


@pytest.mark.parametrize("wrong", [lambda: Shift(-1, (8, 8)), lambda: Shift(1, (8,)), lambda: Flip((8, 8), 1.5),
                                   lambda: Noise(-0.1), lambda: Noise(float("nan"))])  # fmt: skip
def test_wrong_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="got"):
        wrong()


def test_alone_and_in_a_fleet_and_across_methods_the_views_are_the_same(images):
    """Focal with gamma 0 is cross entropy, so with equal views the two methods agree run by run."""
    change = Shift(1, (8, 8)) >> Noise(0.2)
    methods = {"a": m.CrossEntropy(), "b": m.Focal(0.0)}
    together = lk.fit(images, methods=methods, seeds=3, augmentation=change, **QUICK)
    torch.testing.assert_close(together["a"].logits(), together["b"].logits(), rtol=1e-12, atol=1e-12)
    alone = lk.fit(images, methods=m.CrossEntropy(), seeds=[2], lanes=1, augmentation=change, **QUICK)
    torch.testing.assert_close(together["a"].where(seed=2).logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    plain = lk.fit(images, methods=m.CrossEntropy(), seeds=[2], lanes=1, **QUICK)
    assert not torch.allclose(alone.logits(), plain.logits(), atol=1e-6)
    assert alone.keys != plain.keys
    none = lk.fit(images, methods=m.CrossEntropy(), seeds=[2], lanes=1, augmentation=Noise(0.0), **QUICK)
    torch.testing.assert_close(none.logits(), plain.logits(), rtol=0, atol=0)


def test_a_teacher_sees_what_its_student_sees(images):
    """With a noiseless augmentation the two ways of asking a teacher (remembered logits, its weights) agree."""
    teachers = lk.fit(images, methods=m.LabelSmoothing(lk.sweep(0.0, 0.2)), seeds=2, **QUICK)
    student = m.Distillation(teacher=teachers, temperature=2.0)
    remembered = lk.fit(images, methods=student, seeds=2, **QUICK)
    asked = lk.fit(images, methods=student, seeds=2, augmentation=Noise(0.0), **QUICK)
    torch.testing.assert_close(asked.logits(), remembered.logits(), rtol=1e-10, atol=1e-10)
    noisy = lk.fit(images, methods=student, seeds=2, augmentation=Noise(0.5), **QUICK)
    alone = lk.fit(images, methods=m.Distillation(teacher=teachers.where(smoothing=0.2), temperature=2.0), seeds=[1],
                   augmentation=Noise(0.5), lanes=1, **QUICK)  # fmt: skip
    one = noisy.one(seed=1, **{"teacher.smoothing": 0.2})
    torch.testing.assert_close(one.logits(), alone.logits(), rtol=1e-10, atol=1e-10)


def test_something_else_is_refused(images):
    with pytest.raises(TypeError, match=r"labkit\.augment"):
        lk.fit(images, methods=m.CrossEntropy(), seeds=1, augmentation="flip", **QUICK)
