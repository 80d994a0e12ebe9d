"""The push on the largest logit and the variance of gradients: against formulas, slow loops and drawn labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import functional_call, jacrev

import labkit as lk
from labkit.metrics import gradient_variance, max_logit_suppression
from labkit.streams import generator


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(generator(seed, "data", *shape).normal(0, 1, shape))


def labels_of(*shape: int, classes: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(generator(seed, "annotation", *shape).integers(0, classes, shape))


# The largest logit ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", [0.0, 0.1, 0.3])
def test_suppression_is_a_times_right_minus_one_over_k(a):
    z, y = 3 * random(4, 60, 5), labels_of(4, 60, classes=5)
    right = (z.argmax(-1) == y).double()
    torch.testing.assert_close(max_logit_suppression(z, y, a), a * (right - 1 / 5), rtol=0, atol=1e-14)


def test_suppression_averages_to_the_posterior():
    z, posterior = random(40, 4), random(40, 4, seed=1).softmax(-1)
    mean = sum(posterior[:, c] * max_logit_suppression(z, torch.full((40,), c), 0.2) for c in range(4))
    right = posterior.gather(-1, z.argmax(-1, keepdim=True)).squeeze(-1)
    torch.testing.assert_close(mean, 0.2 * (right - 1 / 4), rtol=0, atol=1e-14)


def test_suppression_axes_types_and_extremes():
    z, y = random(2, 3, 20, 4), labels_of(20, classes=4)
    whole = max_logit_suppression(z.float(), y, 0.1)
    assert whole.shape == (2, 3, 20) and whole.dtype == torch.float64
    assert max_logit_suppression(1e4 * z, y, 0.1).isfinite().all()
    z[1, 0, 0, 0] = math.nan
    assert max_logit_suppression(z, y, 0.1).isnan().all(-1).tolist() == [[False] * 3, [True, False, False]]


# Variance ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def case():
    """A tiny network with every kind of randomness: module, weights, inputs, posterior, all float64."""
    data = lk.load("gaussians", n=40, classes=3, dimensions=4)
    module = lk.models.initialised(lk.models.MLP(hidden=(5,)), data).double()
    params = {k: v.detach() for k, v in module.named_parameters()}
    return module, params, data.x[:13].double(), data.posterior[:13]


def flat_gradient(module, params, x, label, smoothing):
    """Gradient of one example's smoothed loss with the slow tools: backward on written-out arithmetic."""
    weights = {k: v.clone().requires_grad_() for k, v in params.items()}
    logits = functional_call(module, weights, (x[None],))[0]
    log_p = logits - logits.exp().sum().log()
    k = len(logits)
    loss = -sum(((1 - smoothing) * (c == label) + smoothing / k) * log_p[c] for c in range(k))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(weights.values()))])


@pytest.mark.parametrize("a", [0.0, 0.4])
def test_variance_is_that_of_every_example_and_label(case, a):
    module, params, x, posterior = case
    rows, weights = [], []
    for i in range(13):
        for c in range(3):
            rows.append(flat_gradient(module, params, x[i], c, a))
            weights.append(posterior[i, c] / 13)
    g, w = torch.stack(rows), torch.stack(weights)
    centre = (w[:, None] * g).sum(0)
    total = (w * (g - centre).square().sum(1)).sum()
    found = gradient_variance(module, params, x, posterior, a, piece=5)
    torch.testing.assert_close(found.total, total)
    torch.testing.assert_close(found.square, centre.square().sum())
    torch.testing.assert_close(found.labels + found.inputs, found.total)
    by_input = g.reshape(13, 3, -1)
    own = (posterior[..., None] * by_input).sum(1, keepdim=True)
    torch.testing.assert_close(found.labels, (posterior * (by_input - own).square().sum(-1)).sum(1).mean())


@pytest.mark.parametrize("a", [0.1, 0.4, 0.9, 1.0])
def test_smoothing_scales_the_label_part_by_one_minus_a_squared(case, a):
    plain, smoothed = gradient_variance(*case), gradient_variance(*case, smoothing=a)
    torch.testing.assert_close(smoothed.labels, (1 - a) ** 2 * plain.labels, rtol=1e-12, atol=1e-25)
    assert not torch.isclose(smoothed.inputs, (1 - a) ** 2 * plain.inputs, rtol=1e-3)


def test_the_label_part_is_the_jacobian_times_the_covariance_of_the_label(case):
    module, params, x, posterior = case
    expected = 0.0
    for one, q in zip(x, posterior):
        jacobian = jacrev(lambda w: functional_call(module, w, (one[None],))[0])(params)  # noqa: B023
        rows = torch.cat([j.flatten(1) for j in jacobian.values()], 1)
        expected += torch.trace(rows.T @ (torch.diag(q) - torch.outer(q, q)) @ rows).item() / 13
    assert gradient_variance(*case).labels.item() == pytest.approx(expected, rel=1e-12)


def test_drawn_examples_have_that_variance(case):
    module, params, x, posterior = case
    rng = generator(5, "data")
    index = rng.integers(0, 13, 4000)
    rows = torch.stack([torch.stack([flat_gradient(module, params, one, c, 0.2) for c in range(3)]) for one in x])
    drawn = (rng.random((4000, 1)) > posterior.numpy().cumsum(1)[index]).sum(1).clip(max=2)
    sample = rows[torch.from_numpy(index), torch.from_numpy(drawn)]
    assert sample.var(0).sum().item() == pytest.approx(gradient_variance(*case, smoothing=0.2).total.item(), rel=0.05)


def test_certain_labels_leave_only_the_inputs(case):
    module, params, x, posterior = case
    certain = torch.nn.functional.one_hot(posterior.argmax(-1), 3).double()
    found = gradient_variance(module, params, x, certain)
    assert found.labels.item() == 0 and found.inputs > 0
    one = gradient_variance(module, params, x[:1], posterior[:1])
    assert one.inputs.item() == 0 and one.labels > 0


def test_errors(case):
    module, params, x, posterior = case
    with pytest.raises(ValueError, match=r"posterior: got shape \(12, 3\)"):
        gradient_variance(module, params, x, posterior[:12])
    with pytest.raises(TypeError, match="posterior must be a floating-point tensor"):
        gradient_variance(module, params, x, posterior.argmax(-1))
