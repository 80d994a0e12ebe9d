from __future__ import annotations

import numpy as np
import pytest
import torch

from labkit.datasets.people import ATTRIBUTES, people


def test_people_are_as_described():
    data = people(4800)
    assert data.shape == (36,) and torch.equal(people(4800).x, data.x) and not torch.equal(people(4800, 1).x, data.x)
    m = data.x[:, :6].double().numpy()
    for i in (0, 17, 4000):
        odds = 1.6 * m[i, 0] + 1.2 * m[i, 1] + 0.8 * m[i, 2] + 0.8 * m[i, 2] * m[i, 3] - 1.9
        assert float(data.posterior[i, 1]) == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-5)
    assert 0.2 < data.y.double().mean() < 0.3
    start = 6
    for name, count in ATTRIBUTES.items():
        assert torch.equal(data.x[:, start : start + count].argmax(1), data.side[name])
        start += count
    assert torch.bincount(data.side["trade"]).tolist() == [400] * 12


def test_attributes_know_more_or_less_of_the_class():
    data = people(12000)

    def spread(name):
        shares = [data.posterior[data.side[name] == v, 1].mean() for v in range(ATTRIBUTES[name])]
        return float(torch.stack(shares).std())

    assert spread("trade") > 0.15 > spread("status") > 0.08 and spread("region") < 0.02


def test_too_few_are_refused():
    with pytest.raises(ValueError, match="at least 24"):
        people(10)
