from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit.datasets as datasets


def test_posterior_against_bayes_rule_word_by_word():
    model = datasets.text_model(classes=3, sets=6, stops=3)
    data = datasets.load("texts", n=30, classes=3, sets=6, stops=3)
    for text, found in zip(data.x.long().tolist(), data.posterior.tolist()):
        joint = [math.prod(math.exp(float(model.log_words[k, w])) for w in text if w > 0) for k in range(3)]
        np.testing.assert_allclose(found, np.array(joint) / sum(joint), rtol=1e-9)


def test_words_are_a_distribution_and_synonyms_mean_the_same():
    for strangers in (0.0, 0.3):
        model = datasets.text_model(sets=8, synonyms=3, stops=5, strangers=strangers, stop_share=0.25)
        p = model.log_words.exp()
        np.testing.assert_allclose(p[:, 1:].sum(1), 1.0)
        np.testing.assert_allclose(p[:, 25:].sum(1), 0.25)
        assert (model.log_words[:, 0] == 0).all() and model.vocabulary.size == 1 + 24 + 5
        same = (p[:, 1:25].reshape(4, 8, 3) == p[:, 1:25].reshape(4, 8, 3)[:, :, :1]).all(-1).all(0)
        assert bool(same.all()) == (strangers == 0)


def test_strangers_are_as_many_as_asked():
    plain, mixed = (datasets.text_model(strangers=s).log_words for s in (0.0, 0.2))
    moved = (plain != mixed).any(0).sum()
    assert 0.15 * 200 < int(moved) <= 0.2 * 200


def test_texts_have_the_stated_frequencies_and_lengths():
    model = datasets.text_model(classes=2, sets=4, synonyms=2, stops=2)
    x, y = model.sample(20_000, 10, seed=3)
    assert x.shape == (20_000, 15) and set((x > 0).sum(1).tolist()) == set(range(5, 11))
    assert ((x[:, :-1] > 0) | (x[:, 1:] == 0)).all()  # padding stands at the end
    for k in range(2):
        words = x[y == k]
        share = torch.bincount(words[words > 0], minlength=model.vocabulary.size) / (words > 0).sum()
        np.testing.assert_allclose(share[1:], model.log_words[k, 1:].exp(), atol=0.01)


def test_posterior_is_calibrated():
    data = datasets.load("texts", n=8000)
    sure = data.posterior.max(1)
    right = (sure.indices == data.y).double().mean()
    assert abs(float(right - sure.values.mean())) < 4 * 0.5 / 8000**0.5


def test_the_seed_moves_the_draws_and_not_the_language():
    a, b, again = (datasets.load("texts", n=50, seed=s) for s in (0, 1, 0))
    assert not torch.equal(a.x, b.x) and torch.equal(a.x, again.x) and a.fingerprint == again.fingerprint


@pytest.mark.parametrize("options", [
    dict(n=0), dict(length=1), dict(classes=1), dict(synonyms=1), dict(strangers=1.2), dict(stop_share=0.0),
    dict(sharpness=-1.0)])
def test_impossible_languages_are_refused(options):
    with pytest.raises(ValueError, match="expected"):
        datasets.load("texts", **options)
