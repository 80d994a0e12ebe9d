"""What the watched run wrote down, against a plain loop; and that being watched changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import Symmetric
from labkit.evidence import Labels
from labkit.methods import CrossEntropy, Watched
from labkit.methods.base import Batch, Start
from labkit.methods.watched import logit_margin

OPTIONS = dict(batch_size=32, dtype="float64", progress=False, compile=False)


def slow_margin(z, y):
    return z[y] - max(v for k, v in enumerate(z) if k != y)


def test_the_margin_is_the_given_logit_less_the_best_other():
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.arange(50) % 4
    found = logit_margin(z, y)
    np.testing.assert_allclose(found, [slow_margin(a, b) for a, b in zip(z.tolist(), y.tolist())])
    assert ((found > 0) == (z.argmax(1) == y)).all()
    assert logit_margin(z * 1e4, y).isfinite().all() and logit_margin(z.float(), y).dtype == torch.float32


def test_writes_down_every_visit_and_nothing_else():
    """Three epochs of made-up logits through the method's own functions, against dictionaries."""
    n, k, method = 7, 3, Watched(epochs=2)
    rng = np.random.default_rng(0)
    y = torch.from_numpy(rng.integers(k, size=n))
    state = method.setup(Start(torch.zeros(n, 1), Labels(y, k), k, 0, rng, torch.arange(n)))
    state = {name: v.double() if v.is_floating_point() else v for name, v in state.items()}
    book = {}
    for epoch in range(3):
        order = rng.permutation(n)
        for part in (order[:3], order[3:6]):  # one example is left out
            z = torch.from_numpy(rng.normal(size=(3, k)))
            index = torch.from_numpy(part)
            zero = torch.tensor(0.0)
            loss, changed = method.objective(lambda x: z, Batch(z, Labels(y[index], k), index, zero, state, {}))  # noqa: B023
            state = {**state, **changed}
            for i, row in zip(part, z.tolist()):
                log_sum = math.log(sum(math.exp(v) for v in row))
                book[epoch, i] = (log_sum - row[y[i]], slow_margin(row, int(y[i])), int(np.argmax(row)))
            assert float(loss) == pytest.approx(np.mean([book[epoch, i][0] for i in part]))
        state = {**state, **method.end_epoch(state, torch.tensor(0.5))}
    for epoch in range(2):  # the third epoch was not asked for
        for i in range(n):
            seen = [state[name][epoch, i].item() for name in method.keeps]
            assert seen == pytest.approx(book.get((epoch, i), (math.nan, math.nan, -1)), nan_ok=True)
    assert state["losses"].isnan().sum() == 2 and (state["said"] == -1).sum() == 2
    assert int(state["epoch"]) == 3


def test_being_watched_changes_no_weight(small):
    fit = lambda method: lk.fit(small, Symmetric(0.3), methods=method, seeds=2, epochs=3, **OPTIONS)
    plain, watched = fit(CrossEntropy()), fit(Watched(epochs=3))
    for name, value in plain.weights().items():
        torch.testing.assert_close(value, watched.weights()[name], rtol=1e-12, atol=1e-12)


def test_alone_and_in_a_fleet_alike_and_kept_with_the_run(small):
    fit = lambda **more: lk.fit(
        small, Symmetric(lk.sweep(0.0, 0.4)), methods=Watched(epochs=4), epochs=3, **OPTIONS, **more
    )
    together, alone = fit(seeds=3, lanes=8).where(seed=1), fit(seeds=[1], lanes=1)
    for name in Watched.keeps:
        torch.testing.assert_close(together.kept(name), alone.kept(name), rtol=1e-12, atol=1e-12, equal_nan=True)
    margins, said = together.kept("margins"), together.kept("said").long()
    assert margins.shape == (2, 4, together.told("train").shape[1])
    assert margins[:, 3].isnan().all() and (said[:, 3] == -1).all()  # a fourth epoch did not happen
    seen = said >= 0
    assert seen[:, :3].double().mean() > 0.9
    told = together.told("train")[:, None].expand_as(said)
    assert ((margins > 0) == (said == told))[seen].all()  # the kept rows are in the order of the given labels


@pytest.mark.parametrize("epochs", [0, 2.5, True])
def test_epochs_are_counted_from_one(epochs):
    with pytest.raises(ValueError, match="from 1; got"):
        Watched(epochs=epochs)
