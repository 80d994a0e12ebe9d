"""The diffusion index against a slow twin, and the cases whose sign and size are known."""

from __future__ import annotations

import math

import pytest
import torch

from labkit.metrics import class_centroids, diffusion_index, nearest_classes, relative_distances

GROUPS = torch.tensor([0, 0, 1, 1, 1])
SIMILAR = (GROUPS[:, None] == GROUPS) & ~torch.eye(5, dtype=torch.bool)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow_index(reference, centroids, similar):
    """The definition in loops over floats."""
    K = len(reference)

    def relative(m):
        d = [[math.dist(m[a], m[b]) for b in range(K)] for a in range(K)]
        scale = sum(d[a][b] for a in range(K) for b in range(a)) / (K * (K - 1) / 2)
        return [[v / scale for v in row] for row in d]

    one, hot = relative(reference), relative(centroids)
    found = []
    for c in range(K):
        near, far = [], []
        for other in range(K):
            if other != c:
                (near if similar[c][other] else far).append((one[c][other] - hot[c][other]) / one[c][other])
        found.append(sum(near) / len(near) - sum(far) / len(far))
    return found


def test_equals_the_slow_twin_for_each_run():
    reference, centroids = random(3, 5, 4), random(3, 5, 7, seed=1)  # the widths may differ
    got = diffusion_index(reference, centroids, SIMILAR)
    assert got.shape == (3, 5) and got.dtype == torch.float64
    for run in range(3):
        expected = slow_index(reference[run].tolist(), centroids[run].tolist(), SIMILAR.tolist())
        torch.testing.assert_close(got[run], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(got[run], diffusion_index(reference[run], centroids[run], SIMILAR))
    each = torch.stack([SIMILAR, ~SIMILAR, SIMILAR])  # similar classes per run; the diagonal is not read
    torch.testing.assert_close(diffusion_index(reference, centroids, each)[1], -got[1])


def test_nothing_moved_or_everything_alike_is_zero():
    m = random(5, 4)
    zero = torch.zeros(5, dtype=torch.float64)
    assert torch.equal(diffusion_index(m, m, SIMILAR), zero)
    turn = torch.linalg.qr(random(4, 4, seed=2)).Q
    torch.testing.assert_close(diffusion_index(m, 7 * m @ turn + 3, SIMILAR), zero, rtol=0, atol=1e-12)


def test_positive_towards_similar_classes_negative_away():
    m = random(5, 4)
    centres = torch.stack([m[g == GROUPS].mean(0) for g in (0, 1)])[GROUPS]
    towards, away = (centres + share * (m - centres) for share in (0.5, 1.5))
    assert (diffusion_index(m, towards, SIMILAR) > 0.1).all()
    assert (diffusion_index(m, away, SIMILAR) < -0.05).all()


def test_by_hand():
    line = lambda *at: torch.tensor(at, dtype=torch.float64)[:, None]
    index = diffusion_index(line(0, 2, 4), line(0, 1, 4), torch.tensor([[0, 1, 0], [1, 0, 0], [0, 0, 0]]).bool())
    # mean pair distance 8/3 before and after: 0-1 goes 2 -> 1 (half its way lost), 0-2 stays, 1-2 goes 2 -> 3
    assert index[:2].tolist() == pytest.approx([0.5 - 0.0, 0.5 - (-0.5)], rel=1e-14)
    assert index[2].isnan()  # it has no similar class


def test_centroids_are_means_and_absent_classes_nan():
    x, y = random(2, 30, 3), torch.arange(30) % 4
    got = class_centroids(x, y, 5)
    for run in range(2):
        for c in range(4):
            torch.testing.assert_close(got[run, c], x[run][y == c].mean(0))
    assert got[:, 4].isnan().all() and got.shape == (2, 5, 3)
    m = random(2, 5, 4)
    m[0, 1, 2] = math.nan  # a run that diverged says nothing, and nothing about the other
    index = diffusion_index(random(2, 5, 4, seed=1), m, SIMILAR)
    assert index[0].isnan().all() and index[1].isfinite().all()


def test_relative_distances_have_mean_one():
    d = relative_distances(random(3, 5, 4))
    torch.testing.assert_close(d.sum((1, 2)) / 20, torch.ones(3, dtype=torch.float64))
    assert torch.equal(d, d.mT) and not d.diagonal(dim1=1, dim2=2).any()


def test_nearest_classes_by_hand():
    near = nearest_classes(torch.tensor([[0.0], [1.0], [3.0]]), 1)
    assert near.tolist() == [[False, True, False], [True, False, False], [False, True, False]]
    with pytest.raises(ValueError, match=r"count must lie in 1\.\.2"):
        nearest_classes(torch.zeros(3, 1), 3)


def test_errors():
    m = random(5, 4)
    with pytest.raises(ValueError, match="same runs and classes"):
        diffusion_index(m[:4], m, SIMILAR)
    with pytest.raises(TypeError, match="bool tensor"):
        diffusion_index(m, m, SIMILAR.double())
    with pytest.raises(ValueError, match=r"similar: got shape \(4, 4\), expected \(5, 5\)"):
        diffusion_index(m, m, SIMILAR[:4, :4])
    with pytest.raises(ValueError, match="at least 3 classes, got 2"):
        diffusion_index(m[:2], m[:2], SIMILAR[:2, :2])
