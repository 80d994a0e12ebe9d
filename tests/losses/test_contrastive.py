from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

B = 6
CONCEPT = torch.tensor([0, 1, 0, 2, 1, 0])


def similarity(seed=0):
    return 3 * torch.randn(B, B, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slow(s, t):
    """Per pair, rows and columns by hand."""
    out = []
    for i in range(B):
        row = math.log(sum(math.exp(s[i][j]) for j in range(B)))
        column = math.log(sum(math.exp(s[j][i]) for j in range(B)))
        out.append(sum(-t[i][j] * (s[i][j] - row) for j in range(B)) / 2
                   + sum(-t[j][i] * (s[j][i] - column) for j in range(B)) / 2)  # fmt: skip
    return torch.tensor(out, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["identity", "uniform", "concept"])
def test_equals_the_slow_twin(kind):
    target = losses.pair_targets(CONCEPT, 0.3, kind, torch.float64)
    s = similarity()
    torch.testing.assert_close(losses.contrastive(s, target), slow(s.tolist(), target.tolist()))
    lopsided = torch.rand(B, B, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    torch.testing.assert_close(losses.contrastive(s, lopsided), slow(s.tolist(), lopsided.tolist()))
    assert torch.autograd.gradcheck(lambda z: losses.contrastive(z, target), s.requires_grad_())


def test_targets_by_hand():
    uniform = losses.pair_targets(CONCEPT, 0.3, "uniform", torch.float64)
    concept = losses.pair_targets(CONCEPT, 0.3, "concept", torch.float64)
    counts = {0: 3, 1: 2, 2: 1}
    for i in range(B):
        for j in range(B):
            own = 0.7 * (i == j)
            assert float(uniform[i, j]) == pytest.approx(own + 0.3 / B)
            alike = bool(CONCEPT[i] == CONCEPT[j])
            assert float(concept[i, j]) == pytest.approx(own + 0.3 * alike / counts[int(CONCEPT[i])])
    for target in (uniform, concept):
        torch.testing.assert_close(target.sum(1), torch.ones(B, dtype=torch.float64))
        torch.testing.assert_close(target, target.mT)


def test_no_smoothing_and_no_duplicates_are_the_hard_loss():
    s, labels = similarity(1), torch.arange(B)
    hard = (F.cross_entropy(s, labels) + F.cross_entropy(s.mT, labels)) / 2
    for kind, concept, a in (("identity", CONCEPT, 0.5), ("uniform", CONCEPT, 0.0), ("concept", CONCEPT, 0.0),
                             ("concept", labels, 0.7)):  # fmt: skip
        target = losses.pair_targets(concept, a, kind, torch.float64)
        torch.testing.assert_close(losses.contrastive(s, target).mean(), hard)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_dtype_and_shape(dtype):
    s = torch.zeros(B, B, dtype=dtype).fill_diagonal_(1e4).index_fill(0, torch.tensor([1]), -1e4).requires_grad_()
    value = losses.contrastive(s, losses.pair_targets(CONCEPT, torch.tensor(0.2, dtype=dtype), "concept", dtype))
    value.sum().backward()
    assert value.shape == (B,) and value.dtype == dtype
    assert value.isfinite().all() and s.grad.isfinite().all()


def test_unknown_targets():
    with pytest.raises(ValueError, match="identity, uniform or concept, got 'soft'"):
        losses.pair_targets(CONCEPT, 0.1, "soft")
