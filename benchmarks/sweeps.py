"""The sweeps of the smoothing notebooks, as one fleet and as a plain loop over values and seeds.

    python benchmarks/sweeps.py                 # all sweeps
    python benchmarks/sweeps.py --only two_stages --runs 8

The plain loop is the usual one: for every value and every seed a DataLoader, torch.optim.SGD with a cosine schedule,
zero_grad, backward, step, and an evaluation at the end. It calls the same methods, so only the loop differs. It is
timed on ``--runs`` runs spread over the sweep and multiplied up; the fleet is timed whole, with everything it does
(measuring lanes, recording, compiling, evaluating along the way), and once more, when widths are known and kernels are
cached, as they are from the second fit of a kind on. Both see the same splits and labels, and their mean
test accuracies are printed beside each other.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.data import DataLoader, TensorDataset

import labkit as lk
from labkit import methods as m
from labkit.annotate import Clean, Symmetric
from labkit.fleet.plan import expand
from labkit.fleet.task import prepare
from labkit.fleet.timed import at_this_step
from labkit.methods.base import Batch, Start
from labkit.models import MLP, architecture, initialised
from labkit.streams import generator

SEEDS, BATCH = 20, 64


def sweeps() -> dict[str, dict]:
    """Name -> arguments of ``lk.fit``. Teachers are trained first and timed apart."""
    digits = lk.load("digits")
    two = MLP((128, 128))
    values = lk.sweep(0.0, 0.02, 0.05, 0.1, 0.2, 0.3)
    teachers = lk.fit(digits, methods=m.LabelSmoothing(lk.sweep(0.0, 0.1)), model=two, seeds=SEEDS, epochs=10,
                      progress=False)  # fmt: skip
    return {
        "smoothing": dict(data=digits, methods=m.LabelSmoothing(values), model=two, epochs=60),
        "two_stages": dict(data=digits, methods=m.LabelSmoothing(lk.Stages(0.4, 0.0, at=lk.sweep(0.25, 0.5, 0.75))),
                           model="mlp", epochs=30),
        "students": dict(data=digits, methods=m.Distillation(teachers, temperature=lk.sweep(1.0, 2.0, 4.0, 8.0)),
                         model=MLP((16,)), epochs=60),
        "noise": dict(data=digits, annotator=Symmetric(lk.sweep(0.0, 0.2, 0.4, 0.6)), methods=m.LabelSmoothing(0.1),
                      model="mlp", epochs=30),
        "mixture": dict(data=lk.load("gaussians", n=1500, classes=10, dimensions=20, separation=3.0),
                        methods=m.LabelSmoothing(values), model="mlp", epochs=30),
    }  # fmt: skip


class Net:
    """What a method calls, over an ordinary module."""

    def __init__(self, module):
        self.module, self.features, self.head = module, module.body, module.head

    def __call__(self, x):
        return self.module(x)


def plain_run(plan, row, task, data, model, epochs) -> float:
    """Train one run as usual; its test accuracy."""
    train, test = task.train[row], task.test[row]
    evidence = task.evidence_of(row)
    net = initialised(model, data, plan.seed)
    method, x = plan.method, task.x[train]
    state = method.setup(Start(x, evidence, task.n_classes, plan.seed, generator(plan.seed, "method"), train))
    loader = DataLoader(TensorDataset(x, torch.arange(len(x))), BATCH, shuffle=True, drop_last=True)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    total = epochs * len(loader)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
    step = 0
    for _ in range(epochs):
        for inputs, index in loader:
            now = torch.tensor(step / total)
            method_now = _at(method, now)
            optimiser.zero_grad()
            loss, changed = method_now.objective(Net(net), Batch(inputs, evidence[index], index, now, state, {}))
            loss.backward()
            optimiser.step()
            cosine.step()
            state = {**state, **changed}
            step += 1
    with torch.no_grad():
        return float((net(task.x[test]).argmax(-1) == data.y[test]).double().mean())


def _at(method, progress):
    """The method with its timed numbers at this moment."""
    now = copy.copy(method)
    at_this_step(now, {}, progress)
    return now


def compare(name: str, sweep: dict, runs: int) -> dict:
    data, annotator, model = sweep["data"], sweep.get("annotator", Clean()), architecture(sweep["model"])
    methods = {"method": sweep["methods"]}
    plans = expand(methods, annotator, lk.SGD(), range(SEEDS), {})
    task = prepare(data, plans, 0.1, 0.2)
    chosen = [round(i * (len(plans) - 1) / max(1, runs - 1)) for i in range(runs)]
    plain_run(plans[0], task.row[0], task, data, model, 1)  # the first call of everything is slow
    start = time.perf_counter()
    right = [plain_run(plans[i], task.row[i], task, data, model, sweep["epochs"]) for i in chosen]
    plain = (time.perf_counter() - start) / len(chosen) * len(plans)
    options = {k: v for k, v in sweep.items() if k not in ("data", "annotator", "methods")}
    fleet = []
    for _ in range(2):
        start = time.perf_counter()
        fleet_runs = lk.fit(data, annotator, methods=methods, seeds=SEEDS, progress=False, out=None, **options)
        fleet.append(time.perf_counter() - start)
    accuracy = fleet_runs.measure("accuracy")["value"]
    return {
        "sweep": name, "runs": len(plans), "plain s": round(plain, 1), "fleet s": round(fleet[0], 1),
        "again s": round(fleet[1], 1), "ratio": round(plain / fleet[0], 1), "ratio again": round(plain / fleet[1], 1),
        "accuracy of the plain runs": round(sum(right) / len(right), 4),
        "of the same in the fleet": round(float(accuracy.iloc[chosen].mean()), 4),
    }  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", help="a sweep's name (may be repeated)")
    parser.add_argument("--runs", type=int, default=6, help="plain runs that are timed, of each sweep")
    parser.add_argument("--save", help="write the rows as JSON")
    options = parser.parse_args()
    os.environ["LABKIT_CACHE"] = tempfile.mkdtemp()  # lanes are measured afresh
    rows = []
    for name, sweep in sweeps().items():
        if not options.only or name in options.only:
            rows.append(compare(name, sweep, options.runs))
            print("\n" + "\n".join(f"  {key:28} {value}" for key, value in rows[-1].items()), flush=True)
    if options.save:
        Path(options.save).write_text(json.dumps(rows, indent=1))
    plain, first, again = (sum(row[key] for row in rows) for key in ("plain s", "fleet s", "again s"))
    print(f"\nall sweeps: {plain:.0f} s as plain loops, {first:.0f} s as fleets ({plain / first:.1f} times quicker), "
          f"{again:.0f} s again ({plain / again:.1f})")  # fmt: skip


if __name__ == "__main__":
    main()
