"""Methods that fill in the labels that counts hide: transported, guessed, corrected; and one that only watches."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit import methods as m
from labkit.annotate import LaplaceCounts, RandomBags
from labkit.evidence import Bags
from labkit.methods.base import Batch, Start
from labkit.methods.llpfc import group_prior, group_transition
from labkit.transport import entropic_assignment, hard_assignment

QUICK = dict(epochs=3, batch_size=4, progress=False, compile=False)
K = 3
MADE = {
    "transport": m.ROT(reg=lk.sweep(0.2, 1.0), rounds=4),
    "alternating": m.Alternating(warm=lk.sweep(0.0, 0.5)),
    "online": m.OnlinePseudoLabels(eta=lk.sweep(0.0, 5.0)),
    "llpfc": m.LLPFC(groupings=2),
    "watched": m.WatchedBags(method=m.OnlinePseudoLabels(), pages=2),
}


def some_bags(seed=0, sizes=(3, 4, 2, 4, 4), k=K):
    """Bags of several sizes over consecutive examples, and the hidden labels."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, k, (sum(sizes),), generator=g)
    index = torch.repeat_interleave(torch.arange(len(sizes)), torch.tensor(sizes))
    counts = torch.stack([torch.bincount(labels[index == b], minlength=k) for b in range(len(sizes))])
    return Bags.from_index(index, counts).to(dtype=torch.float64), labels


def start(bags, seed=0):
    n = int(bags.present.sum())
    return Start(torch.zeros(n, 1), bags, bags.n_classes, seed, np.random.default_rng(seed), torch.arange(n))


def batch_of(method, bags, state, progress=0.9, **draws):
    x = torch.zeros(bags.members.numel(), 1)
    return Batch(x, bags, torch.arange(len(bags)), torch.tensor(progress, dtype=torch.float64), state, draws)


def predictions(bags, seed=3):
    g = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(bags.members.numel(), bags.n_classes, generator=g, dtype=torch.float64)


def mean_over_members(bags, logits, target):
    """-mean over members of sum_k target log p, in loops; target ``(bags, S, K)``."""
    total, n = 0.0, 0
    for b, row in enumerate(bags.present.tolist()):
        for i, here in enumerate(row):
            if here:
                log_p = torch.log_softmax(logits[b * len(row) + i], 0).tolist()
                total, n = total - sum(t * v for t, v in zip(target[b][i], log_p)), n + 1
    return total / n


def test_transport_is_cross_entropy_on_the_plan_after_the_proportion_loss():
    bags, _ = some_bags()
    logits = predictions(bags)
    method = m.ROT(reg=0.5, warm=0.3, rounds=40)
    late, changed = method.objective(lambda x: logits, batch_of(method, bags, {}))
    log_p = bags.grouped(logits.log_softmax(-1))
    plan = torch.zeros_like(log_p)
    for b, size in enumerate(bags.sizes.int().tolist()):
        plan[b, :size] = entropic_assignment(log_p[b : b + 1, :size], bags.counts[b : b + 1], reg=0.5)[0]
    assert float(late) == pytest.approx(mean_over_members(bags, logits, plan.tolist())) and changed == {}
    early, _ = method.objective(lambda x: logits, batch_of(method, bags, {}, progress=0.2))
    assert float(early) == pytest.approx(float(m.ProportionLoss().loss(logits, bags).mean()))


def test_a_bag_of_one_is_cross_entropy_whatever_fills_in():
    bags, labels = some_bags(sizes=(1,) * 7)
    logits = predictions(bags)
    plain = float(torch.nn.functional.cross_entropy(logits, labels))
    for method in (m.ROT(), m.Alternating(), m.OnlinePseudoLabels(), m.CountEM()):
        state = method.setup(start(bags))
        loss, _ = method.objective(lambda x: logits, batch_of(method, bags, state, place=torch.tensor(5)))
        assert float(loss) == pytest.approx(plain)


