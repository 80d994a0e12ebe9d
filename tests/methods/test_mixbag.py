"""Mixed bags against a loop over bags and members; what MixBag reduces to; that it trains."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import LaplaceCounts, RandomBags
from labkit.evidence import Bags
from labkit.methods.base import Batch, Start
from labkit.methods.mixbag import mix

QUICK = dict(epochs=2, batch_size=6, progress=False, compile=False, out=None)
SIZES, K = [4, 4, 2, 1, 3], 3


def ragged(seed=0):
    g = torch.Generator().manual_seed(seed)
    width = max(SIZES)
    members = torch.arange(len(SIZES) * width).view(-1, width)
    present = torch.arange(width) < torch.tensor(SIZES)[:, None]
    classes = torch.randint(0, K, members.shape, generator=g)
    counts = torch.stack([(present & (classes == c)).sum(1) for c in range(K)], 1)
    return Bags(members, counts.double(), present)


def batch_of(method, bags, seed=0, x=None):
    rng = np.random.default_rng(seed)
    b, width = bags.members.shape
    x = torch.from_numpy(rng.standard_normal((b * width, 3))) if x is None else x
    state = method.setup(Start(x, bags, K, 0, rng, torch.arange(len(x))))
    draws = {k: torch.from_numpy(np.asarray(v[0])) for k, v in method.draw(rng, 1, b).items()}
    return Batch(x, bags, torch.arange(b), torch.tensor(0.5, dtype=x.dtype), state, draws)


def slow_mix(batch, share):
    """Per bag: rows of its members, how many came from each side, whether it was replaced."""
    bags, d, width = batch.evidence, {k: v.tolist() for k, v in batch.draws.items()}, batch.evidence.members.shape[1]
    sizes, b = bags.sizes.tolist(), len(bags)
    keys = batch.state["keys"].tolist()
    out = []
    for i in range(b):
        j, k = (i + d["partner"][i]) % b, sizes[i]
        if d["mix"][i] >= share or k == 1:
            out.append(([i * width + s for s in range(k)], k, 0, False))
            continue
        n = 1 + int(d["split"][i] * (k - 1))
        other = min(k - n, sizes[j])
        ranked = lambda who, key: sorted(range(sizes[who]), key=lambda s: key[s])  # noqa: B023
        mine = ranked(i, keys[d["order"][i][0]])[:n]
        theirs = ranked(j, keys[d["order"][i][1]])[:other]
        out.append(([i * width + s for s in mine] + [j * width + s for s in theirs], n, other, True))
    return out


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_mixing_is_the_loop(share):
    method, bags = m.MixBag(share=share), ragged()
    replaced = 0
    for seed in range(30):
        batch = batch_of(method, bags, seed)
        made = mix(batch, share)
        for i, (rows, n, other, done) in enumerate(slow_mix(batch, share)):
            assert made.rows[i][made.present[i]].tolist() == rows and len(set(rows)) == len(rows)
            assert (int(made.drawn[0][i]), int(made.drawn[1][i]), bool(made.replaced[i])) == (n, other, done)
            replaced += done
    assert replaced == 0 if share == 0 else abs(replaced / (30 * 4) - share) < 0.13


def test_the_objective_is_the_loop():
    bags, w = ragged(1), torch.tensor([[0.4, -1, 0.2], [0.1, 0.7, -0.3], [0.5, 0.2, 0.9]], dtype=torch.float64)
    for z, interval in ((2.5758, "binomial"), (0.7, "finite"), (1.0, "exact"), (0.0, "binomial")):
        method = m.MixBag(z=z, interval=interval)
        batch = batch_of(method, bags, 3)
        total, flat = 0.0, 0
        for i, (rows, n, other, done) in enumerate(slow_mix(batch, 0.5)):
            j = (i + int(batch.draws["partner"][i])) % len(bags)
            p = torch.stack([(batch.x[r] @ w).softmax(-1) for r in rows]).mean(0).tolist()
            k, size_j, a = float(bags.sizes[i]), float(bags.sizes[j]), n / (n + other)
            for c in range(K):
                one, two = float(bags.counts[i, c]) / k, float(bags.counts[j, c]) / size_j
                t, v = a * one + (1 - a) * two, [one * (1 - one) / n, two * (1 - two) / max(other, 1)]
                if interval != "binomial":
                    v = [v[0] * (k - n) / max(k - 1, 1), v[1] * (size_j - other) / max(size_j - 1, 1)]
                wide = a * math.sqrt(v[0]) + (1 - a) * math.sqrt(v[1])
                wide = math.sqrt(a**2 * v[0] + (1 - a) ** 2 * v[1]) if interval == "exact" else wide
                inside = done and abs(p[c] - t) <= z * wide
                flat += inside
                total -= 0.0 if t == 0 else t * math.log(t if inside else p[c])
        value, changed = method.objective(lambda v: v @ w, batch)
        assert float(value) == pytest.approx(total / len(bags)) and changed == {}
        assert (flat > 0) == (z > 0)


def test_draws_are_uniform_splits_and_partners_and_members():
    method, bags = m.MixBag(share=1.0), Bags(torch.arange(24).view(6, 4), torch.tensor([[2.0, 1, 1]] * 6))
    splits, partners, taken = Counter(), Counter(), Counter()
    x = torch.zeros(24, 1, dtype=torch.float64)
    for seed in range(400):
        batch = batch_of(method, bags, seed, x)
        made = mix(batch, 1.0)
        splits.update(made.drawn[0].tolist())
        rows = made.rows[0].tolist()
        partners.update({rows[-1] // 4})
        taken.update(r for r in rows if r < 4)
    assert set(splits) == {1, 2, 3} and max(splits.values()) - min(splits.values()) < 150  # of 2,400; sd about 23
    assert set(partners) == {1, 2, 3, 4, 5} and max(partners.values()) - min(partners.values()) < 60
    assert set(taken) == {0, 1, 2, 3} and max(taken.values()) - min(taken.values()) < 80


def test_without_mixing_it_is_the_proportion_loss_and_z_0_is_the_point_target():
    bags, w = ragged(2), torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    net = lambda v: v @ w
    plain = m.ProportionLoss()
    for method in (m.MixBag(share=0.0), m.MixBag(share=0.0, z=0.0, interval="exact"), m.LLPVAT(consistency="none")):
        batch = batch_of(m.MixBag(), bags, 4)
        torch.testing.assert_close(method.objective(net, batch)[0], plain.objective(net, batch)[0], rtol=1e-14, atol=0)
    batch = batch_of(m.MixBag(), bags, 5)
    point, wide = (m.MixBag(z=z).objective(net, batch)[0] for z in (0.0, 2.5758))
    assert float(point) != pytest.approx(float(wide))


def test_bags_of_one_are_cross_entropy():
    data = lk.load("gaussians", n=200)
    options = dict(seeds=2, dtype="float64", **QUICK)
    bags = lk.fit(data, RandomBags(1), methods=m.MixBag(), **options)
    plain = lk.fit(data, RandomBags(1), methods=m.ProportionLoss(), **options)
    torch.testing.assert_close(bags.logits(), plain.logits())  # nothing to split, so nothing is mixed


FLEETS = {
    "mixbag": m.MixBag(z=lk.sweep(0.0, 1.0)),
    "mixbag on vat": m.MixBag(consistency="vat", interval="exact"),
    "vat": m.LLPVAT(weight=lk.sweep(1.0, 2.0)),
    "pi": m.LLPVAT(consistency="pi", weight=1.0),
}


@pytest.mark.parametrize("name", FLEETS)
def test_alone_and_in_a_fleet_the_numbers_are_equal(name):
    data, annotator = lk.load("gaussians", n=300), RandomBags(6, spread=0.3)
    options = dict(dtype="float64", **QUICK)
    together = lk.fit(data, annotator, methods=FLEETS[name], seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, annotator, methods=FLEETS[name], seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-11, atol=1e-11)
    plain = lk.fit(data, annotator, methods=m.ProportionLoss(), seeds=[1], **options)
    assert not torch.allclose(plain.logits()[0], alone.logits()[-1], atol=1e-5)


def test_it_learns_also_from_noisy_counts():
    data = lk.load("gaussians", n=600, separation=4.0)
    for annotator in (RandomBags(4), RandomBags(4) >> LaplaceCounts(3.0)):
        runs = lk.fit(data, annotator, methods=m.MixBag(), seeds=2, **{**QUICK, "epochs": 8})
        assert (runs.measure("accuracy")["value"] > 0.7).all()


def test_what_it_refuses():
    with pytest.raises(ValueError, match="interval is one of binomial, finite, exact, got 'wide'"):
        m.MixBag(interval="wide")
    with pytest.raises(ValueError, match="term is one of"):
        m.MixBag(term="kl")
    with pytest.raises(ValueError, match="vat, pi, none, got 'mean teacher'"):
        m.MixBag(consistency="mean teacher")
    with pytest.raises(ValueError, match="at least two; raise batch_size"):
        m.MixBag().draw(np.random.default_rng(0), 3, 1)


def test_a_limited_number_of_bags_is_drawn_at_random():
    labels, x = lk.evidence.Labels(torch.arange(40) % 4, 4), torch.zeros(40, 1)
    made = [RandomBags(5, count=c)(labels, x, np.random.default_rng(0)) for c in (2, 4, 100)]
    assert [len(b) for b in made] == [2, 4, 8] and torch.equal(made[0].members, made[1].members[:2])
    other = RandomBags(5, count=2)(labels, x, np.random.default_rng(1))
    assert other.members.flatten().tolist() != made[0].members.flatten().tolist()
    with pytest.raises(ValueError, match="count is a number of bags from 1, got 0"):
        RandomBags(5, count=0)(labels, x, np.random.default_rng(0))
