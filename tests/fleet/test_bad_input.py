"""Mistakes a person makes, each with an error that helps, before any training."""

from __future__ import annotations

import pytest

import labkit as lk
from labkit import methods as m
from labkit.annotate import Annotator, Symmetric
from labkit.evidence import Candidates


class Unlabelled(Annotator):
    def __call__(self, labels, features, rng):
        return Candidates.unlabelled(len(labels), labels.n_classes)


CASES = {
    "model": (dict(model="mpl"), ValueError, "unknown model 'mpl'; did you mean 'mlp'"),
    "model that needs images": (dict(model="lenet"), ValueError, "needs images"),
    "batch": (dict(batch_size=5000), ValueError, "batch of 5000 is larger than the 420 units"),
    "batch zero": (dict(batch_size=0), ValueError, "batch_size is a whole number from 1, got 0"),
    "epochs": (dict(epochs=-1), ValueError, "epochs is a whole number from 0, got -1"),
    "epochs as a float": (dict(epochs=2.5), ValueError, "whole number"),
    "seeds": (dict(seeds=0), ValueError, "seeds is a number from 1"),
    "seeds twice": (dict(seeds=[1, 1]), ValueError, "distinct"),
    "negative seed": (dict(seeds=[-1]), ValueError, "from 0"),
    "schedule": (dict(schedule="cosin"), ValueError, "did you mean 'cosine'"),
    "dtype": (dict(dtype="float46"), ValueError, "did you mean 'float64'"),
    "device": (dict(device="cuda:77"), ValueError, "try 'auto'"),
    "no such device": (dict(device="gpu"), ValueError, "try 'auto'"),
    "validation": (dict(validation=1.2), ValueError, r"validation is a share of the data in \[0, 1\)"),
    "empty split": (dict(validation=0.0001), ValueError, "empty"),
    "rate": (dict(annotator=Symmetric(1.4)), ValueError, r"\[0, 1\], got 1.4"),
    "swept rate": (dict(annotator=Symmetric(lk.sweep(0.1, -0.2))), ValueError, r"\[0, 1\], got -0.2"),
    "form": (dict(annotator=Unlabelled()), TypeError, "learns from Labels or Soft, but the annotator gives Candidates"),
    "no method": (dict(methods={}), ValueError, "at least one method"),
    "a class, not a method": (dict(methods={"a": m.CrossEntropy}), TypeError, "made: Focal"),
    "not an annotator": (dict(annotator=0.4), TypeError, "annotator from labkit.annotate"),
    "not an optimiser": (dict(optimiser="sgd"), TypeError, "labkit.SGD"),
    "cadence": (dict(evaluate_every=0), ValueError, "from 1"),
}


@pytest.mark.parametrize("name", CASES)
def test_mistakes_are_named(small, name):
    options, error, message = CASES[name]
    options = {"methods": m.CrossEntropy(), "seeds": 1, "epochs": 1, "progress": False, **options}
    with pytest.raises(error, match=message):
        lk.fit(small, options.pop("annotator", None), **options)


def test_data_of_another_kind():
    with pytest.raises(TypeError, match=r"labkit\.load"):
        lk.fit([1, 2], methods=m.CrossEntropy())


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ((), ValueError, "at least one"),
        (("a",), TypeError, "over numbers"),
        ((1, 1.0), ValueError, "once"),
        ((True,), TypeError, "numbers"),
    ],
)
def test_sweeps_are_over_distinct_numbers(values, error, message):
    with pytest.raises(error, match=message):
        lk.sweep(*values)


def test_unknown_names():
    with pytest.raises(ValueError, match="unknown method 'focl'; did you mean 'focal'"):
        m.get("focl")
    with pytest.raises(ValueError, match="unknown dataset 'digts'; did you mean 'digits'"):
        lk.load("digts")
    with pytest.raises(AttributeError, match="did you mean 'judge'"):
        lk.juge  # noqa: B018


def test_runs_say_what_they_hold(small):
    runs = lk.fit(small, methods={"a": m.Focal(lk.sweep(1.0, 2.0))}, seeds=2, epochs=1, progress=False)
    for values, message in [
        ({"gama": 1.0}, "no setting 'gama'; did you mean 'gamma'"),
        ({"gamma": 3.0}, r"there are \[1.0, 2.0\]"),
        ({"seed": 9}, "there are"),
    ]:
        with pytest.raises(LookupError, match=message):
            runs.where(**values)
    with pytest.raises(LookupError, match="2 runs have"):
        runs.one(seed=0)
    with pytest.raises(LookupError, match="hold no logits"):
        runs.logits("train")
    with pytest.raises(ValueError, match="did you mean 'ece'"):
        runs.measure("ecee")
    assert len(runs[0:2]) == 2 and runs[0].seed == 0 and "<table" in runs._repr_html_()
