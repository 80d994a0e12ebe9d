"""Shares of classes around a pixel, the SVLS targets and the NACL penalty, against loops over pixels."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

H, W, K = 5, 6, 3


def masks(seed: int = 0, n: int = 2):
    return torch.randint(0, K, (n, H, W), generator=torch.Generator().manual_seed(seed))


def logits(seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(2, H, W, K, generator=g, dtype=torch.float64)


def hard(mask):
    return F.one_hot(mask, K).double()


def slow_weights(kernel, size, sigma):
    r = size // 2
    square = [(a, b) for a in range(-r, r + 1) for b in range(-r, r + 1)]
    if kernel == "mean":
        return {place: 1 / len(square) for place in square}
    bell = {(a, b): math.exp(-(a * a + b * b) / (2 * sigma**2)) for a, b in square}
    bell[0, 0] = sum(v for place, v in bell.items() if place != (0, 0))
    return {place: v / sum(bell.values()) for place, v in bell.items()}


def slow_shares(mask, kernel, size, sigma):
    """A list of rows of pixels of shares; beyond the image the nearest pixel speaks."""
    found = [[[0.0] * K for _ in range(W)] for _ in range(H)]
    for i in range(H):
        for j in range(W):
            for (a, b), weight in slow_weights(kernel, size, sigma).items():
                found[i][j][mask[min(max(i + a, 0), H - 1)][min(max(j + b, 0), W - 1)]] += weight
    return found


@pytest.mark.parametrize(
    ("kernel", "size", "sigma"), [("mean", 3, 1.0), ("mean", 5, 1.0), ("svls", 3, 1.0), ("svls", 5, 0.7)]
)
def test_shares_equal_the_loop(kernel, size, sigma):
    mask = masks()
    expected = torch.tensor([slow_shares(m, kernel, size, sigma) for m in mask.tolist()], dtype=torch.float64)
    torch.testing.assert_close(losses.neighbour_shares(hard(mask), kernel, size, sigma), expected)


@pytest.mark.parametrize("size", [3, 5, 7])
@pytest.mark.parametrize("sigma", [0.3, 1.0, 4.0])
def test_svls_gives_a_pixel_one_half_of_itself(size, sigma):
    weights = losses.neighbour_kernel("svls", size, sigma)
    assert weights[size // 2, size // 2] == 0.5 and weights.sum().item() == pytest.approx(1, abs=1e-14)
    assert torch.equal(weights, weights.T) and torch.equal(weights, weights.flip(0))


@pytest.mark.parametrize("kernel", ["mean", "svls"])
def test_shares_are_a_distribution_also_at_the_rim(kernel):
    """With zeros around the image, as in the authors' mean kernel, a corner of class 2 would be five ninths class 0."""
    shares = losses.neighbour_shares(hard(torch.full((1, H, W), 2)), kernel)
    torch.testing.assert_close(shares[..., 2], torch.ones(1, H, W, dtype=torch.float64))
    mixed = losses.neighbour_shares(hard(masks(1)), kernel)
    torch.testing.assert_close(mixed.sum(-1), torch.ones(2, H, W, dtype=torch.float64))
    soft = torch.rand(2, H, W, K, generator=torch.Generator().manual_seed(2), dtype=torch.float64).softmax(-1)
    torch.testing.assert_close(losses.neighbour_shares(soft, kernel).sum(-1), torch.ones(2, H, W, dtype=torch.float64))


def test_one_pixel_squares_and_dtypes():
    for kernel in ("mean", "svls"):
        torch.testing.assert_close(losses.neighbour_shares(hard(masks()), kernel, 1), hard(masks()))
    assert losses.neighbour_shares(hard(masks()).float()).dtype == torch.float32
    assert losses.neighbour_shares(hard(masks()[0])).shape == (H, W, K)
    assert losses.svls_target(masks()[None], K).shape == (1, 2, H, W, K)


def test_constant_masks_make_svls_cross_entropy():
    mask, z = torch.ones(2, H, W, dtype=torch.long), logits()
    torch.testing.assert_close(
        losses.cross_entropy(z, losses.svls_target(mask, K).double()), losses.cross_entropy(z, mask)
    )


def test_svls_is_cross_entropy_and_a_constraint_on_logits():
    """``CE(t) = CE(y) + sum_k (1[k = y] - t_k) z_k``, in values and in gradients."""
    mask, z = masks(), logits().requires_grad_()
    target = losses.neighbour_shares(hard(mask), "svls")
    whole = losses.cross_entropy(z, target)
    parts = losses.cross_entropy(z, mask) + ((hard(mask) - target) * z).sum(-1)
    torch.testing.assert_close(whole, parts)
    slopes = [torch.autograd.grad(v.sum(), z, retain_graph=True)[0] for v in (whole, parts)]
    torch.testing.assert_close(*slopes)
    torch.testing.assert_close(slopes[0], (z.softmax(-1) - target).detach())


