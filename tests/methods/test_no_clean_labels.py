"""Whatever the method: scrambling the clean labels of training and validation data changes no weight and no selection.

Evidence is made from the inputs alone here, so a method whose weights change has seen a clean label.
"""

from __future__ import annotations

import dataclasses
import inspect
from dataclasses import dataclass

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Annotator, uniform_complement
from labkit.evidence import Bags, Candidates, Complementary, Labels, Soft, TrustedLabels, one_hot
from labkit.methods.base import Method
from labkit.models import MLP, WithLabelHead, WithProjection

QUICK = dict(epochs=2, dtype="float64", batch_size=32, progress=False, evaluate_every=1, compile=False)
ELSEWHERE = {  # they learn from data of a special form, or need a side that plain classes do not have
    "DomainAdversarial": "environments", "RegionalAdversarial": "environments",
    "SmoothingWithoutErrorTerm": "environments", "Overlap": "masks", "NACL": "masks", "SVLS": "masks",
    "OnPart": "evidence about a part",
    "SimilarityDistillation": "pairs", "SoftContrastive": "pairs", "SoftEDA": "texts", "RandomPolicy": "texts",
    "TemporalSmoothing": "event sequences", "ConfidenceDistillation": "partial teachers",
    "TopKDistillation": "partial teachers",
}  # fmt: skip
MODELS = {"EnhancedMetaLabelCorrection": WithLabelHead(MLP()),
          "MetaLabelCorrection": WithLabelHead(MLP(), outputs=0),
          "ABLE": WithProjection(MLP()), "PiCO": WithProjection(MLP())}  # fmt: skip

TWO_CLASSES = {"AdaptivePerturbation", "BeliefPropagation"}


@dataclass(frozen=True)
class FromInputs(Annotator):
    """Evidence of any form that depends on the inputs alone."""

    form: str

    def __call__(self, labels, features, rng):
        k = labels.n_classes
        told = (features.flatten(1)[:, 0] * 7).floor().long() % k
        if self.form == "Bags":
            held = rng.permutation(len(told) // 4 * 4).reshape(-1, 4)
            return Bags(torch.from_numpy(held), one_hot(told[held], k).sum(1))
        matrix = 0.7 * torch.eye(k, dtype=torch.float64) + 0.3 / k
        if self.form == "Soft":
            return Soft(one_hot(told, k) * 0.8 + 0.2 / k)
        if self.form == "TrustedLabels":
            return TrustedLabels(told, k, features.flatten(1)[:, 1] > 0.5, matrix)
        if self.form == "Candidates":
            also = (told + 1) % k
            return Candidates(one_hot(told, k).bool() | one_hot(also, k).bool() & (features.flatten(1)[:, 1:2] > 0))
        if self.form == "Complementary":
            return Complementary(told, k, uniform_complement(k))
        return Labels(told, k, matrix)


def all_methods() -> list[str]:
    found = inspect.getmembers(m, lambda c: inspect.isclass(c) and issubclass(c, Method) and c is not Method)
    return [name for name, _ in found]


def made(name: str, data, annotator) -> Method:
    """The method with its defaults; where it needs an earlier stage, a small fleet is trained for it."""
    kind = getattr(m, name)
    if name == "GoldLossCorrection":  # its first stage has a method of its own
        return kind(warmup=lk.fit(data, annotator, methods=m.TrustedCrossEntropy(weight=0), seeds=[0], **QUICK))
    if name == "SelectedOnly":
        return kind(first=lk.fit(data, annotator, methods=m.CrossEntropy(), seeds=[0], **QUICK))
    needs = [p.name for p in inspect.signature(kind).parameters.values() if p.default is p.empty]
    if not needs:
        return kind()
    stage = lk.fit(data, annotator, methods=m.CrossEntropy(), seeds=[0], **QUICK)
    return kind(**dict.fromkeys(needs, stage))


@pytest.mark.parametrize("name", [n for n in all_methods() if n not in ELSEWHERE])
def test_clean_labels_of_training_and_validation_reach_no_method(small, name, monkeypatch):
    data = small.subset(200)
    if name in TWO_CLASSES:
        data = lk.datasets.merged(data, [[0], [1, 2]])
    split = data.split(0)
    y = data.y.clone()
    outside = torch.cat([split.train, split.validation])
    y[outside] = (y[outside] + 1) % data.n_classes
    other = dataclasses.replace(data, y=y, posterior=None)
    monkeypatch.setattr(type(data), "split", lambda self, seed, **shares: split)  # splits are stratified by truth
    accepts = {form.__name__ for form in getattr(m, name).accepts}
    annotator = FromInputs("Labels" if accepts & {"Labels", "Evidence"} else accepts.pop())
    model = MODELS.get(name, MLP())
    a, b = (
        lk.fit(d, annotator, methods=made(name, d, annotator), model=model, seeds=[0], **QUICK)[0]
        for d in (data, other)
    )
    assert all(torch.equal(a.params[k], b.params[k]) for k in a.params)
    for name in a.kept:  # what was never seen may be NaN in both
        torch.testing.assert_close(a.kept[name], b.kept[name], rtol=0, atol=0, equal_nan=True)
    assert a.answers == b.answers and a.curves == b.curves


def test_the_exceptions_exist():
    assert set(ELSEWHERE) <= set(all_methods())
