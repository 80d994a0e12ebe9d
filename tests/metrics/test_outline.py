from __future__ import annotations

import numpy as np
import pytest
import torch

from labkit.metrics import boundary_f
from labkit.metrics.outline import outline


def slow(said, true, k, tolerance):
    def edge(masks):
        found = set()
        n, h, w = masks.shape
        for i in range(n):
            for r in range(h):
                for c in range(w):
                    if masks[i, r, c] == 0:
                        continue
                    around = [(r - 1, c), (r + 1, c), (r, c - 1), (r, c + 1)]
                    if any(0 <= a < h and 0 <= b < w and masks[i, a, b] != masks[i, r, c] for a, b in around):
                        found.add((i, int(masks[i, r, c]), r, c))
        return found

    a, b = edge(said), edge(true)
    near = lambda e, p: any((i, c) == p[:2] and max(abs(r - p[2]), abs(s - p[3])) <= tolerance for i, c, r, s in e)
    if not a and not b:
        return 1.0
    p = sum(near(b, x) for x in a) / max(len(a), 1)
    r = sum(near(a, x) for x in b) / max(len(b), 1)
    return 2 * p * r / (p + r) if p + r else 0.0


@pytest.mark.parametrize("tolerance", [0, 1, 2])
def test_equals_the_slow_twin_for_any_number_of_runs(tolerance):
    g = torch.Generator().manual_seed(0)
    said, true = (
        torch.randint(0, 3, (4, 2, 6, 7), generator=g) * (torch.rand(4, 2, 6, 7, generator=g) < 0.4) for _ in "ab"
    )
    found = boundary_f(said, true, 3, tolerance)
    expected = [slow(a.numpy(), b.numpy(), 3, tolerance) for a, b in zip(said, true)]
    assert found.shape == (4,) and found.dtype == torch.float64
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)
    torch.testing.assert_close(boundary_f(said, true[0], 3, tolerance)[0], found[0])


def test_fixed_points():
    empty = torch.zeros(2, 5, 5, dtype=torch.long)
    square = empty.clone()
    square[:, 1:4, 1:4] = 1
    assert boundary_f(square, square, 2).item() == 1 and boundary_f(empty, empty, 2).item() == 1
    assert boundary_f(square, empty, 2).item() == 0
    assert boundary_f(2 * square, square, 3).item() == 0  # the right outline of the wrong class
    assert int(outline(square, 2)[0, 0].sum()) == 8 and not outline(square, 2)[0, 0, 2, 2]
    assert not outline(torch.ones(1, 5, 5, dtype=torch.long), 2).any()  # beyond the picture is no other class
    with pytest.raises(ValueError, match="tolerance from 0"):
        boundary_f(square, square, 2, -1)
    with pytest.raises(ValueError, match="two sets of masks"):
        boundary_f(square[0], square[0], 2)
