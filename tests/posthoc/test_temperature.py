"""Temperature scaling against scipy, the optimum's own condition, planted temperatures and limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

from labkit.metrics import METRICS, ece, nll
from labkit.metrics import over_runs as shared
from labkit.posthoc import apply_temperature, at_bounds, fit_temperature, fit_temperature_to_targets
from labkit.streams import generator


def example(runs: int = 6, n: int = 200, K: int = 5, planted: float = 1.7):
    """Logits of a model that is over-confident by the factor ``planted``, and labels drawn from the honest model."""
    rng = generator(0, "data", runs, n, K)
    logits = rng.normal(0, 2, (runs, n, K)) * np.linspace(0.3, 3, runs)[:, None, None]
    p = softmax(logits / planted, -1)
    labels = (p.cumsum(-1) < rng.random((runs, n, 1))).sum(-1).clip(max=K - 1)
    return torch.from_numpy(logits), torch.from_numpy(labels)


def slow_loss(beta: float, z: np.ndarray, likelihood: np.ndarray) -> float:
    with np.errstate(divide="ignore"):
        return -logsumexp(log_softmax(beta * z, -1) + np.log(likelihood), axis=-1).mean()


def slow_slope(beta: float, z: np.ndarray, y: np.ndarray) -> float:
    return ((softmax(beta * z, -1) * z).sum(-1) - z[np.arange(len(y)), y]).mean()


def slow_best(z: np.ndarray, likelihood: np.ndarray, low: float, high: float):
    return minimize_scalar(slow_loss, args=(z, likelihood), bounds=(low, high), method="bounded",
                           options={"xatol": 1e-13})


def test_at_the_optimum_the_label_logit_is_the_expected_logit():
    logits, labels = example()
    T = fit_temperature(logits, labels)
    p = apply_temperature(logits, T).softmax(-1)
    chosen = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1).mean(-1)
    assert torch.allclose((p * logits).sum(-1).mean(-1), chosen, rtol=0, atol=1e-10)
    assert not torch.allclose((logits.softmax(-1) * logits).sum(-1).mean(-1), chosen, atol=1e-2)  # before, it is not


def test_scipy_agrees_run_by_run():
    logits, labels = example()
    T = fit_temperature(logits, labels)
    for run in range(len(logits)):
        z, y = logits[run].numpy(), labels[run].numpy()
        assert 1 / brentq(slow_slope, 1e-2, 1e2, args=(z, y), xtol=1e-14, rtol=1e-14) == pytest.approx(
            T[run].item(), rel=1e-10)
        least = slow_best(z, np.eye(5)[y], 1e-2, 1e2)
        assert 1 / least.x == pytest.approx(T[run].item(), rel=1e-6)  # a minimum is flat: half the digits
        assert nll(apply_temperature(logits[run], T[run]), labels[run]).item() <= least.fun + 1e-14


def test_a_planted_temperature_is_found_exactly_from_exact_frequencies():
    tenths = [[1, 2, 7], [3, 3, 4], [8, 1, 1], [2, 6, 2]]
    rows = [(row, k) for row in tenths for k, count in enumerate(row) for _ in range(count)]
    logits = torch.tensor([row for row, _ in rows], dtype=torch.float64).div(10).log()
    labels = torch.tensor([k for _, k in rows])
    planted = torch.tensor([0.05, 0.3, 1.0, 2.5, 40.0], dtype=torch.float64)
    assert torch.allclose(fit_temperature(logits * planted[:, None, None], labels), planted, rtol=1e-10, atol=0)


def test_a_planted_temperature_is_found_in_samples_and_repairs_calibration():
    logits, labels = example(runs=3, n=20_000, planted=1.7)
    T = fit_temperature(logits, labels)
    assert ((T - 1.7).abs() < 0.06).all()
    after = apply_temperature(logits, T)
    assert (ece(after, labels) < 0.5 * ece(logits, labels)).all() and (nll(after, labels) < nll(logits, labels)).all()


def test_no_prediction_changes():
    logits, labels = example()
    near = torch.linspace(1.8, 1.99, 50)
    near = torch.stack([near, torch.nextafter(near, torch.tensor(2.0))], -1)  # apart by the smallest step in float32
    assert (near / 1.75).argmax(-1).min() == 0  # which division in float32 loses
    assert (apply_temperature(near, 1.75).argmax(-1) == 1).all()
    after = apply_temperature(logits.float(), fit_temperature(logits.float(), labels))
    assert torch.equal(after.argmax(-1), logits.float().argmax(-1))
    assert METRICS["accuracy"](after, labels).equal(METRICS["accuracy"](logits.float(), labels))


def test_separable_and_right_is_capped_below():
    logits, _ = example()
    T = fit_temperature(logits, logits.argmax(-1))
    assert (T == 1e-2).all() and at_bounds(T).all()
    assert (fit_temperature(1e5 * logits, logits.argmax(-1)) == 1e-2).all()  # where every probability is 0 or 1


def test_all_wrong_is_capped_above():
    logits, _ = example()
    for scale in (1.0, 1e5):
        T = fit_temperature(scale * logits, logits.argmin(-1))
        assert (T == 1e2).all() and at_bounds(T).all()


def test_an_optimum_inside_is_not_at_the_bounds():
    logits, labels = example()
    labels = labels.clone()
    labels[0] = logits[0].argmax(-1)
    T = fit_temperature(logits, labels)
    assert at_bounds(T).tolist() == [True, False, False, False, False, False]


def test_optima_beyond_and_near_the_bounds():
    logits, labels = example(runs=1)
    inside = fit_temperature(logits, labels)
    for target, expected in ((0.0101, 0.0101), (0.0099, 0.01), (99.0, 99.0), (101.0, 100.0)):
        T = fit_temperature(logits * (target / inside), labels)
        assert T.item() == pytest.approx(expected, rel=1e-9)
        assert at_bounds(T).item() == (expected in (0.01, 100.0))


def test_an_optimum_far_down_an_exponential_slope():
    # Three right by a gap of 5, one wrong by 1e-120: 3 * 5 exp(-5 / T) = 1e-120 / 2. Newton alone takes 275 steps.
    logits = torch.tensor([[5.0, 0.0]] * 3 + [[1e-120, 0.0]], dtype=torch.float64)
    expected = 5 / math.log(30e120)
    assert fit_temperature(logits, torch.tensor([0, 0, 0, 1])).item() == pytest.approx(expected, rel=1e-9)


def test_where_the_loss_does_not_depend_on_temperature_it_is_one():
    labels = torch.tensor([0, 1, 2, 0])
    assert fit_temperature(torch.full((2, 4, 3), 5.0), labels).tolist() == [1.0, 1.0]
    assert fit_temperature(torch.randn(4, 1, generator=torch.Generator().manual_seed(0)), torch.zeros(4).long()) == 1
    logits, _ = example(runs=2)
    assert fit_temperature(logits, torch.full((200, 5), 0.3)).tolist() == [1.0, 1.0]
    assert fit_temperature(logits, torch.ones(200, 5, dtype=torch.bool)).tolist() == [1.0, 1.0]


def test_one_hot_and_one_element_sets_are_labels():
    logits, labels = example()
    T = fit_temperature(logits, labels)
    one_hot = torch.nn.functional.one_hot(labels, 5)
    for likelihood in (one_hot.double(), one_hot.bool(), one_hot.float() * 0.01):
        assert torch.allclose(fit_temperature(logits, likelihood), T, rtol=1e-9, atol=0)


def test_rows_that_say_nothing_change_nothing():
    logits, labels = example()
    likelihood = torch.nn.functional.one_hot(labels, 5).double()
    likelihood[:, 100:] = 1.0
    assert torch.allclose(fit_temperature(logits, likelihood), fit_temperature(logits[:, :100], labels[:, :100]),
                          rtol=1e-9, atol=0)


def random_likelihood(kind: str, runs: int, n: int, K: int, labels: torch.Tensor) -> torch.Tensor:
    rng = generator(4, "annotation", runs, n, K)
    one_hot = torch.nn.functional.one_hot(labels, K).double()
    if kind == "candidates":
        return ((torch.from_numpy(rng.random((runs, n, K))) < 0.4) | one_hot.bool()).double()
    if kind == "noisy label":
        return 0.7 * one_hot + 0.3 / K
    return torch.from_numpy(rng.dirichlet(np.ones(K) / 2, (runs, n))) * 0.9 + 0.1 * one_hot


@pytest.mark.parametrize("kind", ["candidates", "noisy label", "soft"])
def test_the_best_of_a_dense_search_for_other_evidence(kind):
    logits, labels = example()
    likelihood = random_likelihood(kind, *logits.shape, labels)
    T = fit_temperature(logits, likelihood)
    for run in range(len(logits)):
        z, L = logits[run].numpy(), likelihood[run].numpy()
        dense = np.geomspace(1e-2, 1e2, 150)
        losses = [slow_loss(b, z, L) for b in dense]
        i = int(np.argmin(losses))
        if 0 < i < 149:
            least = slow_best(z, L, dense[i - 1], dense[i + 1])
            assert 1 / least.x == pytest.approx(T[run].item(), rel=1e-6)
        p = softmax(z / T[run].item(), -1)
        posterior = p * L / (p * L).sum(-1, keepdims=True)
        if not at_bounds(T[run]):
            assert abs(((p - posterior) * z).sum(-1).mean()) < 1e-10  # the gradient identity: E_p[z] = E_posterior[z]
        assert slow_loss(1 / T[run].item(), z, L) <= min(losses) + 1e-13


@pytest.mark.parametrize("seed", [13, 78, 81])
def test_the_lowest_of_several_minima(seed):
    rng = generator(seed, "data")
    n, K = rng.integers(2, 6), rng.integers(3, 6)
    z = rng.normal(0, 1, (n, K)) * rng.choice([0.3, 1, 3, 10], (n, 1))
    sets = (rng.random((n, K)) < 0.4) | np.eye(K, dtype=bool)[rng.integers(0, K, n)]
    dense = np.geomspace(1e-2, 1e2, 300)
    losses = np.array([slow_loss(b, z, sets * 1.0) for b in dense])
    padded = np.r_[np.inf, losses, np.inf]
    assert ((losses < padded[:-2] - 1e-12) & (losses < padded[2:] - 1e-12)).sum() >= 2  # so descent alone can be caught
    T = fit_temperature(torch.from_numpy(z), torch.from_numpy(sets)).item()
    assert slow_loss(1 / T, z, sets * 1.0) <= losses.min() + 1e-13


def test_evidence_against_huge_logits_stays_finite():
    logits, _ = example()
    sets = torch.nn.functional.one_hot(logits.argmin(-1), 5).bool() | torch.nn.functional.one_hot(
        logits.topk(4).indices[..., 3], 5).bool()
    assert (fit_temperature(1e6 * logits, sets) == 1e2).all()


def test_noisy_labels_are_corrected_by_their_likelihood():
    logits, labels = example(runs=2, n=10_000, planted=1.7)
    rng = generator(1, "annotation")
    flipped = torch.from_numpy(np.where(rng.random(labels.shape) < 0.3, rng.integers(0, 5, labels.shape), labels))
    transition = 0.7 * torch.eye(5) + 0.3 / 5
    assert ((fit_temperature(logits, transition.T[flipped]) - 1.7).abs() < 0.1).all()
    assert ((fit_temperature(logits, flipped) - 1.7).abs() > 0.3).all()  # as if they were clean


def test_candidate_sets_that_always_hold_the_prediction_are_capped_below():
    rng = generator(6, "data")
    for scale in (1.0, 20.0):  # with large logits the loss is far below the rounding of 1
        logits = torch.from_numpy(rng.normal(0, scale, (80, 16, 4)))
        drawn = torch.from_numpy(rng.random((80, 16, 4)) < 0.4)
        candidates = drawn | torch.nn.functional.one_hot(logits.argmax(-1), 4).bool()
        assert (fit_temperature(logits, candidates) == 1e-2).all()


@pytest.mark.parametrize("kind", ["labels", "candidates", "noisy label", "soft"])
def test_a_run_alone_equals_the_run_among_others_to_the_last_bit(kind, monkeypatch):
    logits, labels = example(runs=30, n=83)  # many runs: a last bit that wavers does not always reach T
    targets = labels if kind == "labels" else random_likelihood(kind, *logits.shape, labels)
    together = fit_temperature(logits, targets)
    assert torch.equal(torch.stack([fit_temperature(z, t) for z, t in zip(logits, targets)]), together)
    assert torch.equal(fit_temperature(logits.flip(0), targets.flip(0)).flip(0), together)
    monkeypatch.setattr(shared, "CHUNK", 4 * 83 * 5)
    assert torch.equal(fit_temperature(logits, targets), together)


def test_run_axes():
    logits, labels = example()
    expected = fit_temperature(logits, labels)
    assert expected.shape == (6,) and expected.dtype == torch.float64
    assert torch.equal(fit_temperature(logits.reshape(2, 3, 200, 5), labels.reshape(2, 3, 200)), expected.reshape(2, 3))
    assert fit_temperature(logits[0], labels[0]).shape == ()
    shared = fit_temperature(logits, labels[0])
    assert torch.equal(shared[0], expected[0]) and torch.equal(shared[5], fit_temperature(logits[5], labels[0]))
    matrix = random_likelihood("soft", 1, 200, 5, labels[:1])[0]
    assert torch.equal(fit_temperature(logits, matrix)[2], fit_temperature(logits[2], matrix))
    scaled = apply_temperature(logits.reshape(2, 3, 200, 5), expected.reshape(2, 3))
    assert torch.equal(scaled[1, 2], logits[5] / expected[5])
    assert torch.equal(apply_temperature(logits, 2.0), logits / 2)
    assert fit_temperature(logits[:0], labels[:0]).shape == (0,)
    assert fit_temperature(logits[:0], torch.ones(200, 5)).shape == (0,)


def test_a_diverged_run_is_nan_and_alone():
    logits, labels = example()
    for targets in (labels, torch.nn.functional.one_hot(labels, 5).double()):
        clean = fit_temperature(logits, targets)
        broken = logits.clone()
        broken[1, 3, 2], broken[4, 0, 0] = math.nan, math.inf
        T = fit_temperature(broken, targets)
        assert T.isnan().tolist() == [False, True, False, False, True, False]
        assert torch.equal(T[[0, 2, 3, 5]], clean[[0, 2, 3, 5]])
        assert apply_temperature(logits, T)[1].isnan().all() and not at_bounds(T)[1]


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(2, 4), st.sampled_from([1e-3, 1.0, 30.0, 1e4]))
@settings(max_examples=40)
def test_the_slope_changes_sign_at_the_answer(seed, n, K, scale):
    rng = generator(seed, "data")
    logits, labels = rng.normal(0, scale, (n, K)), rng.integers(0, K, n)
    T = fit_temperature(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    assert 1e-2 <= T <= 1e2
    tiny = 1e-12 * scale
    if T < 1e2:
        assert slow_slope(1 / (T * (1 + 1e-8)), logits, labels) <= tiny  # a lower beta wants a higher one
    if T > 1e-2:
        assert slow_slope(1 / (T * (1 - 1e-8)), logits, labels) >= -tiny


def test_errors():
    logits, labels = example()
    with pytest.raises(TypeError, match="logits must be a floating-point tensor"):
        fit_temperature(logits.numpy(), labels)
    with pytest.raises(TypeError, match="integer tensor"):
        fit_temperature(logits, labels.numpy())
    with pytest.raises(ValueError, match=r"0\.\.4 for 5 classes"):
        fit_temperature(logits, labels + 1)
    with pytest.raises(ValueError, match="integer labels"):
        fit_temperature(logits, labels[0].double())
    with pytest.raises(ValueError, match=r"targets: got shape \(6, 200, 4\)"):
        fit_temperature(logits, torch.ones(6, 200, 4))
    with pytest.raises(ValueError, match=r"targets: got shape \(1, 5\)"):
        fit_temperature(logits, torch.ones(1, 5))
    for bad in (-0.1, math.nan, math.inf):
        likelihood = torch.ones(200, 5)
        likelihood[7, 2] = bad
        with pytest.raises(ValueError, match="finite and not negative"):
            fit_temperature(logits, likelihood)
    empty = torch.ones(200, 5, dtype=torch.bool)
    empty[[3, 9]] = False
    with pytest.raises(ValueError, match="evidence of 2 examples excludes every class"):
        fit_temperature(logits, empty)
    for bad in (0.0, -1.0):
        with pytest.raises(ValueError, match=f"above 0, got {bad}"):
            apply_temperature(logits, bad)
    with pytest.raises(ValueError, match=r"temperature: got shape \(5,\), expected \(6,\)"):
        apply_temperature(logits, torch.ones(5))


def test_targets_find_what_scipy_finds_and_one_hot_rows_what_labels_find():
    logits, labels = example(runs=3)
    rows = torch.nn.functional.one_hot(labels, 5).double()
    T = fit_temperature_to_targets(logits, rows)
    assert torch.allclose(T, fit_temperature(logits, labels), rtol=1e-9, atol=0)
    targets = 0.7 * rows + 0.2 * rows.roll(1, -1) + 0.3 * torch.from_numpy(generator(1, "data").random((200, 5)))
    targets = targets / targets.sum(-1, keepdim=True)
    targets[:, :20] = 1.5 * rows[:, :20] - 0.1  # sum 1, outside [0, 1]
    T = fit_temperature_to_targets(logits, targets)

    def loss(log_beta, z, t):
        return -(t * log_softmax(np.exp(log_beta) * z, -1)).sum(-1).mean()

    for run in range(3):
        given = (logits[run].numpy(), targets[run].numpy())
        least = minimize_scalar(loss, bounds=(-4, 4), args=given, method="bounded")
        assert np.exp(-least.x) == pytest.approx(T[run].item(), rel=1e-4)
        assert fit_temperature_to_targets(logits[run], targets[run]) == T[run]  # alone as among others


def test_targets_at_the_bounds_without_slope_and_of_another_kind():
    logits, labels = torch.tensor([[3.0, 0.0], [0.0, 3.0]]).double(), torch.eye(2).double()
    assert fit_temperature_to_targets(logits, labels) == 1e-2
    assert fit_temperature_to_targets(logits, labels.flip(0)) == 1e2
    assert fit_temperature_to_targets(logits, torch.full((2, 2), 0.5)) == 1e2  # wants no confidence at all
    assert fit_temperature_to_targets(torch.ones(2, 2), labels) == 1.0
    assert fit_temperature_to_targets(torch.tensor([[1e4, -1e4], [-1e4, 1e4]]), labels) == 1e-2
    for wrong in (torch.ones(2, 2), torch.full((2, 2), math.nan)):
        with pytest.raises(ValueError, match="sum to 1"):
            fit_temperature_to_targets(logits, wrong)
    with pytest.raises(TypeError, match="floating-point"):
        fit_temperature_to_targets(logits, torch.eye(2).bool())
    assert fit_temperature_to_targets(logits.where(logits > 0, math.nan), labels).isnan()
