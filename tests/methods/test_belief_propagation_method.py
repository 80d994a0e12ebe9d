from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import labkit as lk
from labkit.annotate import RandomBags
from labkit.evidence import Bags
from labkit.methods import BeliefPropagation, CrossEntropy, ProportionLoss
from labkit.methods.base import Batch, Start
from labkit.propagation import neighbour_graph, propagate

QUICK = dict(epochs=3, batch_size=8, dtype="float64", progress=False, compile=False)
INDEX = torch.tensor([0, 1, 0, 2, 2, 1, 2, 0, 2])  # bags of 3, 2 and 4
COUNTS = torch.tensor([[2.0, 1], [1, 1], [1, 3]])
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


class Net:
    """Two features, tanh of the inputs, and a linear head."""

    head_weight = torch.tensor([[0.3, -1.0], [0.8, 0.4]], dtype=torch.float64)

    def features(self, x):
        return x.tanh()

    def head(self, features):
        return features @ self.head_weight.T

    def __call__(self, x):
        return self.head(self.features(x))


def start(bags=None, x=X):
    bags = Bags.from_index(INDEX, COUNTS) if bags is None else bags
    return Start(x, bags, bags.n_classes, 0, np.random.default_rng(0), torch.arange(len(x)))


def loss_of(method, bags, units, x=X):
    state, drawn = method.setup(start(bags, x)), bags[units]
    batch = Batch(x[drawn.members.flatten()], drawn, units, torch.tensor(0.0), state, {})
    value, changed = method.objective(Net(), batch)
    assert changed == {} and value.ndim == 0
    return float(value), state


def minus_log_p(z, target):
    total = math.log(sum(math.exp(v) for v in z))
    return sum(t * (total - v) for t, v in zip(target, z))


@pytest.mark.parametrize("hard", [True, False])
def test_is_the_equation_over_ragged_bags(hard):
    bags, units = Bags.from_index(INDEX, COUNTS), torch.tensor([2, 1])
    value, state = loss_of(BeliefPropagation(hard=hard, neighbours=2, pooled=0.3), bags, units)
    believed = propagate(bags, neighbour_graph(X, 2)).probs
    assert torch.equal(state["pseudo"], (believed >= 0.5).double() if hard else believed)
    members, whole = 0.0, 0.0
    for b in units.tolist():
        inside = [i for i in range(9) if INDEX[i] == b]
        for i in inside:
            one = float(state["pseudo"][i])
            members += minus_log_p(Net()(X[i]).tolist(), (1 - one, one))
        mean = sum(X[i].tanh() for i in inside) / len(inside)
        whole += minus_log_p(Net().head(mean).tolist(), (COUNTS[b] / len(inside)).tolist())
    assert value == pytest.approx(members / 6 + 0.3 * whole / 2)  # per member; per bag


def test_certain_bags_of_one_without_the_bags_term_are_cross_entropy():
    labels = torch.tensor([0, 1, 1, 0, 1, 0, 0, 1, 1])
    bags = Bags.from_index(torch.arange(9), torch.nn.functional.one_hot(labels).float())
    value, _ = loss_of(BeliefPropagation(bag_weight=math.inf, pooled=0.0, neighbours=2), bags, torch.arange(9))
    assert value == pytest.approx(float(torch.nn.functional.cross_entropy(Net()(X), labels)))


def test_without_neighbours_or_without_bags():
    share = BeliefPropagation(neighbour_weight=0.0, bag_weight=math.inf, hard=False).setup(start())["pseudo"]
    torch.testing.assert_close(share, (COUNTS[:, 1] / COUNTS.sum(1))[INDEX].double(), atol=5e-3, rtol=0)
    assert (BeliefPropagation(bag_weight=0.0, hard=False).setup(start())["pseudo"] == 0.5).all()


