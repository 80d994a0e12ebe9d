"""``labkit.fit``: train many runs."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from labkit import __version__
from labkit.annotate import Annotator, Clean
from labkit.augment import Augmentation
from labkit.datasets import Data
from labkit.fleet.beginning import Beginning
from labkit.fleet.lanes import Lane, Settings
from labkit.fleet.measure import Choice, choose
from labkit.fleet.optimisers import SCHEDULES, SGD, Optimiser
from labkit.fleet.plan import RunPlan, describe, expand
from labkit.fleet.runs import Context, Run, Runs
from labkit.fleet.store import Store
from labkit.fleet.task import Task, prepare
from labkit.methods.base import Method
from labkit.models import Architecture, architecture, initialised
from labkit.names import look_up
from labkit.progress import Progress

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def fit(
    data: Data,
    annotator: Annotator | None = None,
    *,
    methods: Mapping[str, Method] | Method,
    model: str | Architecture = "mlp",
    seeds: int | Sequence[int] = 20,
    epochs: int = 30,
    batch_size: int = 64,
    optimiser: Optimiser | None = None,
    schedule: str = "cosine",
    augmentation: Augmentation | None = None,
    start: Runs | None = None,
    fresh: Sequence[str] = (),
    only: Sequence[str] = ("",),
    validation: float = 0.1,
    test: float = 0.2,
    device: str = "auto",
    dtype: str = "float32",
    evaluate_every: int | str = "auto",
    lanes: int | str = "auto",
    compile: bool | str = "auto",
    out: str | os.PathLike | None = "auto",
    checkpoint_every: float = 60.0,
    progress: bool = True,
) -> Runs:
    """Train every method, for every swept value, on every seed, and return the runs.

    Args:
        data: from ``labkit.load``. annotator: clean labels -> evidence; None hands the clean labels on.
        methods: name -> method (or one method). Numbers inside methods, annotator and optimiser may be
            ``labkit.sweep(...)``.
        model: "linear", "mlp", "lenet", "resnet", or an architecture from ``labkit.models``.
        seeds: how many (0, 1, ...), or which. A seed decides split, annotation, initialisation and batch order, each by
            a stream of its own; methods compared at one seed share all four.
        epochs, batch_size, optimiser (default SGD, learning rate 0.05, momentum 0.9), schedule ("cosine", "constant"):
            the training. Batches are always full: what is left over at the end of an epoch is dropped (the order is
            new in each).
        augmentation: from ``labkit.augment``: a random change of the inputs, drawn anew for every batch.
        start: runs of one setting on the same seeds: each run starts from the final weights of the run of its seed.
            fresh: beginnings of the names of parameters that start anew all the same (``("head",)``). only: beginnings
            of the names of those that train; the others stay as they are.
        validation, test: shares of the data; an official test set is used as it is.
        device: "auto" (cuda, then mps, then cpu) or a torch device. dtype: "float32" or "float64".
        evaluate_every: epochs between evaluations; "auto" is 1 unless that would cost over a tenth of the training
            (counted in multiplications). The last epoch is always evaluated.
        lanes: how many runs train stacked: "auto" measures, 1 is one after another. compile: True, False or "auto".
            Neither changes a run's numbers beyond rounding.
        out: folder for finished runs and checkpoints; a run found there is not trained again. "auto" is the folder in
            the environment variable ``LABKIT_CHECKPOINTS`` (set by the notebook runner), or none.
        checkpoint_every: seconds between checkpoints of a lane that is under way.

    Returns:
        :class:`labkit.Runs`, in the order methods, swept values, seeds.

    Raises:
        ValueError, TypeError: an argument out of range, or evidence a method cannot learn from; said before training.
    """
    methods = {type(methods).__name__: methods} if isinstance(methods, Method) else dict(methods)
    annotator, optimiser = annotator or Clean(), optimiser or SGD()
    seeds = _check(
        data, annotator, methods, optimiser, seeds, epochs, batch_size, schedule, augmentation, validation, test
    )  # fmt: skip
    arch, where = architecture(model), pick_device(device)
    number = look_up("dtype", dtype, DTYPES)
    _check_model(arch, data)
    folder = os.environ.get("LABKIT_CHECKPOINTS") or None if out == "auto" else out
    store = Store(folder)

    n_test = len(data.test) if data.test is not None else int(test * data.n)
    every = _cadence(evaluate_every, data.n - n_test, int(validation * data.n), n_test)
    common = {
        "data": data.fingerprint, "model": describe(arch), "epochs": epochs, "batch": batch_size,
        "schedule": schedule, "validation": validation, "test": test, "dtype": dtype, "every": every,
        "version": __version__, **({} if augmentation is None else {"augmentation": describe(augmentation)}),
    }  # fmt: skip
    plans = expand(methods, annotator, optimiser, seeds, common)
    beginning = _beginning(start, fresh, only)
    if beginning is not None:
        for plan in plans:
            plan.key = beginning.key(plan.key, plan.seed)
    done: dict[str, Run] = {plan.key: run for plan in plans if (run := store.load(plan.key)) is not None}
    context = Context(data, arch, methods, number)
    todo = [plan for plan in plans if plan.key not in done]
    if todo:
        settings = Settings(epochs, batch_size, schedule, every, arch, data, where, number, augmentation, beginning)
        task = prepare(data, todo, validation, test)
        _check_task(task, methods, batch_size)
        moved = task.to_device(where, number)
        bar = Progress(len(todo) * epochs, "epochs", show=progress)
        for name in methods:
            mine = [(plan, row) for plan, row in zip(todo, task.row) if plan.name == name]
            if mine:
                total = sum(plan.name == name for plan in plans)
                for run in _train(mine, total, moved, settings, store, lanes, compile, checkpoint_every, bar):
                    done[run.key] = run
        bar.close()
    # a stored run may have been trained under another name, or with a number fixed that is swept here
    return Runs([replace(done[plan.key], method=plan.name, values=plan.values) for plan in plans], context)


def _beginning(start, fresh, only) -> Beginning | None:
    for name, value in (("fresh", fresh), ("only", only)):
        if isinstance(value, str) or not all(isinstance(v, str) for v in value):
            raise TypeError(f"{name} holds beginnings of parameter names, such as ('head',); got {value!r}")
    if start is None:
        if tuple(fresh) or tuple(only) != ("",):
            raise ValueError("`fresh` and `only` say what to do with the weights of `start`, and there is no `start`")
        return None
    if not isinstance(start, Runs):
        raise TypeError(f"start is the result of an earlier labkit.fit, got {type(start).__name__}")
    if not tuple(only):
        raise ValueError("only=() would train nothing; name what trains, or leave it out")
    return Beginning(start, tuple(fresh), tuple(only))


def _train(mine, total: int, task: Task, settings: Settings, store: Store, lanes, compile, checkpoint_every, bar):
    """Train one method's runs lane by lane; yields finished runs.

    Lanes are cut as for all ``total`` runs of the method, so that after an interruption the remaining ones fall into
    the same lanes and find their checkpoints.
    """
    plans, rows = [p for p, _ in mine], [r for _, r in mine]
    make = lambda a, b, stacked, compiled: Lane(plans[a:b], rows[a:b], task, settings, stacked, compiled)
    steps = settings.epochs * (task.units // settings.batch_size)
    if lanes == "auto" and len(plans) > 1 and steps > 0:
        situation = str([
            describe(settings.architecture), settings.data.shape, settings.batch_size * task.unit_size, task.n_classes,
            _device_name(settings.device), str(settings.dtype), torch.get_num_threads(), torch.__version__,
        ])  # fmt: skip
        method = type(plans[0].method).__qualname__
        code = str([describe(plans[0].optimiser), method, len(plans)])
        choice = choose(lambda w, s, c: make(0, w, s, c), len(plans), steps, situation, method, code, compile)
    else:
        width = 1 if lanes == "auto" else min(int(lanes), len(plans))
        choice = Choice(width, width > 1, compile is True)
    pieces = max(1, round(total / choice.width))
    width = math.ceil(total / pieces)  # equal lanes: one shape, one compilation
    for a in range(0, len(plans), width):
        lane = make(a, min(a + width, len(plans)), choice.stacked, choice.compiled)
        keys = [plan.key for plan in lane.plans]
        if (saved := store.load_lane(keys, settings.device)) is not None:
            lane.restore(saved)
        started = saved_at = time.monotonic()
        bar.advance(lane.epoch * len(lane.plans), plans[0].name)
        while not lane.finished:
            lane.train_epoch()
            bar.advance(len(lane.plans), plans[0].name)
            if store.folder is not None and time.monotonic() - saved_at > checkpoint_every and not lane.finished:
                store.save_lane(keys, lane.snapshot())
                saved_at = time.monotonic()
        if lane.epoch == 0:
            lane.evaluate(torch.full((len(lane.plans),), float("nan")))
        seconds = (time.monotonic() - started) / len(lane.plans)
        for run in results(lane, seconds):
            store.save(run)
            yield run
        store.drop_lane(keys)


def results(lane: Lane, seconds: float) -> list[Run]:
    """One :class:`Run` per run of a finished lane."""
    record, settings = lane.record, lane.settings
    curves = {k: torch.stack(v, 1) for k, v in record.curves.items()}
    logits = {k: v.cpu() for k, v in record.logits.items()}
    params = {k: v.cpu() for k, v in lane.weights().items()}
    splits = {s: getattr(lane.task, s)[lane.row].cpu() for s in ("train", "validation", "test")}
    given, told = lane.task.given(), lane.task.told()
    kept = {name: lane.state["method"][name].cpu() for name in lane.plans[0].method.keeps}
    runs = []
    for i, plan in enumerate(lane.plans):
        broken = int(record.diverged[i])
        answers = {"last": lane.epoch, **{k: int(v[i]) for k, v in record.best_epoch.items()}}
        runs.append(
            Run(
                key=plan.key, method=plan.name, seed=plan.seed, values=plan.values, epochs=list(record.epochs),
                curves={k: v[i].tolist() for k, v in curves.items()}, answers=answers, diverged=broken,
                seconds=seconds, device=_device_name(settings.device),
                params={k: v[i].clone() for k, v in params.items()},
                logits={k: v[i].clone() for k, v in logits.items()},
                index={k: v[i].clone() for k, v in splits.items()},
                given={k: v[lane.row[i]].cpu() for k, v in {**given, **told}.items()},
                kept={k: v[i].clone() for k, v in kept.items()},
            )
        )  # fmt: skip
    return runs


def pick_device(device: str) -> torch.device:
    """``"auto"`` is cuda, else mps, else cpu; anything else is checked to exist."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here ({str(error).splitlines()[0]}); try 'auto'") from error
    return found


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name() if device.type == "cuda" else device.type


