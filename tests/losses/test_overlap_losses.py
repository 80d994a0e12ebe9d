"""Soft overlaps against loops over pixels, and what is exactly true of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit import losses
from labkit.losses.overlap import OVERLAPS, overlap_counts

P = 7
FAMILIES = {"jaccard": ("jaccard", "jaccard1", "jaccard2"), "dice": ("dice", "dice1", "dice2")}
METRICS = [name for name in OVERLAPS if name[-1] in "12"]


def random(seed: int = 0, *shape: int):
    g = torch.Generator().manual_seed(seed)
    return (torch.rand(*(shape or (3, P)), generator=g, dtype=torch.float64) for _ in range(2))


def slow(name: str, x: list[float], y: list[float]) -> float:
    """The formulas with norms, as they are printed, in loops."""
    size_x, size_y = sum(x), sum(y)
    apart = sum(abs(a - b) for a, b in zip(x, y))
    inner = sum(a * b for a, b in zip(x, y))
    return {
        "jaccard": lambda: 1 - inner / (size_x + size_y - inner),
        "jaccard1": lambda: 1 - (size_x + size_y - apart) / (size_x + size_y + apart),
        "jaccard2": lambda: 1 - inner / (inner + apart),
        "dice": lambda: 1 - 2 * inner / (size_x + size_y),
        "dice1": lambda: 1 - (size_x + size_y - apart) / (size_x + size_y),
        "dice2": lambda: 1 - 2 * inner / (2 * inner + apart),
    }[name]()


def slow_tversky(x, y, alpha, beta, s):
    """With tp, fp, fn as in the authors' code."""
    apart = sum(abs(a - b) for a, b in zip(x, y))
    tp = (sum(x) + sum(y) - apart) / 2
    return 1 - (tp + s) / (tp + alpha * (sum(x) - tp) + beta * (sum(y) - tp) + s)


@pytest.mark.parametrize("name", OVERLAPS)
def test_equals_the_printed_formula(name):
    x, y = random()
    expected = torch.tensor([slow(name, a, b) for a, b in zip(x.tolist(), y.tolist())], dtype=torch.float64)
    torch.testing.assert_close(OVERLAPS[name](x, y), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("alpha", "beta", "s"), [(1, 1, 0), (0.5, 0.5, 0), (0.3, 0.7, 1e-3), (2, 0, 1.0)])
def test_tversky_equals_the_count_of_errors(alpha, beta, s):
    x, y = random(1)
    expected = [slow_tversky(a, b, alpha, beta, s) for a, b in zip(x.tolist(), y.tolist())]
    torch.testing.assert_close(losses.tversky(x, y, alpha, beta, s), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("name", OVERLAPS)
def test_gradients_dtype_and_shape(name):
    x, y = random(2)
    assert torch.autograd.gradcheck(lambda a: OVERLAPS[name](a, y, 0.1), x.clone().requires_grad_())
    value = OVERLAPS[name](x.float()[None], y.float()[None])
    assert value.shape == (1, 3) and value.dtype == torch.float32
    s = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)  # a swept number
    assert torch.autograd.gradcheck(lambda v: OVERLAPS[name](x, y, v), s)


@pytest.mark.parametrize("family", FAMILIES)
def test_on_hard_targets_the_family_is_one_loss_with_one_gradient(family):
    x, y = random(3)
    y = (y > 0.6).double()
    x.requires_grad_()
    values = [OVERLAPS[name](x, y) for name in FAMILIES[family]]
    slopes = [torch.autograd.grad(v.sum(), x, retain_graph=True)[0] for v in values]
    for value, slope in zip(values[1:], slopes[1:]):
        torch.testing.assert_close(value, values[0], rtol=1e-13, atol=1e-14)
        torch.testing.assert_close(slope, slopes[0], rtol=1e-12, atol=1e-13)


