"""Ordinal targets against hand-written rows, and the weights of pixels against a double loop."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from labkit import losses
from labkit.losses import ordinal as o

K, N = 5, 6
DOUBLE = dict(dtype=torch.float64)
FAR = (3, 5, 2, 4, 1)


def slow_row(y, ranks, distance, alpha):
    phi = {
        "l1": lambda a, b: abs(alpha * (a - b)),
        "l2": lambda a, b: (alpha * (a - b)) ** 2,
        "logl2": lambda a, b: (alpha * (math.log(a) - math.log(b))) ** 2,
    }[distance]
    e = [math.exp(-phi(ranks[y], r)) for r in ranks]
    return [v / sum(e) for v in e]


@pytest.mark.parametrize("ranks", [K, (1, 2, 4, 7, 11), FAR])
@pytest.mark.parametrize("distance", list(o.DISTANCES))
@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0])
def test_rows_are_the_formula(ranks, distance, alpha):
    values = range(1, K + 1) if ranks == K else ranks
    expected = [slow_row(y, list(values), distance, alpha) for y in range(K)]
    table = o.ordinal_targets(ranks, distance, alpha, **DOUBLE)
    torch.testing.assert_close(table, torch.tensor(expected, **DOUBLE), rtol=1e-12, atol=1e-15)
    swept = o.ordinal_targets(ranks, distance, torch.tensor(alpha, **DOUBLE), **DOUBLE)
    assert torch.equal(table, swept)


def test_the_published_numbers_of_the_gaussian_kernel():
    table = o.gaussian_targets(5, 0.5, **DOUBLE)
    assert table[0, :3].tolist() == pytest.approx([0.881, 0.119, 0.0003], abs=5e-4)
    assert table[2, 2:].tolist() == pytest.approx([0.787, 0.106, 0.0003], abs=5e-4)
    for y in range(5):
        weight = [math.exp(-((k - y) ** 2) / (2 * 0.5**2)) for k in range(5)]
        assert table[y].tolist() == pytest.approx([w / sum(weight) for w in weight], rel=1e-12)


def test_gaussian_is_squared_sord():
    for sigma in (0.3, 0.5, 2.0):
        twin = o.ordinal_targets(K, "l2", 1 / (sigma * math.sqrt(2)), **DOUBLE)
        torch.testing.assert_close(o.gaussian_targets(K, sigma, **DOUBLE), twin)


def test_limits_are_one_hot_and_uniform():
    eye, flat = torch.eye(K, **DOUBLE), torch.full((K, K), 1 / K, **DOUBLE)
    torch.testing.assert_close(o.ordinal_targets(K, "l1", 50.0, **DOUBLE), eye)
    torch.testing.assert_close(o.ordinal_targets(K, "l2", 0.0, **DOUBLE), flat)
    assert torch.equal(o.adjacent_targets(K, 0.0, **DOUBLE), eye)


def test_symmetric_where_the_levels_are():
    for distance in ("l1", "l2"):
        table = o.ordinal_targets(K, distance, 1.0, **DOUBLE)
        torch.testing.assert_close(table, table.flip(0, 1))
        torch.testing.assert_close(table[2], table[2].flip(0))  # the middle level sees both sides alike
    log = o.ordinal_targets(K, "logl2", 1.0, **DOUBLE)
    assert (log[2, 3] > log[2, 1]).item()  # on a log scale 4 is nearer to 3 than 2 is


@pytest.mark.parametrize("table", [lambda r: o.ordinal_targets(r, "l2", 1.0, **DOUBLE),
                                   lambda r: o.adjacent_targets(r, 0.3, **DOUBLE)])  # fmt: skip
def test_an_order_permutes_rows_and_columns(table):
    place = torch.tensor(FAR) - 1
    torch.testing.assert_close(table(FAR), table(K)[place][:, place])


def test_adjacent_rows():
    a = o.adjacent_targets(4, 0.2, **DOUBLE)
    expected = [[0.8, 0.2, 0, 0], [0.1, 0.8, 0.1, 0], [0, 0.1, 0.8, 0.1], [0, 0, 0.2, 0.8]]
    torch.testing.assert_close(a, torch.tensor(expected, **DOUBLE))
    assert torch.equal(a, o.adjacent_targets((1, 10, 11, 99), 0.2, **DOUBLE))  # only the order of ranks counts


def data(seed=0):
    g = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(N, K, generator=g, **DOUBLE), torch.randint(0, K, (N,), generator=g)


def test_loss_is_the_slow_twin_and_the_identity_table_is_cross_entropy():
    logits, y = data()
    hard = torch.nn.functional.one_hot(y, K).double()
    table = o.ordinal_targets(K, "l1", 0.7, **DOUBLE)
    expected = []
    for row, label in zip(logits.tolist(), y.tolist()):
        lse = math.log(sum(math.exp(z) for z in row))
        expected.append(-sum(t * (z - lse) for t, z in zip(slow_row(label, range(1, K + 1), "l1", 0.7), row)))
    ours = o.ordinal_cross_entropy(logits, hard, table)
    torch.testing.assert_close(ours, torch.tensor(expected, **DOUBLE), rtol=1e-12, atol=1e-12)
    plain = torch.nn.functional.cross_entropy(logits, y, reduction="none")
    torch.testing.assert_close(o.ordinal_cross_entropy(logits, hard, torch.eye(K)), plain)
    uniform = o.ordinal_cross_entropy(logits, hard, losses.smooth(torch.eye(K, **DOUBLE), 0.2))
    torch.testing.assert_close(uniform, losses.label_smoothing(logits, hard, 0.2))


def test_gradient_is_prediction_less_target():
    logits, y = data(1)
    hard, table = torch.nn.functional.one_hot(y, K).double(), o.gaussian_targets(K, **DOUBLE)
    assert torch.autograd.gradcheck(lambda z: o.ordinal_cross_entropy(z, hard, table), logits.requires_grad_())
    (grad,) = torch.autograd.grad(o.ordinal_cross_entropy(logits, hard, table).sum(), logits)
    torch.testing.assert_close(grad, logits.detach().softmax(-1) - table[y])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_and_shapes_of_pixels(dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0]], dtype=dtype, requires_grad=True)
    loss = o.ordinal_cross_entropy(logits, torch.eye(K, dtype=dtype)[:2], o.ordinal_targets(K, "l1", 1.0))
    loss.sum().backward()
    assert loss.dtype == dtype and loss.isfinite().all() and logits.grad.isfinite().all()
    pixels = torch.zeros(2, 7, K, dtype=dtype)
    assert o.ordinal_cross_entropy(pixels, torch.eye(K, dtype=dtype)[0].expand(2, 7, K), torch.eye(K)).shape == (2, 7)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 3.0])
def test_matching_smoothing_has_the_mean_entropy_of_the_rows(alpha):
    table = o.ordinal_targets(K, "l2", alpha, **DOUBLE)
    entropy = lambda t: -sum(v * math.log(v) for v in t if v > 0)
    a = o.matching_smoothing(table)
    rows = [entropy(row) for row in table.tolist()]
    assert entropy(losses.smooth(torch.eye(K, **DOUBLE)[0], a).tolist()) == pytest.approx(sum(rows) / K, abs=1e-9)
    assert o.matching_smoothing(torch.eye(K)) == 0.0
    assert o.matching_smoothing(torch.full((K, K), 1 / K)) == pytest.approx(1.0, abs=1e-3)


def slow_weights(mask):
    h, w = mask.shape
    border = [(i, j) for i in range(h) for j in range(w) for a, b in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1))
              if 0 <= a < h and 0 <= b < w and mask[a][b] != mask[i][j]]  # fmt: skip
    weight = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            near = min((math.dist((i, j), b) for b in border), default=math.inf)
            depth = i / h
            weight[i, j] = depth * (1 - math.exp(-near / (1 + 30 * (1 - depth**2) ** 2)))
    low, high = weight.min(), weight.max()
    return 0.1 + 0.9 * (weight - low) / (high - low)


@pytest.mark.parametrize("seed", range(3))
def test_driveability_weights_are_the_slow_twin(seed):
    rng = np.random.default_rng(seed)
    mask = (np.add.outer(np.arange(12), rng.integers(0, 3, 9)) > 6).astype(int) + (np.arange(9) > 6)
    np.testing.assert_allclose(o.driveability_weights(mask).numpy(), slow_weights(mask), rtol=1e-12)
    np.testing.assert_allclose(o.driveability_weights(torch.from_numpy(mask)), slow_weights(mask), rtol=1e-12)


def test_driveability_weights_grow_downwards_and_away_from_borders():
    mask = np.zeros((20, 30), int)
    mask[:, 15:] = 1
    w = o.driveability_weights(mask)
    assert w.min() == pytest.approx(0.1) and w.max() == pytest.approx(1.0)
    assert (w[1:, 0] > w[:-1, 0]).all() and (w[-1, :14].diff() < 0).all()
    plain = o.driveability_weights(np.zeros((4, 5)))  # no border anywhere: depth alone
    torch.testing.assert_close(plain[:, 0], torch.linspace(0.1, 1, 4, **DOUBLE))
    assert torch.equal(o.driveability_weights(np.zeros((1, 5))), torch.ones(1, 5, **DOUBLE))


@pytest.mark.parametrize(("call", "message"), [
    (lambda: o.ordinal_targets(1), "at least two classes"), (lambda: o.ordinal_targets((1, 1, 2)), "rank of its own"),
    (lambda: o.ordinal_targets(3, "l3"), "unknown distance 'l3'"),
    (lambda: o.ordinal_targets((0, 1), "logl2"), "above 0"),
    (lambda: o.driveability_weights(np.zeros((2, 3, 4))), r"shape \(H, W\)")])  # fmt: skip
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
