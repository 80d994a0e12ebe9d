"""TABASCO: choose clean examples class by class, by the better of two scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from labkit.evidence import Labels, one_hot
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start
from labkit.methods.selection import mean_over
from labkit.mixtures import fit_gaussian_mixture, gaussian_posterior

RULES = ("tabasco", "wjsd", "jsd", "centroid", "small_loss")


def jensen_shannon(probs: Tensor, labels: Tensor, weighted: bool = True) -> Tensor:
    """``w_i JSD(p_i, onehot y_i)`` in nats, ``(n,)``; JSD is in [0, log 2].

    ``w_i = clip(max_k p_ik / p_iy, 1, max_k m_yk / m_yy)``, m_y the mean prediction of the examples labelled y: where
    the network answers "head class" to everything said to be y, being outvoted by the head costs more. As in the code
    of Lu, Zhang, Han, Cheung, Wang (2023), TABASCO, which adds 1e-10 inside the logarithm. ``weighted=False``: w = 1.
    """
    said = one_hot(labels, probs.shape[1], probs.dtype)
    middle, tiny = (probs + said) / 2, 1e-10
    relative = lambda p: (p * ((p + tiny) / (middle + tiny)).log()).sum(-1)
    jsd = (relative(probs) + relative(said)) / 2
    if not weighted:
        return jsd
    means = (said.T @ probs) / said.sum(0).clamp_min(1)[:, None]
    most = means.amax(1) / means.diagonal().clamp_min(tiny)
    own = probs.gather(1, labels[:, None])[:, 0].clamp_min(tiny)
    return (probs.amax(1) / own).clamp_min(1).minimum(most.clamp_min(1)[labels]) * jsd


class Centroids(NamedTuple):
    """``directions`` (K, d): mean of normalised, centred features; ``counts`` (K,): over how many examples;
    ``middle`` (d,): the mean that was subtracted."""

    directions: Tensor
    counts: Tensor
    middle: Tensor


def adaptive_centroids(probs: Tensor, features: Tensor, labels: Tensor) -> Centroids:
    """One direction per given class c, of its examples that the network is surest of, *whatever it calls them*.

    Let a be the class predicted most for examples labelled c: those predicted a with a probability above a mean (their
    mean probability of a, each re-weighted by ``max(1, p / mean)``) make the centroid; all of c if there are none. So
    in a tail class, swamped by the head, the centroid may be that of the intruders; `select` asks whether it is.
    """
    middle = features.mean(0)
    directions, counts = [], []
    for c in range(probs.shape[1]):
        mine = labels == c
        p, f = probs[mine], torch.nn.functional.normalize(features[mine] - middle, dim=1)
        if len(p) == 0:
            directions.append(torch.zeros_like(middle))
            counts.append(0)
            continue
        mean = p.mean(0)
        top = mean.argmax()
        heavier = p.clone()
        heavier[:, top] *= (p[:, top] / mean[top]).clamp_min(1)
        mean = heavier.mean(0)
        top = mean.argmax()
        sure = (p.argmax(1) == top) & (p[:, top] > mean[top])
        sure = sure if sure.any() else torch.ones_like(sure)
        directions.append(f[sure].mean(0))
        counts.append(int(sure.sum()))
    return Centroids(torch.stack(directions), torch.tensor(counts, device=probs.device), middle)


def centroid_similarity(features: Tensor, labels: Tensor, centroids: Centroids) -> Tensor:
    """Normalised, centred features times the centroid of the given class, ``(n,)`` (a similarity: large is near)."""
    f = torch.nn.functional.normalize(features - centroids.middle, dim=1)
    return (f * centroids.directions[labels]).sum(1)


def select(logits: Tensor, features: Tensor, labels: Tensor, rule: str = "tabasco") -> tuple[Tensor, Tensor]:
    """``(clean (n,), divergence_used (K,))`` booleans. Per given class, two Gaussians are fitted to each score.

    The two-stage rule of Lu et al. (2023), as their code has it. Stage one: the divergence is used if both clusters of
    the centroid score have a mean divergence in its upper component, or if (standard deviation of the divergence in the
    cluster that falls high) / (in the one that falls low) is below 0.65 (a deviation of 0 counts 0.1, a missing one 1);
    else the centroid score. Stage two: of the divergence the *lower* cluster is clean. Of the centroid score it is the
    upper one (near the centroid), unless the centroid is another class's: with S the softmax rows of the centroids'
    inner products, ``S_cc - max_j S_cj < 0.1 S_cc`` and fewer examples behind it than behind class j's.

    Args:
        logits ``(n, K)``, features ``(n, d)``, labels ``(n,)``: of a network after warm-up, and as given.
        rule: "tabasco"; one score for all classes: "wjsd", "jsd" (unweighted) or "centroid"; or "small_loss", one
            mixture of the cross entropies of all classes (DivideMix). A class whose scores are all equal is kept whole.
    """
    if rule not in RULES:
        raise ValueError(f"rule is one of {', '.join(RULES)}, got {rule!r}")
    logits, features = logits.double(), features.double()
    k = logits.shape[1]
    clean, used = torch.zeros_like(labels, dtype=torch.bool), torch.ones(k, dtype=torch.bool, device=labels.device)
    if rule == "small_loss":
        return gaussian_posterior(cross_entropy(logits, labels)) > 0.5, used
    probs = logits.softmax(1)
    divergence = jensen_shannon(probs, labels, weighted=rule != "jsd")
    centroids = adaptive_centroids(probs, features, labels)
    nearness = centroid_similarity(features, labels, centroids)
    alike = (centroids.directions @ centroids.directions.T).softmax(1)
    for c in range(k):
        mine = labels == c
        if not mine.any():
            continue
        by_divergence, by_nearness = _two_groups(divergence[mine]), _two_groups(nearness[mine])
        used[c] = rule in ("wjsd", "jsd") or (rule == "tabasco" and _divergence_is_better(by_divergence, by_nearness))
        others = alike[c].clone()
        others[c] = 0
        rival = others.argmax()
        taken = alike[c, c] - others[rival] < 0.1 * alike[c, c] and centroids.counts[c] < centroids.counts[rival]
        near = ~by_nearness.low | by_nearness.low.all()
        clean[mine] = by_divergence.low if used[c] else (by_nearness.low if taken else near)
    return clean, used


class Groups(NamedTuple):
    """``low`` (m,): of the lower Gaussian; ``scaled`` (m,): the values in [0, 1]; ``mixture``: means, variances,
    weights."""

    low: Tensor
    scaled: Tensor
    mixture: tuple[Tensor, Tensor, Tensor]


def _two_groups(values: Tensor) -> Groups:
    """Two Gaussians fitted to one score; where all values are equal, all are low."""
    scaled = (values - values.min()) / (values.max() - values.min()).clamp_min(1e-12)
    mixture = fit_gaussian_mixture(scaled)
    low = _component(scaled, mixture) == mixture[0].argmin()
    return Groups(low if values.max() > values.min() else torch.ones_like(low), scaled, mixture)


def _component(values: Tensor, mixture) -> Tensor:
    """The likelier Gaussian of each value, 0 or 1."""
    mean, variance, weight = mixture
    return (weight.log() - ((values[..., None] - mean) ** 2 / variance + variance.log()) / 2).argmax(-1)


def _divergence_is_better(divergence: Groups, nearness: Groups) -> bool:
    """Stage one."""
    low, high = int(divergence.mixture[0].argmin()), int(divergence.mixture[0].argmax())
    deviation, where = {low: 1.0, high: 1.0}, []
    for cluster in (nearness.low, ~nearness.low):
        held = divergence.scaled[cluster] if cluster.any() else divergence.scaled[~cluster]
        where.append(int(_component(held.mean(), divergence.mixture)))
        deviation[where[-1]] = float(held.std(correction=0)) or 0.1
    return where == [high, high] or deviation[high] / deviation[low] < 0.65


@dataclass
class SelectedOnly(Method):
    """Cross entropy on the examples that ``select`` calls clean, seen through a first network after its warm-up.

    With the default rule the selection of Lu, Zhang, Han, Cheung, Wang (2023), "Label-noise learning with intrinsically
    long-tailed data" (TABASCO). Reduced: they select anew every epoch and train two networks in the manner of
    DivideMix, where examples that are not selected serve as unlabelled; here one network sees the selected ones only.
    Kept with the run: ``picked`` (n,), which training examples were selected, and ``divergence_used`` (K,).

    Args:
        first: :class:`labkit.Runs` of the warm-up network (published: 10 epochs on CIFAR-10, 30 on CIFAR-100).
        rule: of `select`.
    """

    first: Any = None
    rule: str = "tabasco"

    accepts: ClassVar = (Labels,)
    keeps: ClassVar[tuple[str, ...]] = ("picked", "divergence_used")

    def __post_init__(self):
        if self.rule not in RULES:
            raise ValueError(f"rule is one of {', '.join(RULES)}, got {self.rule!r}")

    def setup(self, start: Start):
        if self.first is None:
            raise ValueError("SelectedOnly looks through a first network: SelectedOnly(first=lk.fit(...))")
        logits, features = self.first.predict_one(start.x), self.first.predict(start.x, features=True)[0]
        clean, used = select(logits, features, start.evidence.labels, self.rule)
        return {"picked": clean, "divergence_used": used}

    def objective(self, net, batch: Batch):
        losses = cross_entropy(net(batch.x), batch.evidence.labels)
        return mean_over(losses, batch.state["picked"][batch.index]), {}