@pytest.mark.parametrize("power", [1, 2])
def test_the_penalty_equals_the_loop_and_its_slope(power):
    z, shares = logits(3), losses.neighbour_shares(hard(masks()))
    pairs = zip(z.reshape(-1, K).tolist(), shares.reshape(-1, K).tolist())
    expected = [sum(abs(t - v) ** power for v, t in zip(row, around)) / K for row, around in pairs]
    found = losses.neighbour_penalty(z, shares, power)
    assert found.shape == (2, H, W)
    torch.testing.assert_close(found.flatten(), torch.tensor(expected, dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda a: losses.neighbour_penalty(a, shares, power), z.requires_grad_())
    assert losses.neighbour_penalty(shares, shares, power).abs().max() == 0


def test_alone_the_penalty_leaves_a_known_confidence():
    shares = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    assert shares.softmax(-1).max().item() == pytest.approx(math.e / (math.e + K - 1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("power", [1, 2])
def test_extreme_logits_stay_finite(power, dtype):
    z = torch.tensor([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype=dtype, requires_grad=True)
    value = losses.neighbour_penalty(z, torch.full((2, 3), 1 / 3, dtype=dtype), power)
    value.sum().backward()
    assert value.dtype == dtype and value.isfinite().all() and z.grad.isfinite().all()


def test_arguments_are_checked():
    for wrong in (dict(kernel="median"), dict(size=4), dict(sigma=0.0)):
        with pytest.raises(ValueError, match="an odd size and sigma > 0"):
            losses.neighbour_kernel(**wrong)
    with pytest.raises(ValueError, match=r"masks as targets \(..., H, W, K\)"):
        losses.neighbour_shares(masks())
    with pytest.raises(ValueError, match="power is 1"):
        losses.neighbour_penalty(logits(), logits(), 3)


# ---- perturbed labels ----------------------------------------------------------------------------------------------


def binary(seed: int = 0, scale: float = 3.0):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (9,), generator=g)
    return scale * torch.randn(9, 2, generator=g, dtype=torch.float64), F.one_hot(y, 2).double()


def slow_bce(z: float, y: float) -> float:
    s = 1 / (1 + math.exp(-z))
    return -y * math.log(s) - (1 - y) * math.log(1 - s)


@pytest.mark.parametrize("b", [0.0, 0.05, 0.5, 1.0, 2.0])
def test_perturbed_labels_give_binary_cross_entropy_on_theirs(b):
    z, t = binary()
    told = losses.perturbed(t, b)
    torch.testing.assert_close(told[:, 1], (1 - 2 * b) * t[:, 1] + b)
    torch.testing.assert_close(told.sum(-1), torch.ones(9, dtype=torch.float64))
    expected = [slow_bce(float(row[1] - row[0]), (1 - 2 * b) * float(y[1]) + b) for row, y in zip(z, t)]
    torch.testing.assert_close(losses.cross_entropy(z, told), torch.tensor(expected, dtype=torch.float64))


def test_special_strengths():
    _, t = binary(1)
    assert torch.equal(losses.perturbed(t, 0.0), t) and torch.equal(losses.perturbed(t, 1.0), 1 - t)
    assert (losses.perturbed(t, 0.5) == 0.5).all() and sorted(losses.perturbed(t, 2.0)[0].tolist()) == [-1, 2]
    torch.testing.assert_close(losses.perturbed(t, 0.05), losses.smooth(t, 0.1))  # smoothing by 2 b


@pytest.mark.parametrize(("a", "b"), [(0.1, 2.0), (0.2, 1.0), (0.4, 0.5), (1.0, 0.2)])
def test_in_expectation_only_the_product_matters(a, b):
    z, t = binary(2)
    expected = a * losses.cross_entropy(z, losses.perturbed(t, b)) + (1 - a) * losses.cross_entropy(z, t)
    torch.testing.assert_close(expected, losses.cross_entropy(z, losses.perturbed(t, a * b)))


def test_the_signed_logit_is_the_slope_of_the_loss_in_the_rate():
    z, t = binary(3)
    rate = torch.full((9,), 0.1, dtype=torch.float64, requires_grad=True)
    told = (1 - 2 * 2.0 * rate[:, None]) * t + 2.0 * rate[:, None]
    (slope,) = torch.autograd.grad(losses.cross_entropy(z, told).sum(), rate)
    torch.testing.assert_close(losses.signed_logit(z, t), slope / 2.0)
    codes = [
        -2 * slow_bce(float(row[1] - row[0]), float(y[1])) + slow_bce(float(row[1] - row[0]), 0)
        + slow_bce(float(row[1] - row[0]), 1)
        for row, y in zip(z, t)
    ]  # fmt: skip
    torch.testing.assert_close(losses.signed_logit(z, t), torch.tensor(codes, dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_of_two_classes(dtype):
    z = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=dtype, requires_grad=True)
    t = torch.tensor([[1, 0], [1, 0]], dtype=dtype)
    value = losses.cross_entropy(z, losses.perturbed(t, 2.0))
    value.sum().backward()
    assert value.isfinite().all() and z.grad.isfinite().all()
    assert losses.signed_logit(z.detach(), t).tolist() == [2e4, -2e4]


def test_gradients_and_swept_strengths():
    z, t = binary(4)
    assert torch.autograd.gradcheck(lambda a: losses.cross_entropy(a, losses.perturbed(t, 2.0)), z.requires_grad_())
    b = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: losses.cross_entropy(z.detach(), losses.perturbed(t, v)), b)


def test_two_classes_only():
    for call in (lambda t: losses.perturbed(t, 1.0), lambda t: losses.signed_logit(t, t)):
        with pytest.raises(ValueError, match="two classes"):
            call(torch.zeros(4, 3))
