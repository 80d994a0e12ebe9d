"""How many runs go side by side: decided by a short measurement, remembered for next time."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass

import torch

from labkit.datasets import cache_folder

# A compilation makes a stacked step 2 to 3 times faster and is paid only where the gain is as large: measured 9 to
# 13 s (the very first on a machine 16, for it compiles headers too), from the cache 3 s, most of it imports.
COMPILE_SECONDS = {"cold": 10.0, "warm": 3.0}
COMPILE_GAIN = 0.6
HEAVIEST = 10  # a step of one method costs up to so many of another
TRIAL = 10  # work as long as so many compilations pays one to see whether a compiled stack beats single runs
WIDTHS = (1, 4, 16, 32, 128, 512)
CLEARLY = 1.25
SHORT = 4000  # model-steps; a measurement costs some seconds, and work that is over sooner is stacked unmeasured
LONG = 5.0  # seconds of training one by one from which a method's own widths are looked at


@dataclass(frozen=True)
class Choice:
    """A lane's width and how its step runs."""

    width: int
    stacked: bool
    compiled: bool


class Memory:
    """Measured seconds per run and step by situation, in a small JSON file; losing it costs a measurement."""

    def __init__(self):
        self.path = cache_folder() / "lanes.json"

    def get(self, situation: str) -> dict | float | None:
        try:
            return json.loads(self.path.read_text()).get(situation)
        except (OSError, ValueError):
            return None

    def put(self, situation: str, value: dict | float) -> None:
        try:
            try:
                held = json.loads(self.path.read_text())
            except (OSError, ValueError):
                held = {}
            held[situation] = value
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside = self.path.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(held, indent=1))
            os.replace(beside, self.path)
        except OSError:
            pass  # a read-only home: measure again next time


def choose(
    make_lane, runs: int, steps: int, situation: str, method: str, code: str, compile: bool | str = "auto"
) -> Choice:
    """The quickest way to train ``runs`` runs of ``steps`` steps each.

    Widths are measured with whatever method comes first. Where it gains nothing from stacking, another one still may (a
    loss of many small operations on a large network does): long work looks at its own.

    Args:
        make_lane: ``(width, stacked, compiled) -> Lane`` of the first ``width`` runs.
        situation: what the best width depends on (model, batch, device, threads, versions). The measured seconds per
            run and step are kept under it, so that the same fit chooses the same lanes next time.
        method: the name of what is trained.
        code: what a compiled step depends on besides (method, optimiser): tells a warm cache from a cold one.
        compile: True, False, or "auto": where the work is long enough to win the compilation back.
    """
    memory = Memory()
    known = memory.get(situation) or {}
    if not known and runs * steps < SHORT and compile is not True:
        return Choice(min(runs, 32), runs > 1, False)
    known, measured = _widths(memory, make_lane, runs, situation, method)
    if _alone(measured) and known.get("by") != method and runs * steps * measured[1] > LONG:
        situation += method
        known, measured = _widths(memory, make_lane, runs, situation, method)
    stacked = {w: seconds for w, seconds in measured.items() if w > 1}
    # but if stacked, then as wide as costs nothing: a wider step is called less often, most of all once it is compiled
    width = max((w for w, s in stacked.items() if s <= CLEARLY * min(stacked.values())), default=1)
    if _alone(measured):
        # large fully connected layers gain little from stacking alone, but twice once compiled: long work tries that
        long = compile == "auto" and runs * steps * measured[1] > TRIAL * COMPILE_SECONDS["cold"]
        if not long or min(measured, key=measured.get) == 1:
            return Choice(1, False, False)
        if "compiled" not in known:
            known["compiled"] = seconds_per_step(make_lane(width, True, True)) / width
            memory.put(situation, known)
        if measured[1] <= CLEARLY * known["compiled"]:
            return Choice(1, False, False)
        return Choice(width, True, True)
    if compile != "auto":
        return Choice(width, True, bool(compile))
    before = memory.get("compiled: " + situation + code)
    gain, enough = runs * steps * known[str(width)] * COMPILE_GAIN, COMPILE_SECONDS["warm" if before else "cold"]
    if enough / HEAVIEST < gain < enough:  # widths were measured with some method; this one's step may be a heavier one
        own = memory.get("step: " + situation + code)
        if own is None:
            own = seconds_per_step(make_lane(width, True, False)) / width
            memory.put("step: " + situation + code, own)
        gain = runs * steps * own * COMPILE_GAIN
    worth = gain > enough
    if worth and not before:
        memory.put("compiled: " + situation + code, {"done": 1})
    return Choice(width, True, worth)


def _widths(memory: Memory, make_lane, runs: int, situation: str, method: str) -> tuple[dict, dict[int, float]]:
    """What memory holds of a situation, completed by measurements, and the seconds per run and step by width."""
    known = memory.get(situation) or {"by": method}
    for width in [w for w in WIDTHS if w <= runs]:
        if str(width) not in known:
            known[str(width)] = seconds_per_step(make_lane(width, width > 1, False)) / width
            memory.put(situation, known)
        if known[str(width)] > 2 * known["1"]:
            break  # stacking loses badly; wider loses more
    return known, {w: known[str(w)] for w in WIDTHS if w <= runs and str(w) in known}


def _alone(measured: dict[int, float]) -> bool:
    """One after another unless stacking clearly wins: a few steps are a noisy measurement, and convolutions, which gain
    little from stacking, lose again when compiled."""
    return measured[1] <= CLEARLY * min(measured.values())


def seconds_per_step(lane, steps: int = 5) -> float:
    """Seconds of a step of ``lane``, which is thrown away afterwards: the quickest of some, for whatever else the
    machine does only adds to it (and would be remembered)."""
    lane.prepare_step()
    units, draws = lane.epoch_draws(0)
    times = []
    for s in range(min(steps, lane.steps)):
        _wait(lane.settings.device)
        start = time.perf_counter()
        lane.train_steps(units[s : s + 1], {k: v[s : s + 1] for k, v in draws.items()})
        _wait(lane.settings.device)
        times.append(time.perf_counter() - start)
    return min(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


__all__ = ["Choice", "Memory", "choose", "seconds_per_step"]
