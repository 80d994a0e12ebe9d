"""Learning from counts: bags of one are supervised learning, padding counts nothing, EM is a gradient step."""

import pytest
import torch

import labkit as lk
from labkit.annotate import LaplaceCounts, RandomBags
from labkit.datasets import merged
from labkit.evidence import Bags
from labkit.fleet.tuned import tuned
from labkit.methods import CountEM, CountLikelihood, CrossEntropy, OneAgainstRestCounts, ProportionLoss
from labkit.methods.proportions import nearest_counts

METHODS = [ProportionLoss(), CountLikelihood(), OneAgainstRestCounts(), CountEM()]
QUICK = dict(seeds=2, epochs=2, evaluate_every=1, dtype="float64", progress=False, compile=False)


def test_bags_of_one_are_supervised_learning(small):
    plain = lk.fit(small, methods=CrossEntropy(), **QUICK)
    for method in (ProportionLoss(), CountLikelihood(), CountEM()):
        runs = lk.fit(small, RandomBags(1), methods=method, **QUICK)
        # the order of examples differs (bags are numbered anew), so compare the step itself
        assert runs.measure("accuracy")["value"].mean() == pytest.approx(
            plain.measure("accuracy")["value"].mean(), abs=0.1
        )
    logits = torch.randn(6, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 2, 1, 0])
    bags = Bags(torch.arange(6)[:, None], torch.eye(3)[labels])
    want = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    for method in (ProportionLoss(), CountLikelihood(), CountEM()):
        torch.testing.assert_close(method.loss(logits, bags), want, rtol=0, atol=1e-15)
    two = torch.nn.functional.cross_entropy(logits[:, :2], labels % 2, reduction="none")
    binary = Bags(torch.arange(6)[:, None], torch.eye(2)[labels % 2])
    torch.testing.assert_close(OneAgainstRestCounts().loss(logits[:, :2], binary), two)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_padding_counts_nothing(method):
    rng = torch.Generator().manual_seed(1)
    logits = torch.randn(7, 3, dtype=torch.float64, generator=rng)
    counts = [[2, 1, 1], [1, 1, 1]]
    bags = Bags.from_index(torch.tensor([0, 0, 0, 0, 1, 1, 1]), counts)

    def losses(held):
        z = logits.clone().requires_grad_()
        rows = z[held.members].flatten(0, 1) + torch.where(held.present.flatten(), 0, 7.0)[:, None] * torch.randn(3)
        value = method.loss(rows, held)
        return value.detach(), torch.autograd.grad(value.sum(), z)[0]

    for a, b in zip(losses(bags), losses(bags.widened(6))):
        torch.testing.assert_close(a, b)
    assert bags.present.sum() == 7


def test_a_large_bag_weighs_as_much_as_its_members():
    logits = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    bags = Bags.from_index(torch.tensor([0, 0, 0, 0, 1, 1]), [[2, 2], [1, 1]])
    each = [CountLikelihood().loss(logits[bags[b].members[0][bags[b].present[0]]],
                                   Bags.from_index(torch.zeros(n, dtype=int), bags.counts[b : b + 1]))
            for b, n in ((0, 4), (1, 2))]  # fmt: skip
    total = sum(e.sum() * n for e, n in zip(each, (1, 1))) * 1.0
    mean = CountLikelihood().loss(logits[bags.members].flatten(0, 1), bags).mean()
    # a bag alone is divided by its own size; together the sum of both is divided by all six
    torch.testing.assert_close(mean, (each[0].sum() * 4 + each[1].sum() * 2) / 6)
    assert total != mean


def test_a_step_of_em_is_a_step_of_the_likelihood():
    bags = Bags.from_index(torch.tensor([0, 0, 0, 1, 1]), [[1, 1, 1], [0, 2, 0]])
    grads = []
    for method in (CountEM(), CountLikelihood()):
        z = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
        grads.append(torch.autograd.grad(method.loss(z[bags.members].flatten(0, 1), bags).mean(), z)[0])
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=1e-14)


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_run_does_not_depend_on_its_fleet_and_learns(method, classes, small):
    data = small if classes == 3 else merged(small, [[0, 2], [1]])
    how = QUICK | dict(seeds=3, epochs=3, batch_size=8)
    annotator = RandomBags(4, spread=0.6)
    fleet = lk.fit(data, annotator, methods=method, lanes=3, **how)
    alone = lk.fit(data, annotator, methods=method, lanes=1, **(how | dict(seeds=[2])))[0]
    for name, p in fleet.one(seed=2)[0].params.items():
        torch.testing.assert_close(p, alone.params[name], rtol=0, atol=1e-12)
    curve = fleet[0].curves["train/loss"]
    assert curve[-1] < curve[0]


def test_selection_and_tuning_read_bags_only(small):
    runs = lk.fit(small, RandomBags(4), methods=ProportionLoss(), optimiser=lk.SGD(lk.sweep(1e-4, 0.1)),
                  **(QUICK | dict(batch_size=8, epochs=4)))  # fmt: skip
    chosen = tuned(runs)
    assert (chosen["optimiser.lr"] == 0.1).all() and (chosen["agreement"] < 0).all()
    assert "given" not in runs[0].curves and runs[0].given == {}


def test_known_noise_is_used_and_unknown_noise_cannot_be():
    rng = torch.Generator().manual_seed(4)
    logits = torch.randn(4, 2, dtype=torch.float64, generator=rng)
    noisy = Bags([[0, 1], [2, 3]], [[-0.7, 2.9], [1.2, 1.1]], noise=0.5)
    assert torch.isfinite(CountLikelihood().loss(logits, noisy)).all()
    assert torch.isfinite(ProportionLoss().loss(logits, noisy)).all()
    for method in (CountEM(), OneAgainstRestCounts()):
        with pytest.raises(TypeError, match="CountLikelihood"):
            method.loss(logits, noisy)
    assert nearest_counts(torch.tensor([[-1.0, 3.0], [-1.0, -2.0]])).tolist() == [[0, 3], [1, 1]]


def test_noise_may_be_swept(small):
    data = merged(small, [[0, 2], [1]])
    runs = lk.fit(data, RandomBags(4) >> LaplaceCounts(lk.sweep(0.2, 20.0)), methods=CountLikelihood(),
                  **(QUICK | dict(batch_size=8, epochs=6)))  # fmt: skip
    accuracy = runs.measure("accuracy").groupby("annotator.1.epsilon")
    assert accuracy["value"].mean().is_monotonic_increasing
