"""Noise in one part, training on one part, and the numbers of an easy-to-hard comparison."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Clean, OnlyWhere, PairFlip, Raters, Symmetric
from labkit.evidence import Labels
from labkit.streams import generator

N, K = 300, 5
CLEAN, PART = Labels(torch.arange(N) % K, K), torch.arange(N) % 3


def said(annotator, seed=0):
    return annotator(CLEAN, torch.zeros(N, 1), generator(seed, "annotation"), part=PART).labels


def test_only_the_part_is_told_what_the_noise_says():
    noisy, everywhere = said(OnlyWhere(Symmetric(0.7), "part", 2)), said_plain(Symmetric(0.7))
    assert torch.equal(noisy[PART == 2], everywhere[PART == 2])
    assert torch.equal(noisy[PART != 2], CLEAN.labels[PART != 2])
    assert (said(OnlyWhere(PairFlip(1.0), "part", 1)) != CLEAN.labels).tolist() == (PART == 1).tolist()


def said_plain(annotator):
    return annotator(CLEAN, torch.zeros(N, 1), generator(0, "annotation")).labels


def test_needs_and_refusals():
    assert OnlyWhere(Clean(), "difficulty").needs == ("difficulty",)
    masks = Labels(torch.zeros(6, 16, dtype=torch.long), 2)
    with pytest.raises(TypeError, match="Raters gives Soft"):
        OnlyWhere(Raters())(masks, torch.zeros(6, 1, 4, 4), np.random.default_rng(0), part=torch.zeros(6))


def test_a_rate_inside_may_be_swept(small):
    data = replace(small, side={"part": torch.arange(small.n) % 3})
    options = dict(seeds=1, epochs=1, progress=False, compile=False)
    runs = lk.fit(
        data, OnlyWhere(Symmetric(lk.sweep(0.0, 0.6)), "part", 1), methods=lk.methods.CrossEntropy(), **options
    )
    for run in runs:
        index, rate = run.index["train"], run.values["annotator.noise.rate"]
        wrong = run.given["train/labels"] != data.y[index]
        assert bool(wrong.any()) == (rate > 0) and not wrong[index % 3 != 1].any()