def test_at_the_target_itself_only_the_metric_forms_are_zero():
    half = torch.full((P,), 0.5, dtype=torch.float64)
    for name in METRICS:
        assert OVERLAPS[name](half, half) == 0
        x, _ = random(4)
        assert (OVERLAPS[name](x, x) == 0).all()
    torch.testing.assert_close(losses.soft_dice(half, half), torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(losses.soft_jaccard(half, half), torch.tensor(2 / 3, dtype=torch.float64))


@pytest.mark.parametrize("target", [0.05, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("name", OVERLAPS)
def test_a_single_pixel_is_best_at_its_target_or_at_one(name, target):
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)[:, None]
    best = x[OVERLAPS[name](x, torch.full_like(x, target)).argmin()].item()
    assert best == pytest.approx(target if name in METRICS else 1.0, abs=1e-9)


@pytest.mark.parametrize("name", ("jaccard", "dice"))
def test_soft_forms_have_a_hard_minimiser_over_many_pixels(name):
    _, y = random(5, 4, 6)
    grid = torch.cartesian_prod(*[torch.linspace(0, 1, 5, dtype=torch.float64)] * 6)
    for target in y:
        best = grid[OVERLAPS[name](grid, target.expand_as(grid)).argmin()]
        assert ((best == 0) | (best == 1)).all()
        assert OVERLAPS[name](best, target) < OVERLAPS[name](target, target) - 0.01


@pytest.mark.parametrize("which", "12")
def test_dice_is_a_function_of_jaccard(which):
    x, y = random(6, 50, P)
    jaccard = OVERLAPS[f"jaccard{which}"](x, y)
    torch.testing.assert_close(OVERLAPS[f"dice{which}"](x, y), jaccard / (2 - jaccard), rtol=1e-12, atol=1e-14)


shares = st.integers(0, 20).map(lambda v: v / 20)
vectors = st.integers(1, 4).flatmap(lambda n: st.tuples(*[st.lists(shares, min_size=n, max_size=n)] * 3))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(vectors)
def test_jaccard_forms_are_metrics(three):
    x, y, z = (torch.tensor(v, dtype=torch.float64) for v in three)
    for name in ("jaccard1", "jaccard2"):
        d = OVERLAPS[name]
        assert d(x, z) <= d(x, y) + d(y, z) + 1e-12
        torch.testing.assert_close(d(x, y), d(y, x))
        assert (d(x, y) == 0) == bool((x == y).all()) and 0 <= d(x, y) <= 1


def test_dice_forms_are_semimetrics_only():
    x, y, z = (torch.tensor(v, dtype=torch.float64) for v in ([1.0, 0.0], [1.0, 1.0], [0.0, 1.0]))
    for name in ("dice1", "dice2"):  # 1 against 1/3 + 1/3
        assert OVERLAPS[name](x, z) > OVERLAPS[name](x, y) + OVERLAPS[name](y, z) + 0.3


@pytest.mark.parametrize("name", OVERLAPS)
def test_nothing_predicted_and_nothing_there_is_no_error(name):
    nothing = torch.zeros(2, P, dtype=torch.float64, requires_grad=True)
    value = OVERLAPS[name](nothing, torch.zeros(2, P, dtype=torch.float64))
    value.sum().backward()
    assert (value == 0).all() and nothing.grad.isfinite().all()
    there = torch.zeros(P, dtype=torch.float64).index_fill(0, torch.tensor([2]), 1.0)
    assert OVERLAPS[name](there, nothing[0].detach()) == OVERLAPS[name](nothing[0].detach(), there) == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", OVERLAPS)
def test_extreme_logits_stay_finite(name, dtype):
    logits = torch.tensor([[1e4, -1e4], [-1e4, 1e4], [0, 0], [1e4, 1e4]], dtype=dtype)[None].requires_grad_()
    target = torch.tensor([[0, 1], [0, 1], [1, 0], [0.5, 0.5]], dtype=dtype)[None]
    value = losses.overlap(logits.softmax(-1), target, name)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


def slow_overlap(probs, target, name, over, active):
    """Lists of images, pixels, classes; the rules for the averages spelled out."""
    n, k = len(probs), len(probs[0][0])
    plane = lambda t, i, c: [pixel[c] for pixel in t[i]]
    join = lambda t, c: [v for i in range(n) for v in plane(t, i, c)]
    counts = lambda y: active == "all" or max(y) > 0.01
    average = lambda values: sum(values) / len(values) if values else 0.0
    if over == "batch":
        return average([slow(name, join(probs, c), join(target, c)) for c in range(k) if counts(join(target, c))])
    held = {
        (i, c): slow(name, plane(probs, i, c), plane(target, i, c))
        for i in range(n) for c in range(k) if counts(plane(target, i, c))
    }  # fmt: skip
    outer, which = (n, 0) if over == "image" else (k, 1)
    groups = [[v for key, v in held.items() if key[which] == o] for o in range(outer)]
    return average([average(g) for g in groups if g])


@pytest.mark.parametrize("active", ["all", "present"])
@pytest.mark.parametrize("over", ["batch", "image", "class"])
@pytest.mark.parametrize("name", ["jaccard", "jaccard1", "dice2"])
def test_averages_over_classes_and_images(name, over, active):
    g = torch.Generator().manual_seed(8)
    probs = torch.randn(3, 5, 4, generator=g, dtype=torch.float64).softmax(-1)
    labels = torch.tensor([[0, 0, 1, 1, 0], [0, 2, 2, 0, 0], [0, 0, 0, 0, 0]])  # class 3 is nowhere
    target = torch.nn.functional.one_hot(labels, 4).double()
    found = losses.overlap(probs, target, name, over, active)
    expected = slow_overlap(probs.tolist(), target.tolist(), name, over, active)
    assert found.shape == () and found.item() == pytest.approx(expected, rel=1e-12)


def test_an_absent_class_teaches_nothing_where_only_present_ones_count():
    target = torch.zeros(1, P, 2, dtype=torch.float64)
    target[..., 0] = 1
    logits = torch.zeros(1, P, 2, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(losses.overlap(logits.softmax(-1), target, "dice1", active="present"), logits)
    assert slope.abs().sum() > 0  # the class that is there does teach
    nothing = losses.overlap(logits.softmax(-1), torch.zeros_like(target), "dice1", active="present")
    assert nothing == 0


def test_arguments_are_checked():
    x = torch.rand(2, P, 3)
    for wrong in (dict(over="pixels"), dict(active="some"), dict(loss="jacard")):
        with pytest.raises(ValueError, match=r"pixels|some|jaccard"):
            losses.overlap(x, x, **wrong)
    with pytest.raises(ValueError, match=r"expected probs and target \(n, P, K\)"):
        losses.overlap(x[0], x[0])
    with pytest.raises(ValueError, match="product"):
        overlap_counts(x, x, "sum")


# ---- boundary smoothing --------------------------------------------------------------------------------------------


def slow_boundary(mask, size):
    h, w, r = len(mask), len(mask[0]), size // 2
    near = lambda i, j: [
        mask[a][b] for a in range(i - r, i + r + 1) for b in range(j - r, j + r + 1) if 0 <= a < h and 0 <= b < w
    ]
    return [[any(c != mask[i][j] for c in near(i, j)) for j in range(w)] for i in range(h)]


@pytest.mark.parametrize("size", [1, 3, 5])
def test_the_boundary_is_what_an_erosion_removes(size):
    mask = torch.randint(0, 3, (4, 6, 9), generator=torch.Generator().manual_seed(0)).cummax(-1).values
    expected = torch.tensor([slow_boundary(m, size) for m in mask.tolist()])
    assert torch.equal(losses.boundary(mask, size), expected)
    assert expected.any() == (size > 1) and not expected.all()


def test_boundary_smoothing_smooths_there_only():
    mask = torch.zeros(8, 8, dtype=torch.long)
    mask[2:7, 2:7] = 2
    target = losses.boundary_smoothing(mask, 3, 0.3)
    edge = losses.boundary(mask)
    hard = torch.nn.functional.one_hot(mask, 3).to(target.dtype)
    torch.testing.assert_close(target[~edge], hard[~edge])
    torch.testing.assert_close(target[edge], losses.smooth(hard, 0.3)[edge])
    torch.testing.assert_close(target.sum(-1), torch.ones(8, 8))
    torch.testing.assert_close(losses.boundary_smoothing(mask, 3, 0.0), hard)
    assert not edge[4, 4] and edge[2, 2] and not edge[0, 0]


def test_boundary_checks_its_arguments():
    mask = torch.zeros(4, 4, dtype=torch.long)
    with pytest.raises(ValueError, match="odd width"):
        losses.boundary(mask, 2)
    with pytest.raises(ValueError, match="whole numbers"):
        losses.boundary(mask.float())
