"""What the metrics of many runs cost, against calling a peer library once per run.

    python benchmarks/metrics.py                                # 256 runs of 10,000 x 10, and of 360 x 10
    python benchmarks/metrics.py --save data/metrics_speed.json

One thread, processor time, the two sides taking turns in one process; the peers see the first runs only, their time per
run is the median. Peers get what they take (probabilities made once, beforehand, not counted), labkit gets logits.
Before anything is timed, both sides must agree on every run they share. labkit works in float64 whatever it is given,
torchmetrics in the float32 it is given.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np
import sklearn.metrics as sk
import torch
import torchmetrics.functional.classification as tm

from labkit import metrics

RUNS, K = 256, 10
SIZES = (10_000, 360)  # a large test set, and that of the digits


def of_torchmetrics(norm: str):
    return lambda p, y, P, Y: tm.multiclass_calibration_error(p, y, K, 15, norm)


def brier_peer(p, y, P, Y):
    return sum(sk.brier_score_loss(k == Y, P[:, k]) for k in range(K))


def smooth_peer(p, y, P, Y):
    import relplot

    return relplot.smECE(P.max(1), (P.argmax(1) == Y).astype(float))


# name: ours, whose (float32 p, y as tensors; float64 P, Y as arrays), and how far they may differ
PEERS = {
    "accuracy": (metrics.accuracy, "scikit-learn", lambda p, y, P, Y: sk.accuracy_score(Y, P.argmax(1)), 1e-6),
    "balanced accuracy": (
        metrics.balanced_accuracy, "scikit-learn", lambda p, y, P, Y: sk.balanced_accuracy_score(Y, P.argmax(1)), 1e-6),
    "macro F1": (
        metrics.macro_f1, "scikit-learn", lambda p, y, P, Y: sk.f1_score(Y, P.argmax(1), average="macro"), 1e-6),
    "log-likelihood": (
        metrics.nll, "scikit-learn", lambda p, y, P, Y: sk.log_loss(Y, P, labels=range(K)), 1e-6),
    "Brier": (
        metrics.brier, "scikit-learn", brier_peer, 1e-6),
    "AUC": (
        metrics.auc, "scikit-learn", lambda p, y, P, Y: sk.roc_auc_score(Y, P, multi_class="ovr"), 1e-6),
    "ECE": (metrics.ece, "torchmetrics", of_torchmetrics("l1"), 1e-3),  # float32 moves scores over an edge
    "RMS ECE": (metrics.rms_ece, "torchmetrics", of_torchmetrics("l2"), 1e-3),
    "MCE": (metrics.mce, "torchmetrics", of_torchmetrics("max"), 1e-2),
    "smooth ECE": (metrics.smooth_ece, "relplot", smooth_peer, 3e-3),  # the peer searches in steps of 0.001
}  # fmt: skip
NAMES = {
    "accuracy": "accuracy", "balanced accuracy": "balanced_accuracy", "macro F1": "macro_f1", "log-likelihood": "nll",
    "Brier": "brier", "AUC": "auc", "ECE": "ece", "RMS ECE": "rms_ece", "MCE": "mce", "smooth ECE": "smooth_ece",
}  # fmt: skip
ALONE = {
    "equal-mass ECE": lambda z, y: metrics.ece(z, y, 15, "mass"), "classwise ECE": metrics.classwise_ece,
    "top-label ECE": metrics.top_label_ece, "debiased ECE": metrics.debiased_ece, "KS": metrics.ks_error,
    "AURC": metrics.softmax_aurc, "AUGRC": metrics.softmax_augrc,
}  # fmt: skip


def example(n: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of every run, and labels drawn from the sharpened half of their probabilities."""
    g = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(RUNS, n, K, generator=g)
    draw = torch.rand(RUNS, n, 1, generator=g)
    return logits, ((0.7 * logits).softmax(-1).cumsum(-1) < draw).sum(-1).clamp(max=K - 1)


def timed(function, *arguments) -> tuple[float, object]:
    start = time.process_time()
    result = function(*arguments)
    return time.process_time() - start, result


def compare(n: int, shown: int, turns: int) -> list[dict]:
    """Milliseconds per run of both sides, for one size."""
    logits, labels = example(n)
    p = logits[:shown].softmax(-1)
    P = logits[:shown].double().softmax(-1).numpy()
    given = [(p[r], labels[r], P[r], labels[r].numpy()) for r in range(shown)]
    rows = []
    for name, (ours, whose, peer, tolerance) in PEERS.items():
        mine, theirs = [], []
        for turn in range(turns + 1):
            seconds, values = timed(ours, logits, labels)
            each = [timed(peer, *one) for one in given]
            if turn == 0:  # the first turn warms up, and compares
                off = max(abs(float(v) - float(values[r])) for r, (_, v) in enumerate(each))
                if not off <= tolerance:
                    raise SystemExit(f"{name}: differs from {whose} by {off:g}, more than {tolerance:g}")
                continue
            mine.append(seconds / RUNS)
            theirs.append(statistics.median(s for s, _ in each))
        rows.append({
            "metric": name, "peer": whose, "labkit ms": round(1e3 * statistics.median(mine), 4),
            "peer ms": round(1e3 * statistics.median(theirs), 4), "differ by": float(f"{off:.1g}"),
            "ratio": round(statistics.median(t / m for t, m in zip(theirs, mine)), 2),
        })  # fmt: skip
        print("  " + ", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    names, mine, theirs = [NAMES[name] for name in PEERS], [], []
    for turn in range(turns + 1):
        seconds, _ = timed(metrics.measure, names, logits, labels)
        each = [statistics.median(timed(peer, *one)[0] for one in given) for _, _, peer, _ in PEERS.values()]
        if turn > 0:
            mine.append(seconds / RUNS)
            theirs.append(sum(each))
    rows.append({
        "metric": "the ten above at once", "peer": "one by one", "labkit ms": round(1e3 * statistics.median(mine), 4),
        "peer ms": round(1e3 * statistics.median(theirs), 4),
        "ratio": round(statistics.median(t / m for t, m in zip(theirs, mine)), 2),
    })  # fmt: skip
    print("  " + ", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    for name, ours in ALONE.items():
        seconds = min(timed(ours, logits, labels)[0] for _ in range(turns))
        rows.append({"metric": name, "peer": None, "labkit ms": round(1e3 * seconds / RUNS, 4)})
        print("  " + ", ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--shown", type=int, default=16, help="runs that the peers are called on")
    parser.add_argument("--save", help="write the tables as JSON")
    options = parser.parse_args()
    torch.set_num_threads(1)
    made = {"command": "python " + " ".join(sys.argv), "torch": torch.__version__, "numpy": np.__version__, "sizes": []}
    for n in SIZES:
        print(f"{RUNS} runs, {n:,} x {K}, one thread, ms per run")
        rows = compare(n, options.shown, options.turns)
        both = [row for row in rows if row["metric"] in PEERS]
        ratio = sum(row["peer ms"] for row in both) / sum(row["labkit ms"] for row in both)
        print(f"  all that have a peer: ratio {ratio:.1f}")
        made["sizes"].append({"runs": RUNS, "examples": n, "classes": K, "ratio": round(ratio, 2), "metrics": rows})
    if options.save:
        with open(options.save, "w") as file:
            json.dump(made, file, indent=1)


if __name__ == "__main__":
    main()
