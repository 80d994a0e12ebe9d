"""The chosen setting is the one that agrees best with what validation data were told, not with the truth."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.evidence import Evidence, Labels, Soft
from labkit.fleet.runs import Context, Run, Runs
from labkit.fleet.tuned import tuned

K = 3


def run(seed: int, rate: float, evidence: Evidence | None, wrong: int) -> Run:
    """Predicts class 0 everywhere but for the first ``wrong`` validation examples (class 1)."""
    z = torch.zeros(10, K)
    z[:, 0] = 1
    z[:wrong, 1] = 2
    index = torch.arange(10)
    curves = {"validation/agreement": [float(evidence.agreement(z))]} if evidence is not None else {}
    return Run(f"{seed}{rate}", "m", seed, {"rate": rate}, [1], curves, {"last": 1}, 0, 1.0, "cpu", {},
               {"last/validation": z, "last/test": z}, {"validation": index, "test": index}, {})  # fmt: skip


def together(make) -> Runs:
    data = lk.Data("toy", torch.arange(20.0)[:, None], torch.tensor([0] * 18 + [1, 2]), ("a", "b", "c"))
    return Runs(
        [make(s, r, w) for r, w in ((0.1, 0), (0.5, 3), (0.9, 6)) for s in (4, 2)], Context(data, None, {}, None)
    )


def test_noisy_evidence_decides_and_clean_labels_measure():
    told = torch.tensor([1, 1, 1, 0, 0, 0, 0, 0, 0, 0])  # the noise of the first three is fitted best by rate 0.5
    found = tuned(together(lambda s, r, w: run(s, r, Labels(told, K), w)))
    assert found.index.tolist() == [2, 4] and found["rate"].tolist() == [0.5, 0.5]
    assert found["agreement"].tolist() == [1.0, 1.0]
    assert found["value"].tolist() == pytest.approx([0.7, 0.7])  # not the best on clean labels, which is rate 0.1


def test_a_likelihood_counts_by_its_weight_and_of_equals_the_first_is_taken():
    soft = torch.full((10, K), 0.2).index_fill(1, torch.tensor([0]), 0.6)
    assert tuned(together(lambda s, r, w: run(s, r, Soft(soft), w)))["rate"].tolist() == [0.1, 0.1]
    flat = torch.full((10, K), 1 / K)
    assert tuned(together(lambda s, r, w: run(s, r, Soft(flat), w)))["rate"].tolist() == [0.1, 0.1]
    with pytest.raises(LookupError, match="these runs have none"):
        tuned(together(lambda s, r, w: run(s, r, None, w)))


def test_each_seed_chooses_for_itself(small):
    runs = lk.fit(small, lk.annotate.Symmetric(0.3), methods=lk.methods.LabelSmoothing(lk.sweep(0.0, 0.9)), seeds=3,
                  epochs=1, compile=False, progress=False)  # fmt: skip
    found = tuned(runs)
    for seed, row in found.iterrows():
        of = {r.values["smoothing"]: r.curves["validation/agreement"][-1] for r in runs if r.seed == seed}
        assert row["agreement"] == pytest.approx(max(of.values()), abs=1e-6)
        assert of[row["smoothing"]] == max(of.values())


def test_a_metric_against_given_labels_can_choose_and_a_temperature_levels_it():
    told = torch.tensor([1] * 4 + [0] * 6)  # four labels are wrong; every run predicts the truth, class 0

    def sure(seed, rate, by):
        made = run(seed, rate, Labels(told, K), 0)
        z = made.logits["last/validation"] * by  # equally right, differently sure
        return Run(**{**vars(made), "logits": {"last/validation": z, "last/test": z}, "given": {"labels": told}})

    runs = together(lambda s, r, w: sure(s, r, {0.1: 20.0, 0.5: 1.0, 0.9: 0.1}[r]))
    assert tuned(runs)["rate"].tolist() == [0.1, 0.1]  # all agree alike: the first
    chosen = tuned(runs, "confidence", by="nll")
    assert chosen["rate"].tolist() == [0.5, 0.5] and chosen["nll"].iloc[0] < 1.1
    assert chosen["value"].iloc[0] == pytest.approx(float(torch.tensor([1.0, 0, 0]).softmax(0)[0]))
    assert tuned(runs, by="accuracy")["accuracy"].tolist() == pytest.approx([0.6, 0.6])
    level = tuned(runs, "confidence", by="nll", temperature=True)
    after = [runs.where(rate=r).measure("confidence", temperature=True)["value"].iloc[0] for r in (0.1, 0.5, 0.9)]
    assert after == pytest.approx([after[0]] * 3, abs=1e-4) and level["value"].iloc[0] == pytest.approx(0.6, abs=1e-3)
    with pytest.raises(ValueError, match="neither more nor less confidence"):
        tuned(runs, by="confidence")