def test_noisy_counts_are_believed_with_a_finite_weight():
    members = torch.tensor([[0, 2, 7], [1, 5, 1], [3, 4, 6]])
    present = torch.tensor([[True] * 3, [True, True, False], [True] * 3])
    noisy = Bags(members, torch.tensor([[3.4, -0.7], [0.2, 2.1], [1.0, 2.5]]), present, noise=1.0)
    value, state = loss_of(BeliefPropagation(hard=False, pooled=1.0), noisy, torch.arange(3))
    assert ((state["pseudo"] >= 0) & (state["pseudo"] <= 1)).all()
    without, _ = loss_of(BeliefPropagation(hard=False, pooled=0.0), noisy, torch.arange(3))
    whole = 0.0
    for inside, shares in (([0, 2, 7], (1, 0)), ([1, 5], (0.2 / 2.3, 2.1 / 2.3)), ([3, 4, 6], (1 / 3.5, 2.5 / 3.5))):
        whole += minus_log_p(Net().head(X[inside].tanh().mean(0)).tolist(), shares) / 3
    assert value - without == pytest.approx(whole)  # what is negative counts as 0


def world():
    return lk.load("gaussians", n=260, classes=2, separation=4.0), RandomBags(6)


def test_alone_and_in_a_fleet_the_numbers_are_equal_over_two_rounds():
    data, bags = world()
    first = lk.fit(data, bags, methods={"dllp": ProportionLoss(), "first": BeliefPropagation()}, seeds=3, **QUICK)
    alone = lk.fit(data, bags, methods=BeliefPropagation(), seeds=[1], lanes=1, **QUICK)
    torch.testing.assert_close(first["first"].where(seed=1).logits(), alone.logits(), rtol=1e-12, atol=1e-12)
    second = BeliefPropagation(before=first["first"], unary=lk.sweep(0.0, 1.0))
    together = lk.fit(data, bags, methods=second, seeds=3, lanes=8, **QUICK).where(seed=2)
    second = lk.fit(data, bags, methods=second, seeds=[2], lanes=1, **QUICK)
    torch.testing.assert_close(together.logits(), second.logits(), rtol=1e-12, atol=1e-12)
    assert (first["first"].measure("accuracy")["value"] > 0.8).all()
    pseudo, truth = first["first"].kept("pseudo"), data.y[first["first"].index("train")]
    assert pseudo.shape == truth.shape and float((pseudo == truth).double().mean()) > 0.8
    assert (first["first"].kept("change") < 10).all()


def test_a_second_round_propagates_over_the_embeddings_of_the_first():
    data, bags = world()
    first = lk.fit(data, bags, methods=ProportionLoss(), seeds=[0], **QUICK)
    x = data.x[first[0].index["train"]].double()
    made = bags(lk.Labels(data.y[first[0].index["train"]], 2), x, np.random.default_rng(0))
    told = Start(x, made, 2, 0, np.random.default_rng(0), first[0].index["train"])
    embedded, logits = first.predict(x, features=True)[0], first.predict_one(x)
    for unary in (0.0, 0.5):
        found = BeliefPropagation(before=first, unary=unary, hard=False).setup(told)["pseudo"]
        wanted = propagate(made, neighbour_graph(embedded), unary=unary * (logits[:, 1] - logits[:, 0]))
        torch.testing.assert_close(found, wanted.probs)
    assert not torch.allclose(found, BeliefPropagation(hard=False).setup(told)["pseudo"], atol=1e-3)


def test_what_it_refuses():
    three = Bags.from_index(torch.zeros(9, dtype=torch.long), torch.tensor([[3.0, 3, 3]]))
    with pytest.raises(ValueError, match="two classes, got bags of 3"):
        BeliefPropagation().setup(start(three))
    with pytest.raises(ValueError, match=r"unary = 1\.0 weighs the log odds of an earlier round"):
        BeliefPropagation(unary=1.0).setup(start())
    data, bags = world()
    with pytest.raises(TypeError, match="learns from Bags"):
        lk.fit(data, methods=BeliefPropagation(), seeds=1, **QUICK)
    first = lk.fit(data, bags, methods=ProportionLoss(), seeds=[0], **QUICK)
    with pytest.raises(ValueError, match="same seeds"):
        lk.fit(data, bags, methods=BeliefPropagation(before=first), seeds=[1], **QUICK)
    assert Bags not in CrossEntropy.accepts