def test_the_weight_of_the_entropy_is_no_matter_of_units():
    """Wide bags weigh as their members do: one bag twice is one bag, and the learning rate means the same."""
    bags, _ = some_bags(sizes=(4, 4))
    logits = predictions(bags)
    both, _ = m.ROT().objective(lambda x: logits, batch_of(None, bags, {}))
    one, other = (
        m.ROT().objective(lambda x, part=logits[4 * i : 4 * i + 4]: part, batch_of(None, bags[i : i + 1], {}))[0]
        for i in range(2)
    )
    assert float(both) == pytest.approx(float(one + other) / 2)


def test_alternation_in_loops():
    bags, _ = some_bags()
    logits = predictions(bags)
    method = m.Alternating()
    state = method.setup(start(bags))
    told = torch.nn.functional.one_hot(state["labels"], K)
    assert torch.equal((told * bags.present[..., None]).sum(1), bags.counts.long())
    loss, changed = method.objective(lambda x: logits, batch_of(method, bags, state))
    assert float(loss) == pytest.approx(mean_over_members(bags, logits, told.tolist()))
    after = method.end_epoch({**state, **changed}, torch.tensor(0.5))["labels"]
    log_p = bags.grouped(logits.log_softmax(-1))
    for b, size in enumerate(bags.sizes.int().tolist()):
        wanted = [k for k, count in enumerate(bags.counts[b].int().tolist()) for _ in range(count)]
        best = max(set(itertools.permutations(wanted)), key=lambda o: sum(log_p[b, i, c] for i, c in enumerate(o)))
        assert after[b, :size].tolist() == list(best)


def test_two_classes_alternate_by_score():
    """llp-learn: sort by score, the first round(share * size) are positive; here with the exact count."""
    bags, _ = some_bags(sizes=(5, 5, 5), k=2)
    logits = predictions(bags)
    method = m.Alternating()
    _, changed = method.objective(lambda x: logits, batch_of(method, bags, method.setup(start(bags))))
    after = method.end_epoch({**method.setup(start(bags)), **changed}, torch.tensor(0.5))["labels"]
    score = bags.grouped(logits)[..., 1] - bags.grouped(logits)[..., 0]
    for b in range(3):
        first = score[b].argsort(descending=True)[: int(bags.counts[b, 1])]
        assert sorted(after[b].nonzero()[:, 0].tolist()) == sorted(first.tolist())


def test_first_guesses_are_uniform_over_labelings():
    bags = Bags.from_index(torch.zeros(3, dtype=torch.long), torch.tensor([[1, 1, 1]]))
    seen = [tuple(m.Alternating().setup(start(bags, seed))["labels"][0].tolist()) for seed in range(600)]
    times = [seen.count(order) for order in itertools.permutations(range(3))]
    assert sum(times) == 600 and sum((t - 100) ** 2 / 100 for t in times) < 20.5  # chi-square, 5 degrees: p = 0.001


def test_online_charges_and_the_perturbed_leader_in_loops():
    bags, _ = some_bags()
    method, epochs = m.OnlinePseudoLabels(eta=0.7), 3
    state = method.setup(start(bags))
    total = np.zeros((*state["labels"].shape, K))
    places = iter((11, 4, 25))
    for epoch in range(epochs):
        logits, place = predictions(bags, epoch), next(places)
        p = bags.grouped(logits).softmax(-1).numpy()
        for b, i in itertools.product(*map(range, state["labels"].shape)):
            for k in range(K):
                own = k == int(state["labels"][b, i])
                total[b, i, k] += 1 - p[b, i, k] if own else max(p[b, i]) - p[b, i, k]
        _, changed = method.objective(
            lambda x, told=logits: told, batch_of(method, bags, state, place=torch.tensor(place))
        )
        state = {**state, **changed}
        state = {**state, **method.end_epoch(state, torch.tensor(0.5))}
        noise = np.roll(state["noise"].numpy().flatten(), -place).reshape(total.shape)
        expected = hard_assignment(torch.from_numpy(0.7 * noise - total), bags.counts, bags.present)
        assert torch.equal(state["labels"], expected)
    np.testing.assert_allclose(-state["scores"].numpy()[bags.present], total[bags.present], rtol=1e-12)


