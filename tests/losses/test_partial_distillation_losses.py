"""Parts of a teacher as targets: rows sum to 1, slow twins, what each reduces to."""

from __future__ import annotations

import math

import pytest
import torch

from labkit import losses

K, N = 5, 8


def random(seed=0, scale=2.0):
    g = torch.Generator().manual_seed(seed)
    return scale * torch.randn(N, K, generator=g, dtype=torch.float64), torch.randint(0, K, (N,), generator=g)


def one_hot(y):
    return torch.nn.functional.one_hot(y, K).double()


def cosines(seed=3):
    return losses.class_similarity(random(seed)[0][:K])


def slow_softmax(row):
    e = [math.exp(v - max(row)) for v in row]
    return [v / sum(e) for v in e]


def slow_similarity(y, s, scale, weight):
    soft = slow_softmax([v / scale for v in s[y]])
    return [(1 - weight) * (k == y) + weight * soft[k] for k in range(K)]


def slow_confidence(y, q):
    return [q[y] if k == y else (1 - q[y]) / (K - 1) for k in range(K)]


def slow_top_k(q, k):
    kept = sorted(range(K), key=lambda c: -q[c])[:k]
    left = 1 - sum(q[c] for c in kept)
    return [q[c] if c in kept else left / (K - k) for c in range(K)]


def targets(y, q, s):
    t = one_hot(y)
    return {
        "similarity": (
            losses.similarity_target(t, s, 0.3, 0.4),
            [slow_similarity(c, s.tolist(), 0.3, 0.4) for c in y.tolist()],
        ),
        "confidence": (losses.confidence_target(t, q), [slow_confidence(int(c), r) for c, r in zip(y, q.tolist())]),
        **{f"top {k}": (losses.top_k_target(q, k), [slow_top_k(r, k) for r in q.tolist()]) for k in range(K + 1)},
    }


