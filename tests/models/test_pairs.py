"""Models of pairs: one scorer for two items, two towers with prompts."""

from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.datasets import caption_prompts
from labkit.models import Scores, TwoTower, initialised


def test_both_items_are_scored_by_the_same_function():
    data = lk.load("preferences", n=20)
    net = initialised(Scores((8, 5)), data)
    logits = net(data.x)
    assert logits.shape == (20, 2)
    torch.testing.assert_close(net(data.x.flip(1)), logits.flip(1))  # swapping the items swaps the scores
    changed = data.x.clone()
    changed[:, 1] += 1
    torch.testing.assert_close(net(changed)[:, 0], logits[:, 0])
    assert net.body(data.x).shape == (20, 2, 5)


def test_reward_models_stack():
    data = lk.load("preferences", n=200)
    quick = dict(epochs=2, batch_size=32, progress=False, compile=False, dtype="float64")
    options = dict(methods=lk.methods.LabelSmoothing(lk.sweep(0.0, 0.2)), model=Scores((8,)), **quick)
    together = lk.fit(data, lk.annotate.Symmetric(0.2), seeds=3, lanes=8, **options)
    alone = lk.fit(data, lk.annotate.Symmetric(0.2), seeds=[2], lanes=1, **options)
    torch.testing.assert_close(together.where(seed=2).logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert together.predict(data.x.double(), features=True).shape == (6, 200, 2, 8)


def test_two_towers_embed_and_compare_with_prompts():
    data = lk.load("captions", n=30, concepts=4)
    net = initialised(TwoTower(caption_prompts(4), hidden=8, embedding=5), data)
    both = net.body(data.x)
    assert both.shape == (30, 2, 5)
    torch.testing.assert_close(both.norm(dim=-1), torch.ones(30, 2))
    as_caption = torch.cat([torch.zeros(4, 20), torch.tensor(caption_prompts(4))], 1)
    torch.testing.assert_close(net(data.x), both[:, 0] @ net.body(as_caption)[:, 1].T)
    other = data.x.clone()
    other[:, 20:] *= -1
    torch.testing.assert_close(net(other), net(data.x))  # zero-shot looks at the image only
    assert not any("prompts" in name for name, _ in net.named_parameters())


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="compare two items"):
        initialised(Scores(), lk.load("digits"))
    with pytest.raises(ValueError, match="a prompt for each of 10 classes"):
        initialised(TwoTower(caption_prompts(4)), lk.load("digits"))
