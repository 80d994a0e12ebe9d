"""MMCE, DCA, MDCA: slow twins, gradients, extremes, identities, and what public copies get wrong."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 4, 9


def example(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def rows(logits):
    out = []
    for row in logits.tolist():
        e = [math.exp(z - max(row)) for z in row]
        out.append([v / sum(e) for v in e])
    return out


def top(logits, y):
    return [(max(p), float(p.index(max(p)) == c)) for p, c in zip(rows(logits), y.tolist())]


def slow_mmce(logits, y, width=0.4):
    pairs = top(logits, y)
    total = sum((c - p) * (d - q) * math.exp(-abs(p - q) / width) for p, c in pairs for q, d in pairs)
    return total / len(pairs) ** 2


def slow_balanced(logits, y, width=0.4):
    """The definition: mean over pairs of right ones, plus over pairs of wrong ones, less twice over mixed pairs."""
    pairs = top(logits, y)
    right, wrong = [p for p, c in pairs if c], [p for p, c in pairs if not c]
    k = lambda p, q: math.exp(-abs(p - q) / width)
    mean = lambda values: sum(values) / len(values) if values else 0.0
    return (
        mean([(1 - p) * (1 - q) * k(p, q) for p in right for q in right])
        + mean([p * q * k(p, q) for p in wrong for q in wrong])
        - 2 * mean([(1 - p) * q * k(p, q) for p in right for q in wrong])
    )


def slow_dca(logits, y):
    pairs = top(logits, y)
    return abs(sum(p for p, _ in pairs) - sum(c for _, c in pairs)) / len(pairs)


def slow_mdca(logits, y):
    p, y = rows(logits), y.tolist()
    return sum(abs(sum(r[c] for r in p) - y.count(c)) / len(y) for c in range(K)) / K


PENALTIES = {
    "squared": (losses.squared_mmce, slow_mmce),
    "mmce": (losses.mmce, lambda z, y: math.sqrt(slow_mmce(z, y))),
    "balanced": (lambda z, t: losses.squared_mmce(z, t, balanced=True), slow_balanced),
    "rooted": (lambda z, t: losses.mmce(z, t, balanced=True), lambda z, y: math.sqrt(slow_balanced(z, y))),
    "wide": (lambda z, t: losses.squared_mmce(z, t, 2.0), lambda z, y: slow_mmce(z, y, 2.0)),
    "dca": (losses.dca, slow_dca),
    "mdca": (losses.mdca, slow_mdca),
}
NAMES = list(PENALTIES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_slow_twin(name, seed):
    fast, slow = PENALTIES[name]
    logits, y = example(seed)
    for target in (y, F.one_hot(y, K).double()):
        value = fast(logits, target)
        assert value.shape == () and float(value) == pytest.approx(slow(logits, y), abs=1e-12)
    places = fast(logits.reshape(3, 3, K), y.reshape(3, 3))
    assert float(places) == pytest.approx(slow(logits, y), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    logits, y = example(4)
    assert torch.autograd.gradcheck(lambda z: PENALTIES[name][0](z, y), logits.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("y", [[0, 0, 2, 3], [1, 0, 1, 1], [0, 1, 0, 0]])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_and_one_sided_batches_stay_finite(name, y, dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0], [-1e4, 1e4, 1e4, 0], [0.0] * 4, [1e4] * 4], dtype=dtype)
    logits.requires_grad_()
    value = PENALTIES[name][0](logits, torch.tensor(y))
    value.backward()
    assert value.dtype == dtype and value.isfinite() and value >= 0 and logits.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_sure_and_right_costs_nothing_and_has_no_slope(name):
    logits = torch.tensor([[1e4, 0, 0, 0], [0, 1e4, 0, 0]], requires_grad=True)
    value = PENALTIES[name][0](logits, torch.tensor([0, 1]))
    value.backward()
    assert float(value) == 0 and not logits.grad.any()


def test_the_balanced_form_divides_once():
    """Three right at 0.9 and three wrong at 0.6. Public copies divide by the counts again: a third of it, rooted."""
    p = torch.tensor([0.9, 0.9, 0.9, 0.6, 0.6, 0.6], dtype=torch.float64)
    logits = torch.stack([p.log(), (1 - p).log()], 1)
    y = torch.tensor([0, 0, 0, 1, 1, 1])
    k = math.exp(-0.3 / 0.4)
    expected = math.sqrt(0.1**2 + 0.6**2 - 2 * 0.1 * 0.6 * k)
    ours = float(losses.mmce(logits, y, balanced=True))
    assert ours == pytest.approx(expected) and ours != pytest.approx(expected / 3)


def test_a_batch_with_one_confidence_has_the_plain_gap_as_mmce():
    """With equal confidences the kernel is 1, and MMCE is |accuracy - confidence|, which is DCA."""
    logits = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64).expand(N, K)
    y = torch.tensor([0] * 4 + [1] * 5)
    assert float(losses.mmce(logits, y)) == pytest.approx(float(losses.dca(logits, y)))


def test_mmce_is_never_negative_and_sees_what_dca_does_not():
    for seed in range(20):
        logits, y = example(seed, scale=5.0)
        assert losses.squared_mmce(logits, y) >= 0 and losses.squared_mmce(logits, y, balanced=True) >= -1e-15
    p = torch.tensor([0.9] * 2 + [0.6] * 2, dtype=torch.float64)  # too unsure at 0.9, too sure at 0.6: even on average
    logits, y = torch.stack([p.log(), (1 - p).log()], 1), torch.tensor([0, 0, 0, 1])
    assert float(losses.dca(logits, y)) == pytest.approx(0) and float(losses.mmce(logits, y)) > 0.01


def test_who_is_right_is_a_constant():
    """The slope of DCA is the slope of mean confidence times the sign of the gap, nothing else."""
    logits, y = example(6)
    logits.requires_grad_()
    (found,) = torch.autograd.grad(losses.dca(logits, y), logits)
    confidence = logits.softmax(1).max(1).values
    sign = torch.sign(confidence.detach().mean() - (logits.argmax(1) == y).double().mean())
    (expected,) = torch.autograd.grad(sign * confidence.mean(), logits)
    torch.testing.assert_close(found, expected)


def test_a_soft_target_counts_as_its_weight_of_the_predicted_class():
    logits, _ = example(7)
    soft = torch.full((N, K), 1 / K, dtype=torch.float64)
    confidence = logits.softmax(1).max(1).values
    torch.testing.assert_close(losses.dca(logits, soft), (confidence - 1 / K).mean())
    torch.testing.assert_close(losses.mdca(logits, soft), (logits.softmax(1).mean(0) - 1 / K).abs().mean())
