"""Small methods and evidence forms that use every hook of the interface: what later topics will need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from labkit.annotate import Annotator
from labkit.evidence import Evidence, one_hot
from labkit.losses import cross_entropy, target_of
from labkit.methods.base import Method


@dataclass
class Memory(Method):
    """Early-learning regularisation (Liu et al., 2020): a running mean of predictions per training example."""

    strength: Any = 1.0
    decay: float = 0.7

    def setup(self, start):
        return {"seen": torch.full((len(start.evidence), start.n_classes), 1 / start.n_classes)}

    def objective(self, net, batch):
        logits = net(batch.x)
        p = logits.softmax(-1)
        old = batch.state["seen"][batch.index]
        new = self.decay * old + (1 - self.decay) * p.detach()
        loss = cross_entropy(logits, target_of(batch.evidence, logits.dtype))
        loss = loss + self.strength * torch.log((1 - (new * p).sum(-1)).clamp_min(1e-6))
        return loss.mean(), {"seen": batch.state["seen"].index_put((batch.index,), new)}


@dataclass
class Pair(Method):
    """Co-teaching (Han et al., 2018): two networks, each learns from what the other finds easy."""

    keep: Any = 0.7
    networks = 2

    def objective(self, net, batch):
        target = target_of(batch.evidence, batch.x.dtype)
        first, second = (cross_entropy(one(batch.x), target) for one in net)
        count = self.keep * len(first)
        easy = lambda loss: (loss.detach().argsort().argsort() < count).to(loss.dtype)
        return ((easy(second) * first).sum() + (easy(first) * second).sum()) / count, {}


@dataclass
class PerEpoch(Method):
    """Online label smoothing in spirit: a class-by-class table filled during an epoch and used in the next."""

    def setup(self, start):
        k = start.n_classes
        return {"table": torch.eye(k), "sum": torch.zeros(k, k)}

    def objective(self, net, batch):
        logits = net(batch.x)
        target = target_of(batch.evidence, logits.dtype)
        loss = cross_entropy(logits, target @ batch.state["table"]).mean()
        return loss, {"sum": batch.state["sum"] + target.mT @ logits.detach().softmax(-1)}

    def end_epoch(self, state, progress):
        total = state["sum"].sum(-1, keepdim=True).clamp_min(1e-12)
        return {"table": state["sum"] / total, "sum": torch.zeros_like(state["sum"])}


class Votes(Evidence):
    """Answers of several workers with gaps (-1), and their confusion matrices."""

    fields = ("answers",)
    shared = ("confusion",)

    def __init__(self, answers, confusion):
        self.answers, self.confusion, self.n_classes = answers, confusion, confusion.shape[-1]

    def likelihood(self):
        given = self.answers >= 0
        rows = self.confusion.mT[torch.arange(self.answers.shape[1]), self.answers.clamp_min(0)]  # (n, workers, K)
        return torch.where(given[..., None], rows, torch.ones_like(rows)).prod(1)


@dataclass(frozen=True)
class Crowd(Annotator):
    workers: int = 3
    accuracy: float = 0.7

    def __call__(self, labels, features, rng):
        k = labels.n_classes
        confusion = torch.full((k, k), (1 - self.accuracy) / (k - 1)).fill_diagonal_(self.accuracy)
        right = torch.from_numpy(rng.random((len(labels), self.workers)) < self.accuracy)
        wrong = (labels.labels[:, None] + torch.from_numpy(rng.integers(1, k, right.shape))) % k
        answers = torch.where(right, labels.labels[:, None], wrong)
        answers[torch.from_numpy(rng.random(right.shape) < 0.2)] = -1
        return Votes(answers, confusion.expand(self.workers, k, k).clone())


class Bags(Evidence):
    """Class proportions of groups of examples: a unit is a bag."""

    fields = ("members", "proportions")

    def __init__(self, members, proportions):
        self.members, self.proportions, self.n_classes = members, proportions, proportions.shape[1]

    def agreement(self, logits):
        return -(logits.softmax(-1)[self.members].mean(1) - self.proportions).abs().sum()


class Tags(Evidence):
    """Several labels per example: yes (1), no (0), unknown (-1)."""

    fields = ("tags",)

    def __init__(self, tags):
        self.tags, self.n_classes = tags, tags.shape[1]

    def agreement(self, logits):
        known = self.tags >= 0
        return (((logits > 0) == (self.tags > 0)) & known).sum() / known.sum()


@dataclass(frozen=True)
class Tagging(Annotator):
    known: float = 0.5

    def __call__(self, labels, features, rng):
        tags = one_hot(labels.labels, labels.n_classes).long()
        return Tags(torch.where(torch.from_numpy(rng.random(tags.shape) < self.known), tags, -1))


@dataclass
class TagLoss(Method):
    """Binary cross entropy on the tags that are known."""

    accepts = (Tags,)

    def loss(self, logits, evidence):
        tags = evidence.tags
        per_tag = torch.nn.functional.binary_cross_entropy_with_logits(
            logits, tags.clamp_min(0).to(logits.dtype), reduction="none"
        )
        return (per_tag * (tags >= 0)).sum(-1)


@dataclass(frozen=True)
class Bagging(Annotator):
    size: int = 4

    def __call__(self, labels, features, rng):
        bags = len(labels) // self.size
        members = torch.from_numpy(rng.permutation(len(labels))[: bags * self.size].reshape(bags, self.size))
        return Bags(members, one_hot(labels.labels[members], labels.n_classes).mean(1))


@dataclass
class ProportionLoss(Method):
    """Cross entropy between a bag's proportions and its mean prediction (DLLP, Ardehaly, Culotta, 2017)."""

    accepts = (Bags,)

    def objective(self, net, batch):
        p = net(batch.x).softmax(-1)
        mean = p.reshape(*batch.evidence.proportions.shape[:1], -1, p.shape[-1]).mean(1)
        return -(batch.evidence.proportions * mean.log()).sum(-1).mean(), {}