def test_online_the_favourite_class_is_charged_nothing_unless_it_is_the_label():
    bags = Bags.from_index(torch.zeros(2, dtype=torch.long), torch.tensor([[1, 1]])).to(dtype=torch.float64)
    logits = torch.tensor([[0.0, math.log(4)], [0.0, math.log(4)]], dtype=torch.float64)  # p = 0.2, 0.8
    method = m.OnlinePseudoLabels()
    state = {**method.setup(start(bags)), "labels": torch.tensor([[0, 1]])}
    _, changed = method.objective(lambda x: logits, batch_of(method, bags, state, place=torch.tensor(0)))
    torch.testing.assert_close(changed["charged"][0], torch.tensor([[0.8, 0.0], [0.6, 0.2]], dtype=torch.float64))


def test_online_noise_is_normal_and_fresh_and_unseen_bags_are_charged_nothing():
    bags, _ = some_bags(sizes=(40,) * 40)
    method = m.OnlinePseudoLabels(eta=1.0)
    state = method.setup(start(bags))
    assert abs(float(state["noise"].mean())) < 0.05 and abs(float(state["noise"].std()) - 1) < 0.05
    runs = [method.end_epoch({**state, "place": torch.tensor(place)}, torch.tensor(0.5)) for place in (0, 1234)]
    assert (runs[0]["labels"] != runs[1]["labels"]).double().mean() > 0.5
    assert all((r["scores"] == 0).all() and (r["charged"] == 0).all() for r in runs)
    drawn = method.draw(np.random.default_rng(0), 50, 4)["place"]
    assert drawn.shape == (50,) and len(set(drawn.tolist())) == 50


# ---- LLPFC ----------------------------------------------------------------------------------------------------------

SHARES = np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.1, 0.7, 0.2]])
PRIOR = np.array([0.24, 0.46, 0.30])


def on_a_grid(matrix, prior, steps=200):
    """The best mixture by trying all with steps of 1 / 200."""
    tried = [np.array([i, j, steps - i - j]) / steps for i in range(steps + 1) for j in range(steps + 1 - i)]
    return min(tried, key=lambda a: ((matrix.T @ a - prior) ** 2).sum())


def test_group_prior_is_the_nearest_mixture_and_not_that_of_the_transposed_shares():
    a = group_prior(SHARES, PRIOR)
    np.testing.assert_allclose(a, on_a_grid(SHARES, PRIOR), atol=0.01)
    np.testing.assert_allclose(SHARES.T @ a, PRIOR, atol=1e-12)  # the prior lies among the mixtures
    wrong = group_prior(SHARES.T, PRIOR)  # what the published code minimises: |G a - s|
    assert np.abs(wrong - a).max() > 0.1 and np.abs(SHARES.T @ wrong - PRIOR).max() > 0.05
    np.testing.assert_allclose(wrong, on_a_grid(SHARES.T, PRIOR), atol=0.01)


def test_group_prior_on_the_border_and_for_pure_bags():
    outside = np.array([0.0, 0.1, 0.9])
    a = group_prior(SHARES, outside)
    np.testing.assert_allclose(a, on_a_grid(SHARES, outside), atol=0.01)
    assert a.min() == 0 and a.sum() == pytest.approx(1)
    np.testing.assert_allclose(group_prior(np.eye(3), PRIOR), PRIOR)
    rng = np.random.default_rng(0)
    for k in (2, 5, 10):  # no direction on the simplex descends: the conditions of an optimum
        shares, prior = rng.dirichlet(np.ones(k), k), rng.dirichlet(np.ones(k))
        a = group_prior(shares, prior)
        slope = shares @ (shares.T @ a - prior)
        assert a.sum() == pytest.approx(1) and (a >= 0).all() and (slope >= slope @ a - 1e-10).all()


