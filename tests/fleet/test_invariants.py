"""What a fleet promises: a run's numbers are its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import Bagging, Crowd, Memory, Pair, PerEpoch, ProportionLoss, Tagging, TagLoss

import labkit as lk
from labkit import methods as m
from labkit.annotate import Clean, Symmetric

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, evaluate_every=1)

METHODS = {
    "cross entropy": (m.CrossEntropy(), Clean()),
    "ema": (m.CrossEntropy(ema=0.9), Clean()),
    "smoothing": (m.LabelSmoothing(lk.sweep(0.0, 0.1)), Clean()),
    "focal": (m.Focal(lk.sweep(1.0, 2.0)), Clean()),
    "penalty": (m.ConfidencePenalty(lk.sweep(0.1, 1.0)), Clean()),
    "mixup": (m.Mixup(lk.sweep(0.2, 1.0)), Clean()),
    "noise": (m.CrossEntropy(), Symmetric(lk.sweep(0.1, 0.4))),
    "revealed": (m.EvidenceLikelihood(), Symmetric(0.3, reveal=True)),
    "memory": (Memory(lk.sweep(0.5, 1.0)), Clean()),
    "pair": (Pair(lk.sweep(0.5, 0.9)), Clean()),
    "per epoch": (PerEpoch(), Clean()),
    "votes": (m.EvidenceLikelihood(), Crowd()),
    "bags": (ProportionLoss(), Bagging()),
    "tags": (TagLoss(), Tagging()),
}


def same(a, b, tolerance=1e-12):
    """Equal weights, logits and curves of two sets of runs, in the same order."""
    assert [r.key for r in a] == [r.key for r in b] or [(r.seed, r.values) for r in a] == [
        (r.seed, r.values) for r in b
    ]
    for x, y in zip(a, b):
        for kind in ("params", "logits"):
            for name, tensor in getattr(x, kind).items():
                torch.testing.assert_close(tensor, getattr(y, kind)[name], rtol=tolerance, atol=tolerance)
        for name, curve in x.curves.items():
            np.testing.assert_allclose(curve, y.curves[name], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", METHODS)
def test_alone_and_in_a_fleet_the_numbers_are_equal(small, name):
    method, annotator = METHODS[name]
    size = 8 if name == "bags" else 32
    options = {**QUICK, "batch_size": size}
    together = lk.fit(small, annotator, methods=method, seeds=4, lanes=64, **options)
    alone = lk.fit(small, annotator, methods=method, seeds=[2], lanes=1, **options)
    same(together.where(seed=2), alone)
    first = together.runs[0]
    assert not torch.equal(
        first.params["head.weight" if "head.weight" in first.params else "0.head.weight"],
        together.where(seed=1).runs[0].params["head.weight" if "head.weight" in first.params else "0.head.weight"],
    )


@pytest.mark.parametrize("model", ["linear", "lenet", "resnet"])
def test_models_stack(model):
    data = lk.load("digits").subset(200)
    options = {**QUICK, "epochs": 1}
    together = lk.fit(data, methods=m.CrossEntropy(), model=model, seeds=3, lanes=3, **options)
    alone = lk.fit(data, methods=m.CrossEntropy(), model=model, seeds=[1], lanes=1, **options)
    same(together.where(seed=1), alone, 1e-10)


def test_compilation_changes_nothing_but_rounding(small):
    options = dict(methods=m.LabelSmoothing(lk.sweep(0.0, 0.2)), seeds=2, lanes=4, **QUICK)
    same(lk.fit(small, compile=True, **options), lk.fit(small, compile=False, **options), 1e-11)


def test_methods_are_paired_and_streams_are_apart(small):
    runs = lk.fit(
        small, Symmetric(lk.sweep(0.0, 0.3)), methods={"a": m.CrossEntropy(), "b": m.Focal(0.0)}, seeds=2, **QUICK
    )
    same(runs["a"], runs["b"])  # focal with gamma 0 is cross entropy: same split, noise, initialisation, order
    low, high = runs["a"].where(**{"annotator.rate": 0.0}), runs["a"].where(**{"annotator.rate": 0.3})
    for x, y in zip(low, high):  # changing the noise leaves the split alone
        assert torch.equal(x.index["train"], y.index["train"])
    assert not torch.equal(low.runs[0].index["test"], low.runs[1].index["test"])


def test_initialisation_does_not_move_with_the_data_or_the_global_generator(small):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    a = lk.fit(small, methods=m.CrossEntropy(), seeds=2, **{**QUICK, "epochs": 0})
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    b = lk.fit(small, Symmetric(0.4), methods=m.CrossEntropy(), seeds=2, **{**QUICK, "epochs": 0})
    for x, y in zip(a, b):
        assert all(torch.equal(x.params[k], y.params[k]) for k in x.params)


def test_swept_learning_rates_and_ema_are_single_fits(small):
    swept = lk.fit(
        small,
        methods=m.CrossEntropy(ema=lk.sweep(0.0, 0.9)),
        optimiser=lk.SGD(lr=lk.sweep(0.01, 0.1)),
        seeds=2,
        **QUICK,
    )
    assert list(swept.settings.columns) == ["method", "seed", "ema", "optimiser.lr"]
    one = lk.fit(small, methods=m.CrossEntropy(ema=0.9), optimiser=lk.SGD(lr=0.1), seeds=2, **QUICK)
    same(swept.where(ema=0.9, **{"optimiser.lr": 0.1}), one)
    plain = lk.fit(small, methods=m.CrossEntropy(), optimiser=lk.SGD(lr=0.1), seeds=2, **QUICK)
    same(swept.where(ema=0.0, **{"optimiser.lr": 0.1}), plain)


def test_students_learn_from_the_teacher_of_their_seed(small):
    teachers = lk.fit(small, methods=m.LabelSmoothing(lk.sweep(0.0, 0.2)), seeds=[0, 3], **QUICK)
    students = lk.fit(
        small, methods=m.Distillation(teachers, temperature=lk.sweep(1.0, 2.0)), seeds=[0, 3], lanes=8, **QUICK
    )
    assert len(students) == 8 and "teacher.smoothing" in students.settings
    teacher = teachers.where(smoothing=0.2, seed=3)
    alone = lk.fit(small, methods=m.Distillation(teacher, temperature=2.0), seeds=[3], lanes=1, **QUICK)
    same(students.where(seed=3, temperature=2.0, **{"teacher.smoothing": 0.2}), alone)
    with pytest.raises(ValueError, match=r"seed 1 has no teacher.*Train teachers on the same seeds"):
        lk.fit(small, methods=m.Distillation(teachers), seeds=2, **QUICK)


def test_no_hard_label_reaches_a_student_of_weight_one(small):
    teachers = lk.fit(small, methods=m.CrossEntropy(), seeds=2, **QUICK)
    clean, noisy = (
        lk.fit(small, annotator, methods=m.Distillation(teachers), seeds=2, **QUICK)
        for annotator in (Clean(), Symmetric(0.5))
    )
    for x, y in zip(clean, noisy):
        assert all(torch.equal(x.params[k], y.params[k]) for k in x.params)


@pytest.mark.parametrize("reveal", [True, False])
def test_evidence_with_and_without_its_optional_part_trains(small, reveal):
    runs = lk.fit(small, lk.annotate.FlippedCandidates(0.3, reveal=reveal), methods=m.EvidenceLikelihood(), seeds=2,
                  compile=False, **QUICK)  # fmt: skip
    assert runs[0].curves["train/loss"][-1] < runs[0].curves["train/loss"][0]
