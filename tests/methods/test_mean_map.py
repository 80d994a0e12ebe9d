from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import DirichletBags, RandomBags
from labkit.evidence import Bags
from labkit.methods import LMM, MeanMap
from labkit.methods.base import Batch, Start
from labkit.methods.mean_map import laplacian_mean_map_weights, mean_map_weights, mean_operator


@pytest.fixture(autouse=True)
def doubles(request):
    """Tensors made in a test are doubles, except where a fleet is trained, which has a dtype of its own."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(before if "fleet" in request.node.name else torch.float64)
    yield
    torch.set_default_dtype(before)


def world(k=3, d=4, sizes=(3, 5, 2, 4, 6, 1, 3), seed=0):
    """Ragged bags, inputs that depend on the class, the classes, and the bag of every example."""
    rng = np.random.default_rng(seed)
    bag = np.repeat(np.arange(len(sizes)), sizes)
    y = rng.integers(0, k, len(bag))
    y[:k] = np.arange(k)
    x = rng.normal(size=(len(bag), d)) + 2 * rng.normal(size=(k, d))[y]
    counts = np.zeros((len(sizes), k))
    np.add.at(counts, (bag, y), 1)
    return Bags.from_index(bag, counts), torch.from_numpy(x), torch.from_numpy(y), bag


def start(bags, x):
    return Start(x, bags, bags.n_classes, 0, np.random.default_rng(0), torch.arange(len(x)))


def full_loss(method, net, bags, x):
    """The objective on one batch of all bags."""
    batch = Batch(x[bags.members.flatten()], bags, torch.arange(len(bags)), torch.tensor(0.0), {}, {})
    batch.state = method.setup(start(bags, x))
    value, changed = method.objective(net, batch)
    assert changed == {}
    return value


def by_hand(bags, x, bag):
    """Class means from bag means by weighted least squares, and the proportions of all, with numpy alone."""
    counts, sizes = bags.counts.numpy(), bags.sizes.numpy()
    means = np.stack([x.numpy()[bag == b].mean(0) for b in range(len(sizes))])
    root = np.sqrt(sizes)[:, None]
    found = np.linalg.lstsq(counts / sizes[:, None] * root, means * root, rcond=None)[0]
    return found, counts.sum(0) / counts.sum()


def test_weights_give_the_class_means_of_least_squares():
    bags, x, _, bag = world()
    weights = mean_map_weights(bags)
    means, share = by_hand(bags, x, bag)
    operator = (weights[torch.from_numpy(bag)][:, :, None] * x[:, None]).mean(0)
    np.testing.assert_allclose(operator, share[:, None] * means, rtol=1e-10)
    torch.testing.assert_close(mean_operator(bags, weights, x), operator)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(bags)))
    assert (weights < 0).any()  # nothing is clipped


def test_two_classes_are_the_published_objective():
    bags, x, _, bag = world(k=2)
    theta = torch.tensor([0.3, -0.7, 0.2, 1.1])
    means, share = by_hand(bags, x, bag)
    mu = torch.from_numpy(share[1] * means[1] - share[0] * means[0])
    published = torch.log(2 * torch.cosh(x @ theta / 2)).mean() - theta @ mu / 2
    net = lambda v: torch.stack([-v @ theta / 2, v @ theta / 2], -1)
    torch.testing.assert_close(full_loss(MeanMap(), net, bags, x), published)
    shifted = lambda v: net(v) + v[:, :1]  # only the difference of the logits matters
    torch.testing.assert_close(full_loss(MeanMap(), shifted, bags, x), published)


@pytest.mark.parametrize("method", [MeanMap(), LMM(strength=1e-7)])
def test_bags_of_one_class_are_logistic_regression(method):
    _, x, y, _ = world()
    order = y.argsort(stable=True)
    bag = torch.empty(len(y), dtype=torch.long)
    bag[order] = torch.cat([torch.arange(len(y))[: int((y == c).sum())] // 3 + 100 * c for c in range(3)])
    bag = bag.unique(return_inverse=True)[1]
    counts = torch.zeros(int(bag.max()) + 1, 3).index_put((bag, y), torch.ones(len(y)), accumulate=True)
    bags = Bags.from_index(bag, counts)
    matrix = torch.randn(3, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    net = lambda v: v @ matrix.mT
    mine = full_loss(method, net, bags, x)
    plain = torch.nn.functional.cross_entropy(net(x), y)
    tolerance = dict(rtol=1e-10, atol=1e-10) if type(method) is MeanMap else dict(rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(mine, plain, **tolerance)
    torch.testing.assert_close(*(torch.autograd.grad(v, matrix)[0] for v in (mine, plain)), **tolerance)


def test_bags_of_one_class_have_the_weights_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    data = lk.load("wine")
    x, y = data.x.double(), data.y
    bags = Bags.from_index(y, torch.bincount(y).double().diag())  # one bag per class
    matrix, bias = torch.zeros(3, 13, requires_grad=True), torch.zeros(3, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [matrix, bias], max_iter=500, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure():
        optimiser.zero_grad()
        prior = 0.5 * matrix.square().sum() / len(x)  # the paper's Gaussian prior, which is C = 1 there
        value = full_loss(MeanMap(), lambda v: v @ matrix.mT + bias, bags, x) + prior
        value.backward()
        return value

    optimiser.step(closure)
    peer = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000).fit(x.numpy(), y.numpy())
    np.testing.assert_allclose(matrix.detach(), peer.coef_, atol=1e-5)


def test_all_bags_of_three_that_chance_can_make_give_easy_llp():
    rows = [[int(a == 0) for a in world] for world in itertools.product(range(3), repeat=3)]  # P(class 1) = 1/3
    ones = torch.tensor(rows).sum(1)
    bags = Bags(torch.arange(81).reshape(27, 3), torch.stack([3 - ones, ones], 1))
    soft = 3 * (ones / 3 - 1 / 3) + 1 / 3
    torch.testing.assert_close(mean_map_weights(bags), torch.stack([1 - soft, soft], 1))


def test_skewed_proportions_do_not_bias_class_means():
    """Bag means that are exactly mixtures: the class means come back, whatever the proportions."""
    counts = torch.tensor([[9.0, 1.0], [2.0, 8.0], [10.0, 0.0], [1.0, 3.0]])
    truth = torch.tensor([[1.0, -2.0], [0.5, 3.0]])
    bag = torch.repeat_interleave(torch.arange(4), counts.sum(1).long())
    bags = Bags.from_index(bag, counts)
    x = (bags.proportions @ truth)[bag]
    operator = (mean_map_weights(bags)[bag][:, :, None] * x[:, None]).mean(0)
    torch.testing.assert_close(operator / (counts.sum(0) / counts.sum())[:, None], truth)


def lmm_by_hand(bags, x, bag, strength, bandwidth):
    """Patrini et al. in their own layout: a proportions matrix (bags, 2 bags), one Laplacian per class."""
    counts, sizes = bags.counts.numpy(), bags.sizes.numpy()
    (b, k), n = counts.shape, sizes.sum()
    shares = counts / sizes[:, None]
    means = np.stack([x.numpy()[bag == j].mean(0) for j in range(b)])
    away = np.array([[np.sqrt(((p - q) ** 2).sum()) for q in means] for p in means])
    scale = bandwidth * torch.from_numpy(away[~np.eye(b, dtype=bool)]).median().item()
    similar = np.exp(-away / scale)
    one = np.diag(similar.sum(1)) - similar
    laplacian = np.zeros((k * b, k * b))
    for c in range(k):
        laplacian[c * b : c * b + b, c * b : c * b + b] = one
    wide = np.concatenate([np.diag(shares[:, c]) for c in range(k)], 1)
    d_w = np.diag(sizes / sizes.mean())
    per_bag = np.linalg.solve(wide.T @ d_w @ wide + strength * laplacian, wide.T @ d_w @ means).reshape(k, b, -1)
    return np.stack([sum(sizes[j] / n * shares[j, c] * per_bag[c, j] for j in range(b)) for c in range(k)])


@pytest.mark.parametrize("k", [2, 3])
def test_lmm_is_the_published_system(k):
    bags, x, _, bag = world(k)
    weights = laplacian_mean_map_weights(bags, x, 3.0, 0.7)
    operator = (weights[torch.from_numpy(bag)][:, :, None] * x[:, None]).mean(0)
    np.testing.assert_allclose(operator, lmm_by_hand(bags, x, bag, 3.0, 0.7), rtol=1e-9)


def test_a_strong_laplacian_is_the_mean_map():
    bags, x, _, _ = world()
    strong = laplacian_mean_map_weights(bags, x, 1e7, 1.0)
    torch.testing.assert_close(strong, mean_map_weights(bags), rtol=1e-4, atol=1e-4)
    assert (laplacian_mean_map_weights(bags, x, 1.0, 1.0) - strong).abs().max() > 0.1


def test_unequal_bags_count_by_their_members():
    """The authors' code takes pi as the mean of the proportions over bags, right for equal sizes only."""
    bags, x, y, bag = world()
    operator = (mean_map_weights(bags)[torch.from_numpy(bag)][:, :, None] * torch.ones(len(x), 1, 1)).mean(0)[:, 0]
    torch.testing.assert_close(operator, torch.bincount(y) / len(y))  # a constant input has the means pi
    assert (bags.proportions.mean(0) - operator).abs().max() > 0.01