def test_the_transition_is_bag_given_class():
    a = group_prior(SHARES, PRIOR)
    t = group_transition(SHARES, a)
    np.testing.assert_allclose(t.sum(0), 1)
    np.testing.assert_allclose(t @ PRIOR, a, atol=1e-12)  # sum_c P(bag | c) P(c) = P(bag)
    np.testing.assert_allclose(group_transition(np.eye(3), PRIOR), np.eye(3))
    never = np.array([[0.5, 0.5, 0.0]] * 3)
    np.testing.assert_allclose(group_transition(never, np.full(3, 1 / 3))[:, 2], 1 / 3)


def test_llpfc_of_pure_bags_is_weighted_cross_entropy():
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    bags = Bags.from_index(torch.arange(3).repeat_interleave(2), 2 * torch.eye(3)).to(dtype=torch.float64)
    logits, method = predictions(bags), m.LLPFC(groupings=1)
    loss, _ = method.objective(lambda x: logits, batch_of(method, bags, method.setup(start(bags))))
    assert float(loss) == pytest.approx(float(torch.nn.functional.cross_entropy(logits, labels)), rel=1e-6)


def test_llpfc_in_loops():
    bags, _ = some_bags(sizes=(3, 4, 2, 4, 4, 3, 4))
    logits, method = predictions(bags), m.LLPFC(groupings=4)
    state = method.setup(start(bags))
    counts, sizes = bags.counts.numpy(), bags.sizes.numpy()
    shares, prior = counts / sizes[:, None], counts.sum(0) / sizes.sum()
    rng = np.random.default_rng(0)
    for row, progress in enumerate((0.1, 0.3, 0.6, 0.99)):
        groups = rng.permutation(7)[:6].reshape(2, 3)
        weighted, weights = 0.0, 0.0
        for group in groups:
            a = group_prior(shares[group], prior)
            t = group_transition(shares[group], a)
            w = a / sizes[group] / (a / sizes[group]).sum()
            for i, b in enumerate(group):
                for place in range(int(sizes[b])):
                    p = torch.softmax(logits[b * 4 + place], 0).numpy()
                    if w[i] > 0:
                        weighted -= w[i] * math.log((p * t[i]).sum())
                    weights += w[i]
        used = sizes[groups.flatten()].sum()
        loss, changed = method.objective(lambda x: logits, batch_of(method, bags, state, progress=progress))
        assert float(loss) == pytest.approx(weighted / weights * used / sizes.sum(), rel=1e-5) and changed == {}
        unused = set(range(7)) - set(groups.flatten().tolist())
        assert (state["weight"][row][list(unused)] == 0).all()


def test_llpfc_does_not_see_the_group_where_the_prior_is_met():
    """T[i, c] = a_i G[i, c] / s_c: the loss is that of a member's own draw from its bag's shares, up to log a_i."""
    t = group_transition(SHARES, group_prior(SHARES, PRIOR))
    a = group_prior(SHARES, PRIOR)
    np.testing.assert_allclose(t / a[:, None], SHARES / PRIOR, rtol=1e-10)


def test_llpfc_needs_a_group():
    bags, _ = some_bags(sizes=(3, 3))
    with pytest.raises(ValueError, match="2 bags for 3 classes"):
        m.LLPFC().setup(start(bags))
    with pytest.raises(ValueError, match="whole number from 1, got 0"):
        m.LLPFC(groupings=0)


# ---- UUM is EM ------------------------------------------------------------------------------------------------------


