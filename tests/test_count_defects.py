"""Errors of published count losses, each with the right number."""

from __future__ import annotations

import math

import pytest
import torch
from bags_by_enumeration import close, enumerated_posterior

from labkit.counts import count_log_likelihood, count_posterior

# ---- known errors of published code ----------------------------------------------------------------------------------

BAG = [0.9, 0.2, 0.4, 0.7, 0.1, 0.55]  # P(yes) of six members


def pair(q):
    q = torch.tensor(q, dtype=torch.float64)
    return torch.stack([(1 - q).log(), q.log()], -1)


def recursion(q, m, start):
    """P(count = m) if the table starts as ``start``: 1 for nobody having been counted, 0 elsewhere."""
    row = list(start)
    for p in q:
        row = [row[c] * (1 - p) + (row[c - 1] * p if c else 0.0) for c in range(m + 1)]
    return row[m]


def test_the_table_starts_at_zero_and_not_at_one():
    """CountLoss (LLP/utils/log_space_algo.py) starts its log table as log 1 everywhere: P(count <= m), not P(= m).

    So a bag of which all members are "yes" costs nothing, whatever is predicted.
    """
    for m, right in enumerate([-5.1444, -2.5356, -1.2727, -0.9719, -1.5617, -3.1245, -5.8882]):
        defective = math.log(recursion(BAG, m, [1.0] * (m + 1)))
        ours = float(count_log_likelihood(pair(BAG), torch.tensor([6 - m, m])))
        assert ours == pytest.approx(math.log(recursion(BAG, m, [1.0] + [0.0] * m)), abs=1e-12)
        assert ours == pytest.approx(right, abs=6e-5)
        upto = [float(count_log_likelihood(pair(BAG), torch.tensor([6 - c, c])).exp()) for c in range(m + 1)]
        assert defective == pytest.approx(math.log(sum(upto)), abs=1e-12)
        assert defective > ours + 0.05 or m == 0
    assert math.log(recursion(BAG, 6, [1.0] * 7)) == pytest.approx(0, abs=1e-12)


def test_posteriors_use_the_emission_of_their_own_class():
    """GLWS (src/core/nfa.py) takes 1 - q for q in the last positive step of its backward pass."""

    def defective(q, m):
        n = len(q)
        forward = [[1.0, *[0.0] * m]]
        for p in q:
            row = forward[-1]
            forward.append([row[c] * (1 - p) + (row[c - 1] * p if c else 0) for c in range(m + 1)])
        backward = [[0.0] * m + [1.0]]
        for p in reversed(q):
            row, last = backward[0], 1 - p
            backward.insert(0, [row[c] * (1 - p) + (row[c + 1] * (last if c + 1 == m else p) if c < m else 0)
                                for c in range(m + 1)])  # fmt: skip
        joint = [q[i] * sum(forward[i][c] * backward[i + 1][c + 1] for c in range(m)) for i in range(n)]
        no = [(1 - q[i]) * sum(forward[i][c] * backward[i + 1][c] for c in range(m + 1)) for i in range(n)]
        return [a / (a + b) for a, b in zip(joint, no)]

    for q, m in (([0.1, 0.2, 0.3, 0.15], 1), (BAG[1:5], 1), (BAG, 3)):
        right = enumerated_posterior(pair(q), (len(q) - m, m))[:, 1]
        ours = count_posterior(pair(q), torch.tensor([len(q) - m, m]))[:, 1]
        close(ours, right)
        wrong = torch.tensor(defective(q, m), dtype=torch.float64)
        assert (wrong - right).abs().max() > 0.09 and abs(float(wrong.sum()) - m) > 0.1


def test_clamping_takes_the_gradient_away():
    """GLWS clamps the likelihood to 1e-12, so a bag that is all but impossible teaches nothing. Ours does."""
    logits = torch.tensor([[0.0, 8.0]] * 6, dtype=torch.float64).requires_grad_()
    value = count_log_likelihood(logits.log_softmax(-1), torch.tensor([6, 0]))
    (ours,) = torch.autograd.grad(value, logits, retain_graph=True)
    (clamped,) = torch.autograd.grad(value.exp().clamp(1e-12, 1 - 1e-12).log(), logits)
    assert float(value.detach()) < math.log(1e-12) and (clamped == 0).all() and (ours[:, 0] > 0.99).all()