@pytest.mark.parametrize("method", [MeanMap(), LMM(strength=0.5)])
def test_loss_twin_gradients_and_extremes(method):
    bags, x, _, _ = world(sizes=(2, 3, 1, 3, 2))
    z = torch.randn(5, 3, 3, generator=torch.Generator().manual_seed(3))
    weights = method.setup(start(bags, x))["weights"]
    torch.testing.assert_close(weights.sum(1), torch.ones(5))
    value = full_loss(method, lambda v: z.flatten(0, 1), bags, x)
    total = 0.0
    for b in range(5):
        for i in range(int(bags.sizes[b])):
            row = z[b, i].tolist()
            total += np.log(sum(np.exp(v) for v in row)) - sum(t * v for t, v in zip(weights[b].tolist(), row))
    assert float(value) == pytest.approx(total / 11)
    loss_of = lambda v: full_loss(method, lambda _: v.flatten(0, 1), bags, x)
    assert torch.autograd.gradcheck(loss_of, z.clone().requires_grad_())
    huge = (1e4 * z).requires_grad_()
    (slope,) = torch.autograd.grad(loss_of(huge), huge)
    assert slope.isfinite().all() and (slope[~bags.present] == 0).all()


def test_what_it_refuses():
    alike = Bags(torch.arange(12).reshape(3, 4), torch.tensor([[2, 2]] * 3))
    with pytest.raises(ValueError, match=r"cannot be told apart from the 3 bags.*all alike"):
        MeanMap().setup(start(alike, torch.randn(12, 2)))
    with pytest.raises(ValueError, match="a class is in no bag"):
        mean_map_weights(Bags(torch.arange(4).reshape(2, 2), torch.tensor([[2, 0, 0], [0, 2, 0]])))
    with pytest.raises(ValueError, match="cannot be told apart"):
        LMM().setup(start(alike, torch.randn(12, 2)))
    for wrong in (dict(strength=0), dict(bandwidth=-1.0)):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is above 0"):
            LMM(**wrong)


