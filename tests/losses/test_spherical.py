"""Z-loss, Taylor and spherical softmax: slow twins, invariances, and that three numbers are all they see."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from labkit import losses

K, N = 5, 7


def random(seed: int = 0, scale: float = 2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def slow_z(o, y, a, b):
    mean = sum(o) / len(o)
    deviation = math.sqrt(sum((v - mean) ** 2 for v in o) / len(o))
    return math.log(1 + math.exp(a * (b - (o[y] - mean) / deviation))) / a


def slow_share(o, y, of):
    return -math.log(of(o[y]) / sum(of(v) for v in o))


LOSSES = {
    "z": (losses.z_loss, lambda o, y: slow_z(o, y, 1.0, 0.0)),
    "z 5 1": (lambda o, t: losses.z_loss(o, t, 5.0, 1.0), lambda o, y: slow_z(o, y, 5.0, 1.0)),
    "taylor": (losses.taylor_softmax, lambda o, y: slow_share(o, y, lambda v: 1 + v + v * v / 2)),
    "spherical": (
        lambda o, t: losses.spherical_softmax(o, t, 0.01),
        lambda o, y: slow_share(o, y, lambda v: v * v + 0.01),
    ),
}


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin(name):
    fast, slow = LOSSES[name]
    outputs, y = random()
    expected = torch.tensor([slow(o.tolist(), int(c)) for o, c in zip(outputs, y)], dtype=torch.float64)
    torch.testing.assert_close(fast(outputs, y), expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(fast(outputs, F.one_hot(y, K).double()), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_dtype_and_shape(name):
    fast, _ = LOSSES[name]
    outputs, y = random(1)
    assert torch.autograd.gradcheck(lambda o: fast(o, y), outputs.requires_grad_())
    value = fast(outputs.detach().float(), y)
    assert value.dtype == torch.float32 and value.shape == (N,)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", LOSSES)
def test_extreme_outputs_stay_finite(name, dtype):
    fast, _ = LOSSES[name]
    rows = [[1e4, -1e4, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [-1.0] * 5, [0.0] * 5, [1e4] * 5, [1e-12, 0, 0, 0, 0]]
    outputs = torch.tensor(rows, dtype=dtype).requires_grad_()
    value = fast(outputs, torch.tensor([0, 1, 0, 2, 3, 4]))
    value.sum().backward()
    assert value.isfinite().all() and outputs.grad.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_only_the_sum_the_sum_of_squares_and_the_labels_output_count(name):
    fast, _ = LOSSES[name]
    y = torch.tensor([0])
    rest = torch.tensor([1.0, -2.0, 0.5, 3.0], dtype=torch.float64)
    spread = rest - rest.mean()
    turned = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    turned = rest.mean() + turned * spread.norm() / turned.norm()  # other numbers, same sum and sum of squares
    assert (turned.sum() - rest.sum()).abs() < 1e-12 and (turned**2).sum() == pytest.approx(float((rest**2).sum()))
    one, other = (torch.cat([torch.tensor([0.7], dtype=torch.float64), r])[None] for r in (rest, turned))
    torch.testing.assert_close(fast(one, y), fast(other, y), rtol=1e-12, atol=1e-12)
    assert (losses.cross_entropy(one, y) - losses.cross_entropy(other, y)).abs() > 0.05  # cross entropy sees more


def test_z_scores_are_blind_to_shift_and_scale_and_bounded():
    outputs, y = random(2)
    for s, t in ((3.0, -1.0), (1e-8, 0.0), (1e8, 7.0)):
        torch.testing.assert_close(losses.z_loss(s * outputs + t, y), losses.z_loss(outputs, y), rtol=1e-7, atol=1e-7)
    assert losses.z_scores(outputs).mean(-1).abs().max() < 1e-12
    assert losses.z_scores(outputs).var(-1, correction=0).tolist() == pytest.approx([1.0] * N)
    peak = torch.tensor([[1.0, 0, 0, 0, 0]], dtype=torch.float64)
    assert float(losses.z_scores(peak)[0, 0]) == pytest.approx(math.sqrt(K - 1))
    floor = math.log(1 + math.exp(-2 * (math.sqrt(K - 1) - 0.5))) / 2
    assert float(losses.z_loss(peak, torch.tensor([0]), 2.0, 0.5)) == pytest.approx(floor)
    assert (losses.z_loss(outputs, y, 2.0, 0.5) > floor).all()


def test_equal_outputs_have_no_direction():
    outputs = torch.full((1, K), 3.0, dtype=torch.float64, requires_grad=True)
    value = losses.z_loss(outputs, torch.tensor([1]), 2.0, 0.5)
    assert value.item() == pytest.approx(math.log(1 + math.exp(1.0)) / 2)
    assert (torch.autograd.grad(value.sum(), outputs)[0] == 0).all()


def test_what_stands_for_logits_gives_the_probabilities():
    outputs, y = random(3)
    torch.testing.assert_close(losses.cross_entropy(losses.taylor_log(outputs), y), losses.taylor_softmax(outputs, y))
    spherical = losses.spherical_softmax(outputs, y, 0.1)
    torch.testing.assert_close(losses.cross_entropy(losses.spherical_log(outputs, 0.1), y), spherical)
    torch.testing.assert_close(losses.spherical_softmax(-outputs, y, 0.1), spherical)  # blind to the sign