def _cadence(asked: int | str, train: int, validation: int, test: int) -> int:
    if asked != "auto":
        if int(asked) < 1:
            raise ValueError(f"evaluate_every counts epochs from 1, got {asked}")
        return int(asked)
    # A training example costs about 2.2 forward passes (the first layer needs no input gradient), and an evaluated one
    # about 2.5 (scores, kept logits; measured on a CPU), so 0.035 of the multiplications are under a tenth of the time.
    return max(1, math.ceil((validation + test) / (2.2 * max(train - validation, 1)) / 0.035))


def _check(
    data, annotator, methods, optimiser, seeds, epochs, batch_size, schedule, augmentation, validation, test
) -> list[int]:
    if not isinstance(data, Data):
        raise TypeError(f"data comes from labkit.load(...), got {type(data).__name__}")
    if not isinstance(annotator, Annotator):
        raise TypeError(f"the second argument is an annotator from labkit.annotate, got {type(annotator).__name__}")
    if not isinstance(optimiser, Optimiser):
        raise TypeError(f"optimiser is labkit.SGD(...) or labkit.AdamW(...), got {type(optimiser).__name__}")
    if augmentation is not None and not isinstance(augmentation, Augmentation):
        raise TypeError(f"augmentation is one of labkit.augment, got {type(augmentation).__name__}")
    for name, method in methods.items():
        if not isinstance(method, Method):
            raise TypeError(f"method {name!r} is a {type(method).__name__}; give one of labkit.methods, made: Focal()")
    if not methods:
        raise ValueError("fit needs at least one method")
    for name, value, least in (("epochs", epochs, 0), ("batch_size", batch_size, 1)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"{name} is a whole number from {least}, got {value!r}")
    for name, value in (("validation", validation), ("test", test)):
        if not 0 <= value < 1:
            raise ValueError(f"{name} is a share of the data in [0, 1), got {value!r}")
    look_up("schedule", schedule, SCHEDULES)
    seeds = list(range(seeds)) if isinstance(seeds, int) else [int(s) for s in seeds]
    if not seeds or min(seeds) < 0 or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds is a number from 1, or distinct whole numbers from 0; got {seeds}")
    return seeds


def _check_model(arch: Architecture, data: Data) -> None:
    """Says at once if the model does not fit the data: its inputs, or the number of answers per example."""
    with torch.no_grad():
        gives = tuple(initialised(arch, data)(data.x[:2]).shape)
    wants = (*data.y[:2].shape, data.n_classes)
    if gives != wants:
        raise ValueError(
            f"for two examples of {data.name!r} the model gives logits {gives}, and their labels need {wants}; "
            "labels (n, P) have a class in each of P places and need a model that answers in each"
        )


def _check_task(task: Task, methods: Mapping[str, Method], batch_size: int) -> None:
    for name, method in methods.items():
        if not issubclass(task.form, method.accepts):
            wants = " or ".join(form.__name__ for form in method.accepts)
            raise TypeError(f"{name!r} learns from {wants}, but the annotator gives {task.form.__name__}")
    if batch_size > task.units:
        raise ValueError(f"a batch of {batch_size} is larger than the {task.units} units of training evidence")


__all__ = ["RunPlan", "fit", "pick_device"]
