"""Smoothing taken apart, MaxSup, logit penalty: slow twins, gradients, extremes, identities."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 7


def example(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def one_hot(y):
    return F.one_hot(y, K).double()


def slow_ce(row, y):
    return math.log(sum(math.exp(z) for z in row)) - row[y]


def slow_parts(row, y, a):
    r = sum(row[y] - z for z in row if z < row[y])
    e = -sum(z - row[y] for z in row if z > row[y])
    return a / K * r, a / K * e


SLOW = {
    "maxsup": lambda row, y, a: slow_ce(row, y) + a * (max(row) - sum(row) / K),
    "smoothing_without_error_term": lambda row, y, a: slow_ce(row, y) + slow_parts(row, y, a)[0],
    "logit_penalty": lambda row, y, b: slow_ce(row, y) + b / 2 * sum(z * z for z in row),
}
NAMES = sorted(SLOW)


@pytest.mark.parametrize("value", [0.0, 0.1, 1.3])
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_slow_twin(name, value):
    logits, y = example()
    expected = torch.tensor([SLOW[name](z, c, value) for z, c in zip(logits.tolist(), y.tolist())], dtype=torch.float64)
    for target in (y, one_hot(y)):
        torch.testing.assert_close(getattr(losses, name)(logits, target, value), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    logits, y = example(1)
    weight = torch.tensor(0.3, dtype=torch.float64)  # a swept number
    assert torch.autograd.gradcheck(lambda z: getattr(losses, name)(z, one_hot(y), weight), logits.requires_grad_())
    for part in (0, 1):
        assert torch.autograd.gradcheck(lambda z: losses.smoothing_decomposition(z, y, 0.3)[part], logits)  # noqa: B023


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_extreme_logits_stay_finite(name, dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5], dtype=dtype)
    logits.requires_grad_()
    value = getattr(losses, name)(logits, F.one_hot(torch.tensor([1, 0, 2, 3]), K).to(dtype), 0.1)
    value.sum().backward()
    assert value.dtype == dtype and value.isfinite().all() and logits.grad.isfinite().all()


@pytest.mark.parametrize("a", [1.0, 0.1, -0.4])
def test_the_two_terms_add_up_to_what_smoothing_adds(a):
    logits, y = example(2)
    r, e = losses.smoothing_decomposition(logits, y, a)
    expected = [slow_parts(z, c, a) for z, c in zip(logits.tolist(), y.tolist())]
    torch.testing.assert_close(torch.stack([r, e], 1), torch.tensor(expected, dtype=torch.float64))
    z_y = logits.gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(r + e, a * (z_y - logits.mean(1)))
    torch.testing.assert_close(
        losses.cross_entropy(logits, y) + r + e, losses.label_smoothing(logits, one_hot(y), a), rtol=1e-12, atol=1e-12
    )


def test_the_terms_keep_their_signs_and_the_error_term_is_zero_exactly_where_the_label_wins():
    logits, y = example(3)
    logits[0] = 1.0  # all tied: every class is an argmax
    y[1] = logits[1].argmax()
    r, e = losses.smoothing_decomposition(logits, y)
    assert r.shape == e.shape == (N,)  # not (N, N)
    assert (r >= 0).all() and (e <= 0).all()
    wins = logits.gather(1, y[:, None])[:, 0] == logits.max(1).values
    assert torch.equal(e == 0, wins) and 2 <= wins.sum() < N


def test_one_example_alone_and_among_others_and_with_more_axes():
    logits, y = example(4)
    whole = torch.stack(losses.smoothing_decomposition(logits, y))
    alone = torch.cat(
        [torch.stack(losses.smoothing_decomposition(logits[i : i + 1], y[i : i + 1])) for i in range(N)], 1
    )
    torch.testing.assert_close(whole, alone, rtol=0, atol=0)
    dense = torch.stack(losses.smoothing_decomposition(logits.expand(2, N, K), one_hot(y).expand(2, N, K)))
    torch.testing.assert_close(dense, whole[:, None].expand(2, 2, N))
    with pytest.raises(ValueError, match="one weight per logit"):
        losses.smoothing_decomposition(logits, one_hot(y)[:, :3])


def test_maxsup_is_smoothing_where_the_prediction_is_right_and_dearer_elsewhere():
    logits, y = example(5)
    y[:3] = logits[:3].argmax(1)
    a = 0.2
    right = y == logits.argmax(1)
    ours, theirs = losses.maxsup(logits, y, a), losses.label_smoothing(logits, one_hot(y), a)
    torch.testing.assert_close(ours[right], theirs[right])
    z_y = logits.gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(ours - theirs, a * (logits.max(1).values - z_y))
    assert (ours[~right] > theirs[~right]).all() and (~right).any()
    g = [torch.autograd.grad(f(v := logits.clone().requires_grad_()).sum(), v)[0] for f in (
        lambda z: losses.maxsup(z, y, a), lambda z: losses.label_smoothing(z, one_hot(y), a))]  # fmt: skip
    torch.testing.assert_close(g[0][right], g[1][right])
    top = one_hot(logits.argmax(1))
    torch.testing.assert_close(g[0], logits.softmax(1) - one_hot(y) + a * (top - 1 / K))


def test_maxsup_does_not_see_a_shift_and_one_of_equal_maxima_takes_the_gradient():
    logits, y = example(6)
    torch.testing.assert_close(losses.maxsup(logits + 7, y, 0.3), losses.maxsup(logits, y, 0.3))
    tied = torch.zeros(1, K, dtype=torch.float64, requires_grad=True)
    penalty = losses.maxsup(tied, torch.tensor([0]), 1.0) - losses.cross_entropy(tied, torch.tensor([0]))
    (grad,) = torch.autograd.grad(penalty.sum(), tied)
    assert sorted(grad[0].tolist()) == pytest.approx([-1 / K] * (K - 1) + [1 - 1 / K])
    assert losses.logit_penalty(logits + 7, y, 0.3).min() > losses.logit_penalty(logits, y, 0.3).min()


@pytest.mark.parametrize("name", NAMES)
def test_weight_zero_is_cross_entropy(name):
    logits, y = example(7)
    plain = F.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(getattr(losses, name)(logits, one_hot(y), 0.0), plain, rtol=1e-12, atol=1e-12)
