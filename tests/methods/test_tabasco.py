"""TABASCO's scores and its rule against loops over floats, and the method that trains on the selected."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

import labkit as lk
from labkit import methods as m
from labkit.annotate import Symmetric
from labkit.methods import tabasco as t
from labkit.methods.base import Batch
from labkit.mixtures import fit_gaussian_mixture, gaussian_posterior
from labkit.streams import generator

QUICK = dict(epochs=3, batch_size=32, progress=False, compile=False)


def example(n=240, k=4, d=6, sharp=3.0, noise=0.4):
    """A long tail with uniform noise, and the answers and features of a half-trained network."""
    rng = generator(0, "data", n, k)
    shares = np.array([0.6**c for c in range(k)])
    truth = rng.choice(k, n, p=shares / shares.sum())
    given = np.where(rng.random(n) < noise, (truth + rng.integers(1, k, n)) % k, truth)
    centres = rng.normal(0, 2, (k, d))
    features = np.maximum(centres[truth] + rng.normal(0, 1, (n, d)), 0)
    logits = sharp * np.eye(k)[truth] + np.eye(k)[given] + rng.normal(0, 1, (n, k))
    return tuple(map(torch.from_numpy, (logits, features, given, truth)))


def slow_jsd(p, y):
    total = 0.0
    for k, a in enumerate(p):
        b = float(k == y)
        mid = (a + b) / 2
        total += 0.5 * a * math.log((a + 1e-10) / (mid + 1e-10)) + 0.5 * b * math.log((b + 1e-10) / (mid + 1e-10))
    return total


def slow_wjsd(probs, labels, k):
    out = []
    for p, y in zip(probs, labels):
        mine = [q for q, c in zip(probs, labels) if c == y]
        mean = [sum(q[j] for q in mine) / len(mine) for j in range(k)]
        weight = min(max(max(p) / p[y], 1), max(max(mean) / mean[y], 1))
        out.append(weight * slow_jsd(p, y))
    return out


def unit(v):
    size = math.sqrt(sum(a * a for a in v))
    return [a / size for a in v]


def slow_centroids(probs, features, labels, k):
    n, d = len(probs), len(features[0])
    middle = [sum(f[j] for f in features) / n for j in range(d)]
    directions, counts = [], []
    for c in range(k):
        mine = [i for i in range(n) if labels[i] == c]
        mean = [sum(probs[i][j] for i in mine) / len(mine) for j in range(k)]
        top = mean.index(max(mean))
        second = list(mean)
        second[top] = sum(probs[i][top] * max(1, probs[i][top] / mean[top]) for i in mine) / len(mine)
        top2 = second.index(max(second))
        sure = [i for i in mine if probs[i].index(max(probs[i])) == top2 and probs[i][top2] > second[top2]] or mine
        units = [unit([features[i][j] - middle[j] for j in range(d)]) for i in sure]
        directions.append([sum(u[j] for u in units) / len(sure) for j in range(d)])
        counts.append(len(sure))
    return directions, counts, middle


@pytest.mark.parametrize("sharp", [0.5, 3.0])
def test_scores_are_the_slow_twins(sharp):
    logits, features, given, _ = example(sharp=sharp)
    probs = logits.softmax(1)
    listed = probs.tolist(), features.tolist(), given.tolist()
    torch.testing.assert_close(t.jensen_shannon(probs, given).tolist(), slow_wjsd(listed[0], listed[2], 4))
    plain = t.jensen_shannon(probs, given, weighted=False)
    torch.testing.assert_close(plain.tolist(), [slow_jsd(p, y) for p, y in zip(listed[0], listed[2])])
    assert (plain >= -1e-9).all() and (plain <= math.log(2) + 1e-9).all()
    found, (directions, counts, middle) = t.adaptive_centroids(probs, features, given), slow_centroids(*listed, 4)
    torch.testing.assert_close(found.directions.tolist(), directions)
    assert found.counts.tolist() == counts
    near = t.centroid_similarity(features, given, found)
    for i in range(0, 240, 17):
        f = unit([a - b for a, b in zip(listed[1][i], middle)])
        assert near[i].item() == pytest.approx(sum(a * b for a, b in zip(f, directions[listed[2][i]])))


def test_the_weight_is_one_without_a_head():
    """Where every class is answered with itself on average, the divergence is not weighted."""
    logits, _, given, _ = example(sharp=0.0, noise=0.0)
    logits = logits + 5 * torch.eye(4, dtype=torch.float64)[given]
    probs = logits.softmax(1)
    torch.testing.assert_close(t.jensen_shannon(probs, given), t.jensen_shannon(probs, given, weighted=False))
    sure = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(t.jensen_shannon(sure, torch.tensor([0, 0]), False),
                               torch.tensor([0.0, math.log(2)], dtype=torch.float64), atol=1e-8, rtol=0)  # fmt: skip


def component(value, mixture):
    scores = [math.log(w) - (value - mean) ** 2 / v / 2 - math.log(v) / 2 for mean, v, w in zip(*mixture)]
    return scores.index(max(scores))


def slow_select(logits, features, labels, k):
    """The rule as the paper's code has it, around our one-dimensional mixtures."""
    probs = logits.softmax(1)
    wjsd = np.array(slow_wjsd(probs.tolist(), labels.tolist(), k))
    directions, counts, middle = slow_centroids(probs.tolist(), features.tolist(), labels.tolist(), k)
    near = [
        sum(a * b for a, b in zip(unit([x - y for x, y in zip(f, middle)]), directions[c]))
        for f, c in zip(features.tolist(), labels.tolist())
    ]
    near, labels = np.array(near), labels.numpy()
    clean, used = np.zeros(len(labels), bool), []
    scale = lambda v: (v - v.min()) / (v.max() - v.min())
    for c in range(k):
        mine = np.flatnonzero(labels == c)
        w, a = scale(wjsd[mine]), scale(near[mine])
        low = (gaussian_posterior(torch.from_numpy(w)) > 0.5).numpy()
        near_low = (gaussian_posterior(torch.from_numpy(a)) > 0.5).numpy()
        mixture = [v.tolist() for v in fit_gaussian_mixture(torch.from_numpy(w))]
        means = mixture[0]
        high = means.index(max(means))
        deviations, where = [1.0, 1.0], []
        for cluster in (near_low, ~near_low):
            where.append(component(w[cluster].mean(), mixture))
            deviations[where[-1]] = w[cluster].std() or 0.1
        use = (where[0] == where[1] == high) or deviations[high] / deviations[1 - high] < 0.65
        used.append(use)
        if use:
            clean[mine[low]] = True
            continue
        inner = [math.exp(sum(a * b for a, b in zip(directions[c], other))) for other in directions]
        soft = [v / sum(inner) for v in inner]
        rival = max((j for j in range(k) if j != c), key=lambda j: soft[j])
        taken = abs(soft[c] - soft[rival]) < 0.1 * soft[c] and counts[c] < counts[rival]
        clean[mine[near_low if taken else ~near_low]] = True
    return clean, used


