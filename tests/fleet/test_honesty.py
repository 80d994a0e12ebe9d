"""Clean labels of training and validation data reach no method and select nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import Annotator, Symmetric
from labkit.evidence import Labels
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=4, dtype="float64", batch_size=32, progress=False, evaluate_every=1)


@dataclass(frozen=True)
class FromFeatures(Annotator):
    """Labels that depend on the inputs alone, whatever the truth is."""

    def __call__(self, labels, features, rng):
        return Labels((features.flatten(1)[:, 0] > 0).long(), labels.n_classes)


def with_other_truth(data, seeds):
    """The same inputs; clean labels outside every seed's test split are scrambled."""
    split = data.split(seeds[0])
    y = data.y.clone()
    outside = torch.cat([split.train, split.validation])
    y[outside] = (y[outside] + 1) % data.n_classes
    return dataclasses.replace(data, y=y), split


def test_scrambling_the_clean_labels_changes_no_weight_and_no_selection(small, monkeypatch):
    other, split = with_other_truth(small, [0])
    monkeypatch.setattr(type(small), "split", lambda self, seed, **shares: split)  # splits are stratified by truth
    a, b = (lk.fit(d, FromFeatures(), methods=m.CrossEntropy(), seeds=[0], **QUICK) for d in (small, other))
    for x, y in zip(a, b):
        assert all(torch.equal(x.params[k], y.params[k]) for k in x.params)
        assert x.answers == y.answers and x.curves == y.curves


def test_what_a_method_is_given_holds_no_truth():
    batch = {"x", "evidence", "index", "progress", "state", "draws", "side", "views"}
    start = {"x", "evidence", "n_classes", "seed", "rng", "train", "side", "augmented", "params"}
    assert {f.name for f in dataclasses.fields(Batch)} == batch
    assert {f.name for f in dataclasses.fields(Start)} == start
    for name in ("digits", "wine", "gaussians", "ordinal", "hierarchy", "texts"):  # side is what methods may know
        assert not lk.load(name).side


def test_a_method_sees_the_noisy_labels_only(small):
    seen = []

    @dataclass(kw_only=True)
    class Spy(m.CrossEntropy):
        def setup(self, start):
            seen.append((start.train, start.evidence.labels))
            return {}

    lk.fit(small, Symmetric(1.0), methods=Spy(), seeds=[0], **{**QUICK, "epochs": 1})
    for train, labels in seen:
        assert (labels != small.y[train]).all()  # at rate 1 every label is wrong: a clean one would show


def test_last_selected_and_oracle_are_kept_apart(small):
    runs = lk.fit(
        small,
        Symmetric(0.4),
        methods=m.CrossEntropy(),
        optimiser=lk.SGD(lr=0.3),
        seeds=6,
        schedule="constant",
        **{**QUICK, "epochs": 8},
    )
    for run in runs:
        epochs, accuracy = np.array(run.epochs), np.array(run.curves["test/accuracy"])
        agreement = np.array(run.curves["validation/agreement"])
        assert run.answers["last"] == 8
        assert run.answers["oracle"] == epochs[accuracy.argmax()]
        assert run.answers["selected"] == epochs[agreement.argmax()]
        for answer, epoch in run.answers.items():  # the logits kept are those of that epoch
            truth = small.y[run.index["test"]]
            kept = (run.logits[f"{answer}/test"].argmax(1) == truth).double().mean()
            assert kept == pytest.approx(accuracy[list(epochs).index(epoch)])
    assert any(run.answers["selected"] != run.answers["oracle"] for run in runs)
    table = runs.summary()
    assert set(table["at"]) == {"last", "selected", "oracle"} and (table.low <= table["mean"]).all()
    best = table.set_index("at")["mean"]
    assert best["oracle"] >= best["selected"] and best["oracle"] >= best["last"]


def test_temperature_is_fitted_with_the_labels_that_were_given(small):
    """Under label noise the honest temperature is higher: the noisy labels say that the network should doubt."""
    from labkit.posthoc import fit_temperature

    noisy = lk.fit(small, Symmetric(0.4), methods=m.CrossEntropy(), seeds=3, **QUICK)
    clean = fit_temperature(noisy.logits("validation"), noisy.labels("validation"))
    assert (noisy.temperatures() > 1.2 * clean).all()
    given = torch.stack([run.given["labels"] for run in noisy])
    assert 0.25 < (given != noisy.labels("validation")).double().mean() < 0.55
    torch.testing.assert_close(noisy.temperatures(), fit_temperature(noisy.logits("validation"), given))
    known = lk.fit(small, Symmetric(0.4, reveal=True), methods=m.EvidenceLikelihood(), seeds=3, **QUICK)
    assert known[0].given["likelihood"].shape == (60, 3) and known.temperatures().isfinite().all()
    with pytest.raises(LookupError, match="pointwise evidence"):
        lk.fit(small, methods=m.CrossEntropy(), seeds=1, validation=0.0, **QUICK).temperatures()


def test_temperature_is_fitted_on_validation_data(small):
    runs = lk.fit(small, methods=m.CrossEntropy(), seeds=3, **QUICK)
    from labkit.posthoc import fit_temperature

    t = fit_temperature(runs.logits("validation"), runs.labels("validation"))
    scaled = lk.metrics.nll(runs.logits("test") / t[:, None, None], runs.labels("test"))
    np.testing.assert_allclose(runs.measure("nll", temperature=True)["value"], scaled)
    assert (runs.measure("nll", temperature=True).metric == "nll after temperature").all()
