"""Students that hear a part of their teacher: they train, run by run the same, and reduce to known methods."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit import methods as m

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, compile=False)


@pytest.fixture(scope="module")
def data():
    return lk.load("hierarchy", n=300, groups=2, classes=2, dimensions=5)


@pytest.fixture(scope="module")
def teachers(data):
    return lk.fit(data, methods=m.LabelSmoothing(lk.sweep(0.0, 0.2)), seeds=2, lanes=4, **QUICK)


STUDENTS = {
    "similarity": lambda t: m.SimilarityDistillation(t, scale=lk.sweep(0.1, 1.0)),
    "confidence": lambda t: m.ConfidenceDistillation(t, temperature=lk.sweep(1.0, 3.0)),
    "top k": lambda t: m.TopKDistillation(t, k=lk.sweep(1, 3), temperature=2.0, weight=0.7),
}


@pytest.mark.parametrize("name", STUDENTS)
def test_they_train_and_a_run_alone_equals_the_run_in_the_fleet(name, data, teachers):
    student = STUDENTS[name](teachers)
    model = lk.models.MLP((6,))
    together = lk.fit(data, methods=student, model=model, seeds=2, lanes=16, **QUICK)
    alone = lk.fit(data, methods=student, model=model, seeds=[1], lanes=1, **QUICK)
    assert len(together) == 8 and "teacher.smoothing" in together.settings
    for a, b in zip(together.where(seed=1), alone, strict=True):
        assert a.values == b.values
        for key, tensor in a.params.items():
            torch.testing.assert_close(tensor, b.params[key], rtol=1e-12, atol=1e-12)
    first, *others = together.where(seed=1)  # every value of the sweeps is heard
    assert all(not torch.equal(first.params["head.weight"], o.params["head.weight"]) for o in others)


def same(a, b):
    for x, y in zip(a, b, strict=True):
        for key, tensor in x.params.items():
            torch.testing.assert_close(tensor, y.params[key], rtol=1e-9, atol=1e-9)


def test_reductions(data, teachers):
    one = teachers.where(smoothing=0.0)
    fit = lambda **methods: lk.fit(data, methods=methods, seeds=2, **QUICK)
    runs = fit(all=m.TopKDistillation(one, k=4, temperature=3.0), full=m.Distillation(one, temperature=3.0),
               sim=m.SimilarityDistillation(one, weight=0.0), plain=m.CrossEntropy(),
               none=m.ConfidenceDistillation(one, weight=0.0))  # fmt: skip
    same(runs["all"], runs["full"])
    same(runs["sim"], runs["plain"])
    same(runs["none"], runs["plain"])


def test_objectives_are_the_equations(data, teachers):
    teacher = teachers.where(smoothing=0.2)[:1]
    x, y = data.x[:6].double(), data.y[:6]
    z, heard = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)).double(), teacher.predict_one(x)
    start = m.Start(x, lk.Labels(y, 4), 4, 0, None, torch.arange(6))
    batch = lambda state: m.Batch(z, lk.Labels(y, 4), torch.arange(6), torch.tensor(0.0), state, {})
    hard = torch.nn.functional.one_hot(y, 4).double()

    kl = lambda t, T: T**2 * (t * (t.log() - (z / T).log_softmax(-1))).sum(-1)
    q = (heard / 2).softmax(-1)
    q_y = q.gather(1, y[:, None])
    t = torch.where(hard.bool(), q_y, (1 - q_y) / 3)
    method = m.ConfidenceDistillation(teacher, temperature=2.0)
    torch.testing.assert_close(method.objective(lambda v: v, batch(method.setup(start)))[0], kl(t, 2).mean())

    w = teacher.weights()["head.weight"][0]
    cosine = torch.nn.functional.cosine_similarity(w[:, None], w[None], dim=-1)
    t = 0.5 * hard + 0.5 * (cosine / 0.3).softmax(-1)[y]
    method = m.SimilarityDistillation(teacher)
    found = method.objective(lambda v: v, batch(method.setup(start)))[0]
    torch.testing.assert_close(found, -(t * z.log_softmax(-1)).sum(-1).mean())
