"""A trusted share: how many, whose labels, pairing, sweeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import labkit as lk
from labkit.annotate import PairFlip, Raters, Symmetric, Trusted, Votes
from labkit.evidence import Labels, TrustedLabels
from labkit.streams import generator

N, K = 403, 5
CLEAN = Labels(torch.arange(N) % K, K)


def said(annotator, seed=0):
    return annotator(CLEAN, torch.zeros(N, 1), generator(seed, "annotation"))


@given(st.floats(0, 1), st.integers(0, 1000), st.booleans())
def test_the_trusted_are_counted_right_and_the_rest_is_as_without_them(share, seed, balanced):
    found = said(Trusted(PairFlip(1.0), share, balanced), seed)
    assert isinstance(found, TrustedLabels) and int(found.trusted.sum()) == round(share * N)
    right = found.labels == CLEAN.labels
    assert torch.equal(right, found.trusted)  # a pair flip at rate 1 leaves nothing right
    if balanced:
        counts = torch.bincount(CLEAN.labels[found.trusted], minlength=K)
        assert int(counts.max() - counts.min()) <= 1


@given(st.floats(0, 1), st.floats(0, 1), st.booleans())
def test_a_larger_share_trusts_a_superset_and_moves_no_other_label(a, b, balanced):
    few, many = (said(Trusted(Symmetric(0.6), share, balanced)) for share in sorted((a, b)))
    assert (many.trusted | ~few.trusted).all()
    assert torch.equal(few.labels[~many.trusted], many.labels[~many.trusted])


def test_the_noise_is_paired_and_the_trusted_do_not_move_with_it():
    low, high = said(Trusted(Symmetric(0.2), 0.1)), said(Trusted(Symmetric(0.5), 0.1))
    assert torch.equal(low.trusted, high.trusted)
    assert ((high.labels != CLEAN.labels) | (low.labels == CLEAN.labels)).all()


def test_every_example_is_as_likely():
    times = sum(said(Trusted(share=0.3), seed).trusted.double() for seed in range(200)) / 200
    assert abs(float(times.mean()) - 0.3) < 0.01 and float((times - 0.3).abs().max()) < 0.15


def test_a_revealed_matrix_stays_for_the_others_and_needs_are_passed_on():
    found = said(Trusted(Symmetric(0.4, reveal=True), 0.5))
    assert torch.equal(found.transition, Symmetric(0.4).transition(K))
    assert (found.likelihood()[found.trusted].amax(1) == 1).all()
    assert torch.allclose(found.likelihood()[~found.trusted].amax(1), torch.tensor(0.6, dtype=torch.float64))
    assert Trusted(Votes(3, hard=True)).needs == ("posterior",)


def test_a_rate_inside_may_be_swept(small):
    annotator = Trusted(Symmetric(lk.sweep(0.0, 0.5)), share=0.1)
    runs = lk.fit(small, annotator, methods=lk.methods.CrossEntropy(), seeds=2, epochs=1, progress=False, compile=False)
    assert sorted(set(runs.settings["annotator.noise.rate"])) == [0.0, 0.5] and len(runs) == 4
    plain = Trusted(Symmetric(0.5), share=0.1)
    alone = lk.fit(small, plain, methods=lk.methods.CrossEntropy(), seeds=2, epochs=1, progress=False, compile=False)
    torch.testing.assert_close(runs.where(**{"annotator.noise.rate": 0.5}).logits(), alone.logits())


def test_masks_are_trusted_as_a_whole_and_what_it_refuses():
    masks, x = Labels(torch.zeros(10, 16, dtype=torch.long), 2), torch.zeros(10, 1, 4, 4)
    found = Trusted(PairFlip(1.0), 0.3)(masks, x, np.random.default_rng(0))
    assert torch.equal(found.labels.bool(), ~found.trusted[:, None].expand(10, 16))
    with pytest.raises(ValueError, match=r"share is a probability in \[0, 1\], got 1.5"):
        said(Trusted(share=1.5))
    with pytest.raises(TypeError, match="Raters gives Soft"):
        Trusted(Raters(), 0.1)(masks, x, np.random.default_rng(0))
    with pytest.raises(ValueError, match="one class per example"):
        Trusted(share=0.1, balanced=True)(masks, x, np.random.default_rng(0))
