from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.evidence import Labels
from labkit.methods import OnPart
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=2, batch_size=32, progress=False, compile=False)
D = torch.float64


def test_it_sees_the_first_of_its_part_and_nothing_else():
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0), dtype=D)
    side, labels = {"part": torch.arange(30) % 3}, Labels(torch.arange(30) % 4, 4)
    method = OnPart(values=(0, 2), size=5)
    begin = Start(x, labels, 4, 0, np.random.default_rng(0), torch.arange(30), side)
    state = method.setup(begin)
    first = [0, 2, 3, 5, 6]
    assert torch.equal(state["part_x"], x[first]) and state["part_labels"].tolist() == [i % 4 for i in first]
    drawn = method.draw(np.random.default_rng(0), 1, 8)
    draws = {k: torch.from_numpy(v[0]) for k, v in drawn.items()}
    wrong = Batch(torch.full_like(x[:8], torch.nan), labels[:8], torch.arange(8), torch.tensor(0.0), state, draws)
    loss, changed = method.objective(lambda v: v, wrong)
    by_hand = sum(-float(x[first[i]].log_softmax(0)[first[i] % 4]) for i in draws["pick"].tolist()) / 8
    assert loss.item() == pytest.approx(by_hand) and changed == {}


def test_alone_and_in_a_fleet_the_numbers_are_equal_and_too_few_are_refused(small):
    data = replace(small, side={"part": torch.arange(small.n) % 3})
    options = dict(methods=OnPart(values=(1,), size=60), dtype="float64", **QUICK)
    together = lk.fit(data, seeds=3, lanes=3, **options).where(seed=1)
    alone = lk.fit(data, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()
    with pytest.raises(ValueError, match="fewer than size = 500"):
        lk.fit(data, methods=OnPart(size=500), seeds=1, **QUICK)
