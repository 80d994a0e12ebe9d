"""Random streams: repeatable, apart from one another, without state."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from labkit.streams import PURPOSES, generator


def test_a_stream_is_its_key_and_nothing_else():
    first = generator(3, "order", 17).permutation(50)
    generator(3, "order", 16).random(1000)
    assert (generator(3, "order", 17).permutation(50) == first).all()


def test_streams_do_not_overlap_or_correlate():
    keys = [
        *itertools.product((0, 1, 7), PURPOSES[:4], (0, 1, 2**32)),
        (1, "order", 1, 1),
        (1, "order", 1, 1, 5),
        (1, "order", 1, 1, 6),
    ]
    draws = np.stack([generator(seed, purpose, *counters).random(2000) for seed, purpose, *counters in keys])
    assert len(np.unique(draws)) == draws.size
    correlations = np.corrcoef(draws)[np.triu_indices(len(keys), 1)]
    assert abs(correlations).max() < 0.12  # five standard errors
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 0.001


def test_mistakes():
    with pytest.raises(ValueError, match="known purposes: split"):
        generator(0, "ordering")
    with pytest.raises(ValueError, match="whole number from 0"):
        generator(-1, "order")
