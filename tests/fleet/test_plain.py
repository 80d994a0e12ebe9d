"""The fleet against independent plain PyTorch: torch.nn, torch.optim, a Python loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import labkit as lk
from labkit.fleet.optimisers import schedule
from labkit.streams import generator


def plain_network(seed, shape, classes, hidden=128):
    """The initialisation stream spelled out."""
    torch.manual_seed(int(generator(seed, "initialisation", 0).integers(2**62)))
    return nn.Sequential(nn.Linear(shape, hidden), nn.ReLU(), nn.Linear(hidden, classes)).double()


def plain_run(data, seed, smoothing, epochs, make_optimiser, batch=64, cosine=True):
    """One run without labkit's fleet, methods or losses."""
    train, _, test = data.split(seed)
    net = plain_network(seed, data.x.shape[1], data.n_classes)
    optimiser = make_optimiser(net.parameters())
    rate = optimiser.param_groups[0]["lr"]
    steps, step = len(train) // batch, 0
    for epoch in range(epochs):
        order = generator(seed, "order", epoch).permutation(len(train))
        for s in range(steps):
            index = train[torch.from_numpy(order[s * batch : (s + 1) * batch])]
            for group in optimiser.param_groups:
                group["lr"] = rate * (0.5 * (1 + np.cos(np.pi * step / (steps * epochs))) if cosine else 1.0)
            optimiser.zero_grad()
            F.cross_entropy(net(data.x[index].double()), data.y[index], label_smoothing=smoothing).backward()
            optimiser.step()
            step += 1
    with torch.no_grad():
        return net(data.x[test].double()), data.y[test]


OPTIMISERS = {
    "sgd": (lk.SGD(lr=0.05, weight_decay=1e-3), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-3)),
    "nesterov": (lk.SGD(lr=0.02, nesterov=True), lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9, nesterov=True)),
    "plain sgd": (lk.SGD(lr=0.1, momentum=0.0), lambda p: torch.optim.SGD(p, lr=0.1)),
    "adamw": (lk.AdamW(lr=0.003, weight_decay=0.1), lambda p: torch.optim.AdamW(p, lr=0.003, weight_decay=0.1)),
}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("cosine", [True, False])
def test_a_fleet_gives_the_numbers_of_a_plain_loop(small, name, cosine):
    ours, theirs = OPTIMISERS[name]
    runs = lk.fit(
        small, methods=lk.methods.LabelSmoothing(lk.sweep(0.0, 0.1)), optimiser=ours, seeds=2, epochs=3,
        schedule="cosine" if cosine else "constant", dtype="float64", lanes=4, progress=False,
    )  # fmt: skip
    logits, truth = plain_run(small, 1, 0.1, 3, theirs, cosine=cosine)
    mine = runs.where(seed=1, smoothing=0.1)
    torch.testing.assert_close(mine.logits()[0], logits, rtol=1e-10, atol=1e-10)
    assert torch.equal(mine.labels()[0], truth)


def test_one_claim_recomputed_independently():
    """The verdict on "smoothing lowers ECE" on digits, from a plain loop, NumPy and the textbook: the same numbers."""
    data, seeds, epochs = lk.load("digits").subset(500), 10, 3
    runs = lk.fit(
        data,
        methods=lk.methods.LabelSmoothing(lk.sweep(0.0, 0.1)),
        seeds=seeds,
        epochs=epochs,
        dtype="float64",
        progress=False,
    )
    claim = lk.Claim(
        "ece",
        "muller2019smoothing",
        "smoothing lowers ECE",
        "ece",
        0.005,
        better={"smoothing": 0.1},
        than={"smoothing": 0.0},
    )
    verdict = lk.judge(runs, claim)

    def plain_ece(logits, truth, bins=15):
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        confidence, right = p.max(1), p.argmax(1) == truth
        total = 0.0
        for b in range(bins):
            low, high = b / bins, (b + 1) / bins
            inside = (confidence > low if b else confidence >= low) & (confidence <= high)
            if inside.any():
                total += abs(confidence[inside].sum() - right[inside].sum())
        return total / len(truth)

    sgd = lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)
    effects = np.array([
        [plain_ece(*(t.numpy() for t in plain_run(data, seed, a, epochs, sgd))) for a in (0.0, 0.1)]
        for seed in range(seeds)
    ])  # fmt: skip
    effects = effects[:, 0] - effects[:, 1]
    np.testing.assert_allclose(verdict.effects, effects, atol=1e-9)
    mean, error = effects.mean(), effects.std(ddof=1) / np.sqrt(seeds)
    assert verdict.effect == pytest.approx(mean, abs=1e-9)
    assert (verdict.low, verdict.high) == pytest.approx(
        (mean - 2.2621572 * error, mean + 2.2621572 * error), abs=1e-7
    )  # t(9), 97.5 %


def test_schedules():
    assert schedule("constant", 3).tolist() == [1, 1, 1]
    assert schedule("cosine", 4).tolist() == pytest.approx([1, 0.8535533906, 0.5, 0.1464466094])
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        schedule("cosin", 3)
