from __future__ import annotations

import pytest
import torch

from labkit.annotate import Symmetric
from labkit.annotate.proportional import ProportionalFlip
from labkit.evidence import Labels
from labkit.streams import generator


def test_rows_are_the_slow_twin_and_equal_counts_are_symmetric():
    counts, rate = [50.0, 30.0, 5.0], 0.4
    matrix = ProportionalFlip(counts, rate).transition(3)
    for i in range(3):
        for j in range(3):
            expected = 1 - rate if i == j else rate * counts[j] / (sum(counts) - counts[i])
            assert matrix[i, j].item() == pytest.approx(expected)
    torch.testing.assert_close(ProportionalFlip([7] * 4, 0.3).transition(4), Symmetric(0.3).transition(4))


def test_it_keeps_the_tail_that_uniform_noise_hides():
    counts = torch.tensor([5000, 1000, 200])
    labels = Labels(torch.repeat_interleave(torch.arange(3), counts), 3)
    said = lambda annotator: annotator(labels, None, generator(0, "annotation")).labels.bincount(minlength=3)
    plain, kept = said(Symmetric(0.4)), said(ProportionalFlip(counts, 0.4))
    assert plain[2] > 5 * counts[2] and kept[2] < 3 * counts[2]


def test_refusals():
    for wrong in ([1, 0, 2], [[1, 2]], [3]):
        with pytest.raises(ValueError, match="above 0 for each class"):
            ProportionalFlip(wrong)
    with pytest.raises(ValueError, match="holds 3 numbers"):
        ProportionalFlip([1, 2, 3]).transition(4)
