"""Lanes are chosen by what was measured, and remembered."""

from __future__ import annotations

import json

import pytest
import torch

import labkit as lk
from labkit.fleet import measure
from labkit.fleet.fit import _cadence


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine whose seconds per lane step are a table (by width; ``(width,)`` when compiled); returns what was
    measured."""
    monkeypatch.setenv("LABKIT_CACHE", str(tmp_path))
    measured, table = [], {}
    monkeypatch.setattr(measure, "seconds_per_step", lambda width: (measured.append(width), table[width])[1])
    return measured, table


def choose(table, runs, steps=10_000, code="code", method="first", **more):
    make = lambda width, stacked, compiled: (width,) if compiled else width
    return measure.choose(make, runs, steps, "here", method, code, **more)


def test_stacking_is_chosen_where_it_pays(machine):
    measured, table = machine
    table.update({1: 1.0, 4: 1.2, 16: 1.6, 32: 2.0})
    assert choose(table, 40, compile=False).width == 32
    assert measured == [1, 4, 16, 32]
    assert choose(table, 20, compile=False).width == 16 and measured == [1, 4, 16, 32]  # remembered, not measured again


def test_a_gain_within_the_noise_is_no_reason_to_stack(machine):
    measured, table = machine
    table.update({1: 1e-4, 4: 3.6e-4, 16: 13.5e-4, 32: 28e-4})
    assert choose(table, 32).width == 1
    assert choose({**table}, 32).stacked is False and (32,) not in measured


def test_long_work_tries_the_compiled_stack_once(machine):
    """Large fully connected layers gain little from stacking and twice from compiling the stack."""
    measured, table = machine
    table.update({1: 1.2e-3, 4: 4.1e-3, 16: 18e-3, 32: 54e-3, (16,): 10e-3})
    choice = choose(table, 32, steps=10**6)
    assert (choice.width, choice.stacked, choice.compiled) == (16, True, True)
    choose(table, 32, steps=10**6)
    assert measured.count((16,)) == 1
    assert choose(table, 32, steps=10**6, compile=False).width == 1
    assert choose(table, 32, steps=200).width == 1  # too short to pay a compilation for a trial


def test_a_compiled_stack_that_gains_nothing_is_left(machine):
    measured, table = machine
    table.update({1: 1.2e-3, 4: 4.1e-3, 16: 18e-3, 32: 54e-3, (16,): 16 * 1.1e-3})
    assert choose(table, 32, steps=10**6).width == 1 and (16,) in measured


def test_if_stacked_then_as_wide_as_costs_nothing(machine):
    _, table = machine
    each = {1: 1e-3, 4: 2.0e-4, 16: 2.1e-4, 32: 1.9e-4, 128: 1.8e-4, 512: 6e-4}
    table.update({width: width * seconds for width, seconds in each.items()})
    assert choose(table, 600).width == 128


def test_convolutions_stay_alone_and_no_time_is_lost_on_wider_lanes(machine):
    measured, table = machine
    table.update({1: 1.0, 4: 9.0})
    choice = choose(table, 40)
    assert (choice.width, choice.stacked, choice.compiled) == (1, False, False)
    assert measured == [1, 4]


def test_another_method_looks_again_where_the_first_stayed_alone(machine):
    """A large network gains nothing from stacking, a loss of many small operations on top of it does."""
    measured, table = machine
    table.update({1: 1.0e-3, 4: 4.0e-3, 16: 16e-3})
    assert choose(table, 20).width == 1 and measured == [1, 4, 16]
    assert choose(table, 20).width == 1 and measured == [1, 4, 16]  # it knows its own
    table.update({1: 5.0e-3, 4: 9.0e-3, 16: 24e-3})
    assert choose(table, 20, steps=10, method="counts").width == 1  # short: what is known must do
    assert choose(table, 20, method="counts").width == 16 and measured == [1, 4, 16] * 2
    assert choose(table, 20, method="counts").width == 16 and measured == [1, 4, 16] * 2  # remembered
    assert choose(table, 20).width == 1


def test_compilation_is_paid_only_where_it_is_won_back(machine):
    _, table = machine
    table.update({1: 0.001, 4: 0.001, 16: 0.001, 32: 0.001})
    assert not choose(table, 32, steps=1000).compiled
    assert not choose(table, 32, steps=15_000).compiled
    assert choose(table, 32, steps=10**7).compiled
    assert choose(table, 32, steps=15_000).compiled  # now warm: worth it sooner
    assert not choose(table, 32, steps=15_000, code="another").compiled
    assert choose(table, 32, steps=1, compile=True).compiled


def test_a_heavier_method_is_compiled_sooner(machine):
    """Widths are measured once, with whatever method comes first."""
    measured, table = machine
    table.update({1: 0.001, 4: 0.001, 16: 0.001, 32: 0.001})
    assert not choose(table, 32, steps=15_000).compiled
    table[32] = 0.006
    assert choose(table, 32, steps=15_000, code="six times as heavy").compiled
    before = len(measured)
    choose(table, 32, steps=15_000, code="six times as heavy")
    assert len(measured) == before  # remembered


def test_short_work_is_not_measured(machine):
    measured, table = machine
    choice = choose(table, 20, steps=100)
    assert (choice.width, choice.stacked, choice.compiled, measured) == (20, True, False, [])
    assert not choose(table, 1, steps=100).stacked


def test_told_not_to_compile_nothing_is_compiled(machine):
    _, table = machine
    table.update({1: 0.001, 4: 0.001, 16: 0.001, 32: 0.001})
    assert not choose(table, 32, steps=10**9, compile=False).compiled


def test_a_broken_or_read_only_memory_only_costs_a_measurement(machine, tmp_path):
    _, table = machine
    table.update({1: 1.0, 4: 1.0})
    (tmp_path / "lanes.json").write_text("{ torn")
    assert choose(table, 4).width == 4
    assert json.loads((tmp_path / "lanes.json").read_text())["here"]["4"] == 0.25


def test_a_real_measurement_leaves_training_as_it_was(small):
    options = dict(methods=lk.methods.CrossEntropy(), seeds=4, epochs=2, dtype="float64", progress=False)
    for a, b in zip(lk.fit(small, lanes="auto", **options), lk.fit(small, lanes=4, **options)):
        torch.testing.assert_close(a.logits["last/test"], b.logits["last/test"], rtol=1e-12, atol=1e-12)


def test_evaluation_is_spaced_to_cost_less_than_a_tenth():
    assert _cadence(3, 100, 10, 10) == 3
    assert _cadence("auto", 54_000, 100, 100) == 1
    for train, validation, test in ((1438, 180, 359), (60_000, 6_000, 10_000), (500, 100, 400)):
        every = _cadence("auto", train, validation, test)
        assert (validation + test) / (2.2 * (train - validation) * every) <= 0.035


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a CUDA device")
def test_a_gpu_gives_the_numbers_of_the_cpu(small):
    options = dict(methods=lk.methods.Mixup(lk.sweep(0.2, 1.0), ema=0.9), seeds=4, epochs=2, dtype="float64", lanes=8)
    for a, b in zip(lk.fit(small, device="cuda", **options), lk.fit(small, device="cpu", **options)):
        torch.testing.assert_close(a.logits["last/test"], b.logits["last/test"], rtol=1e-9, atol=1e-9)
