"""The contract that every metric shares: run axes, dtypes, diverged runs, chunks, independence of the batch, errors."""

from __future__ import annotations

import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch

from labkit import metrics
from labkit.metrics import by_class, memo
from labkit.metrics import over_runs as shared
from labkit.streams import generator

FUNCTIONS = {
    **{name: m.function for name, m in metrics.METRICS.items()},
    "error": metrics.error,
    "entropy": lambda logits, labels: metrics.mean_entropy(logits),
    "mce_mass": partial(metrics.mce, binning="mass"),
    "classwise_mass": partial(metrics.classwise_ece, bins=7, binning="mass"),
    "reliability": lambda logits, labels: torch.cat(metrics.reliability(logits, labels, 9), -1).nan_to_num(-1.0),
    "reliability_mass": lambda logits, labels: metrics.reliability(logits, labels, 5, "mass").confidence,
    "scatter": lambda logits, labels: torch.stack(metrics.within_between(logits, labels, logits.shape[-1]), -1),
}
every = pytest.mark.parametrize("name", FUNCTIONS)


def example(*shape: int, seed: int = 0, scale: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of that shape, float64, and labels that agree with them half of the time."""
    rng = generator(seed, "data", *shape)
    logits = torch.from_numpy(rng.normal(0, scale, shape))
    random = torch.from_numpy(rng.integers(0, shape[-1], shape[:-1]))
    return logits, torch.where(torch.from_numpy(rng.random(shape[:-1]) < 0.5), logits.argmax(-1), random)


@every
@pytest.mark.parametrize("n", [1, 7, 300])
def test_a_run_alone_equals_the_run_among_others_to_the_last_bit(name, n):
    logits, labels = example(9, n, 5)
    together = FUNCTIONS[name](logits, labels)
    for run in range(9):
        assert torch.equal(FUNCTIONS[name](logits[run], labels[run]).nan_to_num(), together[run].nan_to_num())
        assert torch.equal(FUNCTIONS[name](logits[run:run + 1], labels[run:run + 1])[0].nan_to_num(),
                           together[run].nan_to_num())


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_long_runs_too_where_library_sums_split_over_threads(two_threads):
    logits, labels = example(2, 70_001, 3)
    for name in ("nll", "brier", "ece", "confidence"):
        together = FUNCTIONS[name](logits, labels)
        assert FUNCTIONS[name](logits[1], labels[1]).item() == together[1].item()


@every
def test_chunks_change_nothing(name, monkeypatch):
    logits, labels = example(2, 5, 40, 4)
    whole = FUNCTIONS[name](logits, labels)
    sizes = []
    isfinite = torch.Tensor.isfinite
    monkeypatch.setattr(torch.Tensor, "isfinite", lambda x: sizes.append(x.shape[0]) or isfinite(x))
    monkeypatch.setattr(shared, "CHUNK", 3 * 40 * 4)
    assert torch.equal(FUNCTIONS[name](logits, labels), whole)
    assert sizes[::2] == sizes[1::2] == [3, 3, 3, 1]  # ten runs, three at a time; the least and the largest number


@every
def test_run_axes(name):
    logits, labels = example(2, 3, 20, 4)
    full = FUNCTIONS[name](logits, labels)
    assert full.shape[:2] == (2, 3) and full.dtype == torch.float64
    shared = FUNCTIONS[name](logits, labels[0, 0])  # one split for all runs
    per_seed = FUNCTIONS[name](logits, labels[0])  # one split per entry of the last run axis
    assert torch.equal(shared[0, 0], full[0, 0]) and torch.equal(per_seed[0], full[0])
    assert torch.equal(shared[1, 2], FUNCTIONS[name](logits[1, 2], labels[0, 0]))
    assert torch.equal(FUNCTIONS[name](logits, labels[:, :1])[1, 2], FUNCTIONS[name](logits[1, 2], labels[1, 0]))
    assert FUNCTIONS[name](logits[:0], labels[:0]).shape == (0, *full.shape[1:])


@every
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_run_is_nan_and_alone(name, bad):
    logits, labels = example(4, 30, 3)
    clean = FUNCTIONS[name](logits, labels)
    logits[2, 17, 1] = bad
    broken = FUNCTIONS[name](logits, labels)
    if name != "reliability":  # its NaN is coded as -1 above
        assert broken[2].isnan().all()
    others = [0, 1, 3]
    assert torch.equal(broken[others], clean[others])


def test_reliability_of_a_diverged_run_is_nan_in_every_field():
    logits, labels = example(2, 30, 3)
    logits[0, 0, 0] = math.nan
    curve = metrics.reliability(logits, labels)
    assert all(field[0].isnan().all() for field in curve)
    assert curve.count[1].sum() == 30


@every
def test_types(name):
    logits, labels = example(3, 50, 4)
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        low = FUNCTIONS[name](logits.to(dtype), labels)
        assert low.dtype == torch.float64
        assert torch.equal(low, FUNCTIONS[name](logits.to(dtype).double(), labels))  # nothing is lost after the input
    for dtype in (torch.int32, torch.uint8):
        assert torch.equal(FUNCTIONS[name](logits, labels.to(dtype)), FUNCTIONS[name](logits, labels))
    assert not FUNCTIONS[name](logits.requires_grad_(), labels).requires_grad


@every
def test_inputs_are_left_as_they_are(name):
    logits, labels = example(3, 50, 4)
    before = logits.clone(), labels.clone()
    FUNCTIONS[name](logits, labels)
    assert torch.equal(before[0], logits) and torch.equal(before[1], labels)


@every
@pytest.mark.parametrize("scale", [1e-4, 1e4, 1e30])
def test_extreme_logits_stay_finite(name, scale):
    logits, labels = example(3, 50, 4)
    value = FUNCTIONS[name](logits * scale, labels)
    assert not value.isinf().any()
    if not name.startswith("reliability"):  # whose empty bins are NaN
        assert value.isfinite().all()


LABELLED = [name for name in FUNCTIONS if name not in ("confidence", "entropy")]


@pytest.mark.parametrize("name", LABELLED)
def test_errors(name):
    f = FUNCTIONS[name]
    logits, labels = example(3, 20, 4)
    with pytest.raises(TypeError, match=r"must be a floating-point tensor .* got a ndarray.*as_tensor"):
        f(logits.numpy(), labels)
    with pytest.raises(TypeError, match=r"floating-point tensor .* torch.int64"):
        f(logits.long(), labels)
    with pytest.raises(ValueError, match=r"shape \(\.\.\., n, [Kd]\)"):
        f(logits[0, 0], labels[0])
    with pytest.raises(ValueError, match="at least 1"):
        f(logits[:, :0], labels[:, :0])
    with pytest.raises(TypeError, match="class indices, not one-hot"):
        f(logits, labels.double())
    with pytest.raises(TypeError, match="got a list"):
        f(logits, labels.tolist())
    with pytest.raises(ValueError, match=r"got shape \(3, 19\), expected \(3, 20\)"):
        f(logits, labels[:, :19])
    with pytest.raises(ValueError, match=r"got shape \(1,\)"):
        f(logits, labels[0, :1])  # one label for all examples is a mistake, not a broadcast
    with pytest.raises(ValueError, match=r"got shape \(3, 20\), expected \(20,\)"):
        f(logits[0], labels)
    with pytest.raises(ValueError, match=r"0\.\.3 for 4 classes, got -?\d\.\.4"):
        f(logits, labels.index_fill(1, torch.tensor([5]), 4))
    with pytest.raises(ValueError, match=r"got -1\.\..*no label"):
        f(logits, labels.index_fill(1, torch.tensor([5]), -1))


def test_total_is_the_sum_with_a_small_error():
    x = torch.from_numpy(generator(1, "data").normal(0, 1, (3, 1001)))
    exact = torch.tensor([math.fsum(row) for row in x.tolist()], dtype=torch.float64)
    assert (shared.total(x) - exact).abs().max() < 1e-13
    assert shared.total(x.T, 0).equal(shared.total(x))
    assert shared.total(x[:, :1]).equal(x[:, 0])
    big = torch.full((1 << 16,), 0.1, dtype=torch.float64)
    assert abs(shared.total(big).item() - 0.1 * (1 << 16)) < 1e-11  # one by one it would be 1e-8 off
    big.requires_grad_()  # the other way, by halving: powers of two make no error at all
    assert shared.total(big).item() == 0.1 * (1 << 16) and shared.total(big[:5]).item() == 0.5
    shared.total(big).backward()
    assert big.grad.eq(1).all()


def test_registry():
    names = ["accuracy", "nll", "brier", "ece", "ece_mass", "classwise_ece", "confidence", "aurc", "augrc"]
    assert set(names) <= set(metrics.METRICS)  # topics add their own
    better = {n: metrics.metric(n).higher_is_better for n in names}
    assert better == {**dict.fromkeys(names, False), "accuracy": True, "confidence": None}
    assert {n for n in names if metrics.metric(n).unit == "nats"} == {"nll"}
    assert len({metrics.metric(n).label for n in names}) == len(names)
    logits, labels = example(3, 20, 4)
    assert torch.equal(metrics.metric("ece_mass")(logits, labels), metrics.ece(logits, labels, 15, "mass"))
    assert not torch.equal(metrics.metric("ece_mass")(logits, labels), metrics.metric("ece")(logits, labels))
    assert torch.equal(metrics.metric("confidence")(logits, labels), metrics.mean_confidence(logits))
    for m in metrics.METRICS.values():  # metrics travel to other processes
        assert torch.equal(pickle.loads(pickle.dumps(m))(logits, labels), m(logits, labels))


def test_the_better_direction_is_the_better_direction():
    _, labels = example(200, 4)
    good = torch.nn.functional.one_hot(labels, 4).double() * 6
    bad = torch.from_numpy(generator(2, "data").normal(0, 6, good.shape))
    for name, m in metrics.METRICS.items():
        if m.higher_is_better is not None:
            assert (m(good, labels) > m(bad, labels)) == m.higher_is_better, name


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(ValueError, match=r"unknown metric 'acuracy'; did you mean 'accuracy'"):
        metrics.metric("acuracy")
    with pytest.raises(ValueError, match="known: accuracy, auc"):
        metrics.metric("xyz")


def test_numpy_labels_of_any_origin_are_named():
    with pytest.raises(TypeError, match="got a ndarray"):
        metrics.accuracy(torch.zeros(3, 2), np.zeros(3, int))


def test_several_at_once_are_each_alone():
    logits, labels = example(2, 3, 50, 4)
    logits[1, 2, 7, 0] = torch.nan  # a diverged run
    together = metrics.measure(metrics.METRICS, logits, labels)
    assert list(together) == list(metrics.METRICS)
    for name, values in together.items():
        torch.testing.assert_close(values, metrics.metric(name)(logits, labels), rtol=0, atol=0, equal_nan=True)
    with pytest.raises(ValueError, match="brier"):
        metrics.measure(["accuracy", "briar"], logits, labels)


def test_nothing_is_remembered_of_logits_that_change():
    logits, labels = example(1, 30, 4)
    before = metrics.ece(logits.double(), labels)
    logits, changed = logits.double(), 3 * logits.double()
    assert torch.equal(metrics.ece(logits, labels), before)
    logits.copy_(changed)  # the same tensor, other numbers
    assert torch.equal(metrics.ece(logits, labels), metrics.ece(changed, labels))


def test_what_metrics_share_is_computed_once_and_let_go(monkeypatch):
    logits, labels = example(3, 30, 4)
    calls, once = [], by_class.by_class
    monkeypatch.setattr(by_class, "by_class", lambda z: calls.append(1) or once(z))
    metrics.measure(["accuracy", "macro_f1", "nll", "brier", "ece", "ks_error", "auc"], logits, labels)
    assert len(calls) == 1  # all three runs are one chunk
    assert memo._last.logits is None and not memo._last.results


def test_results_do_not_share_memory_with_what_was_given():
    logits, labels = example(2, 1, 3)  # one example: class by class is the same piece of memory
    logits = logits.double()
    given = logits.clone()
    for function in FUNCTIONS.values():
        function(logits, labels)
        assert torch.equal(logits, given)


def test_an_input_may_hold_nothing():
    """Such as the similarities to no negative labels at all."""
    sums = shared.over_runs(lambda a, b: a.sum(1) + b.sum(1), (3,), torch.ones(3, 2), torch.ones(3, 0))
    assert sums.tolist() == [2.0, 2.0, 2.0]