@pytest.mark.parametrize("sharp, noise", [(0.2, 0.6), (0.7, 0.4), (1.5, 0.4), (3.0, 0.4), (3.0, 0.7)])
def test_the_rule_is_the_slow_twin(sharp, noise):
    logits, features, given, _ = example(sharp=sharp, noise=noise)
    clean, used = t.select(logits, features, given)
    slow_clean, slow_used = slow_select(logits, features, given, 4)
    assert clean.tolist() == slow_clean.tolist() and used.tolist() == slow_used


def test_one_score_alone():
    logits, features, given, _ = example()
    for rule, using in (("wjsd", True), ("jsd", True), ("centroid", False)):
        _, used = t.select(logits, features, given, rule)
        assert used.tolist() == [using] * 4
    probs = logits.softmax(1)
    mine = given == 1
    for rule, weighted in (("wjsd", True), ("jsd", False)):
        score = t.jensen_shannon(probs, given, weighted)[mine][:, None].numpy()
        score = (score - score.min()) / (score.max() - score.min())
        peer = GaussianMixture(2, max_iter=30, tol=1e-2, reg_covar=5e-4, random_state=0).fit(score)
        lower = peer.predict(score) == peer.means_.argmin()
        assert (t.select(logits, features, given, rule)[0][mine].numpy() == lower).mean() > 0.85  # it stops early
    losses = torch.nn.functional.cross_entropy(logits, given, reduction="none")
    assert torch.equal(t.select(logits, features, given, "small_loss")[0], gaussian_posterior(losses) > 0.5)


def test_it_finds_the_clean_and_small_cases_do_not_break_it():
    logits, features, given, truth = example()
    for rule in t.RULES:
        clean, _ = t.select(logits, features, given, rule)
        assert (clean == (given == truth)).double().mean() > (0.6 if rule == "centroid" else 0.8), rule
    lonely = torch.tensor([0, 0, 0, 1, 2, 2])  # class 1 has one example, class 3 none
    clean, used = t.select(logits[:6], features[:6], lonely)
    assert clean[3] and used.shape == (4,)
    same = t.select(logits[:1].expand(6, 4), features[:1].expand(6, 6), torch.zeros(6, dtype=torch.long))[0]
    assert same.all()


@pytest.fixture(scope="module")
def data():
    return lk.load("gaussians", n=240)


@pytest.fixture(scope="module")
def first(data):
    return lk.fit(data, Symmetric(0.3), methods=m.CrossEntropy(), seeds=3, dtype="float64", **QUICK)


def test_alone_and_in_a_fleet_the_numbers_are_equal(data, first):
    options = dict(methods={"selected": m.SelectedOnly(first)}, dtype="float64", **QUICK)
    together = lk.fit(data, Symmetric(0.3), seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, Symmetric(0.3), seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert (together.measure("accuracy")["value"] > 0.5).all()


def test_what_is_not_selected_is_not_learnt():
    logits = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels, clean = torch.tensor([0, 1, 2, 0]), torch.tensor([True, False, True, True, False])
    state = {"picked": clean, "divergence_used": torch.ones(3, dtype=torch.bool)}
    index = torch.tensor([4, 0, 2, 1])  # the first of the batch is example 4, not selected
    batch = Batch(torch.zeros(4, 1), lk.Labels(labels, 3), index, torch.tensor(0.0), state, {})
    loss, _ = m.SelectedOnly(None).objective(lambda x: logits, batch)
    rows = [1, 2]  # examples 0 and 2
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits[rows], labels[rows]))
    loss.backward()
    assert (logits.grad[[0, 3]] == 0).all() and (logits.grad[rows] != 0).all()


def test_refusals():
    with pytest.raises(ValueError, match="tabasco, wjsd, jsd"):
        m.SelectedOnly(None, rule="best")
    with pytest.raises(ValueError, match="tabasco, wjsd, jsd"):
        t.select(*example()[:3], rule="best")
    with pytest.raises(ValueError, match="first network"):
        m.SelectedOnly().setup(None)
