"""RCAL: recover each class's Gaussian from polluted features, borrow for the tail, and train on draws from it too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from labkit.evidence import Labels
from labkit.losses import cross_entropy
from labkit.methods.base import Batch, Method, Start


class Gaussians(NamedTuple):
    """``means`` (K, d), ``covariances`` (K, d, d), ``counts`` (K,): examples behind each."""

    means: Tensor
    covariances: Tensor
    counts: Tensor


def class_gaussians(
    features: Tensor, labels: Tensor, n_classes: int, outliers: float | str | None = "auto"
) -> Gaussians:
    """Mean and (biased) covariance per given class, without what the local outlier factor rejects.

    Breunig, Kriegel, Ng, Sander (2000), as in scikit-learn, with 20 neighbours. ``outliers``: "auto" rejects factors
    above 1.5, a share in (0, 0.5] that many examples with the largest factors, None nothing. Classes with fewer than
    five examples are taken whole. A class without examples has mean 0, the identity, count 0.
    """
    from sklearn.neighbors import LocalOutlierFactor

    f, d = features.double(), features.shape[1]
    means, covariances, counts = [], [], []
    for c in range(n_classes):
        mine = f[labels == c]
        if outliers is not None and len(mine) >= 5:
            factor = LocalOutlierFactor(n_neighbors=min(20, len(mine) - 1), contamination=outliers)
            inlier = factor.fit_predict(mine.cpu().numpy()) > 0
            mine = mine[torch.from_numpy(inlier).to(f.device)]
        counts.append(len(mine))
        if len(mine) == 0:
            means.append(f.new_zeros(d))
            covariances.append(torch.eye(d, dtype=f.dtype, device=f.device))
            continue
        means.append(mine.mean(0))
        covariances.append((mine - means[-1]).T @ (mine - means[-1]) / len(mine))
    return Gaussians(torch.stack(means), torch.stack(covariances), torch.tensor(counts, device=f.device))


def borrowed(found: Gaussians, own: float = 0.5, nearest: int = 3, ridge: float = 0.1) -> Gaussians:
    """Tail classes lean on their ``nearest`` head classes: ``mu' = own mu + (1 - own) sum_c w_c mu_c``, Sigma' alike.

    ``w_c`` is proportional to ``n_c / ||mu - mu_c||^2`` over those head classes and sums to 1. Tail: fewer examples
    than the mean over classes. Then ``ridge`` times the identity is added to every covariance.
    """
    means, covariances, counts = found
    head = counts >= counts.double().mean()
    moved, spread = means.clone(), covariances.clone()
    for k in torch.nonzero(~head & (counts > 0)).flatten().tolist():
        distance = (means - means[k]).square().sum(1)
        order = distance.where(head, torch.inf).argsort()[: min(nearest, int(head.sum()))]
        weight = counts[order] / distance[order].clamp_min(1e-12)
        weight = weight / weight.sum()
        moved[k] = own * means[k] + (1 - own) * weight @ means[order]
        spread[k] = own * covariances[k] + (1 - own) * torch.einsum("c,cij->ij", weight, covariances[order])
    return Gaussians(moved, spread + ridge * torch.eye(means.shape[1], dtype=means.dtype, device=means.device), counts)


@dataclass
class RepresentationCalibration(Method):
    """Cross entropy on the examples and on draws from the classes' Gaussians, so that all classes weigh the same.

    Zhang, Zhao, Yao, Yuan, Huang (2023), "When noisy labels meet long tail dilemmas" (RCAL). Unsure: the paper was not
    at hand beyond its abstract, there is no published code, and the weights, the numbers and what makes a class a tail
    class are our reading (`class_gaussians`, `borrowed`). Reduced: the *inputs* are the representation (features learnt
    without labels, kept as they are), which is the limit of the paper's pull towards the contrastive features; its
    mixup is left out.

    Every step draws as many points as the batch has, of class k in proportion to ``fill max_c n_c - n_k`` (counts of
    given labels), and weighs them so that an epoch shows every class ``fill max_c n_c`` times.

    Args:
        own: trust in a tail class's own statistics. nearest: head classes it borrows from. ridge: added to variances.
        fill: from 1. outliers: "auto" or a share, of `class_gaussians`.
        calibrate: False leaves out both outlier removal and borrowing: draws from the polluted Gaussians.
    """

    own: float = 0.5
    nearest: int = 3
    ridge: float = 0.1
    fill: float = 1.0
    outliers: Any = "auto"
    calibrate: bool = True

    accepts: ClassVar = (Labels,)

    def __post_init__(self):
        if not (0 <= self.own <= 1 and self.nearest >= 1 and self.ridge > 0 and self.fill >= 1):
            raise ValueError(f"own lies in [0, 1], nearest and fill are at least 1, ridge is above 0; got {self}")

    def setup(self, start: Start):
        labels, k = start.evidence.labels, start.n_classes
        self.width = start.x[0].numel()
        found = class_gaussians(start.x.flatten(1), labels, k, self.outliers if self.calibrate else None)
        found = borrowed(found, self.own if self.calibrate else 1.0, self.nearest, self.ridge)
        said = torch.bincount(labels, minlength=k)
        missing = torch.where(said > 0, self.fill * said.max() - said, 0).double()
        return {
            "means": found.means, "roots": torch.linalg.cholesky(found.covariances),
            "cumulative": (missing.cumsum(0) / missing.sum().clamp_min(1e-12)),
            "weight": missing.sum() / len(labels),
        }  # fmt: skip

    def draw(self, rng: np.random.Generator, steps, batch_size):
        shape = (steps, batch_size)
        return {"which": rng.random(shape), "normal": rng.standard_normal((*shape, self.width))}

    def objective(self, net, batch: Batch):
        state, x = batch.state, batch.x
        cumulative = state["cumulative"]
        label = (batch.draws["which"][:, None] >= cumulative).sum(-1).clamp_max(len(cumulative) - 1)
        drawn = state["means"][label] + (state["roots"][label] @ batch.draws["normal"][..., None])[..., 0]
        real = cross_entropy(net(x), batch.evidence.labels)
        made = cross_entropy(net(drawn.reshape(x.shape)), label)
        return (real.mean() + state["weight"] * made.mean()) / (1 + state["weight"]), {}
