"""From a question to a list of runs: methods x swept values x seeds."""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import inspect
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from labkit.annotate import Annotator, Chain
from labkit.fleet.optimisers import Optimiser
from labkit.fleet.timed import Timed
from labkit.methods.base import Method, hyperparameters


@dataclass(frozen=True)
class Sweep:
    """Values that a number takes, one run (per seed) each."""

    values: tuple[float, ...]

    def __iter__(self):
        return iter(self.values)


def sweep(*values: float) -> Sweep:
    """``labkit.sweep(0.0, 0.1, 0.2)`` in place of a number: one run per value, all in one fleet."""
    if len(values) == 1 and isinstance(values[0], Sequence) and not isinstance(values[0], str):
        values = tuple(values[0])
    if not values:
        raise ValueError("a sweep needs at least one value")
    for value in values:
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"a sweep is over numbers, got {value!r}; for other choices give two methods by name")
    if len(set(values)) < len(values):
        raise ValueError(f"a sweep names each value once, got {values}")
    return Sweep(tuple(values))


@dataclass
class RunPlan:
    """One run: which method with which concrete numbers on which seed."""

    name: str
    method: Method  # every swept field holds this run's number
    annotator: Annotator
    optimiser: Optimiser
    seed: int
    values: dict[str, float]  # the swept values, by column name
    swept: dict[str, dict[str, float]]  # {"method": {"smoothing": 0.1}, "optimiser": {}}: what varies inside a lane
    key: str = ""


def expand(
    methods: Mapping[str, Method], annotator: Annotator, optimiser: Optimiser, seeds: Sequence[int], common: dict
) -> list[RunPlan]:
    """All runs, seeds fastest. ``common`` is everything else that decides a run's numbers; it goes into its key."""
    plans = []
    for name, method in methods.items():
        axes = [
            *_axes("method", "", method),
            *_axes("annotator", "annotator.", annotator),
            *_axes("optimiser", "optimiser.", optimiser),
        ]
        for point in itertools.product(*(choices for _, _, _, choices in axes)):
            parts = {"method": copy.copy(method), "annotator": annotator, "optimiser": optimiser}
            columns: dict[str, float] = {}
            swept: dict[str, dict[str, float]] = {"method": {}, "optimiser": {}}
            teachers = {}
            for (part, prefix, field, _), choice in zip(axes, point):
                if isinstance(choice, _Taught):
                    teachers[field] = choice
                    columns.update({f"{field}.{k}": v for k, v in choice.values.items()})
                    continue
                columns[prefix + field] = choice
                parts[part] = _with(parts[part], field, choice)
                if part in swept:
                    swept[part][field] = choice
            for seed in seeds:
                own = copy.copy(parts["method"])
                for field, taught in teachers.items():
                    setattr(own, field, taught.for_seed(seed))
                plan = RunPlan(name, own, parts["annotator"], parts["optimiser"], int(seed), columns, swept)
                plan.key = run_key(plan, common)
                plans.append(plan)
    return plans


class _Taught:
    """One setting of a fleet of teachers, as a value of an axis."""

    def __init__(self, runs, values):
        self.runs, self.values = runs, values

    def for_seed(self, seed: int):
        try:
            return self.runs.one(seed=seed)
        except LookupError:
            raise ValueError(
                f"student seed {seed} has no teacher; teachers have seeds {sorted(set(self.runs.settings['seed']))}. "
                "Train teachers on the same seeds as students."
            ) from None


def _axes(part: str, prefix: str, thing) -> list[tuple[str, str, str, list]]:
    from labkit.fleet.runs import Runs

    if isinstance(thing, Chain):  # the links' fields, as "0.rate"
        return [
            (part, prefix, f"{i}.{field}", choices)
            for i, link in enumerate(thing.links)
            for _, _, field, choices in _axes(part, prefix, link)
        ]
    axes = []
    for field, value in hyperparameters(thing).items():
        if isinstance(value, Sweep):
            axes.append((part, prefix, field, list(value)))
        elif isinstance(value, Timed | Annotator):  # its own numbers, as "smoothing.at", "noise.rate"
            axes += [(part, prefix, f"{field}.{inner}", choices) for _, _, inner, choices in _axes(part, "", value)]
        elif isinstance(value, Runs):
            axes.append((part, prefix, field, [_Taught(runs, values) for values, runs in value.by_setting()]))
    return axes


def _with(thing, field: str, value):
    if isinstance(thing, Chain):
        place, inner = field.split(".", 1)
        links = [_with(link, inner, value) if i == int(place) else link for i, link in enumerate(thing.links)]
        return Chain(tuple(links))
    field, _, inner = field.partition(".")
    if inner:
        value = _with(getattr(thing, field), inner, value)
    if dataclasses.is_dataclass(thing) and thing.__dataclass_params__.frozen:
        return dataclasses.replace(thing, **{field: value})
    thing = copy.copy(thing)
    setattr(thing, field, value)
    return thing


def describe(thing) -> Any:
    """A plain description of a method, annotator, optimiser or model: what its run key is made from."""
    from labkit.fleet.runs import Runs

    if isinstance(thing, Runs):
        return {"runs": thing.keys}
    if dataclasses.is_dataclass(thing):
        fields = {k: describe(v) for k, v in hyperparameters(thing).items()}
        return {"class": f"{type(thing).__module__}.{type(thing).__qualname__}", "code": _code(type(thing)), **fields}
    if isinstance(thing, dict):
        return {str(k): describe(v) for k, v in thing.items()}
    if isinstance(thing, list | tuple):
        return [describe(v) for v in thing]
    if inspect.isroutine(thing):  # its repr is an address, another one in every process
        return {"function": f"{thing.__module__}.{thing.__qualname__}", "code": _code(thing)}
    return thing if isinstance(thing, str | int | float | bool | None.__class__) else repr(thing)


@functools.cache  # reading source costs milliseconds, and a fleet asks once per run
def _code(thing) -> str:
    """A digest of the source of a class or function, so that an edited method is another run."""
    try:
        return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:12]
    except (OSError, TypeError):  # typed into a console
        return ""


def run_key(plan: RunPlan, common: dict) -> str:
    what = {
        "method": describe(plan.method), "annotator": describe(plan.annotator),
        "optimiser": describe(plan.optimiser), "seed": plan.seed, **common,
    }  # fmt: skip
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:24]
