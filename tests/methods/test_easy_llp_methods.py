from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import labkit as lk
from labkit import losses
from labkit.annotate import RandomBags
from labkit.evidence import Bags
from labkit.fleet.plan import describe
from labkit.methods import EasyLLP, GenBags
from labkit.methods.base import Batch, Start

QUICK = dict(epochs=3, progress=False, compile=False)
VARIANTS = {
    "easy": EasyLLP(),
    "soft labels": EasyLLP(debias=False),
    "one": EasyLLP(instances="one"),
    "clipped labels": EasyLLP(clip="labels"),
    "clipped parts": EasyLLP(clip="parts"),
    "mae": EasyLLP(base="mae"),
    "gen": GenBags(),
    "gen, expected": GenBags(combinations=0, block=2),
}


def example(seed=0, bags=6, size=4, classes=3):
    """Ragged bags over their own members, their logits as inputs, and the classes of the members."""
    g = torch.Generator().manual_seed(seed)
    logits = torch.randn(bags * size, classes, generator=g, dtype=torch.float64)
    present = torch.arange(size) < torch.randint(1, size + 1, (bags, 1), generator=g)
    labels = torch.randint(0, classes, (bags, size), generator=g)
    counts = (F.one_hot(labels, classes) * present[..., None]).sum(1)
    return logits, Bags(torch.arange(bags * size).view(bags, size), counts, present).to(dtype=torch.float64)


def loss_of(method, logits, bags, draws=None):
    start = Start(logits, bags, logits.shape[1], 0, np.random.default_rng(0), torch.arange(len(logits)))
    state = method.setup(start)
    batch = Batch(logits, bags, torch.arange(len(bags)), torch.tensor(0.0), state, draws or {})
    value, changed = method.objective(lambda x: x, batch)
    assert changed == {}
    return value, state


def test_the_prior_is_the_share_among_all_members():
    logits, bags = example()
    _, state = loss_of(EasyLLP(), logits, bags)
    total = [0.0] * 3
    for row in bags.counts.tolist():
        total = [a + b for a, b in zip(total, row)]
    assert state["prior"].tolist() == pytest.approx([t / float(bags.sizes.sum()) for t in total])


@pytest.mark.parametrize("debias", [True, False])
def test_the_objective_is_a_mean_over_bags_of_a_mean_over_members(debias):
    logits, bags = example(1)
    logits = 4 * logits
    value, state = loss_of(EasyLLP(debias=debias), logits, bags)
    log_p, expected, parts = logits.log_softmax(-1), 0.0, torch.zeros(3, dtype=torch.float64)
    for b in range(len(bags)):
        k = int(bags.sizes[b])
        target = bags.counts[b] - (k - 1) * state["prior"] if debias else bags.counts[b] / k
        for i in range(k):
            parts -= target * log_p[4 * b + i] / k / len(bags)
    expected = float(parts.sum())
    assert float(value) == pytest.approx(expected)
    if debias:
        assert float(parts.min()) < 0  # what clip="parts" is for
        cut, _ = loss_of(EasyLLP(clip="parts"), logits, bags)
        assert float(cut) == pytest.approx(sum(max(v, 0.0) for v in parts.tolist()))


def test_one_member_per_bag_is_drawn_evenly_among_those_present():
    logits, bags = example(2)
    method = EasyLLP(instances="one")
    for u in (0.0, 0.3, 0.999999999):
        value, state = loss_of(method, logits, bags, {"member": torch.full((6,), u, dtype=torch.float64)})
        expected = 0.0
        for b in range(6):
            k = int(bags.sizes[b])
            target = bags.counts[b] - (k - 1) * state["prior"]
            expected -= float((target * logits[4 * b + int(u * k)].log_softmax(-1)).sum()) / 6
        assert float(value) == pytest.approx(expected)
    grid = [loss_of(method, logits, bags, {"member": torch.full((6,), (i + 0.5) / 12).double()})[0] for i in range(12)]
    assert float(sum(grid)) / 12 == pytest.approx(float(loss_of(EasyLLP(), logits, bags)[0]))  # 12: divided by 1 to 4
    drawn = method.draw(np.random.default_rng(0), 5, 3)["member"]
    assert drawn.shape == (5, 3) and EasyLLP().draw(np.random.default_rng(0), 5, 3) == {}


def test_bags_of_one_are_cross_entropy():
    logits, bags = example(4, bags=10, size=1)
    expected = float(F.cross_entropy(logits, bags.counts.argmax(-1)))
    for method in (EasyLLP(), EasyLLP(debias=False), EasyLLP(instances="one"), EasyLLP(clip="labels")):
        value, _ = loss_of(method, logits, bags, {"member": torch.full((10,), 0.7, dtype=torch.float64)})
        assert float(value) == pytest.approx(expected, rel=1e-12)


def test_gen_bags_draws_weights_with_the_published_covariance():
    drawn = GenBags().draw(np.random.default_rng(0), 400, 8)["weights"]
    assert drawn.shape == (400, 2, 60, 4)
    np.testing.assert_allclose(np.cov(drawn.reshape(-1, 4).T), losses.gen_bags_covariance().numpy(), atol=0.02)
    logits, bags = example(3, bags=8)
    draws = {"weights": torch.from_numpy(drawn[0])}
    value, _ = loss_of(GenBags(), logits, bags, draws)
    expected = losses.gen_bags(bags.grouped(logits), bags.counts, bags.present, draws["weights"]).mean()
    torch.testing.assert_close(value, expected)
    assert GenBags(combinations=0).draw(np.random.default_rng(0), 3, 8) == {}


@pytest.mark.parametrize("name", VARIANTS)
def test_alone_and_in_a_fleet_the_numbers_are_equal_and_it_learns(name):
    data = lk.load("gaussians", n=300, classes=3, separation=3.0)
    options = dict(methods=VARIANTS[name], dtype="float64", batch_size=8, **{**QUICK, "epochs": 6})
    together = lk.fit(data, RandomBags(4, spread=0.3), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, RandomBags(4, spread=0.3), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()


def test_a_run_is_known_again_by_its_fields():
    assert all(" at 0x" not in str(describe(method)) for method in VARIANTS.values())


def test_what_it_refuses():
    with pytest.raises(ValueError, match="unknown clip 'label'"):
        EasyLLP(clip="label")
    with pytest.raises(ValueError, match="unknown base 'mse'"):
        EasyLLP(base="mse")
    with pytest.raises(ValueError, match="unknown instances 'two'"):
        EasyLLP(instances="two")
    with pytest.raises(ValueError, match='needs instances="all"'):
        EasyLLP(instances="one", clip="parts")
    with pytest.raises(ValueError, match="at least 2 bags"):
        GenBags(block=1)
    with pytest.raises(TypeError, match="Bags"):
        lk.fit(lk.load("gaussians", n=100), methods=EasyLLP(), seeds=2, **QUICK)
    with pytest.raises(ValueError, match="blocks of 4 bags, and the batch has 6"):
        lk.fit(lk.load("gaussians", n=200), RandomBags(4), methods=GenBags(), seeds=2, batch_size=6, **QUICK)
