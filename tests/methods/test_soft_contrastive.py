from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit import losses
from labkit.datasets import caption_prompts
from labkit.methods import SoftContrastive
from labkit.methods.base import Batch
from labkit.models import TwoTower

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)
MODEL = TwoTower(caption_prompts(4), hidden=16, embedding=8)


class Fixed:
    """A network whose embeddings are given."""

    def __init__(self, embeddings):
        self.embeddings = embeddings

    def features(self, x):
        return self.embeddings

    def __call__(self, x):
        return torch.tensor([[0.5, -0.2]])


@pytest.mark.parametrize("kind", ["identity", "uniform", "concept"])
def test_is_the_loss_on_the_towers_similarities(kind):
    e = torch.nn.functional.normalize(torch.randn(5, 2, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    concept = torch.tensor([0, 1, 1, 0, 2])
    batch = Batch(torch.zeros(5, 1), None, torch.arange(5), torch.tensor(0.0), {}, {}, {"concept": concept})
    value, changed = SoftContrastive(0.3, 0.2, kind).objective(Fixed(e), batch)
    similarity = torch.tensor([[float(e[i, 0] @ e[j, 1]) / 0.2 for j in range(5)] for i in range(5)])
    torch.testing.assert_close(value, losses.contrastive(similarity, losses.pair_targets(concept, 0.3, kind)).mean())
    assert changed == {}


def test_zero_shot_logits_are_cosines_over_the_temperature():
    got = SoftContrastive(temperature=0.1).predict(Fixed(None), torch.zeros(1, 1))
    torch.testing.assert_close(got, torch.tensor([[5.0, -2.0]]))


def test_it_learns_without_labels_and_alone_equals_the_fleet():
    data = lk.load("captions", n=300, concepts=4)
    for kind in ("identity", "concept"):
        method = SoftContrastive(lk.sweep(0.1, 0.4), targets=kind)
        options = dict(methods=method, model=MODEL, dtype="float64", **QUICK)
        together = lk.fit(data, seeds=3, lanes=8, **options)
        alone = lk.fit(data, seeds=[1], lanes=1, **options)
        torch.testing.assert_close(together.where(seed=1).logits(), alone.logits(), rtol=1e-11, atol=1e-11)
        assert (together.measure("accuracy")["value"] > 0.5).all()
        wrong = lk.fit(data, lk.annotate.Symmetric(1.0), seeds=[1], lanes=2, **options)
        torch.testing.assert_close(wrong.logits(), alone.logits())  # labels are not looked at


def test_unknown_targets():
    with pytest.raises(ValueError, match="identity, uniform, concept, got 'similarity'"):
        SoftContrastive(targets="similarity")