@pytest.mark.parametrize("name", targets(random()[1], random()[0].softmax(-1), cosines()))
def test_targets_equal_the_slow_twin_and_sum_to_one(name):
    z, y = random()
    fast, slow = targets(y, z.softmax(-1), cosines())[name]
    torch.testing.assert_close(fast, torch.tensor(slow, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(fast.sum(-1), torch.ones(N, dtype=torch.float64), rtol=1e-12, atol=1e-12)
    assert fast.shape == (N, K) and (fast >= 0).all()


def test_for_soft_labels_the_targets_of_the_classes_are_mixed():
    q, s, soft = random(1)[0].softmax(-1), cosines(), random(2)[0].softmax(-1)
    for build in (lambda t: losses.confidence_target(t, q), lambda t: losses.similarity_target(t, s, 0.5, 0.7)):
        mixed = sum(soft[:, c : c + 1] * build(one_hot(torch.full((N,), c))) for c in range(K))
        torch.testing.assert_close(build(soft), mixed)


def test_similarity_is_the_cosine_and_its_limits():
    w = random(3)[0][:K]
    s = losses.class_similarity(w)
    for a in range(K):
        for b in range(K):
            assert float(s[a, b]) == pytest.approx(float(w[a] @ w[b] / w[a].norm() / w[b].norm()), rel=1e-12)
    torch.testing.assert_close(s, losses.class_similarity(w * torch.arange(1, K + 1)[:, None]))  # lengths do not matter
    t = one_hot(random()[1])
    torch.testing.assert_close(losses.similarity_target(t, s, 1e-4), t)
    assert torch.equal(losses.similarity_target(t, s, 0.3, 0.0), t)
    torch.testing.assert_close(losses.similarity_target(t, s, 1e6), torch.full_like(t, 1 / K), rtol=1e-5, atol=1e-5)


def test_top_k_is_the_whole_teacher_or_its_confidence():
    z, _ = random(4)
    q = z.softmax(-1)
    assert torch.equal(losses.top_k_target(q, K), q)
    top = one_hot(q.argmax(-1))
    torch.testing.assert_close(losses.top_k_target(q, 1), losses.confidence_target(top, q))
    assert not torch.allclose(losses.top_k_target(q, 1), losses.confidence_target(top.roll(1, 1), q))
    student = random(5)[0]
    for temperature in (1.0, 3.0):
        told = (z / temperature).softmax(-1)
        full = losses.soft_target(student, losses.top_k_target(told, K), temperature)
        torch.testing.assert_close(full, losses.distillation(student, z, temperature))


def test_top_k_takes_one_k_per_run_under_vmap():
    q = random(6)[0].softmax(-1)
    ks = torch.tensor([0.0, 1.0, 3.0, 5.0])
    stacked = torch.func.vmap(lambda k: losses.top_k_target(q, k))(ks)
    for k, got in zip((0, 1, 3, 5), stacked):
        torch.testing.assert_close(got, losses.top_k_target(q, k))


def test_a_certain_teacher_is_the_label():
    y = random()[1]
    t = one_hot(y)
    for build in (losses.confidence_target(t, t), losses.top_k_target(t, 1), losses.top_k_target(t, 3)):
        assert torch.equal(build, t)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_soft_target_by_slow_loop_gradient_and_check(temperature):
    student, target = random(7)[0].requires_grad_(), random(8)[0].softmax(-1)
    target[0] = one_hot(torch.tensor([2]))  # 0 log 0
    got = losses.soft_target(student, target, temperature)
    p = [slow_softmax([v / temperature for v in row]) for row in student.tolist()]
    slow = [sum(t * (math.log(t) - math.log(b)) for t, b in zip(ts, ps) if t) for ts, ps in zip(target.tolist(), p)]
    torch.testing.assert_close(got, temperature**2 * torch.tensor(slow, dtype=torch.float64), rtol=1e-10, atol=1e-12)
    (grad,) = torch.autograd.grad(got.sum(), student)
    torch.testing.assert_close(grad, temperature * ((student / temperature).softmax(-1) - target))
    assert torch.autograd.gradcheck(lambda z: losses.soft_target(z, target, temperature), student)


def test_on_hard_targets_it_is_cross_entropy_and_otherwise_less_the_entropy():
    z, y = random(9)
    t = random(10)[0].softmax(-1)
    torch.testing.assert_close(losses.soft_target(z, one_hot(y)), losses.cross_entropy(z, y))
    torch.testing.assert_close(losses.soft_target(z, t) + losses.entropy(t.log()), losses.cross_entropy(z, t))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_stay_finite(dtype):
    logits = torch.tensor([[1e4, -1e4, 0, 0, 0], [-1e4, 1e4, 1e4, 0, 0], [0.0] * 5, [1e4] * 5], dtype=dtype)
    logits.requires_grad_()
    q = logits.detach().roll(1, 0).softmax(-1)
    t = one_hot(torch.tensor([1, 0, 2, 3])).to(dtype)
    s = cosines().to(dtype)
    for target in (losses.similarity_target(t, s, 1e-3), losses.confidence_target(t, q), losses.top_k_target(q, 2)):
        value = losses.soft_target(logits, target, 2.0)
        (grad,) = torch.autograd.grad(value.sum(), logits)
        assert value.isfinite().all() and grad.isfinite().all() and value.dtype == dtype and value.shape == (4,)


def test_gradient_rescaling_of_the_true_class():
    z, y = random(11)
    z.requires_grad_()
    q = random(12)[0].softmax(-1)
    at_y = lambda values: values.gather(1, y[:, None])[:, 0]
    (taught,) = torch.autograd.grad(losses.soft_target(z, losses.confidence_target(one_hot(y), q)).sum(), z)
    (told,) = torch.autograd.grad(losses.cross_entropy(z, y).sum(), z)
    ratio = losses.gradient_rescaling(at_y(z.detach().softmax(-1)), at_y(q))
    torch.testing.assert_close(at_y(taught) / at_y(told), ratio)
    assert float(losses.gradient_rescaling(torch.tensor(0.3), torch.tensor(1.0))) == pytest.approx(1.0)