def test_uum_by_all_orders_is_count_em():
    """Wei et al. (2023) list all k! orders of the bag's labels (repeats cancel) to weigh each member's losses."""
    bags, _ = some_bags(sizes=(4, 3, 4))
    logits = predictions(bags).requires_grad_()
    total = 0.0
    for b, size in enumerate(bags.sizes.int().tolist()):
        log_p = bags.grouped(logits).log_softmax(-1)[b, :size]
        wanted = [k for k, count in enumerate(bags.counts[b].int().tolist()) for _ in range(count)]
        weights, norm = torch.zeros(size, K, dtype=torch.float64), 0.0
        for order in itertools.permutations(wanted):
            chance = float(log_p.detach()[range(size), list(order)].sum().exp())
            norm += chance
            weights[range(size), list(order)] += chance
        total = total - (weights / norm * log_p).sum()
    members = float(bags.sizes.sum())
    em = m.CountEM().loss(logits, bags).mean()
    torch.testing.assert_close(em, total / members)
    gradient = lambda value: torch.autograd.grad(value, logits, retain_graph=True)[0]
    torch.testing.assert_close(gradient(em), gradient(total / members))
    torch.testing.assert_close(gradient(em), gradient(m.CountLikelihood().loss(logits, bags).mean()))


# ---- in a fleet -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MADE)
def test_alone_and_in_a_fleet_the_numbers_are_equal_and_it_learns(name):
    data = lk.load("gaussians", n=200, classes=3, dimensions=4, separation=4.0)
    options = dict(methods=MADE[name], dtype="float64", **QUICK)
    annotator = RandomBags(5, spread=0.5)
    together = lk.fit(data, annotator, seeds=3, lanes=8, **options).where(seed=1)
    alone = lk.fit(data, annotator, seeds=[1], lanes=1, **options)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    assert together.measure("accuracy")["value"].min() > 0.4
    for kept in MADE[name].keeps:
        torch.testing.assert_close(together.kept(kept), alone.kept(kept), equal_nan=True)


@pytest.mark.parametrize("name", MADE)
def test_noisy_counts_are_taken_for_the_nearest_possible_ones(name):
    data = lk.load("gaussians", n=150, classes=3, dimensions=4, separation=4.0)
    runs = lk.fit(data, RandomBags(5) >> LaplaceCounts(1.0), methods=MADE[name], seeds=[0], **QUICK)
    assert all(run.diverged == 0 for run in runs)
    if name == "alternating":
        assert runs.kept("labels").shape[1:] == (21, 5)


def test_watching_changes_nothing_and_writes_what_was_predicted():
    data = lk.load("gaussians", n=200, classes=3, dimensions=4, separation=4.0)
    options = dict(seeds=2, dtype="float64", optimiser=lk.SGD(lr=0.0), **QUICK)
    plain = lk.fit(data, RandomBags(5), methods=m.Alternating(), **options)
    watched = lk.fit(data, RandomBags(5), methods=m.WatchedBags(method=m.Alternating(), pages=3), **options)
    torch.testing.assert_close(plain.logits(), watched.logits(), rtol=0, atol=0)
    pages, guessed = watched.kept("log_p"), watched.kept("guessed")
    assert pages.shape == (2, 3, 28, 5, 3) and not pages.isnan().any()  # 28 bags, batches of 4: all are seen
    for run, page in zip(watched, pages):  # the rate is 0: what was seen is what the network still says
        x = data.x[run.index["train"]].double()
        bags = RandomBags(5)(
            lk.Labels(data.y[run.index["train"]], 3), x, lk.streams.generator(run.seed, "annotation", 0)
        )
        said = lk.fleet.Runs([run], watched.context).predict(x)[0].log_softmax(-1)
        torch.testing.assert_close(page[2], said[bags.members])
        told = torch.nn.functional.one_hot(guessed[list(watched).index(run), 2], 3)
        assert torch.equal(told.sum(1), bags.counts.long())
    with pytest.raises(ValueError, match="whole number from 1, got 0"):
        m.WatchedBags(pages=0)
