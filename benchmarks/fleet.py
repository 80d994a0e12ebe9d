"""What the README's speed table is measured with: one fleet against a plain PyTorch loop, in one process.

    python benchmarks/fleet.py                    # the table, CPU
    python benchmarks/fleet.py --device cuda --runs 256
    python benchmarks/fleet.py --only digits

Everything is a ratio from one run. Plain loop, fleet and matrix product take turns, so that a machine that slows down
slows all. Steps a second and their ratio are medians over the turns; the share of the matrix rate sets the quickest
turn beside the quickest product, for it asks what the code leaves of the machine, not what other processes leave of it
(its median over the turns is given too). Inputs are random numbers of the data sets' shapes: speed does not depend on
them.

- plain: the loop most people write. One run after another, DataLoader(shuffle=True), torch.optim.SGD, zero_grad,
  backward, step. On a GPU its batches are copied there.
- fleet: ``labkit.fit``'s own lanes, with the width it measures best, everything included that happens every epoch
  (batch orders, gathering, evaluation every so many epochs, divergence check); compilation is shown apart, as
  it is paid once.
- share of the matrix rate: products counted as 6 x parameters x batch a step (forward, and twice that backward), as is
  usual, over the rate of a 2048 x 2048 float32 product measured in the same process. "computed" leaves out the gradient
  in the input of the first layer, which nobody needs and nobody computes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time

import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

import labkit as lk
from labkit.annotate import Clean
from labkit.datasets import Data
from labkit.fleet.fit import _cadence as cadence
from labkit.fleet.fit import pick_device
from labkit.fleet.lanes import Lane, Settings
from labkit.fleet.measure import choose
from labkit.fleet.plan import expand
from labkit.fleet.task import prepare
from labkit.models import MLP, LeNet, initialised

CASES = {
    "digits": ("MLP 64-128-10", (64,), 1797, MLP((128,)), (8, 8)),
    "fashion": ("MLP 784-256-256-10", (784,), 12000, MLP((256, 256)), (28, 28)),
    "lenet": ("LeNet 28x28", (784,), 2400, LeNet(), (28, 28)),
}
BATCH = 64


def wait(device):
    if device.type == "cuda":
        torch.cuda.synchronize()


def matrix_rate(device, size=2048, repeats=5) -> float:
    """Float32 multiply-adds a second, counted as two operations each."""
    size = 8192 if device.type == "cuda" else size
    a = torch.randn(size, size, device=device)
    a @ a
    wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        a @ a
    wait(device)
    return repeats * 2 * size**3 / (time.perf_counter() - start)


def plain_rate(data, arch, train, device, seconds) -> float:
    """Model-steps a second of the plain loop."""
    loader = DataLoader(TensorDataset(data.x[train], data.y[train]), BATCH, shuffle=True, drop_last=True)
    net = initialised(arch, data).to(device)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        for x, y in loader:
            optimiser.zero_grad()
            F.cross_entropy(net(x.to(device)), y.to(device), label_smoothing=0.1).backward()
            optimiser.step()
            steps += 1
            if time.perf_counter() - start > seconds:
                break
    wait(device)
    return steps / (time.perf_counter() - start)


def products(arch, data) -> tuple[float, float]:
    """Multiply-add operations of a step, 6PB and as computed; 0 where layers are not all fully connected."""
    net = initialised(arch, data)
    weights = [p.numel() for p in net.parameters() if p.ndim == 2]
    if any(p.ndim > 2 for p in net.parameters()):
        return 0.0, 0.0
    return 6 * BATCH * sum(weights), BATCH * (6 * sum(weights) - 2 * weights[0])


def run_case(name, runs, device, turns, seconds, memory) -> dict:
    label, shape, n, arch, image = CASES[name]
    g = torch.Generator().manual_seed(0)
    data = Data(name, torch.randn(n, *shape, generator=g), torch.arange(n) % 10, tuple("0123456789"), image_shape=image)
    method = lk.methods.LabelSmoothing(lk.sweep(0.0, 0.05, 0.1, 0.2))
    plans = expand({"smoothing": method}, Clean(), lk.SGD(), range(runs // 4), {})
    task = prepare(data, plans, 0.1, 0.2).to_device(device, torch.float32)
    train = task.train[0].cpu()
    every = cadence("auto", data.n - int(0.2 * n), int(0.1 * n), int(0.2 * n))
    settings = Settings(5000, BATCH, "constant", every, arch, data, device, torch.float32)
    make = lambda width, stacked, compiled: Lane(plans[:width], task.row[:width], task, settings, stacked, compiled)
    start = time.perf_counter()
    choice = choose(make, runs, 10**6, name + str(device), "cross entropy", "benchmark", "auto")
    measuring = time.perf_counter() - start
    lane = make(choice.width, choice.stacked, choice.compiled)
    start = time.perf_counter()
    lane.prepare_step()
    lane.train_epoch()
    preparing = time.perf_counter() - start
    evaluating = []
    evaluate = lane.evaluate
    lane.evaluate = lambda loss: (
        wait(device),
        (t := time.perf_counter()),
        evaluate(loss),
        wait(device),
        evaluating.append(time.perf_counter() - t),
    )
    plain, fleet, share, rates = [], [], [], []
    for _ in range(turns):
        rates.append(matrix_rate(device))
        plain.append(plain_rate(data, arch, train, device, seconds))
        evaluating.clear()
        epochs, start = 0, time.perf_counter()
        while time.perf_counter() - start < seconds or epochs % every:
            lane.train_epoch()
            epochs += 1
        wait(device)
        spent = time.perf_counter() - start
        fleet.append(epochs * lane.steps * len(lane.plans) / spent)
        start = time.perf_counter()
        for i in range(epochs):
            lane.epoch_draws(i)
        share.append((sum(evaluating) + time.perf_counter() - start) / spent)
    lane.record.curves.clear()
    standard, computed = products(arch, data)
    rate, steps = statistics.median(rates), statistics.median(fleet)
    sizes = (
        [sum(t.numel() * t.element_size() for t in _tensors(make(w, w > 1, False))) for w in (4, 8, 16)]
        if memory
        else []
    )
    return {
        "case": f"{name}: {label}", "runs": runs, "lane": choice.width, "compiled": choice.compiled,
        "plain steps/s": round(statistics.median(plain)), "fleet steps/s": round(steps),
        "ratio": round(statistics.median(f / p for f, p in zip(fleet, plain)), 2),
        "share of matrix rate": round(standard * max(fleet) / max(rates), 3),
        "median share": round(statistics.median(standard * f / r for f, r in zip(fleet, rates)), 3),
        "computed": round(computed * max(fleet) / max(rates), 3),
        "evaluation and bookkeeping": round(statistics.median(share), 3), "matrix GFLOP/s": round(rate / 1e9, 1),
        "choosing s": round(measuring, 1), "preparing s": round(preparing, 1),
        "MB a run (4, 8, 16 runs)": [round(s / w / 1e6, 3) for s, w in zip(sizes, (4, 8, 16))],
    }  # fmt: skip


def _tensors(lane):
    from torch.utils._pytree import tree_flatten

    return tree_flatten(lane.state)[0]


def agreement(device) -> float:
    """Largest difference in test logits between this device and the CPU, float64, after two epochs."""
    data = lk.load("digits")
    options = dict(
        methods=lk.methods.LabelSmoothing(lk.sweep(0.0, 0.1)),
        seeds=4,
        epochs=2,
        dtype="float64",
        progress=False,
        lanes=8,
    )
    here, there = (lk.fit(data, device=d, **options).logits() for d in (str(device), "cpu"))
    return float((here - there).abs().max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--only", choices=sorted(CASES), action="append")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--memory", action="store_true", help="also the size of a lane's state by number of runs")
    parser.add_argument("--save", help="write the rows as JSON")
    options = parser.parse_args()
    device = pick_device(options.device)
    os.environ["LABKIT_CACHE"] = tempfile.mkdtemp()  # lanes are measured afresh
    rows = []
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, batch {BATCH}")
    for name in options.only or CASES:
        rows.append(run_case(name, options.runs, device, options.turns, options.seconds, options.memory))
        print("\n" + "\n".join(f"  {key:30} {value}" for key, value in rows[-1].items()), flush=True)
    if device.type != "cpu":
        print(f"\nlargest difference to the CPU in float64 logits after two epochs: {agreement(device):.2e}")
    if options.save:
        with open(options.save, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
