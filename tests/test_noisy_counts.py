"""Noisy counts against enumeration."""

from __future__ import annotations

import math

import pytest
import torch
from bags_by_enumeration import beliefs, close, compositions, enumerated

from labkit.counts import count_log_likelihood, count_posterior, noisy_count_log_likelihood

# ---- noisy counts ----------------------------------------------------------------------------------------------------


def enumerated_noisy(log_p, said, scale):
    size, k = log_p.shape
    terms = [
        enumerated(log_p, m) - sum(abs(a - b) for a, b in zip(said, m)) / scale - k * math.log(2 * scale)
        for m in compositions(size, k)
    ]
    return torch.stack(terms).logsumexp(0)


@pytest.mark.parametrize("scale", [0.3, 1.0, 5.0])
@pytest.mark.parametrize(("k", "size"), [(2, 6), (3, 4), (4, 3)])
def test_noisy_counts_are_enumerations(k, size, scale):
    logits = torch.randn(size, k, generator=torch.Generator().manual_seed(k), dtype=torch.float64).requires_grad_()
    said = torch.linspace(-1.3, size + 0.7, k, dtype=torch.float64)  # noise takes counts anywhere
    value = noisy_count_log_likelihood(logits.log_softmax(-1), said, scale)
    slow = enumerated_noisy(logits.log_softmax(-1), said.tolist(), scale)
    close(value, slow)
    close(torch.autograd.grad(value, logits)[0], torch.autograd.grad(slow, logits)[0])


@pytest.mark.parametrize("k", [2, 3])
def test_noisy_counts_of_bags_of_different_sizes(k):
    log_p, said = beliefs(6, k, seed=3, bags=(4,)), torch.full((4, k), 1.4, dtype=torch.float64)
    present = torch.tensor([[1, 1, 1, 1, 1, 1], [1, 0, 0, 0, 0, 0], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1]]).bool()
    value = noisy_count_log_likelihood(log_p, said, 0.8, present)
    for b in range(4):
        close(value[b], enumerated_noisy(log_p[b][present[b]], said[b].tolist(), 0.8))
    together = torch.func.vmap(lambda z, m, here: noisy_count_log_likelihood(z, m, 0.8, here))(log_p, said, present)
    close(together, value, 1e-12)


@pytest.mark.parametrize("k", [2, 3])
def test_little_noise_is_none_and_much_says_nothing(k):
    log_p = beliefs(5, k, seed=6).requires_grad_()
    m = torch.tensor([2, 3, 0][:k])
    exact = count_log_likelihood(log_p, m, method="exact")
    close(noisy_count_log_likelihood(log_p, m, 1e-4) + k * math.log(2e-4), exact.detach(), 1e-10)
    (posterior,) = torch.autograd.grad(noisy_count_log_likelihood(log_p, m, 1e-4), log_p)
    close(posterior, count_posterior(log_p, m, method="exact"))
    (posterior,) = torch.autograd.grad(noisy_count_log_likelihood(log_p, m, 1e9), log_p)
    close(posterior, log_p.detach().exp(), 1e-7)
