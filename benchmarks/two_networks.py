"""What a method costs, as a multiple of cross-entropy fleets: one for a single network, two for a pair.

    python benchmarks/two_networks.py
    python benchmarks/two_networks.py --augment --runs 40

Every method trains a fleet on digits under 40 % noise and is divided by as many cross-entropy fleets as it has networks
(a fleet of that many times the runs). Each is timed twice in one process and the quicker counts: compiling and
measuring lanes belong to the first.
"""

from __future__ import annotations

import argparse
import time

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.augment import Shift

METHODS = {
    "co-teaching": m.CoTeaching(0.4), "co-teaching+": m.CoTeachingPlus(0.4), "JoCoR": m.JoCoR(0.4),
    "ELR": m.ELR(), "ELR+": m.ELRPlus(), "DivideMix": m.DivideMix(), "SOP": m.SparseOverParameterisation(),
    "M-DYR": m.DynamicBootstrap(), "VolMinNet": m.VolMinNet(), "CORES": m.CORES(),
}  # fmt: skip


def quickest(data, method, seeds: int, **options) -> float:
    """Seconds of the quicker of two fits."""
    times = []
    for _ in range(2):
        start = time.perf_counter()
        lk.fit(data, Symmetric(0.4), methods=method, seeds=seeds, out=None, progress=False, **options)
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=40, help="runs in a fleet")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--augment", action="store_true", help="shift the digits by a pixel, so that two views differ")
    parser.add_argument("--only", action="append", help="a method's name (may be repeated)")
    options = parser.parse_args()
    data = lk.load("digits")
    shared = dict(epochs=options.epochs, augmentation=Shift(1, data.image_shape) if options.augment else None)
    base = {n: quickest(data, m.CrossEntropy(), n * options.runs, **shared) for n in (1, 2)}
    print(f"cross entropy, {options.runs} runs of {options.epochs} epochs: {base[1]:.1f} s; twice that {base[2]:.1f} s")
    for name, method in METHODS.items():
        if not options.only or name in options.only:
            seconds = quickest(data, method, options.runs, **shared)
            print(f"{name:14} {seconds:6.1f} s   {seconds / base[method.networks]:4.1f} times {method.networks} "
                  f"cross-entropy fleet{'s' * (method.networks > 1)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