def test_noisy_counts_are_moved_to_the_size_of_the_bag():
    bags, x, _, _ = world(k=2)
    noise = 0.1 * torch.randn(bags.counts.shape, generator=torch.Generator().manual_seed(0))
    moved = noise - noise.mean(1, keepdim=True)
    told, better = (Bags(bags.members, bags.counts + e, bags.present, noise=0.1) for e in (noise, moved))
    for method in (MeanMap(), LMM()):
        weights = method.setup(start(told, x))["weights"]
        torch.testing.assert_close(weights, method.setup(start(better, x))["weights"])
        torch.testing.assert_close(weights.sum(1), torch.ones(len(bags)))


QUICK = dict(epochs=3, dtype="float64", batch_size=8, progress=False, compile=False)


@pytest.mark.parametrize("method", [MeanMap(), LMM(strength=lk.sweep(1.0, 10.0))])
def test_alone_and_in_a_fleet_the_numbers_are_equal(method):
    data = lk.load("gaussians", n=300)
    together = lk.fit(data, RandomBags(5, spread=0.3), methods=method, seeds=3, lanes=8, **QUICK).where(seed=1)
    alone = lk.fit(data, RandomBags(5, spread=0.3), methods=method, seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(together.logits(), alone.logits(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", [MeanMap(), LMM()])
def test_a_fleet_learns_from_skewed_bags(method):
    data = lk.load("breast_cancer")
    runs = lk.fit(data, DirichletBags(8, 1.0), methods=method, model="linear", seeds=3, **{**QUICK, "epochs": 20})
    assert (runs.measure("accuracy")["value"] > 0.88).all()
