"""What the exact likelihood of class counts costs, by bag size and number of classes, and what its approximation errs.

    python benchmarks/count_loss.py                 # all three tables
    python benchmarks/count_loss.py --save data/count_loss.json
    python benchmarks/count_loss.py --only step --turns 9

Times are processor time of one thread, so that what else the machine does counts little.

- step: a training step of a fleet of 32 runs (digits MLP, 512 examples in bags of 64, odd against even) with the exact
  count likelihood, over one with the plain proportion loss. Both lanes take turns in one process, compiled and not, and
  the median of the turns' ratios is reported.
- sizes: value and gradient of the exact two-class likelihood, and of the proportion loss, in bags of 16 to 4,096
  (each 4,096 examples in all), with the exponent of the growth per bag.
- classes: the exact many-class likelihood against the saddlepoint: milliseconds per bag, and the largest error of the
  saddlepoint (nats per bag; posterior of a member) over bags whose counts are drawn from the beliefs themselves.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time

import torch

import labkit as lk
from labkit.annotate import RandomBags
from labkit.counts import EXACT_LIMIT, count_log_likelihood, count_posterior
from labkit.datasets import Data
from labkit.fleet.lanes import Lane, Settings
from labkit.fleet.plan import expand
from labkit.fleet.task import prepare
from labkit.losses import count_nll, proportion_cross_entropy
from labkit.models import MLP

RUNS, BAGS, SIZE = 32, 8, 64
SIZES = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
MANY = ((3, 8), (3, 16), (3, 32), (3, 64), (4, 8), (4, 16), (6, 8), (6, 12), (10, 8), (10, 12), (10, 16))


def odd_even(n: int = 9000) -> Data:
    """Random numbers of the digits' shape: speed does not depend on them."""
    g = torch.Generator().manual_seed(0)
    return Data("random", torch.randn(n, 64, generator=g), torch.arange(n) % 2, ("even", "odd"), image_shape=(8, 8))


def lane_of(method, compiled: bool) -> Lane:
    data = odd_even()
    plans = expand({"method": method}, RandomBags(SIZE), lk.SGD(), range(RUNS), {})
    task = prepare(data, plans, 0.1, 0.2).to_device(torch.device("cpu"), torch.float32)
    settings = Settings(1000, BAGS, "constant", 10**6, MLP((128,)), data, torch.device("cpu"), torch.float32)
    lane = Lane(plans, task.row, task, settings, stacked=True, compiled=compiled)
    lane.train_epoch()
    return lane


def per_step(lane: Lane, seconds: float) -> float:
    """Milliseconds of a step of the whole lane, evaluation left out."""
    steps, start = 0, time.process_time()
    while time.process_time() - start < seconds:
        lane.train_epoch()
        steps += lane.steps
    return 1e3 * (time.process_time() - start) / steps


def step(turns: int, seconds: float) -> list[dict]:
    rows = []
    for compiled in (True, False):
        proportions = lane_of(lk.methods.ProportionLoss(), compiled)
        counts = lane_of(lk.methods.CountLikelihood(), compiled)
        pairs = [(per_step(proportions, seconds), per_step(counts, seconds)) for _ in range(turns)]
        rows.append({
            "step": f"{RUNS} runs, {BAGS} bags of {SIZE}, two classes", "compiled": compiled,
            "proportion loss ms": round(statistics.median(p for p, _ in pairs), 2),
            "count likelihood ms": round(statistics.median(c for _, c in pairs), 2),
            "ratio": round(statistics.median(c / p for p, c in pairs), 2),
            "ratios from": round(min(c / p for p, c in pairs), 2), "to": round(max(c / p for p, c in pairs), 2),
        })  # fmt: skip
    return rows


def example(bags: int, size: int, k: int, spread: float = 2.0, dtype=torch.float32, seed: int = 0):
    """Logits, and counts of labels drawn from them."""
    g = torch.Generator().manual_seed(seed)
    logits = (spread * torch.randn(bags, size, k, generator=g, dtype=torch.float64)).to(dtype)
    draw = torch.rand(bags, size, 1, generator=g, dtype=torch.float64)
    labels = (logits.double().softmax(-1).cumsum(-1) < draw).sum(-1).clamp(max=k - 1)
    return logits, torch.nn.functional.one_hot(labels, k).sum(1).to(dtype)


def quickest(loss, logits, counts, turns: int) -> float:
    """Milliseconds of value and gradient for all bags: the quickest of the turns."""
    slope, times = torch.func.grad(lambda z: loss(z, counts).sum()), []
    for _ in range(turns + 1):
        start = time.process_time()
        slope(logits)
        times.append(time.process_time() - start)
    return 1e3 * min(times[1:])


def sizes(turns: int) -> list[dict]:
    rows = []
    for size in SIZES:
        bags = max(SIZES) // size
        logits, counts = example(bags, size, 2)
        exact, plain = (quickest(loss, logits, counts, turns) for loss in (count_nll, proportion_cross_entropy))
        rows.append({"bag size": size, "bags": bags, "exact ms per bag": round(exact / bags, 4),
                     "proportion loss ms per bag": round(plain / bags, 4)})  # fmt: skip
    tail = [row for row in rows if row["bag size"] >= 256]
    growth = slope_of([math.log(r["bag size"]) for r in tail], [math.log(r["exact ms per bag"]) for r in tail])
    return [*rows, {"growth exponent per bag, from 256": round(growth, 2)}]


def slope_of(x: list[float], y: list[float]) -> float:
    """Of the least-squares line."""
    return statistics.linear_regression(x, y).slope


def classes(turns: int, bags: int = 8) -> list[dict]:
    rows = []
    for k, size in MANY:
        logits, counts = example(bags, size, k)
        ways = {way: (lambda z, m, way=way: count_nll(z, m, method=way)) for way in ("exact", "saddlepoint", "auto")}
        ms = {way: quickest(loss, logits, counts, turns) / bags for way, loss in ways.items()}
        z, m = example(bags, size, k, dtype=torch.float64)
        value, post = (
            {w: f(z.log_softmax(-1), m, method=w) for w in ways} for f in (count_log_likelihood, count_posterior)
        )
        rows.append({
            "classes": k, "bag size": size,
            "exact ms": round(ms["exact"], 3), "saddlepoint ms": round(ms["saddlepoint"], 3),
            "auto takes": "exact" if torch.equal(value["auto"], value["exact"]) else "saddlepoint",
            "error in nats": round(float((value["saddlepoint"] - value["exact"]).abs().max()), 4),
            "error of a posterior": round(float((post["saddlepoint"] - post["exact"]).abs().max()), 4),
            "its mean": round(float((post["saddlepoint"] - post["exact"]).abs().mean()), 5),
        })  # fmt: skip
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("step", "sizes", "classes"), action="append")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each turn of the training step")
    parser.add_argument("--save", help="write the tables as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"torch {torch.__version__}, one thread; above {EXACT_LIMIT} numbers per bag 'auto' takes the saddlepoint")
    tables = {"step": lambda: step(options.turns, options.seconds), "sizes": lambda: sizes(options.turns),
              "classes": lambda: classes(options.turns)}  # fmt: skip
    made = {"command": "python " + " ".join(sys.argv), "torch": torch.__version__}
    for name, table in tables.items():
        if not options.only or name in options.only:
            made[name] = table()
            print(f"\n{name}")
            for row in made[name]:
                print("  " + ", ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.save:
        with open(options.save, "w") as file:
            json.dump(made, file, indent=1)


if __name__ == "__main__":
    main()
