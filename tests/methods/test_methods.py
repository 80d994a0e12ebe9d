"""Methods beyond their losses: draws, defaults, the table of names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from labkit import methods as m
from labkit.evidence import Bags, Candidates, Evidence, Labels
from labkit.methods.base import Batch
from labkit.streams import generator


def batch(x, labels, k=3, **draws):
    draws = {name: torch.tensor(value, dtype=x.dtype) for name, value in draws.items()}
    return Batch(x, Labels(labels, k), torch.arange(len(x)), torch.tensor(0.0), {}, draws)


def test_mixup_weights_are_beta_and_paired_over_alpha():
    for alpha in (0.2, 1.0, 2.0):
        weights = m.Mixup(alpha).draw(generator(0, "method", 0), 4000, 8)["weight"]
        assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 0.01
    a, b = (m.Mixup(v).draw(generator(1, "method", 0), 50, 8)["weight"] for v in (0.5, 2.0))
    assert (np.argsort(a) == np.argsort(b)).all()
    assert (m.Mixup(0.0).draw(generator(0, "method", 0), 5, 8)["weight"] == 1).all()


def test_mixup_is_the_equation():
    torch.manual_seed(0)
    x, y, w = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0]), 0.3
    net = lambda v: v @ torch.arange(9.0, dtype=torch.float64).reshape(3, 3) / 9
    loss, changed = m.Mixup().objective(net, batch(x, y, weight=w))
    total = 0.0
    for i in range(4):
        j = (i - 1) % 4
        logits = net((w * x[i] + (1 - w) * x[j])[None])
        first, second = (torch.nn.functional.cross_entropy(logits, y[c : c + 1]) for c in (i, j))
        total = total + w * first + (1 - w) * second
    torch.testing.assert_close(loss, total / 4)
    assert changed == {}


def test_without_mixing_mixup_is_cross_entropy():
    x, y = torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 0])
    loss, _ = m.Mixup().objective(lambda v: v, batch(x, y, weight=1.0))
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(x, y))


def test_two_networks_answer_with_their_mean_probability():
    class Two(m.Method):
        networks = 2

    a, b = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 1.0]])
    mean = (a.softmax(-1) + b.softmax(-1)) / 2
    torch.testing.assert_close(Two().predict((lambda x: a, lambda x: b), None).exp(), mean)


@pytest.mark.parametrize("name", sorted(m.METHODS))
def test_every_method_names_its_source_and_what_it_accepts(name):
    method = m.METHODS[name]
    assert len(method.__doc__) > 60 and all(issubclass(form, Evidence) for form in method.accepts)
    needs = {"teacher": None} if "distillation" in name else {}
    assert isinstance(m.get(name, **needs), m.Method)


def test_only_the_likelihood_takes_every_pointwise_form():
    """Others name the forms they are made for; those for candidate sets are not made for labels taken at their word."""
    every = (Labels, Candidates, Bags)
    both = [n for n, method in m.METHODS.items() if all(issubclass(form, method.accepts) for form in every)]
    assert both == ["evidence_likelihood"]
