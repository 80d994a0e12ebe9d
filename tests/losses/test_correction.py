"""Corrections with a transition matrix: unbiased by enumeration, reduced to cross entropy, finite where it is hard."""

from __future__ import annotations

import math

import pytest
import torch

from labkit import losses
from labkit.evidence import Labels

K, N = 4, 9
EYE = torch.eye(K, dtype=torch.float64)
T = torch.tensor(
    [[0.7, 0.1, 0.1, 0.1], [0.0, 0.8, 0.2, 0.0], [0.3, 0.1, 0.6, 0.0], [0.25, 0.25, 0.1, 0.4]], dtype=torch.float64
)


def random(seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def backward(z, y, t):
    return losses.backward(z, y, losses.backward_targets(t))


def p_of(row):
    top = max(row)
    e = [math.exp(v - top) for v in row]
    return [v / sum(e) for v in e]


def slow_backward(row, y, t):
    inverse = torch.linalg.inv(torch.tensor(t, dtype=torch.float64)).tolist()
    return sum(-inverse[y][k] * math.log(p) for k, p in enumerate(p_of(row)))


def slow_beta(row, y, t):
    p = p_of(row)
    return p[y] / sum(p[k] * t[k][y] for k in range(K))


def slow_reweighting(row, y, t):
    return -slow_beta(row, y, t) * math.log(p_of(row)[y])


LOSSES = {
    "backward": (backward, slow_backward),
    "importance": (losses.importance, slow_beta),
    "reweighting": (losses.reweighting, slow_reweighting),
    "revision": (losses.revision, slow_reweighting),
}


@pytest.mark.parametrize("name", LOSSES)
def test_equals_the_slow_twin_and_keeps_shape_and_dtype(name):
    fast, slow = LOSSES[name]
    z, y = random()
    expected = [slow(row.tolist(), int(label), T.tolist()) for row, label in zip(z, y)]
    torch.testing.assert_close(fast(z, y, T), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    single = fast(z.float(), y, T)  # the matrix may be more precise than the network
    assert single.dtype == torch.float32 and single.shape == (N,)


@pytest.mark.parametrize("name", ["backward", "importance", "revision"])
def test_gradients(name):
    z, y = random(1)
    t = T.clone().requires_grad_(name != "backward")
    assert torch.autograd.gradcheck(lambda a, b: LOSSES[name][0](a, y, b), (z.requires_grad_(), t))


def test_reweighting_holds_its_weight_constant():
    z, y = random(2)
    weight = losses.importance(z, y, T)
    (grad,) = torch.autograd.grad(losses.reweighting(z.requires_grad_(), y, T).sum(), z)
    torch.testing.assert_close(
        grad, weight[:, None] * (z.detach().softmax(1) - losses.target_of(Labels(y, K), z.dtype))
    )


@pytest.mark.parametrize("name", ["backward", "reweighting", "revision"])
def test_without_noise_it_is_cross_entropy(name):
    z, y = random(3)
    torch.testing.assert_close(LOSSES[name][0](z, y, EYE), losses.cross_entropy(z, y), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(losses.importance(z, y, EYE), torch.ones(N, dtype=torch.float64))
    torch.testing.assert_close(losses.evidence_nll(z, Labels(y, K, EYE)), losses.cross_entropy(z, y))


def all_labels(loss, z, t):
    """``(n, K)``: the loss of every example under every label the annotator could have given."""
    return torch.stack([loss(z, torch.full((len(z),), j), t) for j in range(len(t))], 1)


def test_backward_is_unbiased_whatever_the_true_class():
    z, _ = random(4)
    expected = all_labels(backward, z, T) @ T.T  # [n, i]: sum_j T[i, j] backward(j)
    torch.testing.assert_close(expected, -z.log_softmax(1), rtol=1e-11, atol=1e-11)


def test_reweighting_at_the_true_posterior_is_unbiased():
    """sum_j (T^t eta)_j beta_j CE_j = sum_j eta_j CE_j when the prediction inside beta is eta."""
    z, _ = random(5)
    eta = z.softmax(1)
    risk = ((eta @ T) * all_labels(losses.reweighting, z, T)).sum(1)
    torch.testing.assert_close(risk, losses.entropy(z))


def test_forward_is_lowest_at_the_true_posterior_with_the_entropy_of_the_noisy_one():
    forward = lambda z, y, t: losses.evidence_nll(z, t.mT[y])
    best, _ = random(6)
    noisy = best.softmax(1) @ T
    risk = lambda z: (noisy * all_labels(forward, z, T)).sum(1)
    at = best.clone().requires_grad_()
    (grad,) = torch.autograd.grad(risk(at).sum(), at)
    assert grad.abs().max() < 1e-12
    torch.testing.assert_close(risk(best), -(noisy * noisy.log()).sum(1))
    for seed in range(20):  # T has an inverse, so nothing else is as low
        other = best + random(seed)[0]
        assert (risk(other) > risk(best)).all()


def test_two_classes_are_natarajans_loss():
    """[(1 - e_{1-y}) l(y) - e_y l(1 - y)] / (1 - e0 - e1), e_c the rate at which class c is flipped."""
    e = [0.1, 0.35]
    t = torch.tensor([[1 - e[0], e[0]], [e[1], 1 - e[1]]], dtype=torch.float64)
    z = random(7)[0][:, :2]
    ce = -z.log_softmax(1)
    for y in (0, 1):
        labels = torch.full((N,), y)
        theirs = ((1 - e[1 - y]) * ce[:, y] - e[y] * ce[:, 1 - y]) / (1 - e[0] - e[1])
        torch.testing.assert_close(backward(z, labels, t), theirs)


def test_the_slack_moves_every_example_alike_and_gets_a_gradient():
    """Public code of T-revision adds the slack once more for each example of a batch, or cuts its gradient off."""
    z, y = random(8)
    slack = 0.01 * torch.randn(K, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        losses.revision(z, y, T + slack),
        torch.cat([losses.revision(z[i : i + 1], y[i : i + 1], T + slack) for i in range(N)]),
    )
    slack.requires_grad_()
    (grad,) = torch.autograd.grad(losses.revision(z, y, T + slack).mean(), slack)
    p, expected = z.softmax(1).tolist(), torch.zeros(K, K, dtype=torch.float64)
    matrix = (T + slack).tolist()
    for i in range(N):  # d beta / d T[k, y] = -beta p_k / (T^t p)_y
        said = sum(p[i][k] * matrix[k][y[i]] for k in range(K))
        for k in range(K):
            expected[k, y[i]] += p[i][y[i]] * p[i][k] / said**2 * math.log(p[i][y[i]]) / N
    torch.testing.assert_close(grad, expected)
    assert (grad.abs().sum(0) > 0)[y].all()


def test_a_slack_may_leave_the_simplex():
    z = torch.tensor([[3.0, 0.0, 0.0, -1.0]], dtype=torch.float64)
    t = T.clone()
    t[1, 0] = -0.02
    said = float(z.softmax(1)[0] @ t[:, 0])
    assert float(losses.importance(z, torch.tensor([0]), t)) == pytest.approx(float(z.softmax(1)[0, 0]) / said)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", [*LOSSES, "forward"])
def test_extreme_logits_stay_finite(name, dtype):
    forward = lambda z, y, t: losses.evidence_nll(z, t.mT[y])
    z = torch.tensor(
        [[1e4, -1e4, 0, 0], [-1e4, 1e4, 1e4, 0], [0.0] * 4, [1e4] * 4, [-1e4, -1e4, -1e4, 1e4]], dtype=dtype
    )
    z.requires_grad_()
    y = torch.tensor([1, 0, 2, 3, 2])
    value = forward(z, y, T) if name == "forward" else LOSSES[name][0](z, y, T)
    value.sum().backward()
    assert value.isfinite().all() and z.grad.isfinite().all()


def test_a_weight_of_zero_by_zero_is_its_limit():
    """All belief in class 1, which is never called 0: p_0 / (T^t p)_0 is 0/0 in probabilities, and 1 / T[0, 0]."""
    z = torch.tensor([[0.0, 1e4, -1e4, -1e4]])
    t = T.clone()
    assert float(t[1, 0]) == 0
    assert float(losses.importance(z, torch.tensor([0]), t)) == pytest.approx(1 / 0.7)
    t.requires_grad_()
    (grad,) = torch.autograd.grad(losses.revision(z, torch.tensor([0]), t).sum(), t)
    assert grad.isfinite().all()


def test_a_nearly_singular_matrix_is_finite_and_a_singular_one_refused():
    z, y = random(9)
    nearly = torch.full((K, K), 0.25, dtype=torch.float64) + 1e-6 * (EYE - 0.25)
    value = backward(z, y, nearly)
    assert value.isfinite().all() and value.min() < -1e3  # its condition number shows
    assert losses.reweighting(z, y, nearly).isfinite().all()
    assert losses.evidence_nll(z, nearly.mT[y]).isfinite().all()
    with pytest.raises(ValueError, match="rank 1 of 4"):
        losses.backward_targets(torch.full((K, K), 0.25))
