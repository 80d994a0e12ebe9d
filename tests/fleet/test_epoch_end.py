"""What a method changes at the end of an epoch reaches the steps of the next one."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.losses import cross_entropy, target_of

PLAIN = dict(seeds=2, schedule="constant", optimiser=lk.SGD(momentum=0.0), dtype="float64", progress=False, out=None)


@dataclass
class OneEpoch(m.Method):
    """Cross entropy in the first epoch, nothing afterwards; two entries change places at every epoch's end."""

    def setup(self, start):
        return {"on": torch.ones(()), "off": torch.zeros(())}

    def objective(self, net, batch):
        logits = net(batch.x)
        return batch.state["on"] * cross_entropy(logits, target_of(batch.evidence, logits.dtype)).mean(), {}

    def end_epoch(self, state, progress):
        return {"on": state["off"], "off": state["on"]}


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_method_that_ends_after_its_first_epoch_stays_where_it_was(small, lanes):
    fit = lambda method, epochs: lk.fit(small, methods=method, epochs=epochs, lanes=lanes, **PLAIN).weights()
    once, twice, thrice = (fit(OneEpoch(), n)["head.weight"] for n in (1, 2, 3))
    torch.testing.assert_close(once, fit(m.CrossEntropy(), 1)["head.weight"], rtol=0, atol=0)
    assert torch.equal(once, twice)
    assert not torch.equal(twice, thrice)  # back on
