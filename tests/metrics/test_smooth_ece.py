"""Smooth ECE against a sum over mirror images, its fixed point, the peer, and the peer's known error."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from test_calibration import ADVERSARIAL, binary, example, top

from labkit.metrics import ece, ks_error, smooth_ece

relplot = pytest.importorskip("relplot")

GRID = (np.arange(4_000) + 0.5) / 4_000  # midpoints of the integral


def slow(scores: list[float], hits: list[int], s: float) -> float:
    """The integral by the midpoint rule, the Gaussian reflected at both ends as often as it reaches."""
    inside = np.zeros_like(GRID)
    reach = int(np.ceil(8 * s)) + 1
    for f, y in zip(scores, hits):
        for image in range(-reach, reach + 1):
            for place in (2 * image + f, 2 * image - f):
                inside += (y - f) * np.exp(-0.5 * ((GRID - place) / s) ** 2) / (s * np.sqrt(2 * np.pi))
    return float(np.abs(inside / len(scores)).mean())


@pytest.mark.parametrize("case", [c for c in ADVERSARIAL if c != "random"])
def test_slow_twin(case):
    logits, labels = ADVERSARIAL[case]
    logits, labels = logits[:20], labels[:20]
    for s in (0.02, 0.1, 0.3, 1.0):
        assert smooth_ece(logits, labels, s).item() == pytest.approx(slow(*top(logits, labels), s), abs=1e-5)


@pytest.mark.parametrize("case", ADVERSARIAL)
def test_the_fixed_point(case):
    logits, labels = ADVERSARIAL[case]
    value = smooth_ece(logits, labels).item()
    if value > 0:
        assert smooth_ece(logits, labels, value).item() == pytest.approx(value, abs=3e-7)
    widths = torch.linspace(0.01, 1, 12).tolist()
    errors = [smooth_ece(logits, labels, s).item() for s in widths]
    assert all(a >= b - 1e-5 for a, b in pairwise(errors))  # never rises with the width


def test_the_peer():
    """Its search ends at a step of 0.001, and its kernel is a little wrong: see below."""
    for seed in range(3):
        logits, labels = example(300, 4, seed=seed)
        f, y = (np.asarray(v, float) for v in top(logits, labels))
        assert smooth_ece(logits, labels).item() == pytest.approx(float(relplot.smECE(f, y)), abs=2e-3)
        theirs = float(relplot.smECE_sigma(f, y, 0.05))
        assert smooth_ece(logits, labels, 0.05).item() == pytest.approx(theirs, abs=1e-3)


def test_where_the_peer_is_wrong():
    """It cuts the Gaussian off at 0.5 and reflects once, which loses the tails of a wide one."""
    logits, labels = example(60, 2, seed=5)
    f, y = top(logits, labels)
    theirs = float(relplot.smECE_sigma(np.asarray(f), np.asarray(y, float), 0.3))
    exact = slow(f, y, 0.3)
    assert abs(theirs - exact) > 0.03 * exact
    assert smooth_ece(logits, labels, 0.3).item() == pytest.approx(exact, abs=5e-6)


def test_a_width_of_one_leaves_the_mean():
    """A wide Gaussian forgets where the residuals are: |mean residual| remains, the least of all these errors."""
    logits, labels = example(200, 3)
    f, y = top(logits, labels)
    assert smooth_ece(logits, labels, 1.0).item() == pytest.approx(abs(sum(f) - sum(y)) / len(f), abs=5e-3)
    assert smooth_ece(logits, labels, 1.0) >= abs(sum(f) - sum(y)) / len(f) - 1e-6


def test_continuity_that_bins_do_not_have():
    """Right at an edge: confidences of 0.6 - e (all right) and 0.6 + e (two in ten right), e = 0.001."""
    for e, jump in ((0.001, 0.4), (-0.001, 0.4)):
        logits = binary([0.6 - e] * 10 + [0.6 + e] * 10)
        labels = torch.tensor([0] * 10 + [0] * 2 + [1] * 8)
        assert ece(logits, labels, 15).item() == pytest.approx(jump, abs=2e-3)
        assert ece(logits, labels, 2).item() == pytest.approx(0.0, abs=2e-3)
        assert smooth_ece(logits, labels).item() < 0.05


def test_sure_and_right_is_zero():
    logits = torch.eye(3).repeat(4, 1) * 1e4
    assert smooth_ece(logits, torch.arange(3).repeat(4)).item() == 0.0
    assert smooth_ece(logits, (torch.arange(3).repeat(4) + 1) % 3).item() == pytest.approx(1, abs=1e-5)


def test_many_runs_of_few_examples():
    logits, labels = example(2, 2)
    many = smooth_ece(logits.expand(20, 2, 2), labels)
    assert many.shape == (20,) and (many == many[0]).all()
    assert many[0] >= ks_error(logits, labels) / 10


def test_errors():
    logits, labels = example(10, 3)
    for bandwidth in (0, -0.1, 1.5):
        with pytest.raises(ValueError, match=r"in \(0, 1\], got"):
            smooth_ece(logits, labels, bandwidth)
