from __future__ import annotations

import pytest
import torch

import labkit as lk
from labkit.annotate import NoisyMasks
from labkit.evidence import Labels
from labkit.methods import SmallLossPixels
from labkit.methods.base import Batch
from labkit.models import PatchNet


@pytest.mark.parametrize(
    ("forget", "progress", "left_out"), [(0.5, 1.0, 6), (0.5, 0.125, 3), (0.0, 1.0, 0), (0.5, 0.0, 0)]
)
def test_the_largest_losses_of_all_pixels_are_left_out(forget, progress, left_out):
    logits = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    labels = torch.randint(0, 2, (3, 4), generator=torch.Generator().manual_seed(1))
    batch = Batch(logits, Labels(labels, 2), torch.arange(3), torch.tensor(progress), {}, {})
    value, _ = SmallLossPixels(forget, ramp=0.25).objective(lambda x: x, batch)
    every = sorted(-float(logits[i, j].log_softmax(0)[labels[i, j]]) for i in range(3) for j in range(4))
    kept = every[: 12 - left_out]
    assert value.item() == pytest.approx(sum(kept) / len(kept))


def test_alone_and_in_a_fleet_the_numbers_are_equal():
    data = lk.load("digit_masks", n=24)
    options = dict(
        methods=SmallLossPixels(lk.sweep(0.1, 0.3)), model=PatchNet(3, (4,)), epochs=2, batch_size=4, dtype="float64",
        progress=False, compile=False,
    )  # fmt: skip
    noise = NoisyMasks("shift", lk.sweep(0.2, 0.6))
    together = lk.fit(data, noise, seeds=2, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, noise, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-11, atol=1e-11)
